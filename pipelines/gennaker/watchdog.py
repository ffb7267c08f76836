"""A bound on the time that other people's code takes where nothing can go on without it.

The loader of Python files and the plugin registry run such code in their own process, because what
it makes are objects. A timer of the operating system interrupts it: also a sleep, a lock or a read.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["LOADING_SECONDS", "TookTooLong", "limit_time"]

LOADING_SECONDS = 30.0
"""How long the import of a plugin, or the run of a Python pipeline file, may take."""

_AGAIN = 1.0


class TookTooLong(BaseException):
    """The time is over; not an ``Exception``, so that what catches those does not go on."""


@contextmanager
def limit_time(seconds: float) -> Iterator[None]:
    """Raise ``TookTooLong`` in the body when it takes longer; once more each second after that.

    Only the main thread can be interrupted: in another one there is no limit. Neither is there in
    native code that does not return; Python's own interrupts none either.

    Args:
        seconds: wall time.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    inside = True

    def interrupt(_number: int, _frame: object) -> None:
        if inside:
            raise TookTooLong(f"it took longer than {seconds:g} seconds")

    handler = signal.signal(signal.SIGALRM, interrupt)
    started = time.monotonic()
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        yield
    finally:
        inside = False
        # A timer that somebody else had set goes on as if it had never stopped.
        rest = max(left - (time.monotonic() - started), 0.001) if left else 0.0
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, rest, interval)
