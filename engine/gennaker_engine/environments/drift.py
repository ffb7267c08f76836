"""What has moved in an environment since the last deploys, and how two environments differ.

A deploy's own stage type says it: it is planned again with the inputs it had. What that plan would
change is what is there now against what was deployed; what it desires is what was declared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gennaker_engine.environments.deployed import Deployed, list_current
from gennaker_engine.planning.stage import StagePlanned
from gennaker_engine.runtime.engine import Engine

__all__ = ["Difference", "StageDrift", "compare_environments", "find_drift"]

Json = Any
_MISSING = object()
_TOUCHES = frozenset({"create", "change", "replace", "delete", "prune", "refuse"})


@dataclass(frozen=True, slots=True)
class StageDrift:
    """How live state and the last deploy of one stage differ.

    Attributes:
        deployed: that deploy.
        changes: what deploying the same again would change, ``{action, what, detail}`` each.
        compared: whether the stage type looked at anything.
        error: why it cannot be said.
    """

    deployed: Deployed
    changes: tuple[Mapping[str, Json], ...] = ()
    compared: bool = True
    error: str | None = None

    def to_data(self) -> dict[str, Json]:
        """Return it as JSON data."""
        row = self.deployed.row
        data: dict[str, Json] = {"stage": self.deployed.stage, "run": row.run}
        if self.error is not None:
            return {**data, "error": self.error}
        changes = [dict(each) for each in self.changes]
        return {**data, "compared": self.compared, "changes": changes}


@dataclass(frozen=True, slots=True)
class Difference:
    """A place in which the declared objects of two environments differ; a side may be missing."""

    stage: str
    path: str
    left: Json = field(default=None)
    right: Json = field(default=None)

    def to_data(self) -> dict[str, Json]:
        """Return it as JSON data; a side that has nothing there is left out."""
        sides = {"left": self.left, "right": self.right}
        there = {name: value for name, value in sides.items() if value is not _MISSING}
        return {"stage": self.stage, "path": self.path, **there}


def find_drift(engine: Engine, environment: str, *, sandbox: bool) -> list[StageDrift]:
    """Return the drift of each stage that is deployed in an environment."""
    found = []
    for deployed in _list_there(engine, environment, sandbox=sandbox):
        planned = _plan(engine, deployed)
        if planned.error is not None:
            found.append(StageDrift(deployed, error=planned.error))
        else:
            moved = tuple(each for each in planned.changes if each["action"] in _TOUCHES)
            found.append(StageDrift(deployed, moved, compared=bool(planned.changes)))
    return found


def compare_environments(
    engine: Engine, left: str, right: str, *, sandbox: bool
) -> tuple[list[Difference], list[str]]:
    """Return how what is declared in two environments differs, and what could not be compared."""
    sides: list[dict[str, Json]] = []
    problems = []
    for environment in (left, right):
        desired: dict[str, Json] = {}
        for deployed in _list_there(engine, environment, sandbox=sandbox):
            planned = _plan(engine, deployed)
            if planned.error is not None:
                problems.append(f"{environment}: {deployed.stage}: {planned.error}")
            else:
                desired[deployed.stage] = _unname(planned.desired, deployed)
        sides.append(desired)
    objects = [_list_objects(each) for each in sides]
    return list(_compare_objects(*objects)), problems


def _list_there(engine: Engine, environment: str, *, sandbox: bool) -> Iterator[Deployed]:
    for each in list_current(engine, sandbox=sandbox):
        if each.row.environment == environment and each.instance is not None and not each.is_undo:
            yield each


def _plan(engine: Engine, deployed: Deployed) -> StagePlanned:
    assert deployed.run is not None
    assert deployed.instance is not None
    return engine.plan_again(deployed.run, deployed.instance)


def _unname(desired: Json, deployed: Deployed) -> Json:
    """Take out the environment's own namespace, which differs by intent."""
    assert deployed.instance is not None
    namespace = (deployed.instance.environment or {}).get("namespace")
    return _replace(desired, namespace) if namespace else desired


def _replace(data: Json, namespace: str) -> Json:
    if isinstance(data, dict):
        return {
            key: "(its own)"
            if key == "namespace" and each == namespace
            else _replace(each, namespace)
            for key, each in data.items()
        }
    return [_replace(each, namespace) for each in data] if isinstance(data, list) else data


def _list_objects(desired: Mapping[str, Json]) -> dict[str, Json]:
    """Return what each stage declares, by its name and, of a bundle, by kind and name.

    Stages of two environments seldom have one name, so objects are known by themselves.
    """
    found: dict[str, Json] = {}
    for stage, data in desired.items():
        objects = data.get("objects") if isinstance(data, dict) else None
        if not isinstance(objects, list):
            if data is not None:
                found[stage] = data
            continue
        for each in objects:
            found[_name_object(each) or stage] = each
    return found


def _name_object(data: Json) -> str | None:
    """Return what an item of a list is known by: kind and name of an object, else its name."""
    if not isinstance(data, dict):
        return None
    metadata = data.get("metadata")
    if isinstance(metadata, dict) and "kind" in data:
        return f"{data['kind']}/{metadata.get('name')}"
    name = data.get("name")
    return name if isinstance(name, str) else None


def _compare_objects(left: Mapping[str, Json], right: Mapping[str, Json]) -> Iterator[Difference]:
    for name in sorted({*left, *right}):
        one, other = left.get(name, _MISSING), right.get(name, _MISSING)
        if one is _MISSING or other is _MISSING:
            yield Difference(
                name,
                "",
                one if one is _MISSING else "there",
                other if other is _MISSING else "there",
            )
        else:
            yield from (Difference(name, *each) for each in _compare("", one, other))


def _compare(path: str, one: Json, other: Json) -> Iterator[tuple[str, Json, Json]]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other}):
            inner = f"{path}.{key}" if path else key
            yield from _compare(inner, one.get(key, _MISSING), other.get(key, _MISSING))
    elif isinstance(one, list) and isinstance(other, list):
        yield from _compare_lists(path, one, other)
    elif one != other:
        yield path, one, other


def _compare_lists(
    path: str, one: list[Json], other: list[Json]
) -> Iterator[tuple[str, Json, Json]]:
    named = _index(one), _index(other)
    if named[0] is None or named[1] is None:
        if one != other:
            yield path, one, other
        return
    for key in dict.fromkeys((*named[0], *named[1])):
        sides = named[0].get(key, _MISSING), named[1].get(key, _MISSING)
        yield from _compare(f"{path}[{key}]", *sides)


def _index(items: Iterable[Json]) -> dict[str, Json] | None:
    """Return the items by their names, None when one has none or two have the same."""
    found: dict[str, Json] = {}
    for each in items:
        name = _name_object(each)
        if name is None or name in found:
            return None
        found[name] = each
    return found
