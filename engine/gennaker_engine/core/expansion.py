"""Which instances the matrix of a stage has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from math import prod
from typing import Any

from gennaker.canonical import canonical_json
from gennaker.errors import ExpressionError, UnknownValue
from gennaker.expressions import Scope, UnknownText, from_json
from gennaker_engine.core.blueprint import MatrixPlan
from gennaker_engine.core.terms import Term

__all__ = ["LARGEST_MATRIX", "expand_matrix"]

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
