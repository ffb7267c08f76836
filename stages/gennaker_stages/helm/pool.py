"""Render workers that are kept for further charts: a start costs more than a hundred renderings."""

from __future__ import annotations

import atexit
import os
import sys
import threading

from gennaker.errors import StageError
from gennaker.process import Helper
from gennaker_stages.kubernetes.bundle.bounded import RenderLimits

__all__ = ["WorkerPool", "find_pool"]

# One answer: JSON may write one character as six; what a text holds is twice as long at most, and
# twice that when it is text in JSON itself.
_FACTOR = 10
_SPARE = 1 << 20


class WorkerPool:
    """At most so many workers at once; safe to use from several threads.

    Args:
        size: how many.
    """

    def __init__(self, size: int) -> None:
        self._slots = threading.BoundedSemaphore(size)
        self._lock = threading.Lock()
        self._idle: list[tuple[int, Helper]] = []

    def ask(self, question: bytes, limits: RenderLimits) -> bytes:
        """Return a worker's answer; a worker that fails is ended, and no other knows of it.

        Raises:
            StageError: codes ``program-timeout``, ``program-output`` and ``program-ended``.
        """
        with self._slots:
            kept = self._take(limits.memory)
            if kept is not None:
                try:
                    return self._ask(kept, question, limits)
                except StageError as error:
                    # It may have ended of itself, since nobody asked, just when it was taken.
                    if error.code != "program-ended":
                        raise
            return self._ask(_start(limits.memory), question, limits)

    def prepare(self, memory: int) -> None:
        """Start a worker with this limit when one may be started and none is idle."""
        if not self._slots.acquire(blocking=False):
            return
        try:
            with self._lock:
                is_there = any(each == memory for each, _ in self._idle)
            if not is_there:
                started = _start(memory)
                with self._lock:
                    self._idle.append((memory, started))
        finally:
            self._slots.release()

    def close(self) -> None:
        """End all that are idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, worker in idle:
            worker.end()

    def _ask(self, worker: Helper, question: bytes, limits: RenderLimits) -> bytes:
        answer = worker.ask(
            question, timeout=limits.wall + 5, max_bytes=_FACTOR * limits.output + _SPARE
        )
        with self._lock:
            self._idle.append((limits.memory, worker))
        return answer

    def _take(self, memory: int) -> Helper | None:
        """Return an idle worker with this limit, the one used last; the others' ends are noticed."""
        with self._lock:
            found = None
            ended = [each for each in self._idle if not each[1].is_alive]
            self._idle = [each for each in self._idle if each not in ended]
            for index in range(len(self._idle) - 1, -1, -1):
                if self._idle[index][0] == memory:
                    found = self._idle.pop(index)[1]
                    break
        for _, worker in ended:
            worker.end()
        return found


def _start(memory: int) -> Helper:
    return Helper([sys.executable, "-P", "-m", "gennaker_stages.helm.worker", str(memory)])


_POOLS: dict[int, WorkerPool] = {}
_POOLS_LOCK = threading.Lock()


def find_pool() -> WorkerPool:
    """Return this process's pool; a process that was forked from another has one of its own."""
    with _POOLS_LOCK:
        pid = os.getpid()
        if pid not in _POOLS:
            _POOLS[pid] = WorkerPool(max(2, os.cpu_count() or 1))
            atexit.register(_POOLS[pid].close)
        return _POOLS[pid]
