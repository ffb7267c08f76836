"""The SQLite journal where it cannot be written: on a read-only mount, or in somebody else's folder.

SQLite shares memory through a file beside the database, also with who only reads; where that file
can neither be found nor made, it reads a database only as one that nobody changes.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gennaker.records import dataclass
from gennaker_engine.journal.errors import StateError
from gennaker_engine.journal.filesystem import refuse_network_folder
from gennaker_engine.journal.sqlite import SqliteJournal
from gennaker_engine.journal.sqlite_transaction import read_rows

__all__ = ["ReadOnlySqliteJournal"]

_TRIES = 10
_TICK = 0.02
"""Seconds within which two writes may leave a file with the same time: a kernel tick, and some more."""


@dataclass(frozen=True, slots=True)
class _Files:
    """What tells whether the database's file is another than it was.

    Attributes:
        log: whether somebody writes, or was interrupted: the newest is not in the file but beside it,
            and so is the shared memory.
    """

    inode: int
    size: int
    modified: int
    log: bool

    @classmethod
    def look(cls, path: Path) -> _Files:
        """Look at a database's files."""
        found = path.stat()
        try:
            log = path.with_name(f"{path.name}-wal").stat().st_size > 0
        except FileNotFoundError:
            log = False
        return cls(found.st_ino, found.st_size, found.st_mtime_ns, log)


class ReadOnlySqliteJournal(SqliteJournal):
    """A journal that is only read; a write is ``state-unwritable``.

    A file that nobody has open is read as it is, without a lock. Should somebody write meanwhile,
    through another mount, the file is another after a question than before it, and is asked anew.
    """

    def _open(self) -> None:
        refuse_network_folder(self._path.parent)
        self._files = _Files.look(self._path)
        self._writer = self._connect()
        try:
            if not self._is_current():
                raise StateError(
                    f"{self._path} was written by an older Gennaker, and cannot be brought up to "
                    "date where it cannot be written",
                    code="state-unwritable",
                    hint="copy its folder to where you may write, and name that with --state",
                )
        except BaseException:
            self._writer.close()
            raise

    def _connect(self) -> sqlite3.Connection:
        unchanged = "" if self._files.log else "&immutable=1"
        return sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode=ro{unchanged}",
            uri=True,
            timeout=self._busy,
            isolation_level=None,
            check_same_thread=False,
            factory=self.connection_class,
        )

    def _follow_files(self) -> _Files:
        """Open the database anew when its files are others than they were, and return them."""
        files = _Files.look(self._path)
        if not files.log and abs(time.time() - files.modified / 1e9) < _TICK:
            time.sleep(_TICK)  # so that a write that follows is one that can be told
            files = _Files.look(self._path)
        if files != self._files:
            self._writer.close()
            self._files = files
            self._writer = self._connect()
        return files

    def _read(self, query: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        with self._read_lock, self._translated():
            for _ in range(_TRIES):
                files = self._follow_files()
                try:
                    rows = read_rows(self._writer, query, parameters)
                except sqlite3.DatabaseError:
                    # Half of a change looks like damage.
                    if files.log or _Files.look(self._path) == files:
                        raise
                    continue
                if files.log or _Files.look(self._path) == files:
                    return rows
        raise StateError(
            f"the state {self._path} is written all the time, and can only be read here",
            code="state-busy",
            hint="try again, or look where it can be written",
        )

    def change_token(self) -> object:
        """Return a value that differs after anyone committed."""
        with self._read_lock, self._translated():
            files = self._follow_files()
            return files, self._writer.execute("PRAGMA data_version").fetchone()[0]
