"""Why a stage does not run: the first cause that holds, and the sweep after a stop or an abort.

Causes in order: ``stopped``, ``aborted``, ``upstream``, ``missing-output``, ``condition``,
``empty-matrix``. The last two count as success for the stages after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gennaker.errors import ExpressionError, MissingOutput
from gennaker_engine.core import events as e
from gennaker_engine.core.attempts import Ending, end_waiting, finish_attempt, stop_delivery
from gennaker_engine.core.state import Instance, RunState, StageState
from gennaker_engine.core.turn import Turn

__all__ = [
    "end_if_halted",
    "end_unresolved",
    "find_stop_cause",
    "halt_instance",
    "skip_stage",
    "sweep",
]

Json = Any


def find_stop_cause(run: RunState, *, in_finally: bool) -> tuple[str, dict[str, Json]] | None:
    """Return ``stopped`` or ``aborted`` with its detail when nothing of the section may start."""
    if in_finally:
        if run.final_aborted:
            return "aborted", {"by": run.aborted or "stop"}
        if run.aborted is not None and run.phase == "queued":
            return "aborted", {"by": run.aborted}
        return None
    if run.stopped_by is not None:
        return "stopped", {"stage": run.stopped_by}
    if run.aborted is not None:
        return "aborted", {"by": run.aborted}
    return None


def skip_stage(turn: Turn, name: str, cause: str, detail: Mapping[str, Json] | None = None) -> None:
    """Record that a stage or instance will not run."""
    turn.emit(e.StageSkipped(at=turn.now, instance=name, cause=cause, detail=detail or {}))


def end_unresolved(
    turn: Turn, stage: StageState, instance: str | None, error: ExpressionError
) -> None:
    """Record that a value could not be had: ``missing-output`` skips, all else is errored.

    Args:
        instance: None when the stage itself (its condition, its matrix) could not be evaluated.
    """
    name = stage.plan.id if instance is None else instance
    if isinstance(error, MissingOutput):
        detail = {"stage": error.stage, "output": error.output}
        skip_stage(turn, name, "missing-output", detail)
    elif instance is None and stage.plan.matrix is not None:
        turn.emit(
            e.StageEnded(
                at=turn.now, stage=name, outcome="errored", code=error.code, reason=tell(error)
            )
        )
    else:
        turn.emit(
            e.InstanceEnded(
                at=turn.now, instance=name, outcome="errored", code=error.code, reason=tell(error)
            )
        )


def tell(error: ExpressionError) -> str:
    """Return the text of an error: what is wrong, then what to do."""
    return f"{error.message}; {error.hint}" if error.hint else error.message


def halt_instance(
    turn: Turn, instance: Instance, cause: str, detail: Mapping[str, Json], reason: str
) -> None:
    """End one instance because its stage or run goes no further: skipped, or aborted when begun."""
    if instance.state in ("pending", "ready"):
        skip_stage(turn, instance.id, cause, detail)
    elif instance.state == "running":
        stop_delivery(turn, instance, Ending("aborted", cause, reason))
    elif instance.state == "waiting":
        end_waiting(turn, instance, Ending("aborted", cause, reason))
    elif instance.state == "retrying":
        turn.emit(
            e.InstanceEnded(
                at=turn.now, instance=instance.id, outcome="aborted", code=cause, reason=reason
            )
        )


def end_if_halted(turn: Turn, instance: Instance) -> bool:
    """End an attempt whose owner is gone, when its run was stopped since: it is not called again."""
    run = turn.run
    found = find_stop_cause(run, in_finally=run.stages[instance.stage].plan.in_finally)
    if found is None:
        return False
    finish_attempt(turn, instance, Ending("aborted", found[0], _tell_reason(run, found[0])))
    return True


def sweep(turn: Turn) -> None:
    """Apply a stop or an abort: what has not started is skipped, what runs is told to stop."""
    run = turn.run
    for in_finally, names in ((False, run.blueprint.main), (True, run.blueprint.final)):
        found = find_stop_cause(run, in_finally=in_finally)
        if found is None:
            continue
        cause, detail = found
        reason = _tell_reason(run, cause)
        for name in names:
            stage = run.stages[name]
            if stage.state == "ended":
                continue
            if not stage.instances:
                skip_stage(turn, name, cause, detail)
                continue
            for instance in list(stage.instances):
                halt_instance(turn, instance, cause, detail, reason)


def _tell_reason(run: RunState, cause: str) -> str:
    if cause == "stopped":
        return f"stage {run.stopped_by!r} failed and stops the run"
    return {
        "cancel": "the run was cancelled",
        "interrupt": "the run was interrupted",
        "superseded": "a newer run superseded this one",
        "timeout": "the run's timeout is over",
        "finally-timeout": "the time of 'finally' is over",
    }.get(run.aborted or "", "the run was aborted")
