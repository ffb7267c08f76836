"""Who drives a run, in PostgreSQL: a session's advisory lock, on a connection of its own.

The server gives the lock back when the process ends, however it ends. A row of the table ``owners``
says in words who has it, and holds a token: an owner whose connection was lost takes its locks
again, and learns from the token whether somebody else had the run meanwhile.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

import psycopg

from gennaker_engine.journal.errors import StateError
from gennaker_engine.journal.ownership import describe_process
from gennaker_engine.journal.port import Defer
from gennaker_engine.journal.postgres_link import Connection, Link, Server

__all__ = ["PostgresOwners", "PostgresOwnership", "make_lock_key"]

_ATTEMPTS = 5
_PAUSE = 0.05


def make_lock_key(run: str) -> int:
    """Return the number of a run's advisory lock, a signed 64-bit integer."""
    return int.from_bytes(sha256(f"gennaker/{run}".encode()).digest()[:8], "big", signed=True)


@dataclass(eq=False, slots=True)
class PostgresOwnership:
    """The right to drive one run, held until :meth:`release` or the end of the process."""

    run: str
    token: str
    owners: PostgresOwners
    session: int = 0
    """The connection that holds its lock, by its number."""

    def release(self, defer: Defer | None = None) -> None:
        """Give it up. A second call does nothing."""
        self.owners.release(self)


class PostgresOwners:
    """The runs that one journal drives. Safe for threads."""

    def __init__(self, server: Server, queries: Mapping[str, str]) -> None:
        self._link = Link(server)
        self._queries = queries
        self._held: dict[str, PostgresOwnership] = {}
        self._locked = 0
        """The connection, by its number, that holds the locks of all held runs."""
        self._lock = threading.RLock()

    def own(self, run: str) -> PostgresOwnership | None:
        """Take the right to drive ``run``; None when somebody has it.

        Raises:
            StateError: when the server cannot be asked.
        """
        with self._lock:
            if run in self._held:
                return None
            ownership = PostgresOwnership(run, secrets.token_hex(8), self)
            lost = 0
            for _ in range(_ATTEMPTS):
                self.keep()
                connection = self._link.require()
                try:
                    if lost:  # it may hold the lock that is asked for
                        self._end_session(connection, lost)
                    if not self._try_lock(connection, run):
                        if not lost:
                            return None
                        time.sleep(_PAUSE)
                        continue
                    self._write(connection, ownership)
                except psycopg.Error as error:
                    if not self._link.lose(error, connection):
                        raise self._link.server.explain(error) from error
                    lost = self._link.last_pid
                    continue
                self._held[run] = ownership
                self._locked = ownership.session = self._link.opened
                return ownership
            return None

    def release(self, ownership: PostgresOwnership) -> None:
        """Give a run up; on a lost connection the server has done so already."""
        with self._lock:
            if self._held.get(ownership.run) is not ownership:
                return
            del self._held[ownership.run]
            if not self._link.look() or ownership.session != self._link.opened:
                return
            connection = self._link.open()
            values = {"run": ownership.run, "token": ownership.token}
            try:
                connection.execute(self._queries["delete_owner"], values)
                self._unlock(connection, ownership.run)
            except psycopg.Error:
                self._link.forget()  # with it goes the lock; keep() takes those of other runs again

    def find_token(self, run: str) -> str | None:
        """Return the token of a run that is held here."""
        ownership = self._held.get(run)
        return ownership.token if ownership is not None else None

    def keep(self) -> None:
        """Take the locks again when their connection was lost; some microseconds when it was not.

        Raises:
            StateError: code ``run-owned`` when somebody else took a run meanwhile.
        """
        with self._lock:
            if not self._held or (self._link.look() and self._locked == self._link.opened):
                return
            for _ in range(_ATTEMPTS):
                stale = self._link.last_pid
                connection = self._link.require()
                try:
                    self._end_session(connection, stale)
                    for ownership in tuple(self._held.values()):
                        # Once a session: a lock that was taken twice would have to be freed twice.
                        if ownership.session != self._link.opened:
                            self._take_again(connection, ownership)
                except psycopg.Error as error:
                    if not self._link.lose(error, connection):
                        raise self._link.server.explain(error) from error
                    continue
                self._locked = self._link.opened
                return
            raise self._link.server.unreachable("the connection is lost again and again")

    def close(self) -> None:
        """Give everything up."""
        with self._lock:
            for ownership in list(self._held.values()):
                self.release(ownership)
            self._link.close()

    def explain_loss(self, run: str, owner: str) -> StateError:
        """Return the error of an owner who is none any more."""
        return StateError(
            f"run {run!r} was taken over by {owner} while the state could not be reached",
            code="run-owned",
            hint=f"watch it with 'gennaker status --watch {run}'",
        )

    def _try_lock(self, connection: Connection, run: str) -> bool:
        rows = connection.execute(self._queries["lock_run"], {"lock": make_lock_key(run)})
        return rows.fetchall()[0][0] is True

    def _unlock(self, connection: Connection, run: str) -> None:
        connection.execute(self._queries["unlock_run"], {"lock": make_lock_key(run)})

    def _write(self, connection: Connection, ownership: PostgresOwnership) -> None:
        """Say who it is; without that, no lock."""
        values = {"run": ownership.run, "token": ownership.token, "owner": describe_process()}
        try:
            connection.execute(self._queries["write_owner"], values)
        except psycopg.Error:
            with contextlib.suppress(psycopg.Error):
                self._unlock(connection, ownership.run)
            raise

    def _end_session(self, connection: Connection, pid: int) -> None:
        """End the session that was lost here but is not yet on the server, and holds the locks."""
        if pid != connection.info.backend_pid:
            values = {"pid": pid, "application": self._link.server.application}
            connection.execute(self._queries["end_session"], values)

    def _take_again(self, connection: Connection, ownership: PostgresOwnership) -> None:
        run, owner = ownership.run, "another process"
        for _ in range(_ATTEMPTS):
            locked = self._try_lock(connection, run)
            rows = connection.execute(self._queries["select_token"], {"run": run}).fetchall()
            if not rows or rows[0][0] != ownership.token:
                # It was taken, and perhaps given up again: the run has gone on without us.
                owner = rows[0][1] if rows else owner
                if locked:
                    self._unlock(connection, run)
                break
            if locked:
                ownership.session = self._link.opened
                return
            time.sleep(_PAUSE)  # the lost session is being ended
        del self._held[run]
        raise self.explain_loss(run, owner)
