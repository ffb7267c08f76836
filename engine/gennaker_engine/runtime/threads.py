"""Threads for deliveries: one each while it works, used again afterwards.

There is no upper bound, since a delivery that waits for a person's script must not hold up another;
waiting runs need no thread at all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

__all__ = ["ThreadPool"]

_IDLE_SECONDS = 10.0


class ThreadPool:
    """Runs every job at once, on a thread of its own; an idle thread ends after ten seconds."""

    def __init__(self, *, idle: float = _IDLE_SECONDS) -> None:
        self._idle_seconds = idle
        self._jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0

    def start(self, job: Callable[[], None]) -> None:
        """Begin ``job`` on an idle thread or a new one; it must not raise."""
        with self._lock:
            reserved = self._idle > 0
            if reserved:
                self._idle -= 1
        self._jobs.put(job)
        if not reserved:
            # Daemons: an abandoned delivery must not keep the process from ending.
            threading.Thread(target=self._work, name="gennaker-delivery", daemon=True).start()

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=self._idle_seconds)
            except Empty:
                with self._lock:
                    if self._idle > 0:
                        self._idle -= 1
                        return
                continue  # a job was meant for an idle thread and is just being put
            job()
            del job
            with self._lock:
                self._idle += 1
