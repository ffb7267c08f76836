"""What happens when a moment comes: timeouts, retries, polls, deadlines."""

from __future__ import annotations

from collections.abc import Callable

from gennaker_engine.core import events as e
from gennaker_engine.core.advance import advance
from gennaker_engine.core.attempts import (
    Ending,
    end_waiting,
    finish_attempt,
    resume_attempt,
    settle_stop,
    start_attempt,
    stop_delivery,
)
from gennaker_engine.core.turn import Turn

__all__ = ["fire_due"]


def fire_due(turn: Turn) -> None:
    """Let everything happen that is due, earliest first. Nothing is while nobody drives the run.

    What follows from each comes before the next: after the run's timeout no retry starts.
    """
    run = turn.run
    while run.driven and run.phase != "ended":
        first = run.timers.first()
        if first is None or first[0] > turn.now:
            return
        _, (kind, name) = first
        before = run.version
        _FIRE[kind](turn, name)
        # Each of them cancels its own timer by the event it records.
        assert run.version > before, (kind, name)
        advance(turn)


def _timeout(turn: Turn, name: str) -> None:
    instance = turn.run.instances[name]
    seconds = turn.run.stages[instance.stage].plan.timeout
    reason = f"it worked longer than its timeout of {seconds:g} seconds"
    if instance.state == "running":
        stop_delivery(turn, instance, Ending("failed", "timeout", reason))
    else:
        finish_attempt(turn, instance, Ending("failed", "timeout", reason))


def _stop(turn: Turn, name: str) -> None:
    settle_stop(turn, turn.run.instances[name])


def _retry(turn: Turn, name: str) -> None:
    start_attempt(turn, turn.run.instances[name])


def _wait(turn: Turn, name: str) -> None:
    instance = turn.run.instances[name]
    waiting = instance.waiting or {}
    event = {"timer": waiting["at"]} if waiting.get("kind") == "timer" else None
    resume_attempt(turn, instance, event)


def _deadline(turn: Turn, name: str) -> None:
    reason = "what it waits for did not come before its deadline"
    end_waiting(turn, turn.run.instances[name], Ending("failed", "deadline", reason))


def _gate(turn: Turn, name: str) -> None:
    turn.emit(e.ApprovalClosed(at=turn.now, gate=name, result="expired"))


def _run(turn: Turn, _name: str) -> None:
    turn.emit(e.AbortRequested(at=turn.now, reason="timeout"))


def _finally(turn: Turn, _name: str) -> None:
    turn.emit(e.AbortRequested(at=turn.now, reason="finally-timeout", again=True))


_FIRE: dict[str, Callable[[Turn, str], None]] = {
    "timeout": _timeout,
    "stop": _stop,
    "retry": _retry,
    "wait": _wait,
    "deadline": _deadline,
    "gate": _gate,
    "run": _run,
    "finally": _finally,
}
