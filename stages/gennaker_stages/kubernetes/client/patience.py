"""How long and how often requests are tried again; shared by all requests of one attempt of a stage."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Patience", "Trouble"]

# API servers restart in less than a minute.
OUTAGE_SECONDS = 60.0
FIRST_DELAY, MAX_DELAY = 0.2, 5.0
# Before the first answer it is more likely that the address is wrong than that the server restarts.
TRIES_OF_A_STRANGER = 3


@dataclass(slots=True)
class Trouble:
    """What has gone wrong with one request so far."""

    tries: int = 0
    since: float = 0.0


@dataclass(slots=True)
class Patience:
    """The budget.

    Attributes:
        wait: sleeps so many seconds; returns True when the attempt is to stop.
        remaining: seconds that are left of the attempt.
        tell: takes a line for the log when a request has to be sent again.
        tokens: one is spent for each repetition, half a one earned by each success, so that a server
            that turns most requests away is not asked forever.
    """

    wait: Callable[[float], bool] = lambda seconds: threading.Event().wait(seconds)
    remaining: Callable[[], float] = lambda: float("inf")
    tell: Callable[[str], None] = lambda _line: None
    tokens: float = 200.0
    answered: bool = False
    _told: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def succeed(self) -> None:
        """Count an answer."""
        self.answered = True
        self.tokens = min(self.tokens + 0.5, 200.0)

    def try_again(
        self, trouble: Trouble, reason: str, *, limit: int = 1000, after: float | None = None
    ) -> bool:
        """Wait before a request is sent again; False when it is not to be.

        Args:
            trouble: of this request, counted on.
            reason: what went wrong, for the log.
            limit: how often it may be sent in all.
            after: seconds the server asked to wait.
        """
        now = time.monotonic()
        trouble.since = trouble.since or now
        trouble.tries += 1
        if trouble.tries >= (limit if self.answered else TRIES_OF_A_STRANGER):
            return False
        with self._lock:
            if self.tokens < 1:
                return False
            self.tokens -= 1
        delay = min(MAX_DELAY, FIRST_DELAY * 2 ** (trouble.tries - 1)) * random.uniform(0.5, 1.0)
        if after is not None:
            delay = after * random.uniform(1.0, 1.2)
        if now + delay - trouble.since > OUTAGE_SECONDS or delay >= self.remaining():
            return False
        self._tell_once(f"{reason}; trying again", now)
        return not self.wait(delay)

    def _tell_once(self, line: str, now: float) -> None:
        with self._lock:
            if self._told and now - self._told < 10:
                return
            self._told = now
        self.tell(line)
