"""Putting back: when a failure leads to it, and with what.

``on_failure: undo`` gives a run one more stage for each that may be put back, ``undo:ID``. It waits
for those whose failure would lead to it, and for the putting back of what came after ``ID``; what
nobody needs is skipped. From there on it is a stage like any other: it has attempts, a timeout, a
log, and its environment's lock is kept until it is decided.
"""

from __future__ import annotations

from gennaker_engine.core import events as e
from gennaker_engine.core.blueprint import StagePlan
from gennaker_engine.core.resolve import resolve_instance
from gennaker_engine.core.skips import skip_stage
from gennaker_engine.core.state import RunState, StageState
from gennaker_engine.core.turn import Turn

__all__ = ["begin_undo"]


def begin_undo(turn: Turn, stage: StageState) -> None:
    """Let a stage that puts back go on: everything that could lead to it has ended."""
    run, plan = turn.run, stage.plan
    assert plan.undoes is not None
    if not any(run.stages[each].outcome in ("failed", "errored") for each in plan.triggers):
        skip_stage(turn, plan.id, "condition", {"reason": _tell_fine(run, plan)})
        return
    changed = run.stages[plan.undoes].list_changed()
    if not changed:
        reason = _tell_unchanged(run.stages[plan.undoes])
        skip_stage(turn, plan.id, "condition", {"reason": reason})
    elif plan.matrix is None:
        resolve_instance(turn, stage, None)
    else:
        values = tuple(each.matrix or {} for each in changed)
        turn.emit(e.StageExpanded(at=turn.now, stage=plan.id, instances=values))


def _tell_fine(run: RunState, plan: StagePlan) -> str:
    told = [f"{each!r} {run.stages[each].outcome}" for each in plan.triggers]
    return " and ".join(told)


def _tell_unchanged(stage: StageState) -> str:
    if stage.reused is not None:
        run = stage.reused["run"]
        return f"{run!r} did {stage.plan.id!r}; 'gennaker rollback {run}' puts it back"
    return f"{stage.plan.id!r} changed nothing that could be put back"
