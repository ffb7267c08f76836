"""One transaction of the SQLite journal: its statements, each with the database's errors in our words."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gennaker_engine.journal.errors import StateError
from gennaker_engine.journal.port import (
    RunRow,
    VersionConflict,
)
from gennaker_engine.journal.rows import (
    RUN_FIELDS,
    encode_event,
)
from gennaker_engine.journal.shared import SharedTransaction

__all__ = ["SqliteTransaction", "explain_error", "read_rows"]

Json = Any
Explain = Callable[[sqlite3.Error], StateError]


class SqliteTransaction(SharedTransaction):
    """Reads and writes that become durable together; made by :meth:`SqliteJournal.transaction`.

    Attributes:
        appended: run, sequence and text of the first event of each append.
    """

    def __init__(
        self, connection: sqlite3.Connection, queries: Mapping[str, str], explain: Explain
    ) -> None:
        super().__init__()
        self._explain = explain
        self.appended: list[tuple[str, int, str]] = []
        self._connection = connection
        self._queries = queries
        self._before = connection.total_changes

    @property
    def wrote(self) -> bool:
        """Whether there is anything to keep."""
        return self._connection.total_changes != self._before

    def append(self, row: RunRow, expected_version: int, events: Sequence[dict[str, Json]]) -> None:
        """Add events to a run (``row.version`` is the version after them) and project its row.

        Raises:
            VersionConflict: when the run's version is not ``expected_version`` (0: a new run).
        """
        if row.version != expected_version + len(events):
            raise ValueError(f"{len(events)} events do not lead to version {row.version}")
        values = {name: getattr(row, name) for name in RUN_FIELDS}
        values |= {"expected": expected_version, "change": self._count_up("change")}
        found = self._ask("update_run" if expected_version else "insert_run", values)
        if not found:
            raise VersionConflict(
                f"run {row.run!r} is not at version {expected_version} any more",
                hint="load its newest events and decide again",
            )
        key = found[0][0]
        texts = [encode_event(data) for data in events]
        rows = [(key, sequence, text) for sequence, text in enumerate(texts, expected_version + 1)]
        try:
            self._connection.executemany(self._queries["insert_event"], rows)
        except sqlite3.Error as error:
            raise self._explain(error) from error
        self.appended += [(row.run, expected_version + 1, text) for text in texts[:1]]

    def _ask(self, name: str, parameters: Mapping[str, Json]) -> list[tuple[Any, ...]]:
        try:
            return read_rows(self._connection, self._queries[name], parameters)
        except sqlite3.Error as error:  # told as one of the database: no stage is to blame for it
            raise self._explain(error) from error

    def _change(self, name: str, parameters: Mapping[str, Json]) -> int:
        try:
            return self._connection.execute(self._queries[name], parameters).rowcount
        except sqlite3.Error as error:
            raise self._explain(error) from error

    def _pass_list(self, values: Sequence[str]) -> str:
        return json.dumps(values)


def read_rows(
    connection: sqlite3.Connection, query: str, parameters: Mapping[str, Json]
) -> list[tuple[Any, ...]]:
    """Return the rows of a query; a damaged text among them concerns nobody who reads the others.

    A text that is not UTF-8, which Python refuses together with all rows, begins with words that are
    in no event, so that this one is told as damaged. The query is made again for it: it may write
    only when it returns no text.
    """
    try:
        return connection.execute(query, parameters).fetchall()
    except sqlite3.OperationalError as error:
        if not str(error).startswith("Could not decode to UTF-8"):
            raise
    connection.text_factory = _decode_damaged
    try:
        return connection.execute(query, parameters).fetchall()
    finally:
        connection.text_factory = str


def _decode_damaged(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return f"not UTF-8: {text.decode(errors='backslashreplace')}"


_UNWRITABLE = (
    "state-unwritable",
    "the state {path} cannot be written",
    "make it and its folder writable, or choose another with --state",
)
_CORRUPT = (
    "state-corrupt",
    "the state {path} is damaged or no journal",
    "restore it from a copy, or choose another file as state",
)
_EXPLANATIONS: dict[int, tuple[str, str, str | None]] = {
    sqlite3.SQLITE_BUSY: ("state-busy", "the state {path} is locked", None),
    sqlite3.SQLITE_LOCKED: ("state-busy", "the state {path} is locked", None),
    sqlite3.SQLITE_READONLY: _UNWRITABLE,
    sqlite3.SQLITE_CANTOPEN: _UNWRITABLE,
    sqlite3.SQLITE_PERM: _UNWRITABLE,
    sqlite3.SQLITE_IOERR: (
        "state-unwritable",
        "the disk of the state {path} fails",
        "see what the system's log says of it; runs go on with 'gennaker resume'",
    ),
    sqlite3.SQLITE_FULL: (
        "state-full",
        "the disk of the state {path} is full",
        "make room; the run goes on with 'gennaker resume'",
    ),
    sqlite3.SQLITE_CORRUPT: _CORRUPT,
    sqlite3.SQLITE_NOTADB: _CORRUPT,
    sqlite3.SQLITE_ERROR: _CORRUPT,
}


def explain_error(error: sqlite3.Error, path: object, *, busy: float) -> StateError:
    """Return an error of SQLite in our words.

    Args:
        path: the database's file.
        busy: seconds it was waited for while another process wrote.
    """
    number = getattr(error, "sqlite_errorcode", 0) & 0xFF
    code, what, hint = _EXPLANATIONS.get(
        number, ("state-error", f"the state {{path}} gave an error ({error})", None)
    )
    if number == sqlite3.SQLITE_BUSY:
        hint = f"another process kept it locked for {busy:g}s; see who has it open"
    return StateError(what.format(path=path), code=code, hint=hint)
