"""Functions on text: CEL's string extensions, RE2, and ours (``slug``, ``url_encode``, ``sha256``)."""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from gennaker.errors import ExpressionError
from gennaker.expressions.functions import function, number_text, utf8
from gennaker.expressions.limits import Budget
from gennaker.expressions.operators import check_known, from_key
from gennaker.expressions.values import OptionalValue, kind_of, shown

__all__ = ["compile_pattern"]

# Unicode's White_Space; Python's own strip() takes four control characters more.
_BLANKS = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
_PATTERN_LIMIT = 1024
_PRECISION_LIMIT = 100


@lru_cache(maxsize=64)
def compile_pattern(pattern: str) -> Any:
    """Return RE2's program of ``pattern``; RE2 itself is loaded here, on the first use.

    Raises:
        ExpressionError: it is no RE2 pattern, or too large a one.
    """
    import re2  # type: ignore[import-untyped]

    if len(pattern) > _PATTERN_LIMIT:
        raise ExpressionError(f"a pattern may have {_PATTERN_LIMIT} characters")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeError) as error:
        reason = error.args[0] if error.args else "not text"
        if isinstance(reason, bytes):
            reason = reason.decode(errors="replace")
        raise ExpressionError(
            f"{shown(pattern)} is not a pattern: {reason}",
            hint="patterns are RE2: no look-around, no back-references, up to 1000 repetitions",
        ) from None


@function("matches(string, string) -> bool", "string.matches(string) -> bool")
def _matches(budget: Budget, text: str, pattern: str) -> bool:
    budget.spend(1 + (len(pattern) >> 5))
    program = compile_pattern(pattern)
    encoded = utf8(text)
    # The worst of RE2 visits each instruction for each byte, in about a nanosecond.
    budget.spend(1 + (len(encoded) * program.programsize >> 14))
    return program.search(text) is not None


@function("string.contains(string) -> bool")
def _contains(budget: Budget, text: str, part: str) -> bool:
    budget.scan(len(text))
    return part in text


@function("string.startsWith(string) -> bool")
def _starts_with(budget: Budget, text: str, part: str) -> bool:
    budget.scan(len(part))
    return text.startswith(part)


@function("string.endsWith(string) -> bool")
def _ends_with(budget: Budget, text: str, part: str) -> bool:
    budget.scan(len(part))
    return text.endswith(part)


def _check_position(text: str, position: int) -> int:
    if not 0 <= position <= len(text):
        raise ExpressionError(f"position {position} is outside of a text of {len(text)} characters")
    return position


@function("string.charAt(int) -> string")
def _char_at(_: Budget, text: str, position: int) -> str:
    _check_position(text, position)
    return text[position : position + 1]


@function("string.indexOf(string) -> int", "string.indexOf(string, int) -> int")
def _index_of(budget: Budget, text: str, part: str, start: int = 0) -> int:
    budget.scan(len(text))
    return text.find(part, _check_position(text, start))


@function("string.lastIndexOf(string) -> int", "string.lastIndexOf(string, int) -> int")
def _last_index_of(budget: Budget, text: str, part: str, last: int | None = None) -> int:
    budget.scan(len(text))
    if last is None:
        return text.rfind(part)
    return text.rfind(part, 0, _check_position(text, last) + len(part))


@function("string.lowerAscii() -> string")
def _lower_ascii(budget: Budget, text: str) -> str:
    budget.take(len(text))
    return text.translate(_LOWER)


@function("string.upperAscii() -> string")
def _upper_ascii(budget: Budget, text: str) -> str:
    budget.take(len(text))
    return text.translate(_UPPER)


_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_UPPER = {code + 32: code for code in range(ord("A"), ord("Z") + 1)}


@function("string.trim() -> string")
def _trim(budget: Budget, text: str) -> str:
    budget.take(len(text))
    return text.strip(_BLANKS)


@function("string.reverse() -> string")
def _reverse(budget: Budget, text: str) -> str:
    budget.take(len(text))
    return text[::-1]


@function(
    "string.replace(string, string) -> string", "string.replace(string, string, int) -> string"
)
def _replace(budget: Budget, text: str, old: str, new: str, limit: int = -1) -> str:
    budget.scan(len(text))
    count = text.count(old) if limit < 0 else min(text.count(old), limit)
    budget.take(len(text) + count * len(new))
    return text.replace(old, new, count)


@function("string.split(string) -> list", "string.split(string, int) -> list")
def _split(budget: Budget, text: str, separator: str, limit: int = -1) -> list[str]:
    if limit == 0:
        return []
    budget.scan(len(text))
    most = (text.count(separator) if separator else len(text)) + 1
    # A short text takes about fifty bytes, whatever it says.
    budget.take(len(text) + 8 * (most if limit < 0 else min(most, limit)))
    if separator:
        return text.split(separator, limit - 1 if limit > 0 else -1)
    if limit < 0 or limit >= len(text):
        return list(text)
    return [*text[: limit - 1], text[limit - 1 :]]


@function("list.join() -> string", "list.join(string) -> string")
def _join(budget: Budget, items: list[Any], separator: str = "") -> str:
    budget.spend(len(items) >> 3)
    for item in items:
        if type(item) is not str:
            check_known(item)
            raise ExpressionError(
                f"join() joins strings, not {kind_of(item)}",
                code="expression-type",
                hint="convert each with .map(item, string(item))",
            )
    budget.take(sum(map(len, items)) + len(separator) * len(items))
    return separator.join(items)


