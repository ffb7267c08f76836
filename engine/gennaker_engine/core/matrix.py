"""Matrices: which instances a stage has, how they go on together, what they give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from math import prod
from typing import Any

from gennaker.canonical import canonical_json
from gennaker.errors import ExpressionError, UnknownValue
from gennaker.expressions import Scope, UnknownText, from_json
from gennaker_engine.core import events as e
from gennaker_engine.core.blueprint import MatrixPlan
from gennaker_engine.core.resolve import resolve_instance
from gennaker_engine.core.rows import RANK
from gennaker_engine.core.skips import halt_instance
from gennaker_engine.core.state import StageState
from gennaker_engine.core.terms import Term
from gennaker_engine.core.turn import Turn

__all__ = ["LARGEST_MATRIX", "advance_matrix", "empty_outputs", "expand_matrix"]

Json = Any
LARGEST_MATRIX = 256
_LARGEST_PRODUCT = 1 << 16


def expand_matrix(plan: MatrixPlan, scope: Callable[[], Scope]) -> list[dict[str, Json]]:
    """Return the values of each instance, in order.

    Axes vary in alphabetical order of their names, the last fastest; ``exclude`` drops the
    combinations that agree with one of its items; ``include`` appends.

    Raises:
        ExpressionError: an axis cannot be evaluated or is no list, or there are too many.
    """
    axes = {name: _evaluate_list(term, scope, name) for name, term in plan.axes}
    if prod(map(len, axes.values())) > _LARGEST_PRODUCT:
        raise _too_large(prod(map(len, axes.values())))
    found = [dict(zip(axes, each, strict=True)) for each in product(*axes.values())] if axes else []
    if plan.exclude is not None:
        excluded = _evaluate_maps(plan.exclude, scope, "exclude")
        found = [each for each in found if not any(_agrees(each, other) for other in excluded)]
    if plan.include is not None:
        found += _evaluate_maps(plan.include, scope, "include")
    if len(found) > LARGEST_MATRIX:
        raise _too_large(len(found))
    return found


def _too_large(count: int) -> ExpressionError:
    return ExpressionError(
        f"the matrix has {count} instances; {LARGEST_MATRIX} are allowed", code="matrix-too-large"
    )


def _evaluate_list(term: Term, scope: Callable[[], Scope], name: str) -> list[Json]:
    value = term.evaluate(scope)
    if not isinstance(value, list):
        token = from_json(value)
        if isinstance(token, UnknownText):  # in a plan: only the run will know the instances
            raise UnknownValue(token.names[0])
        raise ExpressionError(f"matrix {name!r} is not a list", code="matrix-type")
    return value


def _evaluate_maps(term: Term, scope: Callable[[], Scope], name: str) -> list[dict[str, Json]]:
    value = _evaluate_list(term, scope, name)
    if not all(isinstance(each, dict) for each in value):
        raise ExpressionError(f"matrix {name!r} is not a list of maps", code="matrix-type")
    return value


def _agrees(values: Mapping[str, Json], excluded: Mapping[str, Json]) -> bool:
    # Compared as canonical JSON, because in Python True == 1.
    return all(
        name in values and canonical_json(values[name]) == canonical_json(value)
        for name, value in excluded.items()
    )


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
            cause=worst.cause if outcome == "skipped" else None,
            detail=detail,
            outputs=outputs,
        )
    )


def _badness(outcome: str | None) -> float:
    return 0.5 if outcome == "skipped" else RANK[outcome or "succeeded"]
