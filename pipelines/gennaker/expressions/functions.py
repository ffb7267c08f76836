"""The registry of functions, and CEL's standard library of conversions and sizes.

A function is declared by the text of its forms (``string.contains(string) -> bool``): the same
text picks the form at run time, gives the checker its types and is what error messages show.
Implementations get the budget first and pay before they work. Constructs that do not evaluate all
their arguments (``default``, ``orValue``) or need the scope are the evaluator's own.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from gennaker.canonical import format_number
from gennaker.errors import ExpressionError
from gennaker.expressions.limits import Budget
from gennaker.expressions.moments import Duration, Timestamp, parse_duration, parse_timestamp
from gennaker.expressions.operators import check_known, check_range
from gennaker.expressions.semver import SemVer
from gennaker.expressions.values import (
    OptionalValue,
    TypeValue,
    kind_of,
    shown,
)

__all__ = [
    "FUNCTIONS",
    "LAZY",
    "STATUS",
    "TYPE_NAMES",
    "Form",
    "call",
    "function",
    "number_text",
    "utf8",
]

STATUS: Final = frozenset({"success", "failure", "always", "aborted"})
"""Functions that ask about the stages before; only ``if`` has them."""

LAZY: Final = {("default", False): 2, ("or", True): 2, ("orValue", True): 2}
"""Functions whose last argument is evaluated only when it is needed; the number counts a target."""

TYPE_NAMES: Final = {
    **{
        name: name
        for name in ("bool", "int", "uint", "double", "string", "bytes", "list", "map", "type")
    },
    "null_type": "null",
}
"""Names of types as values, to the kind they are."""


class Form(NamedTuple):
    """One form of a function; a parameter that is None takes any value."""

    text: str
    parameters: tuple[frozenset[str] | None, ...]
    result: str
    run: Callable[..., Any]


FUNCTIONS: dict[tuple[str, bool, int], tuple[Form, ...]] = {}
"""Name, whether it is called on a target, and number of arguments (target included)."""

_FORM = re.compile(r"(?:([\w|]+)\.(?=\w+\())?([\w.]+)\(([\w|, ]*)\) -> (\w+)")
_NAMESPACED = frozenset({"base64.encode", "base64.decode"}) | {
    f"optional.{name}" for name in ("of", "none", "ofNonZeroValue")
}


def function(*forms: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the decorated implementation under each of ``forms``."""

    def register(run: Callable[..., Any]) -> Callable[..., Any]:
        for text in forms:
            match = _FORM.fullmatch(text)
            assert match is not None, text
            target, name, parameters, result = match.groups()
            words = [word.strip() for word in parameters.split(",") if word.strip()]
            if f"{target}.{name}" in _NAMESPACED:
                name, target = f"{target}.{name}", None
            if target is not None:
                words.insert(0, target)
            kinds = tuple(None if word == "dyn" else frozenset(word.split("|")) for word in words)
            key = (name, target is not None, len(kinds))
            FUNCTIONS[key] = (*FUNCTIONS.get(key, ()), Form(text, kinds, result, run))
        return run

    return register


def call(name: str, member: bool, args: list[object], budget: Budget) -> object:
    """Run the form of ``name`` that takes ``args``.

    Raises:
        ExpressionError: no form takes them, or the function fails.
        UnknownValue: an argument is not known yet.
    """
    forms = FUNCTIONS[name, member, len(args)]
    kinds = [kind_of(each) for each in args]
    if "unknown" in kinds or "secret" in kinds:
        for each in args:
            check_known(each)
    for form in forms:
        for parameter, kind in zip(form.parameters, kinds, strict=True):
            if parameter is not None and kind not in parameter:
                break
        else:
            return form.run(budget, *args)
    raise no_form(name, member, kinds)


def no_form(name: str, member: bool, kinds: list[str]) -> ExpressionError:
    """Return the error of a call whose arguments no form takes."""
    forms = FUNCTIONS[name, member, len(kinds)]
    on = f"{kinds[0]}." if member else ""
    hint = f"its forms: {', '.join(sorted({form.text for form in forms}))}"
    if "null" in kinds:
        hint = "a value is null: give it another with default(x, d)"
    elif "optional" in kinds:
        hint = "take the value of an optional with .orValue(d)"
    return ExpressionError(
        f"{on}{name}() does not take ({', '.join(kinds[member:])})",
        code="expression-type",
        hint=hint,
    )


def utf8(text: str) -> bytes:
    """Return the bytes of ``text``.

    Raises:
        ExpressionError: it has a lone surrogate, which no encoding has.
    """
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ExpressionError("the text has a lone surrogate, which UTF-8 cannot say") from None


