"""Kubernetes quantities: the server writes ``0.5`` as ``500m``, which is no difference; pure."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

__all__ = ["is_built_in", "is_quantity", "same_quantity"]

_NUMBER = re.compile(
    r"([+-]?[0-9]*\.?[0-9]+|[+-]?[0-9]+\.)(?:[eE]([+-]?[0-9]{1,2})|([a-zA-Z]{0,2}))"
)
_UNITS = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {f"{letter}i": 10 * (index + 1) for index, letter in enumerate("KMGTPE")}
# Fields whose values are quantities: of the mapping that is above them.
_ABOVE = frozenset({"limits", "requests", "hard", "capacity"})


def is_built_in(api_version: str) -> bool:
    """Whether a kind of this version is one of the server's own."""
    group = api_version.rpartition("/")[0]
    return "." not in group or group.endswith(".k8s.io")


def is_quantity(where: tuple[str, ...]) -> bool:
    """Whether a quantity stands at this place: the apiVersion, then the names on the way.

    Only the server's own kinds are canonicalized, so a custom kind has none.
    """
    if not is_built_in(where[0]):
        return False
    return len(where) > 2 and (where[-2] in _ABOVE or where[-1] == "sizeLimit")


def same_quantity(one: Any, two: Any) -> bool:
    """Whether two values are the same amount."""
    first = _read(one)
    return first is not None and first == _read(two)


def _read(value: Any) -> Fraction | None:
    found = _NUMBER.fullmatch(str(value))
    if found is None:
        return None
    number, exponent, unit = Fraction(found[1]), found[2], found[3]
    if exponent is not None:
        return number * Fraction(10) ** int(exponent)
    if unit in _UNITS:
        return number * Fraction(10) ** _UNITS[unit]
    return number * 2 ** _BINARY[unit] if unit in _BINARY else None
