"""The driver's inbox: messages for the runs it drives, from deliveries, signals and commands."""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue

from gennaker.errors import GennakerError, NotAllowed
from gennaker.records import dataclass
from gennaker_engine.core.messages import Message

__all__ = ["Answer", "Inbox", "Letter", "not_driven", "run_owned"]


class Answer:
    """What became of a letter, known once its events are durable."""

    __slots__ = ("_done", "_error", "_refused")

    def __init__(self) -> None:
        self._done = threading.Event()
        self._error: BaseException | None = None
        self._refused: str | None = None

    def settle(self, *, refused: str | None = None, error: BaseException | None = None) -> None:
        """Say what became of it and wake who waits; the first call counts."""
        if not self._done.is_set():
            self._refused, self._error = refused, error
            self._done.set()

    def wait(self, timeout: float | None = None) -> str | None:
        """Return None when it was accepted and is durable, else why it was refused.

        Raises:
            GennakerError: what the core raised for it, or that nobody drives the run any more.
            TimeoutError: nothing became of it in ``timeout`` seconds.
        """
        if not self._done.wait(timeout):
            raise TimeoutError("no answer yet")
        if self._error is not None:
            raise self._error
        return self._refused


@dataclass(frozen=True, slots=True)
class Letter:
    """A message for one run; ``answer`` is settled after the commit, when somebody wants to know."""

    run: str
    message: Message
    answer: Answer | None = None


class Inbox:
    """Letters in the order they came. Putting one is safe from threads and signal handlers."""

    def __init__(self) -> None:
        self._letters: SimpleQueue[Letter] = SimpleQueue()
        self._closed = False

    def put(self, letter: Letter) -> None:
        """Hand a letter over; once the inbox is closed it is answered with an error at once."""
        self._letters.put(letter)
        if self._closed:
            self.close()

    def take(self, timeout: float, limit: int) -> list[Letter]:
        """Wait at most ``timeout`` seconds for a letter; return it and those behind it."""
        found: list[Letter] = []
        try:
            if timeout > 0:
                found.append(self._letters.get(timeout=timeout))
            while len(found) < limit:
                found.append(self._letters.get_nowait())
        except Empty:
            pass
        return found

    def close(self) -> None:
        """Refuse what is in it and whatever comes later."""
        self._closed = True
        while True:
            try:
                letter = self._letters.get_nowait()
            except Empty:
                return
            if letter.answer is not None:
                letter.answer.settle(error=not_driven(letter.run))


def run_owned(run: str, owner: str | None) -> NotAllowed:
    """Return the error of who wants a run that another process drives."""
    return NotAllowed(
        f"run {run!r} is driven by {owner or 'another process'}",
        code="run-owned",
        hint=f"watch it with 'gennaker status --watch {run}'",
    )


def not_driven(run: str) -> GennakerError:
    """Return the error of a letter that comes too late."""
    return GennakerError(
        f"run {run!r} is not driven by this process any more",
        code="not-driven",
        hint=f"look at it with 'gennaker status {run}'",
    )
