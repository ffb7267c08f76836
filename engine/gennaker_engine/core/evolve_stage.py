"""What the events of stages, instances and attempts change. Facts only: nothing is decided here."""

from __future__ import annotations

from collections.abc import Callable

from gennaker_engine.core import events as e
from gennaker_engine.core.rows import (
    Ended,
    change,
    end_stage,
    find_instance,
    finish_instance,
    pause_work,
    set_wait,
    start_work,
)
from gennaker_engine.core.state import Instance, RunState
from gennaker_engine.core.transitions import IllegalTransition

__all__ = ["EVOLVE_STAGE"]


def _expanded(run: RunState, event: e.StageExpanded) -> None:
    stage = run.stages[event.stage]
    if stage.state != "pending":
        raise IllegalTransition(f"stage {event.stage!r} is {stage.state!r} and cannot be expanded")
    stage.state = "active"
    stage.expanded = True
    for number, values in enumerate(event.instances):
        instance = Instance(f"{event.stage}[{number}]", event.stage, number, values)
        stage.instances.append(instance)
        run.instances[instance.id] = instance
    run.agenda.append(("matrix", event.stage))


def _skipped(run: RunState, event: e.StageSkipped) -> None:
    ended = Ended(outcome="skipped", cause=event.cause, detail=event.detail)
    instance = run.instances.get(event.instance)
    if instance is not None:
        finish_instance(run, instance, "skip", event.at, **ended)
        return
    stage = run.stages.get(event.instance)
    if stage is None or stage.state != "pending":
        raise IllegalTransition(f"there is nothing to skip under {event.instance!r}")
    ended["outputs"] = event.outputs
    end_stage(run, stage, event.at, **ended)


def _resolved(run: RunState, event: e.StageResolved) -> None:
    instance = find_instance(run, event.instance)
    first = instance.state == "pending"
    change(run, instance, "resolve")
    instance.inputs = event.inputs
    instance.environment = event.environment
    instance.effect = event.effect
    instance.undoes = event.before
    if first:
        stage = run.stages[instance.stage]
        stage.next_instance = max(stage.next_instance, instance.number + 1)
        stage.busy += 1
        run.active[instance.id] = None
        for gate in run.covers.get(instance.id, {}).values():
            if run.gates[gate].state == "open":
                instance.gate = gate
                run.gates[gate].waiters[instance.id] = None
                set_wait(run, instance, "decision", event.at)
                break
    run.agenda.append(("instance", instance.id))


def _started(run: RunState, event: e.AttemptStarted) -> None:
    instance = run.instances[event.instance]
    if instance.state == "running":
        change(run, instance, "deliver")
    else:
        change(run, instance, "start")
        instance.deaths = 0
        instance.worked = 0.0
        instance.steps = {}
        instance.resumed = instance.event = instance.code = instance.reason = None
        run.timers.cancel(("retry", instance.id))
        set_wait(run, instance, None, event.at)
    instance.attempt = event.attempt
    instance.delivery = event.delivery
    if instance.started_at is None:
        instance.started_at = event.at
        _enter(run, instance)
    start_work(run, instance, event.at)


def _enter(run: RunState, instance: Instance) -> None:
    if instance.effect == "deploy":
        run.deploys += 1
    if instance.environment is not None:
        name = instance.environment["name"]
        if not run.stages[instance.stage].plan.in_finally:
            run.entered[name] = None
        lock = run.locks.get(name)
        if lock is not None and lock.state == "held":
            lock.entered = True


def _waiting(run: RunState, event: e.AttemptWaiting) -> None:
    instance = run.instances[event.instance]
    change(run, instance, "wait")
    kind = event.on["kind"]
    instance.waiting = event.on
    instance.resumed = event.state
    instance.event = None
    instance.deadline = event.deadline
    set_wait(run, instance, kind, event.at)
    if kind != "poll":
        pause_work(run, instance, event.at)
    if event.until is not None:
        run.timers.set(("wait", instance.id), event.until)
    if event.deadline is not None and kind != "decision":
        run.timers.set(("deadline", instance.id), event.deadline)
    run.last_driven_at = event.at


def _resumed(run: RunState, event: e.AttemptResumed) -> None:
    instance = run.instances[event.instance]
    change(run, instance, "resume")
    instance.delivery = event.delivery
    instance.event = event.event
    instance.waiting = instance.deadline = None
    set_wait(run, instance, None, event.at)
    run.timers.cancel(("wait", instance.id))
    run.timers.cancel(("deadline", instance.id))
    if instance.working_since is None:
        start_work(run, instance, event.at)


def _stopping(run: RunState, event: e.AttemptStopping) -> None:
    instance = run.instances[event.instance]
    change(run, instance, "stop")
    instance.stopping = (event.outcome, event.code, event.reason)
    pause_work(run, instance, event.at)
    if event.until is not None:
        run.timers.set(("stop", instance.id), event.until)


def _ended(run: RunState, event: e.AttemptEnded) -> None:
    instance = run.instances[event.instance]
    run.last_driven_at = event.at
    if event.retry_at is None:
        finish_instance(
            run,
            instance,
            "finish",
            event.at,
            outcome=event.outcome,
            code=event.code,
            reason=event.reason,
            outputs=event.outputs,
            read=event.read,
        )
        return
    change(run, instance, "retry")
    pause_work(run, instance, event.at)
    for kind in ("wait", "deadline", "stop"):
        run.timers.cancel((kind, instance.id))
    instance.waiting = instance.deadline = instance.stopping = None
    instance.code = event.code
    instance.reason = event.reason
    set_wait(run, instance, "timer", event.at)
    run.timers.set(("retry", instance.id), event.retry_at)


def _instance_ended(run: RunState, event: e.InstanceEnded) -> None:
    instance = find_instance(run, event.instance)
    finish_instance(
        run,
        instance,
        "end",
        event.at,
        outcome=event.outcome,
        code=event.code,
        reason=event.reason,
    )


def _stage_ended(run: RunState, event: e.StageEnded) -> None:
    stage = run.stages[event.stage]
    end_stage(
        run,
        stage,
        event.at,
        outcome=event.outcome,
        cause=event.cause,
        detail=event.detail,
        outputs=event.outputs,
        code=event.code,
        reason=event.reason,
    )


def _step(run: RunState, event: e.StepCompleted) -> None:
    run.instances[event.instance].steps[event.name] = event.result
    run.last_driven_at = event.at


def _before(run: RunState, event: e.BeforeRecorded) -> None:
    run.instances[event.instance].before = event.artifact
    run.last_driven_at = event.at


def _guard_entered(run: RunState, event: e.GuardEntered) -> None:
    run.instances[event.instance].guards[event.kind, event.name] = event.attempt
    run.last_driven_at = event.at


def _guard_left(run: RunState, event: e.GuardLeft) -> None:
    run.instances[event.instance].guards.pop((event.kind, event.name), None)
    run.last_driven_at = event.at


EVOLVE_STAGE: dict[type[e.Event], Callable[..., None]] = {
    e.StageExpanded: _expanded,
    e.StageSkipped: _skipped,
    e.StageResolved: _resolved,
    e.AttemptStarted: _started,
    e.AttemptWaiting: _waiting,
    e.AttemptResumed: _resumed,
    e.AttemptStopping: _stopping,
    e.AttemptEnded: _ended,
    e.InstanceEnded: _instance_ended,
    e.StageEnded: _stage_ended,
    e.StepCompleted: _step,
    e.BeforeRecorded: _before,
    e.GuardEntered: _guard_entered,
    e.GuardLeft: _guard_left,
}
"""What each event of a stage changes."""
