"""The journal in one SQLite file: WAL, ``synchronous=FULL``, one transaction a moment.

``journal.open_journal`` makes it; everybody else sees the port. One connection writes (its
``data_version`` moves only for the commits of others), one reads beside it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from gennaker_engine.journal.errors import StateError
from gennaker_engine.journal.filesystem import refuse_network_folder
from gennaker_engine.journal.migrations import Migrations
from gennaker_engine.journal.ownership import FileOwnership, find_owner, own_run
from gennaker_engine.journal.port import (
    RunFilter,
    RunRow,
)
from gennaker_engine.journal.queries import load_queries
from gennaker_engine.journal.rows import (
    read_run,
)
from gennaker_engine.journal.shared import SharedJournal
from gennaker_engine.journal.sqlite_transaction import (
    SqliteTransaction,
    explain_error,
    read_rows,
)

__all__ = ["SqliteJournal"]

_APPLICATION = 0x67656E6E  # "genn", so that another program's database is never taken for ours
_BUSY_SECONDS = 10.0
_SLACK = 1 << 20
"""Free bytes below which a file is not written anew; from there on, a quarter of it."""

Json = Any


class SqliteJournal(SharedJournal):
    """A journal in the SQLite file ``path``; made, with its folder, when it is not there.

    Args:
        path: the database's file.
        owners: the folder of the runs' lock files.
        busy: seconds to wait for another process that writes.
        migrations: the steps of its schema; this release's when None.

    Raises:
        StateError: ``state-unwritable``, ``state-corrupt``, ``state-busy``, ``state-full``,
            ``state-newer``, ``state-foreign`` or ``state-on-network``.
    """

    connection_class: ClassVar[type[sqlite3.Connection]] = sqlite3.Connection
    """What its connections are; another one may fail where the real one would."""

    def __init__(
        self,
        path: Path,
        owners: Path,
        *,
        busy: float = _BUSY_SECONDS,
        migrations: Migrations | None = None,
    ) -> None:
        self._path = path
        self._owners = owners
        self._busy = busy
        self._migrations = migrations or Migrations.of("sqlite")
        self._queries = load_queries("sqlite_queries.sql")
        self._write_lock = threading.RLock()
        self._read_lock = threading.Lock()
        self._reader: sqlite3.Connection | None = None
        with self._translated():
            self._open()

    # Opening ------------------------------------------------------------------------------------

    def _open(self) -> None:
        refuse_network_folder(self._path.parent)
        _make_private_file(self._path)
        self._writer = self._connect()
        try:
            self._prepare()
        except BaseException:
            self._writer.close()
            raise

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path,
            timeout=self._busy,
            isolation_level=None,
            check_same_thread=False,
            factory=self.connection_class,
        )
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    def _prepare(self) -> None:
        """Switch to WAL and bring the schema up to date, once, whoever comes first."""
        if self._is_current():
            return
        self._use_wal()
        with self._begun():
            if self._is_current():
                return
            for statement in self._migrations.list_statements(after=self._find_version()):
                self._writer.execute(statement)
            self._writer.execute(f"PRAGMA application_id = {_APPLICATION}")
            self._writer.execute(f"PRAGMA user_version = {self._migrations.newest}")

    def _is_current(self) -> bool:
        return self._migrations.is_current(self._find_version(), str(self._path))

    def _find_version(self) -> int:
        """Return the version of the schema, 0 of an empty file."""
        (application,) = self._writer.execute("PRAGMA application_id").fetchone()
        (version,) = self._writer.execute("PRAGMA user_version").fetchone()
        if application != _APPLICATION:
            if self._writer.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
                raise StateError(
                    f"{self._path} is a database of another program",
                    code="state-foreign",
                    hint="choose another file as state",
                )
            return 0
        return int(version)

    def _use_wal(self) -> None:
        # Changing the mode does not wait for others by itself, as other statements do.
        until = time.monotonic() + self._busy
        while True:
            try:
                (mode,) = self._writer.execute("PRAGMA journal_mode = WAL").fetchone()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise
                time.sleep(0.01)
                continue
            if mode != "wal":
                raise StateError(
                    f"{self._path} cannot keep a write-ahead log (mode {mode!r})",
                    code="state-unwritable",
                    hint="put the state on a local disk",
                )
            return

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._explain(error) from error
        except OSError as error:
            raise StateError(
                f"cannot use the state {self._path}: {error.strerror}",
                code="state-unwritable",
                hint="make its folder writable, or choose another with --state",
            ) from error

    def _explain(self, error: sqlite3.Error) -> StateError:
        return explain_error(error, self._path, busy=self._busy)

    # Writing ------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def transaction(self) -> Iterator[SqliteTransaction]:
        """Begin a write transaction at once; commit durably on leaving, roll back on an error.

        Raises:
            StateError: ``state-newer`` when another process has upgraded the schema meanwhile.
        """
        with self._begun() as transaction:
            (version,) = self._writer.execute("PRAGMA user_version").fetchone()
            self._migrations.is_current(version, str(self._path))
            yield transaction

    @contextlib.contextmanager
    def _begun(self) -> Iterator[SqliteTransaction]:
        with self._write_lock, self._translated():
            transaction = SqliteTransaction(self._writer, self._queries, self._explain)
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                yield transaction
                transaction.keep_counters()
                self._commit(transaction)
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    def _commit(self, transaction: SqliteTransaction) -> None:
        try:
            self._writer.execute("COMMIT")
        except sqlite3.Error:
            # What failed may have come after the commit itself: then the events are there.
            if self._writer.in_transaction or not self._was_committed(transaction):
                raise

    def _was_committed(self, transaction: SqliteTransaction) -> bool:
        if not transaction.wrote:
            return True  # there was nothing to keep
        return bool(transaction.appended) and all(
            self._read(self._queries["select_data"], {"run": run, "sequence": sequence})
            == [(text,)]
            for run, sequence, text in transaction.appended
        )

    # Reading ------------------------------------------------------------------------------------

    def _read(self, query: str, parameters: Mapping[str, Json]) -> list[tuple[Any, ...]]:
        with self._read_lock, self._translated():
            if self._reader is None:
                self._reader = self._connect()
                self._reader.execute("PRAGMA query_only = ON")
            return read_rows(self._reader, query, parameters)

    def list_runs(self, which: RunFilter) -> list[RunRow]:
        """Return rows, newest first."""
        conditions = ["1"]
        if which.pipeline is not None:
            conditions.append(self._queries["where_pipeline"])
        if which.states:
            conditions.append(self._queries["where_states"])
            if "ended" not in which.states:
                conditions.append(self._queries["where_active"])
        if which.outcomes:
            conditions.append(self._queries["where_outcomes"])
        rows = self._read(
            self._queries["list_runs"].format(conditions=" AND ".join(conditions)),
            {
                "pipeline": which.pipeline,
                "states": json.dumps(which.states),
                "outcomes": json.dumps(which.outcomes),
                "limit": which.limit,
            },
        )
        return [read_run(row) for row in rows]

    def change_token(self) -> object:
        """Return a value that differs after anyone but this object committed; cheap to ask."""
        with self._write_lock, self._translated():
            return self._writer.execute("PRAGMA data_version").fetchone()[0]

    # Retention ----------------------------------------------------------------------------------

    def _look(self, name: str, parameters: Mapping[str, Json]) -> list[tuple[Any, ...]]:
        return self._read(self._queries[name], parameters)

    def compact(self) -> int:
        """Write the file anew when much of it is free, and return the bytes given back.

        Others wait meanwhile; when one is at work just now nothing is done.
        """
        with self._write_lock, self._translated():
            free, pages, size = (
                self._writer.execute(f"PRAGMA {what}").fetchone()[0]
                for what in ("freelist_count", "page_count", "page_size")
            )
            if free * size < _SLACK or free * 4 < pages:
                return 0
            try:
                self._writer.execute("VACUUM")
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                    return 0
                raise
            (now,) = self._writer.execute("PRAGMA page_count").fetchone()
            return int((pages - now) * size)

    # Ownership ----------------------------------------------------------------------------------

    def own_run(self, run: str) -> FileOwnership | None:
        """Take the exclusive right to drive the run; None when another process has it."""
        return own_run(self._owners, run)

    def find_owner(self, run: str) -> str | None:
        """Return who drives the run (``user@host pid N``), None when nobody does."""
        return find_owner(self._owners, run)

    def close(self) -> None:
        """Release everything; a second call does nothing."""
        with self._write_lock, self._read_lock:
            self._writer.close()
            if self._reader is not None:
                self._reader.close()


def _make_private_file(path: Path) -> None:
    """Make the file readable for its owner only; SQLite gives its companions the same mode."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
