"""What deliveries tell: results, waits, steps and guards. What comes late changes nothing."""

from __future__ import annotations

from typing import Any

from gennaker_engine.core import events as e
from gennaker_engine.core import messages as m
from gennaker_engine.core.attempts import Ending, finish_attempt, settle_stop
from gennaker_engine.core.gates import Rules, ask_people
from gennaker_engine.core.state import Instance, RunState
from gennaker_engine.core.subjects import find_downstream_subject
from gennaker_engine.core.turn import Turn

__all__ = ["REPORTS"]

Json = Any


def _find_current(run: RunState, message: Any) -> Instance | str:
    """Return the instance a report is about, or why it comes too late."""
    instance = run.instances.get(message.instance)
    if instance is None:
        return f"run {run.created.run!r} has no instance {message.instance!r}"
    if not run.driven:
        return f"run {run.created.run!r} is parked"
    if instance.attempt != message.attempt or instance.delivery != message.delivery:
        return (
            f"{message.instance!r} is at attempt {instance.attempt}, delivery {instance.delivery};"
            f" this is of {message.attempt}, {message.delivery}"
        )
    if instance.state not in ("running", "stopping"):
        return f"{message.instance!r} is {instance.state}"
    return instance


def _succeeded(turn: Turn, message: m.ReportSucceeded) -> str | None:
    instance = _find_current(turn.run, message)
    if isinstance(instance, str):
        return instance
    if instance.state == "stopping":
        settle_stop(turn, instance)
    else:
        finish_attempt(
            turn, instance, Ending("succeeded", outputs=message.outputs, read=message.read)
        )
    return None


def _failed(turn: Turn, message: m.ReportFailed) -> str | None:
    instance = _find_current(turn.run, message)
    if isinstance(instance, str):
        return instance
    if instance.state == "stopping":
        settle_stop(turn, instance)
    else:
        finish_attempt(turn, instance, Ending("failed", message.code, message.reason))
    return None


def _errored(turn: Turn, message: m.ReportErrored) -> str | None:
    instance = _find_current(turn.run, message)
    if isinstance(instance, str):
        return instance
    if instance.state == "stopping":
        settle_stop(turn, instance)
        return None
    finish_attempt(
        turn,
        instance,
        Ending("errored", message.code, message.reason),
        permanent=message.permanent,
        delay=message.delay,
    )
    return None


def _stopped(turn: Turn, message: m.ReportStopped) -> str | None:
    instance = _find_current(turn.run, message)
    if isinstance(instance, str):
        return instance
    if instance.state != "stopping":
        return f"{message.instance!r} was not told to stop"
    settle_stop(turn, instance)
    return None


def _waiting(turn: Turn, message: m.ReportWaiting) -> str | None:
    instance = _find_current(turn.run, message)
    if isinstance(instance, str):
        return instance
    if instance.state == "stopping":
        settle_stop(turn, instance)
        return None
    on = message.on
    until = None
    if on["kind"] == "timer":
        until = on["at"]
    elif on["kind"] == "poll":
        until = turn.now + on["every"]
    turn.emit(
        e.AttemptWaiting(
            at=turn.now,
            instance=instance.id,
            attempt=instance.attempt,
            on=on,
            until=until,
            deadline=message.deadline,
            state=message.state,
        )
    )
    if on["kind"] == "decision":
        rules = Rules(
            approvers=tuple(on.get("approvers", ())),
            required=on.get("required", 1),
            self_allowed=on.get("self_allowed", True),
            message=on.get("message", ""),
            inputs=on.get("inputs"),
            deadline=message.deadline,
        )
        subject = find_downstream_subject(turn, instance.stage)
        ask_people(turn, rules, subject, stage=instance.id)
    return None


def _step(turn: Turn, message: m.ReportStep) -> str | None:
    instance = _find_current(turn.run, message)
    if isinstance(instance, str):
        return instance
    if message.name in instance.steps:
        return f"step {message.name!r} of {message.instance!r} is already recorded"
    turn.emit(
        e.StepCompleted(
            at=turn.now,
            instance=instance.id,
            attempt=instance.attempt,
            name=message.name,
            result=message.result,
        )
    )
    return None


def _before(turn: Turn, message: m.RecordBefore) -> str | None:
    instance = _find_current(turn.run, message)
    if isinstance(instance, str):
        return instance
    turn.emit(
        e.BeforeRecorded(
            at=turn.now,
            instance=instance.id,
            attempt=instance.attempt,
            artifact=message.artifact,
        )
    )
    return None


def _guard(turn: Turn, message: m.GuardChanged) -> str | None:
    instance = turn.run.instances.get(message.instance)
    key = (message.kind, message.name)
    if not message.entered:
        # What is gone is gone, whoever says so and however late.
        if instance is None or instance.guards.get(key) != message.attempt:
            return f"{message.kind} {message.name!r} is not there"
        kind = e.GuardLeft
    else:
        current = _find_current(turn.run, message)
        if isinstance(current, str):
            return current
        instance = current
        if key in instance.guards:
            return f"{message.kind} {message.name!r} is already there"
        kind = e.GuardEntered  # type: ignore[assignment]
    turn.emit(
        kind(
            at=turn.now,
            instance=instance.id,
            attempt=message.attempt,
            kind=message.kind,
            name=message.name,
        )
    )
    return None


REPORTS: dict[type[m.Message], Any] = {
    m.ReportSucceeded: _succeeded,
    m.ReportFailed: _failed,
    m.ReportErrored: _errored,
    m.ReportStopped: _stopped,
    m.ReportWaiting: _waiting,
    m.ReportStep: _step,
    m.RecordBefore: _before,
    m.GuardChanged: _guard,
}
"""Each report's handler: it returns None, or why the report changes nothing."""
