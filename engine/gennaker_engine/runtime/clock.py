"""The clocks of the runtime: the calendar's, which may be set, and one that only goes forward.

Moments (an approval's deadline, a timer's) are the calendar's. Spans (working time, back-off, the
run's timeout) are measured: when the calendar is set while a driver works, the driver notices and
tells its runs, which shift what they measure. A machine that slept is a calendar that was set.
"""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["JUMP", "Clock", "ClockWatch", "SystemClock"]

JUMP = 1.0
"""Seconds by which the calendar must be off to count as set; what is slewed stays far below."""
_BLINK = 0.1
"""Seconds that reading both clocks may take; after longer they say nothing about each other."""


class Clock(Protocol):
    """What tells the time; tests have one of their own."""

    def now(self) -> float:
        """Seconds since the epoch."""

    def steady(self) -> float:
        """Seconds since any moment; never set, only ever more."""


class SystemClock:
    """The machine's clocks."""

    now = staticmethod(time.time)
    steady = staticmethod(time.monotonic)


class ClockWatch:
    """Notices when the calendar is set."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead = clock.now() - clock.steady()
        self.moved = 0.0
        """Seconds by which the calendar was set since this was last made 0."""

    def look(self) -> float:
        """Return the time now, after noticing what happened to it."""
        before = self._clock.steady()
        now = self._clock.now()
        if self._clock.steady() - before < _BLINK:
            by = now - before - self._ahead
            self._ahead += by
            if abs(by) >= JUMP:
                self.moved += by
        return now
