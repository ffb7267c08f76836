"""How attempts go on and end: deliver, stop, retry, finish."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gennaker.records import dataclass
from gennaker_engine.core import events as e
from gennaker_engine.core.commands import CleanUp, Deliver, Stop
from gennaker_engine.core.retries import find_delay
from gennaker_engine.core.state import Instance, RunState
from gennaker_engine.core.turn import Turn

__all__ = [
    "POISON_DEATHS",
    "STOP_GRACE",
    "Ending",
    "clean_up",
    "deliver_again",
    "end_waiting",
    "finish_attempt",
    "idempotency_key",
    "make_delivery",
    "resume_attempt",
    "settle_stop",
    "start_attempt",
    "stop_delivery",
]

Json = Any
STOP_GRACE = 10.0
"""Seconds a delivery that was told to stop has, before it counts as stopped without an answer."""
POISON_DEATHS = 3
"""Deliveries of one attempt whose owner died before it is given up."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ends."""

    outcome: str
    code: str | None = None
    reason: str | None = None
    outputs: Mapping[str, Json] | None = None
    read: tuple[str, ...] | None = None


def idempotency_key(run: RunState, instance: Instance, attempt: int) -> str:
    """Return ``run/instance/attempt``, the same for every delivery of the attempt."""
    return f"{run.created.run}/{instance.id}/{attempt}"


def start_attempt(turn: Turn, instance: Instance) -> None:
    """Begin the next attempt."""
    turn.emit(e.AttemptStarted(at=turn.now, instance=instance.id, attempt=instance.attempt + 1))
    _deliver(turn, instance)


def deliver_again(turn: Turn, instance: Instance) -> None:
    """Go on with an attempt whose owner is gone; give it up when that happened too often."""
    if instance.state == "stopping":
        settle_stop(turn, instance)
    elif instance.deaths >= POISON_DEATHS:
        reason = f"{POISON_DEATHS} processes died while they ran it"
        finish_attempt(turn, instance, Ending("errored", "poison", reason), permanent=True)
    else:
        turn.emit(
            e.AttemptStarted(
                at=turn.now,
                instance=instance.id,
                attempt=instance.attempt,
                delivery=instance.delivery + 1,
            )
        )
        _deliver(turn, instance)


def resume_attempt(turn: Turn, instance: Instance, event: Json) -> None:
    """Call ``run`` again in the same attempt: its wait is over."""
    turn.emit(
        e.AttemptResumed(
            at=turn.now,
            instance=instance.id,
            attempt=instance.attempt,
            delivery=instance.delivery + 1,
            event=event,
        )
    )
    _deliver(turn, instance)


def _deliver(turn: Turn, instance: Instance) -> None:
    turn.ask(make_delivery(turn.run, instance))


def make_delivery(run: RunState, instance: Instance) -> Deliver:
    """Return the command that calls the instance's stage as it is now."""
    plan = run.stages[instance.stage].plan
    assert instance.inputs is not None
    return Deliver(
        instance=instance.id,
        # A rollback's stage stands for one of another run, which what it made is known by.
        stage=run.created.preset.get(plan.id, {}).get("stage", plan.id),
        uses=plan.uses,
        attempt=instance.attempt,
        delivery=instance.delivery,
        inputs=instance.inputs,
        environment=instance.environment,
        remaining=max(0.0, plan.timeout - instance.worked),
        resumed=instance.resumed,
        event=instance.event,
        steps=dict(instance.steps) if instance.steps else {},
        before=instance.before,
        undoes=instance.undoes,
        leftovers=tuple(instance.guards),
        shown=run.find_shown(instance.id),
    )


def stop_delivery(turn: Turn, instance: Instance, ending: Ending) -> None:
    """Tell a running delivery to stop; its outcome is decided now, whatever it answers."""
    turn.emit(
        e.AttemptStopping(
            at=turn.now,
            instance=instance.id,
            attempt=instance.attempt,
            outcome=ending.outcome,
            code=ending.code,
            reason=ending.reason,
            until=turn.now + STOP_GRACE,
        )
    )
    turn.ask(Stop(instance.id, instance.attempt, instance.delivery))


def settle_stop(turn: Turn, instance: Instance) -> None:
    """A delivery that was told to stop has ended: it gets the outcome that was decided."""
    assert instance.stopping is not None
    finish_attempt(turn, instance, Ending(*instance.stopping))


def end_waiting(turn: Turn, instance: Instance, ending: Ending) -> None:
    """End an attempt that has no delivery; a question it still asks is withdrawn."""
    gate = turn.run.gates.get(instance.gate) if instance.gate is not None else None
    if gate is not None and gate.stage == instance.id and gate.state == "open":
        turn.emit(e.ApprovalClosed(at=turn.now, gate=gate.id, result="withdrawn"))
    finish_attempt(turn, instance, ending)


def finish_attempt(
    turn: Turn,
    instance: Instance,
    ending: Ending,
    *,
    permanent: bool = False,
    delay: float | None = None,
) -> None:
    """Record how an attempt ended, and when the next one begins if there is one.

    Args:
        permanent: it is never tried again.
        delay: seconds to the next attempt, instead of the back-off.
    """
    run = turn.run
    attempt = instance.attempt
    wait = None
    if ending.outcome in ("failed", "errored") and not _halted(run, instance):
        wait = find_delay(
            run.stages[instance.stage].plan.retry,
            ending.outcome,
            attempt,
            key=idempotency_key(run, instance, attempt),
            permanent=permanent,
            delay=delay,
        )
    turn.emit(
        e.AttemptEnded(
            at=turn.now,
            instance=instance.id,
            attempt=attempt,
            outcome=ending.outcome,
            code=ending.code,
            reason=ending.reason,
            outputs=ending.outputs,
            retry_at=None if wait is None else turn.now + wait,
            read=ending.read,
        )
    )
    if instance.guards and wait is None:
        clean_up(turn, instance)


def clean_up(turn: Turn, instance: Instance) -> None:
    """Ask for the end of what an attempt left behind outside."""
    uses = turn.run.stages[instance.stage].plan.uses
    turn.ask(CleanUp(instance.id, uses, tuple(instance.guards)))


def _halted(run: RunState, instance: Instance) -> bool:
    """Whether nothing of the instance's section, or of its failing matrix, may start any more."""
    stage = run.stages[instance.stage]
    plan = stage.plan
    if run.final_aborted if plan.in_finally else (run.stopped_by is not None or run.aborted):
        return True
    return stage.failing
