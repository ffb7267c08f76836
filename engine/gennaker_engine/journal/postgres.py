"""The journal in a PostgreSQL database, in a schema ``gennaker`` of its own.

``journal.open_journal`` makes it; everybody else sees the port. One connection writes and listens
for the commits of others, one reads beside it, one holds the locks of the runs driven here. Write
transactions follow one another, over all processes: an advisory lock of the transaction sees to it,
so that claims and the order of changes are seen by one writer at a time.

A lost connection is made again. Inside a transaction that is a :class:`VersionConflict`, because
nothing of it was kept; in a commit the server is asked what became of the transaction.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import psycopg

from gennaker_engine.journal.errors import StateError
from gennaker_engine.journal.migrations import Migrations
from gennaker_engine.journal.port import (
    RunFilter,
    RunRow,
    VersionConflict,
)
from gennaker_engine.journal.postgres_link import (
    LOST_HINT,
    Connection,
    ConnectionLost,
    Link,
    Server,
    Timeouts,
)
from gennaker_engine.journal.postgres_owners import (
    PostgresOwners,
    PostgresOwnership,
    make_lock_key,
)
from gennaker_engine.journal.queries import load_queries
from gennaker_engine.journal.rows import (
    RUN_FIELDS,
    encode_event,
    read_run,
)
from gennaker_engine.journal.shared import SharedJournal, SharedTransaction

__all__ = ["PostgresJournal"]

_ATTEMPTS = 5
_PAUSE = 0.05

Json = Any


class PostgresJournal(SharedJournal):
    """A journal in the database of ``url``; its schema is made when it is not there.

    Args:
        url: ``postgresql://USER:PASSWORD@HOST:PORT/DATABASE``.
        timeouts: how long things may take.
        migrations: the steps of its schema; this release's when None.

    Raises:
        InvalidInput: code ``state-url``.
        StateError: ``state-unreachable``, ``state-auth``, ``state-busy``, ``state-unwritable``,
            ``state-full``, ``state-newer`` or ``state-foreign``.
    """

    def __init__(
        self,
        url: str,
        *,
        timeouts: Timeouts | None = None,
        migrations: Migrations | None = None,
    ) -> None:
        self._sender = secrets.token_hex(6)
        self._server = Server(
            url, application=f"gennaker {self._sender}", timeouts=timeouts or Timeouts()
        )
        self._migrations = migrations or Migrations.of("postgres")
        self._queries = load_queries("postgres_queries.sql")
        self._write_lock = threading.RLock()
        self._read_lock = threading.Lock()
        self._noticed = 0
        """Commits of others, and moments in which there may have been some."""
        self._writer = Link(self._server, self._listen)
        self._reader = Link(self._server)
        self._owners = PostgresOwners(self._server, self._queries)
        try:
            self._prepare(self._writer.open())
        except psycopg.Error as error:
            self._writer.close()
            raise self._server.explain(error) from error
        except BaseException:
            self._writer.close()
            raise

    # Opening ------------------------------------------------------------------------------------

    def _prepare(self, connection: Connection) -> None:
        """Bring the schema up to date, once, whoever comes first."""
        if self._is_current(self._find_version(connection)):
            return
        connection.execute(self._queries["begin_upgrade"])
        try:
            version = self._find_version(connection)
            if not self._is_current(version):
                self._upgrade(connection, version)
            connection.execute(self._queries["commit"])
        except BaseException:
            self._roll_back(connection)
            raise

    def _upgrade(self, connection: Connection, version: int) -> None:
        if not connection.execute(self._queries["select_identity"]).fetchall()[0][0]:
            connection.execute(self._queries["create_schema"])
        for statement in self._migrations.list_statements(after=version):
            connection.execute(statement)
        connection.execute(self._queries["update_version"], {"version": self._migrations.newest})

    def _is_current(self, version: int) -> bool:
        return self._migrations.is_current(version, f"the {self._server.name}")

    def _find_version(self, connection: Connection) -> int:
        """Return the version of the schema, 0 where there is none yet."""
        rows = connection.execute(self._queries["select_identity"]).fetchall()
        _, is_ours, relations, encoding = rows[0]
        if encoding != "UTF8":
            raise StateError(
                f"the {self._server.name} keeps text as {encoding}",
                code="state-foreign",
                hint="make one for the state with ENCODING 'UTF8'",
            )
        if not is_ours:
            if relations:
                raise StateError(
                    f"the {self._server.name} has a schema 'gennaker' of another program",
                    code="state-foreign",
                    hint="choose another database as state",
                )
            return 0
        (version,) = connection.execute(self._queries["select_version"]).fetchall()[0]
        return int(version)

    def _listen(self, connection: Connection) -> None:
        """Hear of others' commits from now on; there may have been some before."""
        connection.add_notify_handler(self._take_notice)
        connection.execute(self._queries["listen"])
        self._noticed += 1

    def _take_notice(self, notice: psycopg.Notify) -> None:
        if notice.payload != self._sender:
            self._noticed += 1

    # Writing ------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def transaction(self) -> Iterator[PostgresTransaction]:
        """Begin a write transaction at once; commit durably on leaving, roll back on an error.

        Raises:
            ConnectionLost: a VersionConflict; nothing of the transaction was kept.
            StateError: ``state-newer`` when another process has upgraded the schema meanwhile.
        """
        with self._write_lock:
            transaction = self._begin()
            try:
                yield transaction
                transaction.keep_counters()
                self._commit(transaction)
            except BaseException:
                self._roll_back(transaction.connection)
                raise

    def _begin(self) -> PostgresTransaction:
        for _ in range(_ATTEMPTS):
            connection = self._writer.require()
            try:
                cursor = connection.execute(self._queries["begin"])
                while cursor.nextset():
                    pass
                number, version = cursor.fetchall()[0]
                self._is_current(version)
                return PostgresTransaction(
                    connection, number, link=self._writer, owners=self._owners
                )
            except psycopg.Error as error:
                if not self._writer.lose(error, connection):
                    self._roll_back(connection)
                    raise self._server.explain(error) from error
            except BaseException:
                self._writer.forget()  # interrupted: whatever it does now, it does without us
                raise
        raise self._server.unreachable("the connection is lost again and again")

    def _roll_back(self, connection: Connection) -> None:
        try:
            if not connection.closed:
                connection.execute(self._queries["rollback"])
        except psycopg.Error:
            self._writer.forget()

    def _commit(self, transaction: PostgresTransaction) -> None:
        connection = transaction.connection
        name = "commit_and_notify" if transaction.wrote else "commit"
        try:
            connection.execute(self._queries[name].format(sender=self._sender))
        except psycopg.Error as error:
            if not self._writer.lose(error, connection):
                raise self._server.explain(error) from error
            if transaction.wrote and not self._was_committed(transaction):
                raise ConnectionLost(
                    f"the connection to the {self._server.name} was lost before the commit",
                    hint=LOST_HINT,
                ) from error

    def _was_committed(self, transaction: PostgresTransaction) -> bool:
        """Ask what became of a transaction whose commit was not answered."""
        until = time.monotonic() + self._server.timeouts.patience
        while True:
            try:
                (status,) = self._read("select_status", {"transaction": transaction.number})[0]
            except StateError as error:
                if isinstance(error.__cause__, psycopg.errors.InvalidParameterValue):
                    # "In the future": the server crashed before it had written that it gave the number.
                    return False
                raise
            if status == "aborted":
                return False
            if status != "in progress":
                break
            # Its session is still there: it is ended, then the answer is definite.
            self._read(
                "end_session",
                {"pid": self._writer.last_pid, "application": self._server.application},
            )
            if time.monotonic() > until:
                raise self._server.unreachable("nobody can say what became of the last commit")
            time.sleep(_PAUSE)
        # After a failover the number may be that of another's: the events are ours, or not.
        return all(
            self._read("select_data", {"run": run, "sequence": sequence}) == [(text,)]
            for run, sequence, text in transaction.appended
        )

    # Reading ------------------------------------------------------------------------------------

    def _read(self, name: str, parameters: Mapping[str, Json]) -> list[tuple[Any, ...]]:
        with self._read_lock:
            return self._reader.query(self._queries[name], parameters)

    def list_runs(self, which: RunFilter) -> list[RunRow]:
        """Return rows, newest first."""
        conditions = ["true"]
        if which.pipeline is not None:
            conditions.append(self._queries["where_pipeline"])
        if which.states:
            conditions.append(self._queries["where_states"])
            if "ended" not in which.states:
                conditions.append(self._queries["where_active"])
        if which.outcomes:
            conditions.append(self._queries["where_outcomes"])
        values = {
            "pipeline": which.pipeline,
            "states": list(which.states),
            "outcomes": list(which.outcomes),
            "limit": which.limit,
        }
        query = self._queries["list_runs"].format(conditions=" AND ".join(conditions))
        with self._read_lock:
            rows = self._reader.query(query, values)
        return [read_run(row) for row in rows]

    def change_token(self) -> object:
        """Return a value that differs soon after anyone but this object committed; cheap to ask.

        It is also when a lost connection of the ownerships is noticed.
        """
        with self._write_lock:
            self._owners.keep()
            if not self._writer.look():
                self._writer.require()
            return self._noticed

    # Retention ----------------------------------------------------------------------------------

    def _look(self, name: str, parameters: Mapping[str, Json]) -> list[tuple[Any, ...]]:
        return self._read(name, parameters)

    def compact(self) -> int:
        """Do nothing and return 0: the server's autovacuum makes room by itself."""
        return 0

    # Ownership ----------------------------------------------------------------------------------

    def own_run(self, run: str) -> PostgresOwnership | None:
        """Take the exclusive right to drive the run; None when another process has it."""
        return self._owners.own(run)

    def find_owner(self, run: str) -> str | None:
        """Return who drives the run (``user@host pid N``), None when nobody does."""
        rows = self._read("select_owner", {"run": run, "lock": make_lock_key(run)})
        return rows[0][0] if rows else None

    def close(self) -> None:
        """Release everything; a second call does nothing."""
        self._owners.close()
        with self._write_lock, self._read_lock:
            self._writer.close()
            self._reader.close()


