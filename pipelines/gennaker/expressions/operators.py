"""Arithmetic, comparison and equality: one table that the evaluator runs and the checker reads.

No implicit conversion between ``int``, ``uint`` and ``double`` in arithmetic; comparison and
equality work across them, as in CEL.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

from gennaker.errors import ExpressionError, UnknownValue
from gennaker.expressions.limits import Budget
from gennaker.expressions.moments import Duration, Timestamp
from gennaker.expressions.values import (
    NUMBERS,
    OptionalValue,
    Uint,
    UnknownText,
    kind_of,
    shown,
)

__all__ = [
    "ARITHMETIC",
    "COMPARABLE",
    "as_key",
    "check_known",
    "check_range",
    "compare",
    "equal",
    "from_key",
    "mismatch",
]

_INT_MIN, _INT_MAX, _UINT_MAX = -(1 << 63), (1 << 63) - 1, (1 << 64) - 1

COMPARABLE = frozenset(
    {"bool", "string", "bytes", "timestamp", "duration", "semver", "int", "uint", "double"}
)
"""Kinds that have an order."""


def check_range(value: int, unsigned: bool = False) -> int:
    """Return ``value`` when it fits into 64 bits.

    Raises:
        ExpressionError: it overflows.
    """
    if unsigned:
        if 0 <= value <= _UINT_MAX:
            return Uint(value)
        raise ExpressionError("the result does not fit into 64 bits without a sign")
    if _INT_MIN <= value <= _INT_MAX:
        return value
    raise ExpressionError("the result does not fit into 64 bits", hint="use double()")


def _divide(a: int, b: int) -> int:
    if b == 0:
        raise ExpressionError("division by zero")
    return -(-a // b) if (a < 0) != (b < 0) else a // b


def _remainder(a: int, b: int) -> int:
    if b == 0:
        raise ExpressionError("division by zero")
    return int(math.copysign(1, a)) * (abs(a) % abs(b))


def _divide_doubles(a: float, b: float) -> float:
    if b != 0:
        return a / b
    if a == 0 or math.isnan(a):
        return math.nan
    return math.copysign(math.inf, a) * math.copysign(1, b)


def _add_text(budget: Budget, a: Any, b: Any) -> Any:
    budget.take(len(a) + len(b))
    return a + b


def _add_lists(budget: Budget, a: Any, b: Any) -> Any:
    budget.take(8 * (len(a) + len(b)))
    return [*a, *b]


Arithmetic = Callable[[Budget, Any, Any], Any]

ARITHMETIC: dict[tuple[str, str, str], tuple[str, Arithmetic]] = {
    ("+", "string", "string"): ("string", _add_text),
    ("+", "bytes", "bytes"): ("bytes", _add_text),
    ("+", "list", "list"): ("list", _add_lists),
    ("+", "timestamp", "duration"): (
        "timestamp",
        lambda _, a, b: Timestamp(a.nanoseconds + b.nanoseconds),
    ),
    ("+", "duration", "timestamp"): (
        "timestamp",
        lambda _, a, b: Timestamp(a.nanoseconds + b.nanoseconds),
    ),
    ("+", "duration", "duration"): (
        "duration",
        lambda _, a, b: Duration(a.nanoseconds + b.nanoseconds),
    ),
    ("-", "timestamp", "timestamp"): (
        "duration",
        lambda _, a, b: Duration(check_range(a.nanoseconds - b.nanoseconds)),
    ),
    ("-", "timestamp", "duration"): (
        "timestamp",
        lambda _, a, b: Timestamp(a.nanoseconds - b.nanoseconds),
    ),
    ("-", "duration", "duration"): (
        "duration",
        lambda _, a, b: Duration(a.nanoseconds - b.nanoseconds),
    ),
    ("+", "double", "double"): ("double", lambda _, a, b: a + b),
    ("-", "double", "double"): ("double", lambda _, a, b: a - b),
    ("*", "double", "double"): ("double", lambda _, a, b: a * b),
    ("/", "double", "double"): ("double", lambda _, a, b: _divide_doubles(a, b)),
}
"""Operator and the kinds of its operands, to the kind of the result and what computes it."""


def _whole_numbers(kind: str, unsigned: bool) -> None:
    operations: dict[str, Callable[[int, int], int]] = {
        "+": lambda a, b: int(a) + int(b),
        "-": lambda a, b: int(a) - int(b),
        "*": lambda a, b: int(a) * int(b),
        "/": _divide,
        "%": _remainder,
    }
    for operator, compute in operations.items():

        def run(_: Budget, a: Any, b: Any, compute: Callable[[int, int], int] = compute) -> Any:
            return check_range(compute(a, b), unsigned)

        ARITHMETIC[operator, kind, kind] = (kind, run)


_whole_numbers("int", unsigned=False)
_whole_numbers("uint", unsigned=True)

_VERBS = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide", "%": "divide"}


def mismatch(operator: str, left: str, right: str) -> ExpressionError:
    """Return the error of an operator between two kinds that it does not join."""
    hint = None
    if left in NUMBERS and right in NUMBERS and left != right:
        hint = "convert one side with int() or double()"
    elif {left, right} <= NUMBERS | {"string", "bool"} and "string" in (left, right):
        hint = "convert one side with string(), int() or double()"
    elif "null" in (left, right):
        hint = "give it a value with default(x, d)"
    elif "optional" in (left, right):
        hint = "take its value with .orValue(d)"
    if operator in _VERBS:
        message = f"cannot {_VERBS[operator]} {left} and {right}"
    else:
        message = f"cannot compare {left} with {right}"
        if operator == "in":
            message, hint = f"'in' looks into a list or a map, not into {right}", None
    return ExpressionError(message, code="expression-type", hint=hint)


def check_known(value: object) -> None:
    """Refuse a value that has no kind of its own: one not known yet, or a secret.

    Raises:
        UnknownValue: it is a token, or text with one.
        ExpressionError: it is a secret.
    """
    if isinstance(value, UnknownText):
        raise UnknownValue(value.names[0])
    if kind_of(value) == "secret":
        raise ExpressionError(
            "a secret may only stand alone or be joined with '+'", code="secret-in-expression"
        )


def compare(operator: str, left: object, right: object, budget: Budget) -> bool:
    """Return ``left operator right`` for ``< <= > >=``.

    Raises:
        ExpressionError: the kinds have no common order.
    """
    a, b = kind_of(left), kind_of(right)
    if (a not in NUMBERS or b not in NUMBERS) and (a != b or a not in COMPARABLE):
        check_known(left)
        check_known(right)
        raise mismatch(operator, a, b)
    if a in ("string", "bytes"):
        budget.scan(min(len(left), len(right)))  # type: ignore[arg-type]
    x, y = _alike(left, right)
    if operator == "<":
        return bool(x < y)
    if operator == "<=":
        return bool(x <= y)
    return bool(x > y) if operator == ">" else bool(x >= y)


def _alike(left: Any, right: Any) -> tuple[Any, Any]:
    """A whole number beside a double becomes one, as CEL compares them: 2^53 + 1 equals 2.0^53."""
    if isinstance(left, float) is isinstance(right, float):
        return left, right
    if isinstance(left, float):
        return left, float(right)
    return (float(left), right) if isinstance(right, float) else (left, right)


def equal(left: object, right: object, budget: Budget) -> bool:
    """Return CEL's ``==``: numbers across their kinds, containers by value, else by kind.

    Raises:
        UnknownValue: one of them, or an element met on the way, is not known yet.
    """
    budget.spend()
    if type(left) is str and type(right) is str:
        budget.scan(min(len(left), len(right)))
        return left == right
    a, b = kind_of(left), kind_of(right)
    if "unknown" in (a, b) or "secret" in (a, b):
        check_known(left)
        check_known(right)
    if a in NUMBERS and b in NUMBERS:
        x, y = _alike(left, right)
        return bool(x == y)
    if a != b:
        return False
    if a == "list":
        x, y = cast("tuple[list[Any], list[Any]]", (left, right))
        return len(x) == len(y) and all(equal(i, j, budget) for i, j in zip(x, y, strict=True))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        if len(left) != len(right):
            return False
        return all(key in right and equal(left[key], right[key], budget) for key in left)
    if isinstance(left, OptionalValue) and isinstance(right, OptionalValue):
        return left.present == right.present and (
            not left.present or equal(left.value, right.value, budget)
        )
    if a == "bytes":
        budget.scan(len(left))  # type: ignore[arg-type]
    return left == right


class _BoolKey:
    """A boolean as a key of a map: Python's ``True`` would be the key ``1``."""

    __slots__ = ("value",)

    def __init__(self, value: bool) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BoolKey) and self.value == other.value

    def __hash__(self) -> int:
        return hash(("bool", self.value))


def as_key(value: object) -> Any:
    """Return the key under which a dict holds ``value``.

    Raises:
        ExpressionError: keys are strings, integers and booleans.
    """
    kind = kind_of(value)
    if kind in ("string", "int", "uint"):
        return value
    if kind == "bool":
        return _BoolKey(bool(value))
    if isinstance(value, float):
        # A double finds the integer it equals, and never two of them.
        return int(value) if value.is_integer() else value
    check_known(value)
    raise ExpressionError(
        f"{shown(value)} is not a key", code="expression-type", hint="keys are strings or integers"
    )


def from_key(key: object) -> object:
    """Return the value of a key, as macros over a map see it."""
    return key.value if isinstance(key, _BoolKey) else key
