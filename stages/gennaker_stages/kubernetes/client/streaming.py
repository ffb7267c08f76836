"""An answer of the server that goes on for as long as both sides like; a part of watches and logs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

__all__ = ["Streaming"]


class Streaming:
    """What one thread reads, and any thread may end."""

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._answer: Any = None
        self._lock = threading.Lock()

    @property
    def stopped(self) -> bool:
        """Whether it was ended."""
        return self._stopped.is_set()

    def pause(self, seconds: float) -> None:
        """Wait before the next try, no longer than until it is ended."""
        self._stopped.wait(seconds)

    def stop(self) -> None:
        """End it, also while it waits for the server."""
        self._stopped.set()
        self.interrupt()

    def interrupt(self) -> None:
        """End the answer that is read just now."""
        with self._lock:
            if self._answer is not None:
                # It may have ended by itself just now.
                with contextlib.suppress(OSError, RuntimeError, ValueError):
                    self._answer.shutdown()

    @contextlib.contextmanager
    def hold(self, answer: Any) -> Iterator[None]:
        """Have an answer ended by :meth:`stop` while the block reads it, and close it afterwards."""
        with self._lock:
            self._answer = answer
        try:
            yield
        finally:
            with self._lock:
                self._answer = None
            answer.close()
            answer.release_conn()
