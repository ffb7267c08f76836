"""Going on until nothing more can happen: one handler for each kind of item on the agenda."""

from __future__ import annotations

from collections.abc import Callable

from gennaker_engine.core import events as e
from gennaker_engine.core.attempts import clean_up, deliver_again
from gennaker_engine.core.commands import LeaveGroup
from gennaker_engine.core.environments import release_locks
from gennaker_engine.core.gates import settle_gate
from gennaker_engine.core.matrix import advance_matrix
from gennaker_engine.core.outcomes import find_outcome
from gennaker_engine.core.readiness import decide_stage
from gennaker_engine.core.rows import push_open_stages
from gennaker_engine.core.skips import end_if_halted, sweep
from gennaker_engine.core.starting import consider_instance
from gennaker_engine.core.turn import Turn

__all__ = ["FINALLY_TIME", "advance"]

FINALLY_TIME = 600.0
"""Seconds all of ``finally`` has."""


def advance(turn: Turn) -> None:
    """Work off the agenda. Nothing starts while no process drives the run."""
    run = turn.run
    agenda = run.agenda
    if not run.driven and not (run.phase == "queued" and run.aborted):
        agenda.clear()
        return
    while True:
        while agenda:
            kind, name = agenda.popleft()
            _HANDLERS[kind](turn, name)
        if not _finish(turn):
            return


def _finish(turn: Turn) -> bool:
    """Begin ``finally`` or end the run when that is all there is left; return whether it did."""
    run = turn.run
    if run.phase == "ended" or run.open_main:
        return False
    if run.open_final and run.phase == "active":
        turn.emit(e.FinallyStarted(at=turn.now, deadline=turn.now + FINALLY_TIME))
        return True
    if run.open_final:
        return False
    outcome = find_outcome(run)
    turn.emit(
        e.RunEnded(
            at=turn.now,
            outcome=outcome,
            timed_out=run.timed_out,
            nothing_to_do=run.ran == 0 and outcome == "succeeded",
        )
    )
    if run.created.concurrency is not None:
        turn.ask(LeaveGroup(run.created.concurrency["group"]))
    return False


def _stage_ended(turn: Turn, name: str) -> None:
    run = turn.run
    stage = run.stages[name]
    plan = stage.plan
    halted = run.stopped_by is not None or run.aborted is not None
    broken = stage.outcome in ("failed", "errored", "aborted")
    if broken and plan.on_failure == "stop" and not plan.in_finally and not halted:
        turn.emit(e.AbortRequested(at=turn.now, reason="stop", stage=name))
    if run.locks:
        release_locks(turn)


def _advance_matrix(turn: Turn, name: str) -> None:
    advance_matrix(turn, name)
    if turn.run.locks:
        release_locks(turn)


def _adopted(turn: Turn, _name: str) -> None:
    """Find everything that can go on after a process took the run over.

    Also the matrices: an instance that was refused a lock meanwhile has ended, its stage has not.
    """
    run = turn.run
    names = run.blueprint.final if run.phase == "finally" else run.blueprint.main
    push_open_stages(run, names)
    for name, stage in run.stages.items():
        if stage.state == "active" and stage.plan.matrix is not None:
            run.agenda.append(("matrix", name))
    for instance in list(run.instances.values()):
        if instance.state == "running" and end_if_halted(turn, instance):
            continue
        if instance.state in ("running", "stopping"):
            deliver_again(turn, instance)
        elif instance.state == "ended":
            if instance.guards:
                clean_up(turn, instance)
        else:
            run.agenda.append(("instance", instance.id))
    if run.stopped_by is not None or run.aborted is not None:
        run.agenda.appendleft(("sweep", ""))


_HANDLERS: dict[str, Callable[[Turn, str], None]] = {
    "stage": decide_stage,
    "instance": consider_instance,
    "matrix": _advance_matrix,
    "gate": settle_gate,
    "ended": _stage_ended,
    "sweep": lambda turn, _name: sweep(turn),
    "adopt": _adopted,
}
