"""Kept states: dumps of databases of each version of the schema, which hold a kept history.

``tests/data/states/DIALECT-VERSION-HISTORY.sql``. Later releases open, upgrade and read them.
"""

from __future__ import annotations

import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg

from gennaker_engine.journal.migrations import Migrations
from gennaker_engine.journal.port import DeployRow, Journal
from gennaker_engine.journal.postgres import PostgresJournal
from gennaker_engine.journal.sqlite import SqliteJournal
from tests.fixtures.postgres import USERNAME, PostgresServer, find_programs
from tests.histories import kept

__all__ = [
    "DEPLOY",
    "FOLDER",
    "find_states",
    "record",
    "restore_postgres",
    "restore_sqlite",
    "tell",
]

FOLDER = Path(__file__).parents[1] / "data" / "states"
_HELD = ("groups", "waiting")
DEPLOY = DeployRow("shop", "staging", "shop-3", "deploy", 1_800_000_000.5)


def find_states(dialect: str) -> dict[tuple[int, str], Path]:
    """Return the kept states of a dialect by version and history."""
    found = {}
    for path in sorted(FOLDER.glob(f"{dialect}-*.sql")):
        _, version, history = path.stem.split("-")
        found[int(version), history] = path
    return found


def tell(journal: Journal) -> tuple[kept.History, DeployRow | None, int, int]:
    """Return all that a state holds: its history, last deploy, last change, next run number."""
    history = kept.read(journal, "")
    deploy = journal.last_deploy(DEPLOY.scope, DEPLOY.environment)
    with journal.transaction() as transaction:
        number = transaction.allocate_number("shop")
    return history, deploy, journal.last_change(), number


def _fill(journal: Journal, history: str) -> None:
    kept.load(history).write(journal)
    with journal.transaction() as transaction:
        transaction.record_deploy(DEPLOY)
        for _ in journal.list_changes(0):
            transaction.allocate_number("shop")
    journal.close()


def restore_sqlite(path: Path, dump: Path) -> None:
    """Make a file of a dump."""
    connection = sqlite3.connect(path)
    connection.executescript(dump.read_text("utf-8"))
    connection.close()


def restore_postgres(url: str, dump: Path) -> None:
    """Fill an empty database with a dump."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(dump.read_bytes())


def record() -> Iterator[Path]:
    """Keep the states of the newest version that are not kept yet; yield their files."""
    with tempfile.TemporaryDirectory(prefix="gennaker-pg-") as folder:
        for history in _HELD:
            version = Migrations.of("sqlite").newest
            if (version, history) not in find_states("sqlite"):
                text = _dump_sqlite(Path(folder) / f"{history}.db", history)
                yield _keep(f"sqlite-{version}-{history}", text)
        version = Migrations.of("postgres").newest
        missing = [each for each in _HELD if (version, each) not in find_states("postgres")]
        if missing:
            programs = find_programs()
            assert programs is not None, "install postgresql"
            server = PostgresServer(programs, Path(folder))
            server.prepare()
            server.start()
            try:
                for history in missing:
                    text = _dump_postgres(server, Path(folder), programs, history)
                    yield _keep(f"postgres-{version}-{history}", text)
            finally:
                server.stop()


def _keep(name: str, text: str) -> Path:
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.sql"
    with path.open("x", encoding="utf-8") as stream:
        stream.write(text)
    return path


def _dump_sqlite(path: Path, history: str) -> str:
    _fill(SqliteJournal(path, path.parent / "owners"), history)
    connection = sqlite3.connect(path)
    lines = list(connection.iterdump())
    for name in ("application_id", "user_version"):  # which a dump leaves out
        (value,) = connection.execute(f"PRAGMA {name}").fetchone()
        lines.append(f"PRAGMA {name} = {value};")
    connection.close()
    return "\n".join(lines) + "\n"


def _dump_postgres(server: PostgresServer, folder: Path, programs: Path, history: str) -> str:
    name = server.make_database()
    _fill(PostgresJournal(server.url(name)), history)
    dumped = subprocess.run(
        [
            str(programs / "pg_dump"),
            *("--host", str(folder), "--port", str(server.port), "--username", USERNAME),
            *("--dbname", name, "--schema", "gennaker", "--inserts", "--no-owner"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    # What only psql knows, and what older servers do not know.
    unwanted = ("--", "\\", "SET ", "SELECT pg_catalog.set_config")
    lines = [line for line in dumped.stdout.splitlines() if line and not line.startswith(unwanted)]
    return "\n".join(lines) + "\n"
