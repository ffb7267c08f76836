"""Logs of every attempt: masked lines, bounded, written as they come, followed live.

One file an attempt, one line a line: ``SECONDS STREAM TEXT`` with the stream's first letter
(``o``, ``e``, ``s``). Past the limit the beginning is kept, then the last part.
"""

from __future__ import annotations

import heapq
import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from gennaker.records import dataclass
from gennaker_engine.storage.folder import make_private

__all__ = ["LogCursor", "LogLine", "LogStore", "LogWriter"]

MAX_LINE = 64 << 10
MAX_BYTES = 50 << 20
KEPT_TAIL = 1 << 20
_STREAMS = {"stdout": "o", "stderr": "e", "system": "s"}
_NAMES = {letter: name for name, letter in _STREAMS.items()}
_NUMBER = re.compile(r"\[(\d+)\]$")


class Masks(Protocol):
    """What hides secret values."""

    def mask(self, text: str) -> str:
        """Return the text without them."""


@dataclass(frozen=True, slots=True, order=True)
class LogLine:
    """One line: ``at`` in seconds since the epoch, which attempt, which stream."""

    at: float
    instance: str
    attempt: int
    stream: str
    text: str


class LogWriter:
    """Appends lines to one attempt's log; safe from several threads."""

    def __init__(
        self,
        path: Path,
        masks: Masks,
        *,
        limit: int = MAX_BYTES,
        clock: Callable[[], float] = time.time,
        on_line: Callable[[str, str], None] | None = None,
    ) -> None:
        make_private(path.parent)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.open(path, flags, 0o600)
        self._masks = masks
        self._left = limit - os.fstat(self._file).st_size
        self._clock = clock
        self._on_line = on_line
        self._lock = threading.Lock()
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._dropped = 0

    def write(self, text: str, stream: str = "system") -> None:
        """Write text, line by line; masked, cut at 64 KiB a line."""
        letter = _STREAMS[stream]
        for line in self._masks.mask(text).splitlines() or [""]:
            if len(line) > MAX_LINE:
                line = f"{line[:MAX_LINE]}… [{len(line) - MAX_LINE} characters cut]"
            with self._lock:
                self._append(f"{self._clock():.6f} {letter} {line}\n".encode(errors="replace"))
            if self._on_line is not None:
                self._on_line(stream, line)

    def close(self) -> None:
        """Write the kept tail, if the limit was passed, and close."""
        with self._lock:
            if self._file < 0:
                return
            if self._dropped or self._tail:
                if self._dropped:
                    note = f"[{self._dropped} lines left out: the log is larger than its limit]"
                    os.write(self._file, f"{self._clock():.6f} s {note}\n".encode())
                for line in self._tail:
                    os.write(self._file, line)
            os.close(self._file)
            self._file = -1

    def _append(self, line: bytes) -> None:
        if self._file < 0:
            return
        self._left -= len(line)
        if self._left >= 0:
            os.write(self._file, line)
            return
        self._tail.append(line)
        self._tail_size += len(line)
        while self._tail_size > KEPT_TAIL:
            self._tail_size -= len(self._tail.popleft())
            self._dropped += 1


class LogStore:
    """The logs below one folder: ``RUN/INSTANCE/ATTEMPT.log``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path_of(self, run: str, instance: str, attempt: int) -> Path:
        """Return the file of one attempt's log."""
        return self.folder / run / instance / f"{attempt}.log"

    def writer(
        self,
        run: str,
        instance: str,
        attempt: int,
        masks: Masks,
        on_line: Callable[[str, str], None] | None = None,
    ) -> LogWriter:
        """Open an attempt's log for appending (a later delivery goes on in the same file)."""
        return LogWriter(self.path_of(run, instance, attempt), masks, on_line=on_line)

    def read(
        self,
        run: str,
        *,
        stage: str | None = None,
        attempt: int | None = None,
        since: float | None = None,
    ) -> Iterator[LogLine]:
        """Yield the lines of a run in order of time.

        ``stage`` is a stage (all its instances) or one instance; ``attempt`` None means all.
        """
        files = [
            _read_file(path, instance, number, 0)
            for instance, number, path in self._find(run, stage, attempt)
        ]
        for line, _ in heapq.merge(*files, key=lambda each: each[0].at):
            if since is None or line.at >= since:
                yield line

    def cursor(
        self, run: str, *, stage: str | None = None, attempt: int | None = None
    ) -> LogCursor:
        """Return what reads only the lines that are new since the last call."""
        return LogCursor(self, run, stage, attempt)

    def _find(
        self, run: str, stage: str | None, attempt: int | None
    ) -> Iterator[tuple[str, int, Path]]:
        folder = self.folder / run
        if not folder.is_dir():
            return
        for each in sorted(folder.iterdir()):
            if stage is not None and stage not in (each.name, _NUMBER.sub("", each.name)):
                continue
            for path in sorted(each.glob("*.log"), key=lambda found: int(found.stem)):
                if attempt is None or int(path.stem) == attempt:
                    yield each.name, int(path.stem), path


class LogCursor:
    """Remembers how far each file was read; a line is given once it is whole."""

    def __init__(self, store: LogStore, run: str, stage: str | None, attempt: int | None) -> None:
        self._store = store
        self._which = (run, stage, attempt)
        self._offsets: dict[Path, int] = {}

    def poll(self) -> list[LogLine]:
        """Return the new lines in order of time."""
        found: list[LogLine] = []
        for instance, number, path in self._store._find(*self._which):
            for line, end in _read_file(path, instance, number, self._offsets.get(path, 0)):
                found.append(line)
                self._offsets[path] = end
        return sorted(found, key=lambda line: line.at)


def _read_file(
    path: Path, instance: str, attempt: int, offset: int
) -> Iterator[tuple[LogLine, int]]:
    with path.open("rb") as stream:
        stream.seek(offset)
        for raw in stream:
            if not raw.endswith(b"\n"):
                return
            offset += len(raw)
            at, letter, text = raw[:-1].decode(errors="replace").split(" ", 2)
            yield LogLine(float(at), instance, attempt, _NAMES.get(letter, "system"), text), offset