class PostgresTransaction(SharedTransaction):
    """Reads and writes that become durable together; made by :meth:`PostgresJournal.transaction`.

    Attributes:
        connection: the one it began on.
        number: what the server calls it.
        appended: run, sequence and text of the first event of each append.
        wrote: whether there is anything for others to notice.
    """

    def __init__(
        self, connection: Connection, number: str, *, link: Link, owners: PostgresOwners
    ) -> None:
        super().__init__()
        self.connection = connection
        self.number = number
        self.appended: list[tuple[str, int, str]] = []
        self.wrote = False
        self._link = link
        self._owners = owners
        self._queries = load_queries("postgres_queries.sql")

    def _read(self, name: str, parameters: Mapping[str, Json]) -> list[tuple[Any, ...]]:
        return self._execute(name, parameters).fetchall()

    def _write(self, name: str, parameters: Mapping[str, Json]) -> None:
        self.wrote = True
        self._execute(name, parameters)

    def _execute(
        self, name: str, parameters: Mapping[str, Json]
    ) -> psycopg.Cursor[tuple[Any, ...]]:
        try:
            return self.connection.execute(self._queries[name], parameters)
        except psycopg.Error as error:
            if self._link.lose(error, self.connection):
                raise ConnectionLost(
                    f"the connection to the {self._link.server.name} was lost", hint=LOST_HINT
                ) from error
            raise self._link.server.explain(error) from error

    def _count_up(self, name: str) -> int:
        self.wrote = True
        return super()._count_up(name)

    def append(self, row: RunRow, expected_version: int, events: Sequence[dict[str, Json]]) -> None:
        """Add events to a run (``row.version`` is the version after them) and project its row.

        Raises:
            VersionConflict: when the run's version is not ``expected_version`` (0: a new run).
            StateError: code ``run-owned`` when it was driven here and somebody else took it.
        """
        if row.version != expected_version + len(events):
            raise ValueError(f"{len(events)} events do not lead to version {row.version}")
        texts = [encode_event(event) for event in events]
        self._check_ownership(row.run)
        values = {name: _keep_text(getattr(row, name)) for name in RUN_FIELDS}
        values |= {"expected": expected_version, "change": self._count_up("change")}
        found = self._read("update_run" if expected_version else "insert_run", values)
        if not found:
            raise VersionConflict(
                f"run {row.run!r} is not at version {expected_version} any more",
                hint="load its newest events and decide again",
            )
        if texts:
            self._write(
                "insert_events", {"key": found[0][0], "expected": expected_version, "data": texts}
            )
            self.appended.append((row.run, expected_version + 1, texts[0]))

    def _check_ownership(self, run: str) -> None:
        """Refuse what an owner appends who lost the run without noticing."""
        token = self._owners.find_token(run)
        if token is not None:
            rows = self._read("select_token", {"run": run})
            if rows and rows[0][0] != token:
                raise self._owners.explain_loss(run, rows[0][1])

    def _ask(self, name: str, parameters: Mapping[str, Json]) -> list[tuple[Any, ...]]:
        return self._read(name, parameters)

    def _change(self, name: str, parameters: Mapping[str, Json]) -> int:
        self.wrote = True
        return self._execute(name, parameters).rowcount

    def _pass_list(self, values: Sequence[str]) -> list[str]:
        return list(values)


def _keep_text(value: Json) -> Json:
    """Return what PostgreSQL can keep in a column: its text has no NUL. Events keep theirs."""
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value
