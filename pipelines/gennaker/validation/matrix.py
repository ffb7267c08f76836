"""Checks of a stage's matrix as far as it is literal; what is an expression is checked in the run."""

from __future__ import annotations

from math import prod
from typing import Any

from gennaker.model import Matrix
from gennaker.suggestions import find_nearest
from gennaker.validation.findings import Findings, Path

__all__ = ["check_matrix"]

_MOST_INSTANCES = 256
_OPTIONS = ("include", "exclude", "max_parallel", "fail_fast")


def check_matrix(found: Findings, matrix: Matrix, path: Path) -> None:
    """Add every problem of a matrix that stands at ``path``."""
    axes = matrix.axes
    for name, values in axes.items():
        place = (*path, name)
        near = find_nearest(name, _OPTIONS) if not isinstance(values, list) else None
        if not name.isascii() or not name.isidentifier():
            found.tell(
                "matrix",
                f"{name!r} is not a name of an axis",
                place,
                "use letters, digits and '_', beginning with a letter",
                key=True,
            )
        if isinstance(values, str) and "${{" not in values:
            found.tell(
                "matrix",
                f"axis {name!r} must be a list or an expression, not {values!r}",
                place,
                f"did you mean {near!r}?" if near else f"write '{name}: [{values}]'",
            )
        elif values == []:
            found.tell("matrix", f"axis {name!r} is an empty list", place, "remove the stage")
        elif isinstance(values, list):
            _check_repeated(found, name, values, place)
    # What was no axis in its form is told already.
    if not axes and not matrix.include and not found.loaded.problems:
        found.tell(
            "matrix", "a matrix needs an axis", path, "add one, like 'region: [eu, us]'", key=True
        )
    literal = {name: values for name, values in axes.items() if isinstance(values, list)}
    if any(not values for values in literal.values()) or len(literal) < len(axes):
        return
    _check_size(found, matrix, literal, path)


def _check_repeated(found: Findings, name: str, values: list[Any], place: Path) -> None:
    for index, value in enumerate(values):
        # True == 1 in Python, but they are different data.
        before = values[:index]
        if any(each == value and type(each) is type(value) for each in before):
            found.tell("matrix", f"axis {name!r} has {value!r} twice", (*place, index))


def _check_size(found: Findings, matrix: Matrix, literal: dict[str, list[Any]], path: Path) -> None:
    count = prod(len(values) for values in literal.values()) if literal else 0
    added = matrix.include if isinstance(matrix.include, list) else []
    if count + len(added) > _MOST_INSTANCES and not matrix.exclude:
        found.tell(
            "matrix",
            f"the matrix has {count + len(added)} instances, more than {_MOST_INSTANCES}",
            path,
            key=True,
        )
        return
    if count > 100 * _MOST_INSTANCES or isinstance(matrix.exclude, str):
        return
    left = _exclude(found, matrix, literal, path)
    if left is None:
        return
    if len(left) + len(added) > _MOST_INSTANCES:
        found.tell(
            "matrix",
            f"the matrix has {len(left) + len(added)} instances, more than {_MOST_INSTANCES}",
            path,
            key=True,
        )
    if not left and not added and literal and not isinstance(matrix.include, str):
        found.tell("matrix", "'exclude' leaves nothing of the matrix", (*path, "exclude"))
    for index, entry in enumerate(added):
        if entry in left or entry in added[:index]:
            found.tell(
                "matrix",
                "'include' adds an instance that is there already",
                (*path, "include", index),
            )


def _exclude(
    found: Findings, matrix: Matrix, literal: dict[str, list[Any]], path: Path
) -> list[dict[str, Any]] | None:
    from itertools import product

    names = list(literal)
    left = [dict(zip(names, values, strict=True)) for values in product(*literal.values()) if names]
    entries = matrix.exclude if isinstance(matrix.exclude, list) else []
    if "${{" in repr(entries) or "${{" in repr(literal):
        return None
    for index, entry in enumerate(entries):
        place = (*path, "exclude", index)
        unknown = [key for key in entry if key not in literal]
        if unknown:
            found.tell(
                "matrix", f"'exclude' names {unknown[0]!r}, which is no axis", (*place, unknown[0])
            )
            continue
        rest = [each for each in left if any(each[key] != entry[key] for key in entry)]
        if len(rest) == len(left):
            found.tell("matrix", "'exclude' matches no instance", place)
        left = rest
    return left
