"""Small pure functions on text for people: width, cutting, cleaning, times."""

from __future__ import annotations

import re
from datetime import UTC, datetime

__all__ = [
    "clean",
    "clip",
    "columns_of",
    "tell_ago",
    "tell_count",
    "tell_size",
    "tell_span",
    "tell_time",
]

_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_STYLE = re.compile(r"\x1b\[[0-9;]*m")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\x80-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """Return text that cannot move the cursor: escape sequences dropped, controls as spaces."""
    if text.isascii() and text.isprintable():
        return text
    return _CONTROL.sub(" ", _ESCAPE.sub("", text)).replace("\t", "    ")


def columns_of(text: str) -> int:
    """Return how many columns of a terminal text takes; styles take none."""
    if "\x1b" in text:
        text = _STYLE.sub("", text)
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(
        0 if combining(each) else 2 if east_asian_width(each) in "WF" else 1 for each in text
    )


def clip(text: str, width: int) -> str:
    """Return text (which may be styled) cut to ``width`` columns, ``…`` where something is gone."""
    if width <= 0:
        return ""
    if columns_of(text) <= width:
        return text
    kept: list[str] = []
    used = 0
    styled = False
    position = 0
    while position < len(text):
        style = _STYLE.match(text, position)
        if style:
            kept.append(style[0])
            styled = True
            position = style.end()
            continue
        size = columns_of(text[position])
        if used + size > width - 1:
            break
        kept.append(text[position])
        used += size
        position += 1
    return "".join(kept) + "…" + ("\x1b[0m" if styled else "")


def tell_span(seconds: float | None) -> str:
    """Return a span as people say it: ``0.4s``, ``12s``, ``3m04s``, ``2h05m``, ``3d04h``."""
    if seconds is None:
        return ""
    seconds = max(seconds, 0.0)
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    for size, name, below, other in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "m"),
        (60, "m", 1, "s"),
    ):
        if whole >= size:
            return f"{whole // size}{name}{whole % size // below:02d}{other}"
    return f"{whole}s"


def tell_time(at: float | None) -> str:
    """Return a moment as RFC 3339 in UTC with seconds, empty for None."""
    if at is None:
        return ""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def tell_ago(at: float | None, now: float) -> str:
    """Return how long ago a moment was (``3m04s ago``), empty for None."""
    return "" if at is None else f"{tell_span(now - at)} ago"


def tell_count(number: int, noun: str) -> str:
    """Return how many there are: ``1 file``, ``2 files``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def tell_size(size: int) -> str:
    """Return bytes as people say them: ``12 B``, ``1.5 KiB``, ``3.0 GiB``."""
    amount = float(size)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"
