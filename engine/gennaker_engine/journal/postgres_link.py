"""Connections to PostgreSQL: made from a URL, made again after a loss, errors in our words.

The PostgreSQL journal and its ownerships work through :class:`Link`. No message holds the URL: it
may hold a password.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import psycopg
from psycopg.conninfo import conninfo_to_dict

from gennaker.errors import InvalidInput
from gennaker_engine.journal.errors import StateError
from gennaker_engine.journal.port import VersionConflict
from gennaker_engine.journal.queries import load_queries

__all__ = ["LOST_HINT", "Connection", "ConnectionLost", "Link", "Server", "Timeouts"]

Connection = psycopg.Connection[tuple[Any, ...]]

_DEFAULTS = {
    "connect_timeout": "10",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
_FIRST_PAUSE, _LAST_PAUSE = 0.02, 0.5
_ATTEMPTS = 5
LOST_HINT = "try again; runs go on with 'gennaker resume'"
_LOST = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03"})
"""Ends of a session that the server tells before it closes the connection."""
_TRANSIENT = frozenset({"state-unreachable", "state-busy"})


class ConnectionLost(VersionConflict):
    """The connection went away inside a transaction, which is undone: load the tail, try again."""

    code = "state-unreachable"


class Timeouts:
    """How long things may take, in seconds.

    Args:
        busy: waiting for another process that writes.
        answer: one statement.
        patience: trying to reach a server that was there before.
    """

    def __init__(self, *, busy: float = 10, answer: float = 30, patience: float = 30) -> None:
        self.busy = busy
        self.answer = answer
        self.patience = patience


class Server:
    """A database as a URL names it.

    Args:
        url: ``postgresql://USER:PASSWORD@HOST:PORT/DATABASE?option=value``, as libpq reads it.
        application: what this process calls itself there.
        timeouts: how long things may take.

    Raises:
        InvalidInput: code ``state-url``.
    """

    connection_class: ClassVar[type[Connection]] = psycopg.Connection
    """What its connections are; another one may fail where the real one would."""

    def __init__(self, url: str, *, application: str, timeouts: Timeouts) -> None:
        try:
            options = {key: str(value) for key, value in conninfo_to_dict(url).items()}
        except psycopg.ProgrammingError:
            options = {"port": "unreadable"}
        ports = options.get("port", "").split(",")
        if not all(not each or each.isdecimal() for each in ports):
            raise InvalidInput(
                "the state's URL cannot be read",  # its words may be those of a password
                code="state-url",
                hint="write it like postgresql://USER:PASSWORD@HOST:5432/DATABASE, and special "
                "characters of the password as %40 for '@', %2F for '/'",
            )
        self._options = options
        self._session = load_queries("postgres_queries.sql")["prepare_session"].format(
            lock=round(timeouts.busy * 1000), statement=round(timeouts.answer * 1000), idle=60_000
        )
        self.application = application
        self.timeouts = timeouts
        self.name = f"PostgreSQL database {options.get('dbname', '')!r} at {_find_place(options)}"

    def connect(self) -> Connection:
        """Return a new connection in autocommit mode, with our settings.

        Raises:
            StateError: ``state-unreachable``, ``state-auth`` or ``state-busy``.
        """
        options = _DEFAULTS | self._options
        options |= {"client_encoding": "UTF8", "application_name": self.application}
        try:
            connection = self.connection_class.connect(autocommit=True, **options)  # type: ignore[arg-type]
            try:
                connection.execute(self._session)
            except BaseException:
                connection.close()
                raise
        except psycopg.Error as error:
            # Without its cause: that one carries the password.
            raise self._explain_no_connection(str(error)) from None
        return connection

    def explain(self, error: psycopg.Error) -> StateError:
        """Return what went wrong with a statement, in our words."""
        state = error.sqlstate or ""
        said = (error.diag.message_primary or str(error)).strip().splitlines()[0]
        code, what, hint = (
            _EXPLANATIONS.get(state) or _EXPLANATIONS.get(state[:2]) or _EXPLANATIONS[""]
        )
        values = {"name": self.name, "said": said, "busy": f"{self.timeouts.busy:g}"}
        return StateError(what.format(**values), code=code, hint=hint and hint.format(**values))

    def unreachable(self, said: str) -> StateError:
        """Return the error of a server that does not answer."""
        return StateError(
            f"the {self.name} cannot be reached: {said}",
            code="state-unreachable",
            hint="see that the server runs and the state's URL is right; "
            "runs go on with 'gennaker resume'",
        )

    def _explain_no_connection(self, text: str) -> StateError:
        # libpq repeats where to, and adds advice on further lines.
        said = re.split(r"failed: |FATAL: +", text)[-1].strip().splitlines()[0]
        if password := self._options.get("password"):
            said = said.replace(password, "***")
        if _AUTH.search(said):
            return StateError(
                f"the {self.name} refuses to let us in: {said}",
                code="state-auth",
                hint="check user and password of the state's URL, or PGPASSWORD or ~/.pgpass",
            )
        if "too many clients" in said or "remaining connection slots" in said:
            return StateError(
                f"the {self.name} has no free connection: {said}",
                code="state-busy",
                hint="raise max_connections; a process that drives runs takes three",
            )
        return self.unreachable(said)


class Link:
    """One connection that is made when it is needed, and again when it was lost.

    Not safe for threads: who has it holds a lock.

    Args:
        server: where to.
        on_open: called with every new connection.
    """

    def __init__(self, server: Server, on_open: Callable[[Connection], None] | None = None) -> None:
        self.server = server
        self.opened = 0
        """How often it was made: what a session held before is gone when this has changed."""
        self.last_pid = 0
        self._on_open = on_open
        self._connection: Connection | None = None
        self._closed = False

    def open(self) -> Connection:
        """Return the connection, made now if there is none; one attempt."""
        if self._closed:
            raise StateError(f"the {self.server.name} was closed", code="state-error")
        if self._connection is None:
            connection = self.server.connect()
            try:
                if self._on_open is not None:
                    self._on_open(connection)
            except psycopg.Error as error:
                connection.close()
                raise self.server.unreachable(str(error).splitlines()[0]) from None
            self._connection = connection
            self.opened += 1
            self.last_pid = connection.info.backend_pid
        return self._connection

    def require(self) -> Connection:
        """Return the connection; a server that went away is given time to come back.

        Raises:
            StateError: as :meth:`Server.connect`.
        """
        until = time.monotonic() + self.server.timeouts.patience
        pause = _FIRST_PAUSE
        while True:
            try:
                return self.open()
            except StateError as error:
                if error.code not in _TRANSIENT or time.monotonic() + pause > until:
                    raise
            time.sleep(pause)
            pause = min(pause * 2, _LAST_PAUSE)

    def query(self, text: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Return the rows of a statement that may be run twice; it survives lost connections."""
        for _ in range(_ATTEMPTS):
            connection = self.require()
            try:
                return connection.execute(text, parameters).fetchall()
            except psycopg.Error as error:
                if not self.lose(error, connection):
                    raise self.server.explain(error) from error
        raise self.server.unreachable("the connection is lost again and again")

    def look(self) -> bool:
        """Take in what the server sent by itself; False when the connection is lost. Some µs."""
        if self._connection is None:
            return False
        connection = self._connection
        try:
            connection.pgconn.consume_input()
            connection.pgconn.consume_input()  # the end comes after the server's last words
            while (notice := connection.pgconn.notifies()) is not None:
                if connection.pgconn.notify_handler is not None:
                    connection.pgconn.notify_handler(notice)
        except psycopg.Error:
            self.forget()
            return False
        return True

    def lose(self, error: psycopg.Error, connection: Connection) -> bool:
        """Whether the error means that the connection is gone; it is forgotten then."""
        lost = connection.closed or error.sqlstate in _LOST or (error.sqlstate or "")[:2] == "08"
        if lost and connection is self._connection:
            self.forget()
        return lost

    def forget(self) -> None:
        """Drop the connection; the next use makes another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error):
                connection.close()

    def close(self) -> None:
        """Drop it for good; a second call does nothing."""
        self._closed = True
        self.forget()


def _find_place(options: Mapping[str, str]) -> str:
    """Return ``HOST:PORT``, several of them, or the folder of a socket."""
    hosts = (options.get("host") or options.get("hostaddr") or "localhost").split(",")
    ports = options.get("port", "").split(",")
    ports *= len(hosts) if len(ports) == 1 else 1
    return ",".join(
        host if host.startswith("/") else f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        for host, port in zip(hosts, (each or "5432" for each in ports), strict=False)
    )


_AUTH = re.compile(
    r"authentication failed|no password supplied|no pg_hba\.conf entry|is not permitted to log in"
    r"|role \".*\" does not exist|permission denied for database"
)
_UNWRITABLE_HINT = "let the user of the state's URL write in the schema 'gennaker'"
_EXPLANATIONS: dict[str, tuple[str, str, str | None]] = {
    "25006": (
        "state-unwritable",
        "the {name} is read-only: {said}",
        "name the primary server in the state's URL, not a standby",
    ),
    "42501": ("state-unwritable", "the {name} cannot be written: {said}", _UNWRITABLE_HINT),
    "55P03": (
        "state-busy",
        "the {name} is locked",
        "another process kept it locked for {busy}s; see pg_stat_activity",
    ),
    "57014": (
        "state-busy",
        "the {name} does not answer in time: {said}",
        "see pg_stat_activity for what keeps it busy",
    ),
    "40": ("state-busy", "the {name} is busy: {said}", "try again"),
    "53100": (
        "state-full",
        "the disk of the {name} is full",
        "make room; the run goes on with 'gennaker resume'",
    ),
    "53": ("state-busy", "the {name} is short of resources: {said}", "try again later"),
    "42P01": (
        "state-corrupt",
        "the {name} is damaged or no journal: {said}",
        "restore it from a copy, or choose another database as state",
    ),
    "XX": (
        "state-corrupt",
        "the {name} is damaged: {said}",
        "restore it from a copy, or choose another database as state",
    ),
    "": ("state-error", "the {name} gave an error ({said})", None),
}
