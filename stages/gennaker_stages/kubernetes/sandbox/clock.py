"""Time as a part that can be exchanged, and what is due when.

The simulated controllers never sleep: they ask the :class:`Scheduler` to call them. With
:class:`RealClock` a thread does; with :class:`VirtualClock` a test's ``advance`` does, in order of due
time, without waiting.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

__all__ = ["Clock", "RealClock", "Scheduler", "VirtualClock", "format_time"]


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        ...


class RealClock:
    """The machine's clock."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        return time.time()


class VirtualClock:
    """A clock that moves only when told to; ``start`` is seconds since the epoch."""

    def __init__(self, start: float = 1_750_000_000.0) -> None:
        self._now = start
        self._schedulers: list[Scheduler] = []

    def now(self) -> float:
        """Return the virtual time."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move on by ``seconds``, doing all that comes due on the way, in order."""
        end = self._now + seconds
        while True:
            due = [
                (at, index) for index, each in enumerate(self._schedulers)
                if (at := each.next_due()) is not None and at <= end
            ]  # fmt: skip
            if not due:
                break
            at, index = min(due)
            self._now = max(self._now, at)
            self._schedulers[index].run_due()
        self._now = end

    def attach(self, scheduler: Scheduler) -> None:
        """Let ``advance`` run what this scheduler holds."""
        self._schedulers.append(scheduler)


class Scheduler:
    """Calls functions when they are due; a key that is asked for twice keeps its earliest time."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._heap: list[tuple[float, int, str]] = []
        self._wanted: dict[str, tuple[float, Callable[[], None]]] = {}
        self._order = itertools.count()
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopped = False
        if isinstance(clock, VirtualClock):
            clock.attach(self)

    def call(self, key: str, delay: float, function: Callable[[], None]) -> None:
        """Call ``function`` in ``delay`` seconds, once, however often ``key`` is asked for."""
        at = self.clock.now() + delay
        with self._wake:
            known = self._wanted.get(key)
            if known is not None and known[0] <= at:
                return
            self._wanted[key] = (at, function)
            heapq.heappush(self._heap, (at, next(self._order), key))
            self._wake.notify()

    def next_due(self) -> float | None:
        """Return when the next call is due, or None."""
        with self._wake:
            while self._heap and self._wanted.get(self._heap[0][2], (None,))[0] != self._heap[0][0]:
                heapq.heappop(self._heap)
            return self._heap[0][0] if self._heap else None

    def run_due(self) -> None:
        """Call the next function that is due, if one is."""
        at = self.next_due()
        if at is None or at > self.clock.now():
            return
        with self._wake:
            key = heapq.heappop(self._heap)[2]
            function = self._wanted.pop(key)[1]
        function()

    def start(self) -> None:
        """Run what comes due in a thread (with a real clock; a virtual one needs none)."""
        if isinstance(self.clock, VirtualClock) or self._thread is not None:
            return
        self._stopped = False
        self._thread = threading.Thread(target=self._loop, name="sandbox-controllers", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what is not yet due stays undone."""
        with self._wake:
            self._stopped = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _loop(self) -> None:
        while True:
            with self._wake:
                if self._stopped:
                    return
                at = self.next_due()
                wait = None if at is None else at - self.clock.now()
                if wait is None or wait > 0:
                    self._wake.wait(wait)
                    continue
            self.run_due()


def format_time(seconds: float) -> str:
    """Return RFC 3339 in UTC, whole seconds, as Kubernetes writes times."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