def number_text(value: int | float) -> str:
    """Return a number as canonical JSON has it, and CEL's names where JSON has none."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    return format_number(int(value) if isinstance(value, int) else value)


# -- standard library: sizes and types -----------------------------------------------------------


@function("size(string|bytes|list|map) -> int", "string|bytes|list|map.size() -> int")
def _size(_: Budget, value: Any) -> int:
    return len(value)


@function("type(dyn) -> type")
def _type(_: Budget, value: object) -> TypeValue:
    kind = kind_of(value)
    return TypeValue("null_type" if kind == "null" else kind)


@function("dyn(dyn) -> dyn")
def _dyn(_: Budget, value: object) -> object:
    return value


# -- standard library: conversions ---------------------------------------------------------------

_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
_DOUBLE = re.compile(
    r"[+-]?(?:[0-9]{1,400}\.?[0-9]{0,400}(?:[eE][+-]?[0-9]{1,6})?|\.[0-9]{1,400}(?:[eE][+-]?[0-9]{1,6})?"
    r"|[Ii]nf(?:inity)?|NaN|nan)"
)
_BOOLS = {
    **dict.fromkeys(("true", "True", "TRUE", "t", "1"), True),
    **dict.fromkeys(("false", "False", "FALSE", "f", "0"), False),
}


def _cannot(name: str, value: object) -> ExpressionError:
    return ExpressionError(f"{name}() cannot convert {shown(value)}")


@function("int(int|uint|double|string|timestamp) -> int")
def _int(_: Budget, value: Any) -> int:
    if isinstance(value, str):
        if not _INTEGER.fullmatch(value):
            raise _cannot("int", value)
        return check_range(int(value))
    if isinstance(value, Timestamp):
        return value.nanoseconds // 1_000_000_000
    # The largest double below 2^63 is the largest that fits; CEL refuses both bounds.
    if isinstance(value, float) and not -9.223372036854776e18 < value < 9.223372036854776e18:
        raise _cannot("int", value)
    return check_range(int(value))


@function("uint(int|uint|double|string) -> uint")
def _uint(_: Budget, value: Any) -> int:
    if isinstance(value, str) and not _INTEGER.fullmatch(value):
        raise _cannot("uint", value)
    if isinstance(value, float) and not 0 <= value < 18446744073709551616.0:
        raise _cannot("uint", value)
    return check_range(int(value), unsigned=True)


@function("double(int|uint|double|string) -> double")
def _double(_: Budget, value: Any) -> float:
    if isinstance(value, str) and not _DOUBLE.fullmatch(value):
        raise _cannot("double", value)
    return float(value)


@function("bool(bool|string) -> bool")
def _bool(_: Budget, value: Any) -> bool:
    found = value if isinstance(value, bool) else _BOOLS.get(value)
    if found is None:
        raise _cannot("bool", value)
    return found


@function("string(bool|int|uint|double|string|bytes|timestamp|duration|semver) -> string")
def _string(budget: Budget, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return number_text(value)
    if isinstance(value, bytes):
        budget.take(len(value))
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise ExpressionError("string() cannot convert bytes that are not UTF-8") from None
    return str(value)


@function("bytes(string|bytes) -> bytes")
def _bytes(budget: Budget, value: Any) -> bytes:
    budget.take(len(value))
    return utf8(value) if isinstance(value, str) else value


@function("timestamp(string|int|timestamp) -> timestamp")
def _timestamp(_: Budget, value: Any) -> Timestamp:
    if isinstance(value, Timestamp):
        return value
    return parse_timestamp(value) if isinstance(value, str) else Timestamp(value * 1_000_000_000)


@function("duration(string|duration) -> duration")
def _duration(_: Budget, value: Any) -> Duration:
    return value if isinstance(value, Duration) else parse_duration(value)


@function("semver(string|semver) -> semver")
def _semver(_: Budget, value: Any) -> SemVer:
    return value if isinstance(value, SemVer) else SemVer(value)


# -- optionals and base64 ------------------------------------------------------------------------


@function("optional.of(dyn) -> optional")
def _optional_of(_: Budget, value: object) -> OptionalValue:
    return OptionalValue(True, value)


@function("optional.none() -> optional")
def _optional_none(_: Budget) -> OptionalValue:
    return OptionalValue(False)


@function("optional.ofNonZeroValue(dyn) -> optional")
def _optional_of_non_zero(_: Budget, value: Any) -> OptionalValue:
    zero = not (value.nanoseconds if isinstance(value, Duration) else value)
    return OptionalValue(False) if zero else OptionalValue(True, value)


@function("optional.hasValue() -> bool")
def _has_value(_: Budget, value: OptionalValue) -> bool:
    return value.present


@function("optional.value() -> dyn")
def _value(_: Budget, value: OptionalValue) -> object:
    if not value.present:
        raise ExpressionError("the optional has no value", hint="use .orValue(d)")
    return value.value


@function("base64.encode(bytes|string) -> string")
def _base64_encode(budget: Budget, value: Any) -> str:
    budget.take(2 * len(value))
    return base64.b64encode(utf8(value) if isinstance(value, str) else value).decode()


@function("base64.decode(string) -> bytes")
def _base64_decode(budget: Budget, value: str) -> bytes:
    budget.take(len(value))
    try:
        return base64.b64decode(
            value.rstrip("=") + "=" * (-len(value.rstrip("=")) % 4), validate=True
        )
    except (binascii.Error, ValueError):
        raise ExpressionError(f"{shown(value)} is not base64") from None
