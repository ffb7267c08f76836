"""What happens when everything a stage needs has ended: its ``if``, its matrix, its values."""

from __future__ import annotations

from typing import Any

from gennaker.errors import ExpressionError, UnknownValue
from gennaker_engine.core import events as e
from gennaker_engine.core.expansion import expand_matrix
from gennaker_engine.core.matrix import empty_outputs
from gennaker_engine.core.resolve import resolve_instance
from gennaker_engine.core.scope import AskedStatus, make_scope
from gennaker_engine.core.skips import end_unresolved, find_stop_cause, skip_stage
from gennaker_engine.core.state import RunState, StageState
from gennaker_engine.core.terms import Condition
from gennaker_engine.core.turn import Turn
from gennaker_engine.core.undoing import begin_undo

__all__ = ["ask_condition", "decide_stage"]

Json = Any
_LONGEST_VALUE = 200


def decide_stage(turn: Turn, name: str) -> None:
    """Let a stage that waits for nothing more go on: skip it, expand it, or give it its values."""
    run = turn.run
    stage = run.stages[name]
    plan = stage.plan
    if stage.state != "pending" or stage.pending:
        return
    if run.phase != ("finally" if plan.in_finally else "active"):
        return
    halted = find_stop_cause(run, in_finally=plan.in_finally)
    if halted is not None:
        skip_stage(turn, name, *halted)
        return
    if plan.undoes is not None:
        begin_undo(turn, stage)
        return
    try:
        refused = ask_condition(run, stage)
        if refused is not None:
            skip_stage(turn, name, *refused)
            return
        if plan.matrix is None:
            resolve_instance(turn, stage, None)
            return
        values = expand_matrix(plan.matrix, lambda: make_scope(run))
    except ExpressionError as error:
        end_unresolved(turn, stage, None, error)
        return
    if values:
        turn.emit(e.StageExpanded(at=turn.now, stage=name, instances=tuple(values)))
    else:
        turn.emit(
            e.StageSkipped(
                at=turn.now,
                instance=name,
                cause="empty-matrix",
                outputs=empty_outputs(turn, stage),
            )
        )


def ask_condition(run: RunState, stage: StageState) -> tuple[str, dict[str, Json]] | None:
    """Return cause and detail when the stage is not to run.

    Raises:
        ExpressionError: the condition cannot be evaluated or is no boolean.
    """
    status = AskedStatus(run, stage)
    condition = stage.plan.condition
    if condition is None or not condition.statuses:
        # The default is success(), in ``finally`` it is always().
        if not stage.plan.in_finally and (blocker := status.blocker()) is not None:
            return "upstream", _describe_blocker(run, blocker)
        if condition is None:
            return None
    if condition.expression is None:
        return None if condition.literal else ("condition", {"expression": "false"})
    scope = make_scope(run, status=status)
    value = condition.evaluate(scope)
    if not isinstance(value, bool):
        raise ExpressionError(
            f"the condition {condition.source!r} is not a boolean", code="condition-type"
        )
    if value:
        return None
    # Also when `x && success()` did not come to its second half: upstream holds before condition.
    if condition.expression.calls_success and not stage.plan.in_finally:
        blocker = status.blocker()
        if blocker is not None:
            return "upstream", _describe_blocker(run, blocker)
    return "condition", {"expression": condition.source, "values": _list_values(run, condition)}


def _describe_blocker(run: RunState, name: str) -> dict[str, Json]:
    return {"stage": name, "outcome": run.stages[name].outcome}


def _list_values(run: RunState, condition: Condition) -> dict[str, Json]:
    """Return what the condition mentions and the values it saw, as far as they are short."""
    found: dict[str, Json] = {}
    values = make_scope(run).values
    assert condition.expression is not None
    for each in condition.expression.references:
        value: Json = values.get(each.root)
        try:
            for step in each.path:
                value = value[step]
        except (KeyError, IndexError, TypeError, ExpressionError, UnknownValue):
            continue
        short = value is None or isinstance(value, bool | int | float)
        if short or (isinstance(value, str) and len(value) <= _LONGEST_VALUE):
            found[".".join((each.root, *each.path))] = value
    return found
