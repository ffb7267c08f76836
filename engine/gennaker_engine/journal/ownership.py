"""Who drives a run: an ``flock`` on a file of that run, exact and immune to clocks.

The kernel gives the lock back when the process ends, however it ends. The file's text says who
holds it, for people; only the lock counts.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import time
from functools import cache, partial
from pathlib import Path

from gennaker_engine.journal.errors import StateError
from gennaker_engine.journal.port import Defer

__all__ = ["FileOwnership", "describe_process", "find_owner", "own_run"]

_ATTEMPTS = 20
_PAUSE = 0.001
_held: set[int] = set()


def _let_go_in_child() -> None:
    """A stage forked: the lock is its parent's alone, and must end with it."""
    for descriptor in _held:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_let_go_in_child)


class FileOwnership:
    """The right to drive one run, held until :meth:`release` or the end of the process."""

    def __init__(self, run: str, path: Path, descriptor: int) -> None:
        self.run = run
        self._path = path
        self._descriptor: int | None = descriptor
        _held.add(descriptor)

    def release(self, defer: Defer | None = None) -> None:
        """Give it up; the file goes away with it. A second call does nothing.

        Closing is what deletes the file, and may cost a disk a millisecond: ``defer`` takes it over.
        """
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            # Unlinked while locked: who opened it meanwhile sees another inode and tries again.
            with contextlib.suppress(OSError):
                self._path.unlink()
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            _held.discard(descriptor)
            close = partial(os.close, descriptor)
            close() if defer is None else defer(close)


def describe_process() -> str:
    """Return ``user@host pid N`` of this process."""
    return f"{find_user()}@{socket.gethostname()} pid {os.getpid()}"


def find_user() -> str:
    """Return the operating-system user's name, the number when it has none."""
    return _name_user(os.getuid())


@cache
def _name_user(number: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def own_run(folder: Path, run: str) -> FileOwnership | None:
    """Take the right to drive ``run``; None when another process has it.

    Raises:
        StateError: code ``state-unwritable`` when the lock's file cannot be made.
    """
    path = folder / f"{run}.lock"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for _ in range(_ATTEMPTS):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if _try_lock(descriptor, path):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, describe_process().encode(), 0)
                return FileOwnership(run, path, descriptor)
            os.close(descriptor)
            # A look by find_owner holds the lock for microseconds: not an owner.
            time.sleep(_PAUSE)
    except OSError as error:
        raise StateError(
            f"cannot take the run {run!r}: {path}: {error.strerror}",
            code="state-unwritable",
            hint="make the state's folder writable, or choose another state",
        ) from error
    return None


def find_owner(folder: Path, run: str) -> str | None:
    """Return ``user@host pid N`` of who drives the run, None when nobody does."""
    for _ in range(_ATTEMPTS):
        try:
            descriptor = os.open(folder / f"{run}.lock", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            if said := os.pread(descriptor, 1024, 0).decode(errors="replace"):
                return said
        else:
            return None
        finally:
            os.close(descriptor)
        # It has just taken the lock and has not said yet who it is.
        time.sleep(_PAUSE)
    return "another process"


def _try_lock(descriptor: int, path: Path) -> bool:
    """Lock the open file; False when somebody has it or the file was replaced meanwhile."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    try:
        return os.fstat(descriptor).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False