@function("string.substring(int) -> string", "string.substring(int, int) -> string")
def _substring(budget: Budget, text: str, start: int, end: int | None = None) -> str:
    stop = len(text) if end is None else _check_position(text, end)
    if _check_position(text, start) > stop:
        raise ExpressionError(f"substring({start}, {stop}) ends before it starts")
    budget.take(stop - start)
    return text[start:stop]


_VERB = re.compile(r"%(?:%|(?:\.([0-9]{1,9}))?([a-zA-Z]))")


@function("string.format(list) -> string")
def _format(budget: Budget, text: str, args: list[Any]) -> str:
    """CEL's ``format``: ``%s %d %f %e %x %X %o %b %%``, with a precision for ``%f`` and ``%e``."""
    budget.scan(len(text))
    pieces: list[str] = []
    position = used = 0
    while (start := text.find("%", position)) >= 0:
        match = _VERB.match(text, start)
        if match is None:
            raise ExpressionError(f"{shown(text[start : start + 4])} is not a format")
        pieces.append(text[position:start])
        position = match.end()
        if match.group() == "%%":
            pieces.append("%")
            continue
        if used >= len(args):
            raise ExpressionError(f"format() has {len(args)} values for more places")
        precision = int(match[1]) if match[1] else None
        budget.spend()
        pieces.append(_format_one(match[2], precision, args[used], budget))
        used += 1
    pieces.append(text[position:])
    if used < len(args):
        raise ExpressionError(f"format() has {len(args)} values for {used} places")
    budget.take(sum(map(len, pieces)))
    return "".join(pieces)


def _format_one(verb: str, precision: int | None, value: Any, budget: Budget) -> str:
    check_known(value)
    kind = kind_of(value)
    if precision is not None and (verb not in "fe" or precision > _PRECISION_LIMIT):
        raise ExpressionError(f"%.{precision}{verb} is not a format", hint="%.100f at most")
    if verb == "s":
        return _display(value, budget)
    if verb in "dfe" and kind == "double" and not math.isfinite(value):
        return {"+Inf": "Infinity", "-Inf": "-Infinity"}.get(number_text(value), "NaN")
    if verb == "d" and kind in ("int", "uint"):
        return str(int(value))
    if verb in "fe" and kind in ("int", "uint", "double"):
        number = float(value)
        return f"{number:.{6 if precision is None else precision}{verb}}"
    if verb in "xX" and kind in ("string", "bytes"):
        budget.take(2 * len(value))
        digits = (utf8(value) if kind == "string" else value).hex()
        return digits.upper() if verb == "X" else digits
    if verb in "xXo" and kind in ("int", "uint"):
        return f"{int(value):{verb}}"
    if verb == "b" and kind in ("int", "uint", "bool"):
        return f"{int(value):b}"
    raise ExpressionError(f"%{verb} does not take {kind}", code="expression-type")


def _display(value: Any, budget: Budget) -> str:
    """The text of any value for ``%s``; containers as CEL's specification shows them."""
    budget.spend()
    check_known(value)
    kind = kind_of(value)
    if kind == "string":
        return str(value)
    if kind == "null":
        return "null"
    if kind == "bool":
        return "true" if value else "false"
    if isinstance(value, int | float):
        text = number_text(value)
        return {"+Inf": "Infinity", "-Inf": "-Infinity"}.get(text, text)
    if kind == "list":
        text = ", ".join(_display(item, budget) for item in value)
        budget.take(len(text) + 2)
        return f"[{text}]"
    if isinstance(value, Mapping):
        pairs = sorted(
            (_display(from_key(key), budget), _display(item, budget)) for key, item in value.items()
        )
        text = ", ".join(f"{key}: {item}" for key, item in pairs)
        budget.take(len(text) + 2)
        return f"{{{text}}}"
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, OptionalValue):
        raise ExpressionError("%s does not take optional", hint="take its value with .orValue(d)")
    return str(getattr(value, "name", value))


# -- ours ----------------------------------------------------------------------------------------

# RFC 3986's unreserved characters; everything else is percent-encoded.
_URL_SAFE = {
    ord(each): each for each in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
}
_NOT_SLUG = re.compile(r"[^a-z0-9]+")
_SLUG_LIMIT = 63


@function("slug(string) -> string")
def _slug(_: Budget, text: str) -> str:
    """A DNS label: lower case, digits and hyphens, at most 63 characters."""
    apart = unicodedata.normalize("NFKD", text[:1024]).lower()
    plain = "".join(each for each in apart if not unicodedata.combining(each))
    found = _NOT_SLUG.sub("-", plain).strip("-")[:_SLUG_LIMIT].rstrip("-")
    if not found:
        raise ExpressionError(f"slug() finds no letter or digit in {shown(text)}")
    return found


@function("url_encode(string) -> string")
def _url_encode(budget: Budget, text: str) -> str:
    encoded = utf8(text)
    budget.take(3 * len(encoded))
    return "".join(_URL_SAFE.get(byte) or f"%{byte:02X}" for byte in encoded)


@function("sha256(string|bytes) -> string")
def _sha256(budget: Budget, value: Any) -> str:
    budget.scan(len(value))
    return hashlib.sha256(utf8(value) if isinstance(value, str) else value).hexdigest()
