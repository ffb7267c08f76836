"""Durations (``90s``, ``1h30m``, ``2d``) and sizes (``64KiB``), the only forms the files take."""

from __future__ import annotations

import re

from gennaker.errors import InvalidInput

__all__ = ["format_duration", "normalize_duration", "parse_duration", "parse_size"]

_UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_PART = re.compile(r"(\d{1,15})(ms|d|h|m|s)")
_WHOLE = re.compile(r"(?:\d{1,15}(?:ms|d|h|m|s))+")
_SIZE = re.compile(r"(\d{1,15})(B|KiB|MiB|GiB|TiB)")
_SIZES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_LONGEST = 100 * 366 * _UNITS["d"]


def parse_duration(text: str) -> float:
    """Return the seconds of ``text``.

    Raises:
        InvalidInput: code ``duration``; a bare number is told the unit form.
    """
    return _milliseconds(text) / 1000


def _milliseconds(text: object) -> int:
    if isinstance(text, int | float) and not isinstance(text, bool):
        raise InvalidInput(
            f"{text!r} has no unit",
            code="duration",
            hint=f"write a duration as '{text}s' or '{text}m'",
        )
    if not isinstance(text, str) or not _WHOLE.fullmatch(text):
        hint = f"write '{text}s' or '{text}m'" if isinstance(text, str) and text.isdigit() else None
        raise InvalidInput(
            f"{text!r} is not a duration",
            code="duration",
            hint=hint or "write it like '90s', '5m', '1h30m' or '2d'",
        )
    total = 0
    last = None
    for number, unit in _PART.findall(text):
        if last is not None and _UNITS[unit] >= _UNITS[last]:
            raise InvalidInput(
                f"{text!r} is not a duration",
                code="duration",
                hint="write larger units first, each once, like '1h30m'",
            )
        total += int(number) * _UNITS[unit]
        last = unit
    if total > _LONGEST:
        raise InvalidInput(f"{text!r} is longer than 100 years", code="duration")
    return total


def format_duration(seconds: float) -> str:
    """Return ``seconds`` in canonical text: larger units first, none that is zero (``1h30m``)."""
    rest = round(seconds * 1000)
    parts = []
    for unit, size in _UNITS.items():
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def normalize_duration(text: object) -> str:
    """Return the canonical text of a duration, so that ``60m`` and ``1h`` are the same data.

    Raises:
        ValueError: what pydantic turns into a problem at its place.
    """
    try:
        return format_duration(_milliseconds(text) / 1000)
    except InvalidInput as error:
        # The cause keeps code word and hint for whoever turns it into a problem.
        raise ValueError(
            f"{error.message}; {error.hint}" if error.hint else error.message
        ) from error


def parse_size(text: str) -> int:
    """Return the bytes of a size like ``64KiB`` or ``10MiB``.

    Raises:
        InvalidInput: code ``size``; a bare number is told the unit form.
    """
    match = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise InvalidInput(
            f"{text!r} is not a size", code="size", hint="write it like '64KiB' or '10MiB'"
        )
    return int(match[1]) * _SIZES[match[2]]
