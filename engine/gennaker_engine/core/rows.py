"""The few changes that several events share: an instance moves, waits, works, ends; a stage ends.

Called by the ``evolve`` modules alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Required, TypedDict, Unpack

from gennaker_engine.core.state import Instance, RunState, StageState
from gennaker_engine.core.transitions import IllegalTransition, move

__all__ = [
    "RANK",
    "change",
    "end_stage",
    "find_instance",
    "finish_instance",
    "pause_work",
    "push_open_stages",
    "set_wait",
    "shift_spans",
    "start_work",
]

Json = Any
RANK = {"succeeded": 0, "skipped": 0, "aborted": 1, "failed": 2, "errored": 3}
"""How bad an outcome is for the run."""

_WITH_DELIVERY = ("running", "stopping")


class Ended(TypedDict, total=False):
    """How an instance or a stage ended."""

    outcome: Required[str]
    code: str | None
    reason: str | None
    cause: str | None
    detail: Mapping[str, Json]
    outputs: Mapping[str, Json] | None
    read: tuple[str, ...] | None


def find_instance(run: RunState, name: str) -> Instance:
    """Return the instance; that of a stage without a matrix comes to be when it is first asked for.

    Raises:
        IllegalTransition: when the run has no such stage or instance.
    """
    found = run.instances.get(name)
    if found is not None:
        return found
    stage = run.stages.get(name)
    if stage is None or stage.plan.matrix is not None or stage.state != "pending":
        raise IllegalTransition(f"run {run.created.run!r} has no open instance {name!r}")
    found = Instance(name, name)
    run.instances[name] = found
    stage.instances.append(found)
    stage.state = "active"
    stage.expanded = True
    return found


def change(run: RunState, instance: Instance, trigger: str) -> None:
    """Move an instance as its table says and keep the count of those with a delivery."""
    before = instance.state
    after = move("instance", instance.id, before, trigger)
    if after != before:
        run.working += (after in _WITH_DELIVERY) - (before in _WITH_DELIVERY)
        instance.state = after


def set_wait(run: RunState, instance: Instance, kind: str | None, at: float) -> None:
    """Say what an instance waits for now, None for nothing."""
    before = instance.wait
    if before == kind:
        return
    if before is not None:
        run.waits[before] -= 1
        if not run.waits[before]:
            del run.waits[before]
    if kind is not None:
        run.waits[kind] = run.waits.get(kind, 0) + 1
    instance.wait = kind
    instance.waiting_since = None if kind is None else at


def start_work(run: RunState, instance: Instance, at: float) -> None:
    """Let working time count from ``at``; what is left of the timeout is due then."""
    instance.working_since = at
    left = run.stages[instance.stage].plan.timeout - instance.worked
    run.timers.set(("timeout", instance.id), at + left)


def pause_work(run: RunState, instance: Instance, at: float) -> None:
    """Stop counting working time at ``at``."""
    if instance.working_since is not None:
        instance.worked += max(0.0, at - instance.working_since)
        instance.working_since = None
        run.timers.cancel(("timeout", instance.id))


def shift_spans(run: RunState, by: float) -> None:
    """Move everything that is measured from a moment in the past by ``by`` seconds.

    Not the moments that somebody named: an approval's deadline, a timer's, a wait's.
    """
    for name in run.active:
        instance = run.instances[name]
        if instance.working_since is not None:
            instance.working_since += by
        if instance.wait == "poll":
            run.timers.shift(("wait", name), by)
        for kind in ("timeout", "stop", "retry"):
            run.timers.shift((kind, name), by)
    run.timers.shift(("run", ""), by)
    run.timers.shift(("finally", ""), by)


def finish_instance(
    run: RunState, instance: Instance, trigger: str, at: float, **ended: Unpack[Ended]
) -> None:
    """End an instance and take it out of everything that still counts on it.

    Args:
        trigger: the move of its table that ends it.
    """
    stage = run.stages[instance.stage]
    if instance.state == "pending":
        stage.next_instance = max(stage.next_instance, instance.number + 1)
    change(run, instance, trigger)
    pause_work(run, instance, at)
    set_wait(run, instance, None, at)
    for kind in ("wait", "deadline", "retry", "stop"):
        run.timers.cancel((kind, instance.id))
    for name, value in ended.items():
        setattr(instance, name, value)
    instance.waiting = instance.stopping = instance.resumed = instance.event = None
    instance.steps = {}
    instance.ended_at = at
    if instance.id in run.active:
        del run.active[instance.id]
        stage.busy -= 1
    if instance.gate is not None:
        run.gates[instance.gate].waiters.pop(instance.id, None)
        run.agenda.append(("gate", instance.gate))
        instance.gate = None
    _leave_lock_queue(run, instance)
    stage.done += 1
    if stage.plan.matrix is None:
        end_stage(run, stage, at, **ended)
    else:
        run.agenda.append(("matrix", stage.plan.id))


def _leave_lock_queue(run: RunState, instance: Instance) -> None:
    if instance.environment is not None:
        waiters = run.lock_waiters.get(instance.environment["name"])
        if waiters is not None and instance.id in waiters:
            del waiters[instance.id]
            if not waiters:
                del run.lock_waiters[instance.environment["name"]]


def end_stage(
    run: RunState,
    stage: StageState,
    at: float,
    **ended: Unpack[Ended],
) -> None:
    """End a stage: count it, tell those that need it."""
    plan = stage.plan
    outcome = ended["outcome"]
    if stage.state == "ended":
        raise IllegalTransition(f"stage {plan.id!r} has ended and cannot end again")
    stage.state = "ended"
    stage.outcome = outcome
    stage.cause = ended.get("cause")
    stage.detail = ended.get("detail", {})
    stage.code = ended.get("code")
    stage.reason = ended.get("reason")
    stage.outputs = ended.get("outputs")
    stage.ended_at = at
    broken = outcome in ("failed", "errored")
    stage.ignored = broken and plan.on_failure == "ignore"
    broken = broken and not stage.ignored
    above = [run.stages[each] for each in plan.needs]
    stage.failed_above = broken or any(each.failed_above for each in above)
    stage.aborted_above = outcome == "aborted" or any(each.aborted_above for each in above)
    if not stage.ignored:
        run.worst = max(run.worst, RANK[outcome])
    run.ran += outcome != "skipped"
    if plan.in_finally:
        run.open_final -= 1
    else:
        run.open_main -= 1
        run.bad += not stage.succeeded
        run.failed += broken
        run.aborted_stages += outcome == "aborted"
    _close_environment(run, plan.environment_key)
    run.agenda.append(("ended", plan.id))
    for each in plan.dependents:
        dependent = run.stages[each]
        dependent.pending -= 1
        if not dependent.pending:
            run.agenda.append(("stage", each))


def _close_environment(run: RunState, key: str | None) -> None:
    if key is not None and key in run.open_environments:
        run.open_environments[key] -= 1
        if not run.open_environments[key]:
            del run.open_environments[key]


def push_open_stages(run: RunState, names: tuple[str, ...]) -> None:
    """Put every stage of a section that waits for nothing on the agenda."""
    for each in names:
        stage = run.stages[each]
        if stage.state == "pending" and not stage.pending:
            run.agenda.append(("stage", each))
