"""What an approval decides on: which stages, with which values, and what has moved since."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gennaker.canonical import canonical_json, digest_of
from gennaker.errors import ExpressionError
from gennaker_engine.core.blueprint import StagePlan
from gennaker_engine.core.expansion import expand_matrix
from gennaker_engine.core.messages import EnvironmentFacts
from gennaker_engine.core.resolve import Resolved, find_resolved
from gennaker_engine.core.scope import make_scope
from gennaker_engine.core.state import Gate, Instance, RunState
from gennaker_engine.core.turn import Turn

__all__ = [
    "Subject",
    "describe_entry",
    "digest_subject",
    "find_downstream_subject",
    "find_entry",
    "find_environment_subject",
    "find_moved",
    "remember_shown",
]

Json = Any
Subject = tuple[Mapping[str, Json], ...]
_AS_WRITTEN = ("name", "target", "settings", "variables", "url")
_BEFORE_START = ("pending", "ready")


def digest_subject(subject: Subject) -> str:
    """Return the SHA-256 of the subject's canonical JSON."""
    return digest_of(list(subject))


def find_downstream_subject(turn: Turn, stage: str) -> Subject:
    """Return every stage after ``stage`` that has not started and whose inputs are known."""
    return _describe(turn, turn.run.blueprint.downstream_of(stage))


def find_environment_subject(turn: Turn, environment: str) -> Subject:
    """Return the stages that have not started, change ``environment`` and have known inputs."""
    blueprint = turn.run.blueprint
    names = [each for stages in blueprint.by_environment.values() for each in stages]
    return _describe(turn, names, environment=environment)


def _describe(turn: Turn, names: Iterable[str], *, environment: str | None = None) -> Subject:
    entries = []
    for name in names:
        plan = turn.run.blueprint.stages[name]
        for identifier, matrix in _list_waiting(turn.run, plan):
            try:
                resolved = find_resolved(turn.run, turn.world, plan, matrix)
            except ExpressionError:
                continue
            there = None if resolved[1] is None else resolved[1]["name"]
            if environment is None or (there == environment and resolved[2] == "deploy"):
                entries.append(describe_entry(turn.run, identifier, plan, resolved))
    return tuple(sorted(entries, key=lambda each: str(each["id"])))


def _list_waiting(
    run: RunState, plan: StagePlan
) -> Iterator[tuple[str, Mapping[str, Json] | None]]:
    """Yield id and matrix values of each instance of a stage that has not started."""
    stage = run.stages[plan.id]
    if stage.state == "ended":
        return
    if stage.expanded:
        for instance in stage.instances:
            if instance.state in _BEFORE_START:
                yield instance.id, instance.matrix
    elif plan.matrix is None:
        yield plan.id, None
    else:
        try:
            values = expand_matrix(plan.matrix, lambda: make_scope(run))
        except ExpressionError:
            return
        for number, each in enumerate(values):
            yield f"{plan.id}[{number}]", each


def describe_entry(
    run: RunState, identifier: str, plan: StagePlan, resolved: Resolved
) -> dict[str, Json]:
    """Return how a subject tells one stage: id, type, inputs, environment as written.

    One of a rollback has ``stage`` too, which it stands for, and ``before``, the artifact of what was
    there, when it puts back.
    """
    inputs, environment, _effect = resolved
    target = None if environment is None else {name: environment[name] for name in _AS_WRITTEN}
    entry = {"id": identifier, "uses": plan.uses, "inputs": inputs, "environment": target}
    preset = run.created.preset.get(plan.id, {})
    return {**entry, **{name: preset[name] for name in ("stage", "before") if name in preset}}


def find_entry(run: RunState, gate: Gate, identifier: str) -> Mapping[str, Json]:
    """Return what a gate's subject tells of one stage; looked up, because subjects can be long."""
    entries = run.caches.get(("entries", gate.id))
    if entries is None:
        entries = run.caches["entries", gate.id] = {each["id"]: each for each in gate.subject}
    found: Mapping[str, Json] = entries[identifier]
    return found


def find_moved(turn: Turn, gate: Gate) -> tuple[str, ...]:
    """Return what is different now from what the gate's approvers were shown; empty: nothing.

    What has started keeps what was shown. Values cannot change once they are known, only the
    environments' settings can: the rest is worked out again only when those did.
    """
    run = turn.run
    if run.caches.get(("shown", gate.id)) == _list_facts(turn, gate):
        return ()
    moved: list[str] = []
    for entry in gate.subject:
        now = _describe_now(turn, entry)
        if now is None:
            moved.append(f"{entry['id']}: its values can no longer be had")
        elif canonical_json(now) != canonical_json(entry):
            moved += _list_differences(entry["id"], entry, now)
    if not moved:
        remember_shown(turn, gate)
    return tuple(moved)


def remember_shown(turn: Turn, gate: Gate) -> None:
    """Remember that the subject is what it is with the environments' settings of now."""
    turn.run.caches["shown", gate.id] = _list_facts(turn, gate)


def _list_facts(turn: Turn, gate: Gate) -> list[EnvironmentFacts | None]:
    names = {each["environment"]["name"] for each in gate.subject if each["environment"]}
    return [turn.world.environments.get(name) for name in sorted(names)]


def _describe_now(turn: Turn, entry: Mapping[str, Json]) -> Mapping[str, Json] | None:
    run = turn.run
    identifier = entry["id"]
    instance: Instance | None = run.instances.get(identifier)
    plan = run.blueprint.stages[identifier.partition("[")[0]]
    if run.stages[plan.id].state == "ended":
        return entry
    if instance is not None and instance.state not in _BEFORE_START:
        return entry
    matrix = None
    if plan.matrix is not None:
        known = dict(_list_waiting(run, plan))
        if identifier not in known:
            return None
        matrix = known[identifier]
    try:
        resolved = find_resolved(run, turn.world, plan, matrix)
        return describe_entry(run, identifier, plan, resolved)
    except ExpressionError:
        return None


def _list_differences(path: str, before: Json, after: Json) -> list[str]:
    """Return a line for each place that differs, deepest first named: ``production.inputs.image``."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        found = []
        for name in sorted({*before, *after}):
            if name not in after:
                found.append(f"{path}.{name}: removed")
            elif name not in before:
                found.append(f"{path}.{name}: added")
            elif canonical_json(before[name]) != canonical_json(after[name]):
                found += _list_differences(f"{path}.{name}", before[name], after[name])
        return found
    return [f"{path}: {_brief(before)} is now {_brief(after)}"]


def _brief(value: Json) -> str:
    text = canonical_json(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
