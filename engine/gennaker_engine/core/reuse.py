"""What a retry takes over from the run it retries, and why each other stage runs again. Pure.

A stage that succeeded is taken over when every stage it needs is; approvals and ``finally`` never
are, a deploy only while it is still its environment's last one. With a corrected definition a stage
has to be the same as well: its type, its instances, their inputs and environment as resolved now,
and what it read of the source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from gennaker.canonical import canonical_json
from gennaker.errors import ExpressionError
from gennaker.records import dataclass
from gennaker_engine.core.blueprint import Blueprint, StagePlan
from gennaker_engine.core.events import RunCreated
from gennaker_engine.core.evolve import begin
from gennaker_engine.core.expansion import expand_matrix
from gennaker_engine.core.messages import World
from gennaker_engine.core.readiness import ask_condition
from gennaker_engine.core.resolve import find_resolved
from gennaker_engine.core.rows import end_stage
from gennaker_engine.core.run import Run
from gennaker_engine.core.scope import make_scope
from gennaker_engine.core.state import Instance, RunState, StageState

__all__ = ["APPROVAL", "Correction", "FindDeploy", "Verdict", "decide_reuse", "find_outdated"]

APPROVAL = "approval"
"""The stage type whose decisions a retry never takes over."""

Json = Any
FindDeploy = Callable[[str], tuple[str, str] | None]
"""Environment -> run and instance of its last deploy."""

_OBSTACLES = {
    None: "it did not run",
    "skipped": "it was skipped",
    "aborted": "it was aborted",
    "failed": "it failed",
    "errored": "it errored",
}
_OWN = frozenset({"id", "number", "started_at"})
"""What ``run`` has that no two runs share."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one stage: ``taken`` over (as ``RunCreated.reused`` has it), or the ``reason``."""

    stage: str
    taken: Mapping[str, Json] | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Correction:
    """What a corrected definition is compared with.

    Attributes:
        world: settings as they are now.
        find_run: a run that is still in the journal, by id.
        list_changed: source facts of a run and paths -> files below them that are different now,
            None when that source is gone.
    """

    world: World
    find_run: Callable[[str], Run | None]
    list_changed: Callable[[Mapping[str, Json], Iterable[str]], list[str] | None]


def decide_reuse(
    old: Run,
    created: RunCreated,
    *,
    find_deploy: FindDeploy,
    correction: Correction | None = None,
) -> list[Verdict]:
    """Return what becomes of each stage outside ``finally``, each after those it needs.

    Args:
        old: the run that is retried.
        created: the first event of the retry, without anything reused.
        find_deploy: the last deploy of an environment.
        correction: when the definition may be another one; without it nothing is compared.
    """
    new = begin(created)
    verdicts: dict[str, Verdict] = {}
    for name in _order(new.blueprint):
        plan = new.blueprint.stages[name]
        verdict = _judge(old, new, plan, verdicts, find_deploy, correction)
        verdicts[name] = verdict
        if verdict.taken is not None:
            stage, taken = new.stages[name], verdict.taken
            stage.reused = taken
            end_stage(
                new, stage, created.at, outcome=taken["outcome"], outputs=taken.get("outputs")
            )
    return list(verdicts.values())


def find_outdated(run: RunState, find_deploy: FindDeploy) -> dict[str, str]:
    """Return which stages a run must not reuse any more, stage id to the reason.

    Those are deploys that are no longer their environment's last one, and what comes after them.
    """
    reused, found = run.created.reused, dict[str, str]()
    if any("deploys" in taken for taken in reused.values()):
        for name in _order(run.blueprint):
            if name in reused:
                after = next(
                    (each for each in run.blueprint.stages[name].needs if each in found), None
                )
                reason = f"after {after}" if after else _find_newer(reused[name], find_deploy)
                if reason is not None:
                    found[name] = reason
    return found


def _judge(
    old: Run,
    new: RunState,
    plan: StagePlan,
    verdicts: Mapping[str, Verdict],
    find_deploy: FindDeploy,
    correction: Correction | None,
) -> Verdict:
    stage = old.facts.stages.get(plan.id)
    reason = _find_obstacle(stage, plan, verdicts)
    if stage is None or reason is not None:
        return Verdict(plan.id, reason=reason or "it is new")
    taken = _describe_taken(old, stage)
    reason = _find_newer(taken, find_deploy)
    if reason is None and correction is not None:
        reason = _find_difference(old, new, plan, taken, correction)
    return Verdict(plan.id, reason=reason) if reason is not None else Verdict(plan.id, taken)


def _find_obstacle(
    stage: StageState | None, plan: StagePlan, verdicts: Mapping[str, Verdict]
) -> str | None:
    """Return why a stage is not reused whatever its values are."""
    if plan.uses == APPROVAL:
        return "approvals are asked again"
    if stage is None or stage.plan.in_finally:
        return "it is new"
    if stage.outcome != "succeeded":
        return _OBSTACLES[stage.outcome]
    after = next((each for each in plan.needs if verdicts[each].taken is None), None)
    return f"after {after}" if after is not None else None


