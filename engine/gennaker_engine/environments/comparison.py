"""How what is declared in two environments differs; their targets are not asked.

A deploy's own stage type says what it declared, from the inputs that the deploy had.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gennaker.errors import GennakerError
from gennaker.expressions import to_json
from gennaker.stage import ABSENT, Declared, PlanContext, Secret, Stage
from gennaker_engine.environments.asking import ask_stage
from gennaker_engine.environments.deployed import Deployed, find_standing
from gennaker_engine.runtime.engine import Engine

__all__ = ["Difference", "compare_environments"]

Json = Any
_WORD = re.compile(r"[A-Za-z0-9-]+")


@dataclass(frozen=True, slots=True)
class Difference:
    """A place in which what is declared in two environments differs; a side may have nothing there.

    Attributes:
        what: the thing.
        path: the field of it; empty when one side does not have the thing at all.
        left, right: the values, :data:`gennaker.stage.ABSENT` for nothing.
    """

    what: str
    path: str
    left: Json = ABSENT
    right: Json = ABSENT

    def to_data(self) -> dict[str, Json]:
        """Return it as JSON data; a side that has nothing there is left out."""
        sides = {"left": self.left, "right": self.right}
        there = {name: _show(value) for name, value in sides.items() if value is not ABSENT}
        hidden = any(isinstance(each, Secret) for each in sides.values())
        marks = {"hidden": True} if hidden else {}
        return {"what": self.what, "path": self.path, **there, **marks}


@dataclass(slots=True)
class _Side:
    """What is declared in an environment: things by key, and the namespaces of its own."""

    things: dict[str, Declared] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)


def compare_environments(
    engine: Engine, left: str, right: str, *, sandbox: bool
) -> tuple[list[Difference], list[str]]:
    """Return how what is declared in two environments differs, and what could not be compared."""
    sides, problems = [], []
    for environment in (left, right):
        side = _Side()
        for _, deployed in find_standing(engine, sandbox=sandbox, environment=environment):
            if deployed is None:
                continue
            try:
                declared = ask_stage(engine, deployed, _list_declared)
            except GennakerError as error:
                problems.append(f"{environment}: {deployed.stage}: {error}")
                continue
            side.things |= {each.key: each for each in declared}
            side.names |= _find_names(deployed)
        sides.append(side)
    return list(_compare_sides(*sides)), problems


def _list_declared(kind: Stage, inputs: Any, ctx: PlanContext) -> Sequence[Declared]:
    """Return what a deploy declared; of a type that does not describe it, what its plan desires."""
    declared = kind.list_declared(inputs, ctx)
    if declared is not None:
        return declared
    desired = to_json(kind.plan(inputs, ctx).desired)
    if desired is None:
        return ()
    return [Declared(ctx.stage, ctx.stage, dict(_list_leaves("", desired)))]


def _list_leaves(path: str, data: Json) -> Iterator[tuple[str, Json]]:
    if isinstance(data, Mapping) and data:
        for name, each in data.items():
            yield from _list_leaves(f"{path}.{name}" if path else name, each)
    else:
        yield path, data


def _find_names(deployed: Deployed) -> set[str]:
    environment = deployed.instance.environment if deployed.instance is not None else None
    namespace = (environment or {}).get("namespace")
    return {namespace} if namespace else set()


def _compare_sides(left: _Side, right: _Side) -> Iterator[Difference]:
    things = {**left.things, **right.things}
    for key in sorted(things, key=lambda each: (things[each].what, each)):
        one, other = left.things.get(key), right.things.get(key)
        if one is None or other is None:
            there = "there" if one else ABSENT, "there" if other else ABSENT
            yield Difference(things[key].what, "", *there)
            continue
        for path in sorted({*one.fields, *other.fields}):
            values = one.fields.get(path, ABSENT), other.fields.get(path, ABSENT)
            if not _same(*values, left.names, right.names):
                yield Difference(one.what, path, *values)


def _same(one: Json, other: Json, names: set[str], other_names: set[str]) -> bool:
    """Whether two values are the same but for the namespaces of their environments in them."""
    if isinstance(one, str) and isinstance(other, str) and one != other:
        words, other_words = _WORD.findall(one), _WORD.findall(other)
        return (
            _WORD.sub("", one) == _WORD.sub("", other)
            and len(words) == len(other_words)
            and all(
                a == b or (a in names and b in other_names)
                for a, b in zip(words, other_words, strict=True)
            )
        )
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return all(_same(a, b, names, other_names) for a, b in zip(one, other, strict=True))
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _show(value: Json) -> Json:
    return str(value) if isinstance(value, Secret) else value
