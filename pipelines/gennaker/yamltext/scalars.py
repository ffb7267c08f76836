"""What an unquoted scalar means: in YAML 1.2's core schema, and as Kubernetes reads YAML 1.1."""

from __future__ import annotations

import math
import re
from typing import Any

__all__ = ["SUSPICIOUS", "BadScalar", "find_ambiguity", "resolve_core", "resolve_kubernetes"]

_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_TRUES = frozenset(("true", "True", "TRUE"))
_FALSES = frozenset(("false", "False", "FALSE"))
# Kubernetes' own Go reader takes the one-letter words too, unlike most YAML 1.1 libraries.
_TRUES_11 = _TRUES | frozenset(("y", "Y", "yes", "Yes", "YES", "on", "On", "ON"))
_FALSES_11 = _FALSES | frozenset(("n", "N", "no", "No", "NO", "off", "Off", "OFF"))
_WORDS: dict[str, Any] = {
    **dict.fromkeys(_NULLS),
    **dict.fromkeys(_TRUES, True),
    **dict.fromkeys(_FALSES, False),
}
_WORDS_11: dict[str, Any] = {
    **dict.fromkeys(_NULLS),
    **dict.fromkeys(_TRUES_11, True),
    **dict.fromkeys(_FALSES_11, False),
}

_BEGINS_NUMBER = frozenset("0123456789+-.")
SUSPICIOUS = _BEGINS_NUMBER | frozenset(("", *"~nNtTfFyYoO"))
"""How an unquoted scalar begins that may be something else than text."""

_DECIMAL = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")

_INTEGER_11 = re.compile(r"[-+]?(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO][0-7]+|0[0-7]*|[1-9][0-9]*)")

_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+")
_UNDERSCORED = re.compile(r"[-+]?[1-9][0-9]*_[0-9_]*")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?")

_EXACT = 2**53


class BadScalar(ValueError):
    """A number that plain data cannot hold; the message says why."""


def resolve_core(text: str) -> Any:
    """Return the value of an unquoted scalar in the YAML 1.2 core schema.

    Raises:
        BadScalar: NaN, an infinity, or an integer that not every reader keeps exactly.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _BEGINS_NUMBER:
        return text
    if _DECIMAL.fullmatch(text):
        return _read_integer(text, 10)
    if _OCTAL.fullmatch(text):
        return _read_integer(text[2:], 8)
    if _HEX.fullmatch(text):
        return _read_integer(text[2:], 16)
    if _FLOAT.fullmatch(text):
        return _read_float(text)
    if _NOT_FINITE.fullmatch(text):
        raise BadScalar(f"{text!r} is not a number that JSON has")
    return text


def resolve_kubernetes(text: str) -> Any:
    """Return the value of an unquoted scalar as ``kubectl`` reads it (YAML 1.1 in Go).

    Raises:
        BadScalar: NaN or an infinity.
    """
    if text in _WORDS_11:
        return _WORDS_11[text]
    if text[0] not in _BEGINS_NUMBER:
        return text
    plain = text.replace("_", "")
    if _INTEGER_11.fullmatch(plain):
        return _read_integer_11(plain)
    if _FLOAT.fullmatch(plain):
        return _read_float(plain)
    if _NOT_FINITE.fullmatch(text):
        raise BadScalar(f"{text!r} is not a number that JSON has")
    return text


def _read_integer(text: str, base: int) -> int:
    # The length is looked at first: converting thousands of digits is slow, then refused anyway.
    digits = text.lstrip("+-").lstrip("0")
    value = int(text, base) if len(digits) <= 20 else _EXACT + 1
    if abs(value) > _EXACT:
        shown = text if len(text) <= 24 else f"{text[:20]}…"
        raise BadScalar(f"integer {shown} is beyond 2^53 and would lose digits")
    return value


def _read_integer_11(plain: str) -> int | float:
    sign = -1 if plain[0] == "-" else 1
    digits = plain.lstrip("+-")
    if len(digits) > 70:
        return _read_float(plain)
    prefix = digits[:2].lower()
    base = {"0x": 16, "0b": 2, "0o": 8}.get(prefix)
    if base is None:
        base = 8 if digits[0] == "0" and len(digits) > 1 else 10
    else:
        digits = digits[2:]
    value = sign * int(digits, base)
    return value if -(2**63) <= value < 2**64 else float(value)


def _read_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        shown = text if len(text) <= 24 else f"{text[:20]}…"
        raise BadScalar(f"{shown} is too large for a number")
    return value


def find_ambiguity(text: str) -> str | None:
    """Return what a YAML 1.1 reader makes of an unquoted scalar that 1.2 reads otherwise."""
    if text[:1] not in SUSPICIOUS:
        return None
    if text in _TRUES_11 and text not in _TRUES and len(text) > 1:
        return "true"
    if text in _FALSES_11 and text not in _FALSES and len(text) > 1:
        return "false"
    if _LEADING_ZERO.fullmatch(text):
        return "an octal number"
    if _UNDERSCORED.fullmatch(text):
        return "a number"
    if _SEXAGESIMAL.fullmatch(text):
        return "a number in base 60"
    return None