def _describe_taken(old: Run, stage: StageState) -> Mapping[str, Json]:
    """Return what is taken over of a stage that succeeded, ``{outcome, outputs, run, deploys}``."""
    if stage.reused is not None:
        return stage.reused
    taken = {"outcome": "succeeded", "outputs": stage.outputs, "run": old.id}
    deploys = [
        {"environment": each.environment["name"], "instance": each.id}
        for each in stage.instances
        if each.effect == "deploy" and each.environment is not None
    ]
    return {**taken, "deploys": deploys} if deploys else taken


def _find_newer(taken: Mapping[str, Json], find_deploy: FindDeploy) -> str | None:
    for deploy in taken.get("deploys", ()):
        last = find_deploy(deploy["environment"])
        if last != (taken["run"], deploy["instance"]):
            by = f" by {last[0]}" if last is not None else ""
            return f"{deploy['environment']} was deployed again{by}"
    return None


def _find_difference(
    old: Run, new: RunState, plan: StagePlan, taken: Mapping[str, Json], correction: Correction
) -> str | None:
    """Return what of a stage is different from when it ran, None when it is the same."""
    origin = old if taken["run"] == old.id else correction.find_run(taken["run"])
    if origin is None:
        return f"{taken['run']}, which ran it, is gone"
    stage = origin.facts.stages[plan.id]
    if stage.plan.uses != plan.uses:
        return f"it uses {plan.uses}, not {stage.plan.uses} as then"
    for term in (plan.inputs, *_list_axes(plan)):
        for each in term.references:
            if each.root == "run" and (not each.path or each.path[0] in _OWN):
                return (
                    f"it mentions {'.'.join(('run', *each.path))}, which is another one in each run"
                )
    try:
        if ask_condition(new, new.stages[plan.id]) is not None:
            return "its condition is false now"
        return _compare_instances(new, plan, stage, correction.world) or _compare_source(
            origin, stage, correction
        )
    except ExpressionError as error:
        return f"its values cannot be had: {error.message}"


def _list_axes(plan: StagePlan) -> Iterator[Any]:
    if plan.matrix is not None:
        yield from (term for _name, term in plan.matrix.axes)
        yield from (each for each in (plan.matrix.include, plan.matrix.exclude) if each is not None)


def _compare_instances(
    new: RunState, plan: StagePlan, stage: StageState, world: World
) -> str | None:
    rows: list[Mapping[str, Json] | None] = [None]
    if plan.matrix is not None:
        rows = [*expand_matrix(plan.matrix, lambda: make_scope(new))]
    if not _are_equal(rows, [each.matrix for each in stage.instances]):
        return "its matrix is different"
    for instance, row in zip(stage.instances, rows, strict=True):
        inputs, environment, _effect = find_resolved(new, world, plan, row)
        changed = _list_differing(instance.inputs, inputs)
        if changed:
            return f"{_name(instance)}input {changed[0]!r} is different"
        # Who may approve is asked when they do; it is nothing that the stage worked with.
        changed = [
            each
            for each in _list_differing(instance.environment, environment)
            if each != "approval"
        ]
        if changed:
            return f"{_name(instance)}its environment is different ({', '.join(changed)})"
    return None


def _name(instance: Instance) -> str:
    return "" if instance.matrix is None else f"{instance.id}: "


def _compare_source(origin: Run, stage: StageState, correction: Correction) -> str | None:
    paths: set[str] = set()
    for each in stage.instances:
        if each.read is None:
            return "what it read of the source was not recorded"
        paths.update(each.read)
    if not paths:
        return None
    changed = correction.list_changed(origin.created.source, sorted(paths))
    if changed is None:
        return f"the source that {origin.id} had is gone"
    if not changed:
        return None
    more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
    return f"it read {changed[0]}{more}, which changed"


def _list_differing(then: Mapping[str, Json] | None, now: Mapping[str, Json] | None) -> list[str]:
    if then is None or now is None:
        return [] if then is now else ["name"]
    return sorted(
        name
        for name in {*then, *now}
        if name not in then or name not in now or not _are_equal(then[name], now[name])
    )


def _are_equal(one: Json, other: Json) -> bool:
    # As canonical JSON, because in Python True == 1.
    return canonical_json(one) == canonical_json(other)


def _order(blueprint: Blueprint) -> Iterator[str]:
    """Return the stages outside ``finally``, each after those it needs.

    What puts others back is left out: whether it has to is another question in each run.
    """
    from graphlib import TopologicalSorter

    plans = (blueprint.stages[name] for name in blueprint.main)
    graph = {plan.id: plan.needs for plan in plans if plan.undoes is None}
    return iter(TopologicalSorter(graph).static_order())
