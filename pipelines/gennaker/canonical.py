"""Canonical JSON (RFC 8785) and the digests that are taken of it."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable
from json.encoder import encode_basestring
from typing import Any

__all__ = ["canonical_json", "digest_of", "escape_odd", "format_number"]

_ODD = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]")


def format_number(value: int | float) -> str:
    """Return a number as ECMAScript prints it, which RFC 8785 section 3.2.2.3 asks for.

    Raises:
        ValueError: for NaN and the infinities, which JSON does not have.
    """
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        raise ValueError(f"{value!r} is not a JSON number")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent_text = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    if fraction == "0":
        fraction = ""
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent_text or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    if 0 < point <= 21:
        text = (
            digits.ljust(point, "0")
            if len(digits) <= point
            else f"{digits[:point]}.{digits[point:]}"
        )
    elif -6 < point <= 0:
        text = "0." + "0" * -point + digits
    else:
        exponent = point - 1
        text = digits[0] + (f".{digits[1:]}" if len(digits) > 1 else "")
        text += f"e{'+' if exponent > 0 else '-'}{abs(exponent)}"
    return sign + text


def canonical_json(data: Any) -> str:
    """Return the one JSON text of ``data``: sorted keys, no spaces, ECMAScript numbers."""
    if isinstance(data, str):
        return encode_basestring(data)
    if data is None or isinstance(data, bool):
        return json.dumps(data)
    if isinstance(data, int | float):
        return format_number(data)
    if isinstance(data, dict):
        inside = [f"{encode_basestring(name)}:{canonical_json(data[name])}" for name in _sort(data)]
        return f"{{{','.join(inside)}}}"
    if isinstance(data, list | tuple):
        return f"[{','.join([canonical_json(each) for each in data])}]"
    raise TypeError(f"{type(data).__name__} is not JSON data")


def escape_odd(text: str) -> str:
    """Return a JSON text that readers of YAML read alike.

    Given one that has all but ASCII as it is: YAML knows no pairs of surrogates, and folds or
    refuses some characters that JSON may have raw; those are escaped.
    """
    return _ODD.sub(lambda odd: f"\\u{ord(odd.group()):04x}", text)


def _sort(names: Iterable[str]) -> list[str]:
    """Sort by UTF-16 code units (RFC 8785 section 3.2.3); Python's order is that only below U+10000."""
    if "".join(names).isascii():
        return sorted(names)
    return sorted(names, key=lambda name: name.encode("utf-16-be", "surrogatepass"))


def digest_of(data: Any) -> str:
    """Return ``sha256:HEX`` of the canonical JSON of ``data``."""
    text = canonical_json(data).encode("utf-8", "surrogatepass")
    return f"sha256:{hashlib.sha256(text).hexdigest()}"
