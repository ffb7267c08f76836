"""CEL's accessors of timestamps and durations; a second argument is a time zone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from gennaker.expressions.functions import function
from gennaker.expressions.limits import Budget
from gennaker.expressions.moments import Duration, Timestamp, read_zone

__all__: list[str] = []

_CALENDAR: dict[str, Callable[[datetime], int]] = {
    "getFullYear": lambda at: at.year,
    "getMonth": lambda at: at.month - 1,
    "getDate": lambda at: at.day,
    "getDayOfMonth": lambda at: at.day - 1,
    "getDayOfWeek": lambda at: at.isoweekday() % 7,
    "getDayOfYear": lambda at: at.timetuple().tm_yday - 1,
    "getHours": lambda at: at.hour,
    "getMinutes": lambda at: at.minute,
    "getSeconds": lambda at: at.second,
    "getMilliseconds": lambda at: at.microsecond // 1000,
}
_UNITS = {"getHours": 3_600_000_000_000, "getMinutes": 60_000_000_000, "getSeconds": 1_000_000_000}


def _declare_calendar(name: str, read: Callable[[datetime], int]) -> None:
    @function(f"timestamp.{name}() -> int", f"timestamp.{name}(string) -> int")
    def run(_: Budget, moment: Timestamp, zone: str = "UTC") -> int:
        return read(moment.at(UTC if zone == "UTC" else read_zone(zone)))


def _declare_total(name: str, unit: int) -> None:
    @function(f"duration.{name}() -> int")
    def run(_: Budget, span: Duration) -> int:
        whole = abs(span.nanoseconds) // unit
        return -whole if span.nanoseconds < 0 else whole


for _name, _read in _CALENDAR.items():
    _declare_calendar(_name, _read)
for _name, _unit in _UNITS.items():
    _declare_total(_name, _unit)


@function("duration.getMilliseconds() -> int")
def _milliseconds(_: Budget, span: Duration) -> int:
    part = abs(span.nanoseconds) // 1_000_000 % 1000
    return -part if span.nanoseconds < 0 else part
