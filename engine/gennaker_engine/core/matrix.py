"""Matrices: how the instances of a stage go on together, and what they give."""

from __future__ import annotations

from typing import Any

from gennaker_engine.core import events as e
from gennaker_engine.core.resolve import resolve_instance
from gennaker_engine.core.rows import RANK
from gennaker_engine.core.skips import halt_instance
from gennaker_engine.core.state import StageState
from gennaker_engine.core.turn import Turn

__all__ = ["advance_matrix", "empty_outputs"]

Json = Any


def empty_outputs(turn: Turn, stage: StageState) -> dict[str, Json]:
    """Return the outputs of a matrix without instances: an empty list each."""
    plan = stage.plan
    return {name: [] for name in turn.world.declare_outputs(plan.uses, plan.written)}


def advance_matrix(turn: Turn, name: str) -> None:
    """Start the instances there is room for, stop the rest after a failure, end the stage."""
    stage = turn.run.stages[name]
    matrix = stage.plan.matrix
    if stage.state != "active" or matrix is None:
        return
    if stage.failing:
        _fail_fast(turn, stage)
    while stage.next_instance < len(stage.instances):
        if matrix.max_parallel is not None and stage.busy >= matrix.max_parallel:
            break
        resolve_instance(turn, stage, stage.instances[stage.next_instance])
    if stage.done == len(stage.instances):
        _end_matrix(turn, stage)


def _fail_fast(turn: Turn, stage: StageState) -> None:
    failed = next(each for each in stage.instances if each.outcome in ("failed", "errored"))
    for instance in stage.instances:
        halt_instance(
            turn, instance, "stopped", {"instance": failed.id}, f"{failed.id} {failed.outcome}"
        )


def _end_matrix(turn: Turn, stage: StageState) -> None:
    worst = max(stage.instances, key=lambda each: (_badness(each.outcome), -each.number))
    outcome = worst.outcome or "succeeded"
    outputs = None
    failed = outcome in ("failed", "errored")
    if outcome == "succeeded" or (failed and stage.plan.on_failure == "ignore"):
        written = stage.plan.written if stage.plan.undoes is None else None
        names: dict[str, None] = {}
        if written is not None:
            names.update(dict.fromkeys(turn.world.declare_outputs(stage.plan.uses, written)))
        for instance in stage.instances:
            names.update(dict.fromkeys(instance.outputs or ()))
        outputs = {
            name: [(each.outputs or {}).get(name) for each in stage.instances] for name in names
        }
    detail = {**worst.detail, "instance": worst.id} if outcome == "skipped" else {}
    turn.emit(
        e.StageEnded(
            at=turn.now,
            stage=stage.plan.id,
            outcome=outcome,
            cause=worst.cause,
            detail=detail,
            outputs=outputs,
        )
    )


def _badness(outcome: str | None) -> float:
    return 0.5 if outcome == "skipped" else RANK[outcome or "succeeded"]
