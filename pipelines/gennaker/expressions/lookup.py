"""Elements of maps, lists and versions: the one place where data is looked into."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gennaker.errors import ExpressionError
from gennaker.expressions.operators import as_key, check_known
from gennaker.expressions.semver import SemVer
from gennaker.expressions.suggest import suggest
from gennaker.expressions.values import kind_of, shown

__all__ = ["AbsentValue", "absent_key", "get", "has"]


class AbsentValue(ExpressionError):
    """A key or index that is not there; its hint is made only when nobody handles it."""

    code = "missing-key"

    def __init__(self, message: str, key: object = None, names: Iterable[object] = ()) -> None:
        super().__init__(message)
        self.key = key
        self.names = names

    def told(self) -> ExpressionError:
        """Return the error as people see it, with the names that are there."""
        hint = suggest(self.key, self.names) if isinstance(self.key, str) else None
        error = ExpressionError(self.message, code=self.code, hint=hint)
        error.offset = self.offset
        return error


def has(operand: object, key: object) -> bool:
    """Return whether ``operand`` has an element ``key``; it must be a thing that has elements."""
    if isinstance(operand, Mapping):
        return as_key(key) in operand
    if isinstance(operand, list | tuple):
        return 0 <= _position(key) < len(operand)
    if isinstance(operand, SemVer):
        return key in SemVer.FIELDS
    raise _no_elements(operand, key)


def get(operand: object, key: object) -> object:
    """Return ``operand[key]``.

    Raises:
        AbsentValue: it has no such element.
        MissingOutput: it is the outputs of a stage that ended without any.
    """
    if isinstance(operand, Mapping):
        try:
            return operand[as_key(key)]
        except KeyError:
            raise absent_key(key, operand) from None
    if isinstance(operand, list | tuple):
        position = _position(key)
        if 0 <= position < len(operand):
            return operand[position]
        raise AbsentValue(f"index {position} is outside of a list of {len(operand)}")
    if isinstance(operand, SemVer) and isinstance(key, str) and key in SemVer.FIELDS:
        return getattr(operand, key)
    raise _no_elements(operand, key)


def _position(key: object) -> int:
    if isinstance(key, float) and key.is_integer():
        return int(key)
    if kind_of(key) not in ("int", "uint"):
        check_known(key)
        raise ExpressionError(
            f"a list is indexed by an integer, not by {kind_of(key)}", code="expression-type"
        )
    assert isinstance(key, int)
    return key


def _no_elements(operand: object, key: object) -> ExpressionError:
    check_known(operand)
    kind = kind_of(operand)
    if isinstance(operand, SemVer):
        return ExpressionError(
            f"a version has no {shown(key)}", hint=f"it has: {', '.join(SemVer.FIELDS)}"
        )
    hint = "handle that with .? or default(x, d)" if operand is None else None
    return ExpressionError(
        f"cannot look up {shown(key)} in {kind}", code="expression-type", hint=hint
    )


def absent_key(key: object, operand: Mapping[Any, Any]) -> AbsentValue:
    """Return the error of a key that ``operand`` does not have."""
    return AbsentValue(f"there is no {shown(key)}", key, operand)
