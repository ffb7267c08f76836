"""Timestamps and durations, in whole nanoseconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from gennaker.durations import format_duration
from gennaker.errors import ExpressionError
from gennaker.expressions.values import KINDS
from gennaker.records import dataclass

__all__ = ["Duration", "Timestamp", "parse_duration", "parse_timestamp", "read_zone"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = 1_000_000_000
_FIRST = int((datetime(1, 1, 1, tzinfo=UTC) - _EPOCH).total_seconds()) * _SECOND
_LAST = int((datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) - _EPOCH).total_seconds() + 1) * _SECOND
_LONGEST = 315_576_000_000 * _SECOND
_RFC3339 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)
_UNITS = {
    "d": 86_400 * _SECOND,
    "h": 3_600 * _SECOND,
    "m": 60 * _SECOND,
    "s": _SECOND,
    "ms": 1_000_000,
    "us": 1_000,
    "ns": 1,
}
_PART = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,15}))?(ms|us|ns|d|h|m|s)")
_OFFSET = re.compile(r"([+-]?)([0-9]{2}):([0-9]{2})")


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """A span of time; its text is the form the files take (``1h30m``)."""

    nanoseconds: int

    def __post_init__(self) -> None:
        if abs(self.nanoseconds) > _LONGEST:
            raise ExpressionError("the duration is out of range", hint="at most 10000 years")

    def __str__(self) -> str:
        sign = "-" if self.nanoseconds < 0 else ""
        size = abs(self.nanoseconds)
        if size % 1_000_000 == 0:
            return sign + format_duration(size // 1_000_000 / 1000)
        whole, rest = divmod(size, _SECOND)
        return f"{sign}{whole}.{rest:09d}".rstrip("0") + "s"


@dataclass(frozen=True, slots=True, order=True)
class Timestamp:
    """A moment, in nanoseconds since 1970; its text is RFC 3339 in UTC."""

    nanoseconds: int

    def __post_init__(self) -> None:
        if not _FIRST <= self.nanoseconds < _LAST:
            raise ExpressionError("the timestamp is out of range", hint="years 1 to 9999")

    def at(self, zone: tzinfo) -> datetime:
        """Return the calendar's view of it in ``zone``, without the part below microseconds."""
        moment = _EPOCH + timedelta(microseconds=self.nanoseconds // 1000)
        try:
            return moment.astimezone(zone)
        except (OverflowError, ValueError):
            raise ExpressionError("the timestamp is out of range in that zone") from None

    def __str__(self) -> str:
        text = self.at(UTC).strftime("%m-%dT%H:%M:%S")
        fraction = f".{self.nanoseconds % _SECOND:09d}"
        # Three, six or nine digits, as protocol buffers print it.
        while fraction.endswith("000"):
            fraction = fraction[:-3]
        fraction = fraction.rstrip(".")
        return f"{self.at(UTC).year:04d}-{text}{fraction}Z"


KINDS[Duration] = "duration"
KINDS[Timestamp] = "timestamp"


def parse_timestamp(text: str) -> Timestamp:
    """Return the moment of an RFC 3339 text such as ``2026-11-23T10:00:00Z``."""
    match = _RFC3339.fullmatch(text) if len(text) <= 64 else None
    if match is None:
        raise _not("timestamp", text, "write it like '2026-11-23T10:00:00Z'")
    *date, fraction, sign, hours, minutes = match.groups()
    try:
        moment = datetime(*map(int, date), tzinfo=UTC)  # type: ignore[misc,arg-type]
    except ValueError:
        raise _not("timestamp", text, "there is no such day or time") from None
    shift = (int(hours) * 3600 + int(minutes) * 60) * (-1 if sign == "-" else 1) if sign else 0
    delta = moment - _EPOCH
    seconds = delta.days * 86_400 + delta.seconds - shift
    return Timestamp(seconds * _SECOND + int((fraction or "").ljust(9, "0")))


def parse_duration(text: str) -> Duration:
    """Return the span of ``1h30m``, ``2d`` or CEL's further forms (``1.5h``, ``-10ms``, ``3us``)."""
    body = text[1:] if text[:1] in ("-", "+") else text
    total = position = 0
    while position < len(body) <= 200:
        match = _PART.match(body, position)
        if match is None:
            break
        whole, fraction, unit = match.groups()
        total += int(whole) * _UNITS[unit]
        if fraction:
            total += int(fraction) * _UNITS[unit] // 10 ** len(fraction)
        position = match.end()
    if body == "0":
        return Duration(0)
    if not body or position < len(body):
        raise _not("duration", text, "write it like '90s', '5m', '1h30m' or '2d'")
    return Duration(-total if text[0] == "-" else total)


def read_zone(name: str) -> tzinfo:
    """Return the zone of ``UTC``, ``Europe/Paris`` or a fixed offset like ``+02:00``."""
    if name == "UTC":
        return UTC
    match = _OFFSET.fullmatch(name) if len(name) <= 6 else None
    if match is not None and int(match[2]) < 24 and int(match[3]) < 60:
        minutes = int(match[2]) * 60 + int(match[3])
        return timezone(timedelta(minutes=-minutes if match[1] == "-" else minutes))
    from zoneinfo import ZoneInfo

    try:
        if len(name) <= 64:
            return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        pass
    raise _not("time zone", name, "write it like 'Europe/Paris' or '+02:00'")


def _not(what: str, text: str, hint: str) -> ExpressionError:
    from gennaker.expressions.values import shown

    return ExpressionError(f"{shown(text)} is not a {what}", hint=hint)
