"""The SQLite journal: the contract of journals, and what is special to files."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gennaker.errors import InvalidInput
from gennaker_engine.journal.decoding import decode_stored
from gennaker_engine.journal.errors import StateError
from gennaker_engine.journal.filesystem import find_file_system
from gennaker_engine.journal.migrations import Migrations
from gennaker_engine.journal.opening import open_journal
from gennaker_engine.journal.port import Journal, RunFilter
from gennaker_engine.journal.sqlite import SqliteJournal
from tests.contract.journal_contract import JournalContract, make_row
from tests.contract.migration_contract import MigrationContract, add_step, fill, tell


class TestSqliteJournal(JournalContract):
    """The contract, on a file."""

    @pytest.fixture
    def open_journal(self, tmp_path: Path) -> Callable[[], Journal]:
        """Open the same file at every call."""
        return lambda: SqliteJournal(tmp_path / "state.db", tmp_path / "owners")


class TestSqliteMigrations(MigrationContract):
    """Upgrades of a file's schema."""

    dialect = "sqlite"

    @pytest.fixture
    def open_state(self, tmp_path: Path) -> Callable[..., Journal]:
        """Open the same file at every call."""
        return lambda **options: open_at(tmp_path / "state.db", **options)


def open_at(path: Path, **options: Any) -> SqliteJournal:
    """Open a journal with its owners beside it."""
    return SqliteJournal(path, path.parent / "owners", **options)


def test_files_are_private(tmp_path):
    """Database, companions and lock files are 0600, folders that are made 0700."""
    journal = open_at(tmp_path / "state" / "state.db")
    with journal.transaction() as transaction:
        transaction.append(make_row(), 0, [{"type": "created"}])
    journal.own_run("shop-1")
    files = {p.name: p.stat().st_mode & 0o777 for p in (tmp_path / "state").rglob("*")}
    assert files == {
        "state.db": 0o600,
        "state.db-wal": 0o600,
        "state.db-shm": 0o600,
        "owners": 0o700,
        "shop-1.lock": 0o600,
    }
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    journal.close()


def test_every_commit_is_flushed_to_the_disk(tmp_path):
    """Write-ahead log with synchronous=FULL (2)."""
    journal = open_at(tmp_path / "state.db")
    assert journal._writer.execute("PRAGMA synchronous").fetchone() == (2,)
    assert journal._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    journal.close()


def test_checklist_61_a_newer_schema_is_refused(tmp_path):
    """A journal of a later version is neither read nor changed."""
    path = tmp_path / "state.db"
    open_at(path).close()
    version = Migrations.of("sqlite").newest
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {version + 1}")
    with pytest.raises(StateError) as caught:
        open_at(path)
    assert caught.value.code == "state-newer"
    assert (
        f"state-newer: {path} was written by a newer Gennaker: its schema is version {version + 1}, "
        f"this one knows {version}; use that version of Gennaker, or choose another state"
    ) == str(caught.value)


LONG = """CREATE TABLE half_done (x)
;
SELECT count(*) FROM (WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100000000) SELECT i FROM n)
"""


def test_an_upgrade_that_is_killed_leaves_the_old_state(tmp_path):
    """After kill -9 between two statements of a step the old release goes on with its database."""
    path = tmp_path / "state.db"
    journal = open_at(path, busy=0.01)
    fill(journal)
    before = tell(journal)
    add_step("sqlite", tmp_path / "steps", LONG)
    script = (
        "import sys; from pathlib import Path\n"
        "from gennaker_engine.journal.migrations import Migrations\n"
        "from gennaker_engine.journal.sqlite import SqliteJournal\n"
        "path, steps = map(Path, sys.argv[1:])\n"
        "SqliteJournal(path, path.parent / 'owners', migrations=Migrations(steps))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path), str(tmp_path / "steps")]
    ) as child:
        try:
            while _is_free(journal):
                time.sleep(0.05)
            time.sleep(0.1)  # its first statement takes less than 1 ms
        finally:
            child.kill()
    assert tell(journal) == before
    with journal.transaction() as transaction:
        transaction.next_place()
    journal.close()
    with sqlite3.connect(path) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    assert "half_done" not in tables
    open_at(path).close()


def _is_free(journal: SqliteJournal) -> bool:
    try:
        with journal.transaction():
            return True
    except StateError as error:
        assert error.code == "state-busy"
        return False


def test_another_programs_database_is_left_alone(tmp_path):
    """A SQLite file that is no journal is refused and stays as it was."""
    path = tmp_path / "state.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    with pytest.raises(StateError, match=r"state-foreign: .* is a database of another program"):
        open_at(path)
    with sqlite3.connect(path) as connection:
        tables = connection.execute("SELECT name FROM sqlite_schema").fetchall()
    assert tables == [("theirs",)]


def test_a_file_that_is_no_database_is_refused(tmp_path):
    """Garbage is state-corrupt and stays as it was."""
    path = tmp_path / "state.db"
    path.write_bytes(b"this is not a database at all, by no means" * 100)
    with pytest.raises(StateError, match=r"state-corrupt: the state .* is damaged or no journal"):
        open_at(path)
    assert path.read_bytes().startswith(b"this is not")


def test_a_damaged_event_names_its_run(tmp_path):
    """One bad row concerns one run; others are read."""
    journal = open_at(tmp_path / "state.db")
    for run in ("shop-1", "shop-2"):
        with journal.transaction() as transaction:
            transaction.append(make_row(run), 0, [{"type": "created"}])
    journal._writer.execute("UPDATE events SET data = '{' WHERE run_key = 1")
    with pytest.raises(StateError, match="state-corrupt: event 1 of run 'shop-1' is damaged"):
        decode_stored(journal.load_events("shop-1"), "shop-1")
    assert len(journal.load_events("shop-2")) == 1
    journal.close()


def test_checklist_55_a_locked_state_is_told_as_busy(tmp_path):
    """Who waits too long for another writer gets state-busy, and nothing is half done."""
    path = tmp_path / "state.db"
    one, other = open_at(path), open_at(path, busy=0.05)
    with one.transaction(), pytest.raises(StateError) as caught:  # noqa: SIM117
        with other.transaction() as transaction:
            transaction.append(make_row(), 0, [{"type": "created"}])
    assert (
        f"state-busy: the state {path} is locked; another process kept it locked for 0.05s; "
        "see who has it open"
    ) == str(caught.value)
    with other.transaction() as transaction:
        transaction.append(make_row(), 0, [{"type": "created"}])
    one.close()
    other.close()


def test_a_folder_in_the_way_is_unwritable(tmp_path):
    """A path that cannot be a file is state-unwritable."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(
        StateError, match=r"state-unwritable: cannot use the state .*file/state\.db"
    ):
        open_at(tmp_path / "file" / "state.db")


def test_checklist_55_a_database_that_turned_read_only_is_unwritable(tmp_path):
    """A write that SQLite refuses as read-only is state-unwritable."""
    journal = open_at(tmp_path / "state.db")
    journal._writer.execute("PRAGMA query_only = ON")
    with pytest.raises(StateError, match=r"state-unwritable: the state .* cannot be written"):  # noqa: SIM117
        with journal.transaction() as transaction:
            transaction.next_place()
    journal.close()


def test_checklist_55_a_full_disk_is_told_and_nothing_is_lost(tmp_path):
    """SQLITE_FULL becomes state-full; what was committed stays."""
    journal = open_at(tmp_path / "state.db")
    with journal.transaction() as transaction:
        transaction.append(make_row(), 0, [{"type": "created"}])
    (pages,) = journal._writer.execute("PRAGMA page_count").fetchone()
    journal._writer.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StateError, match="state-full: the disk of the state"):  # noqa: SIM117
        with journal.transaction() as transaction:
            transaction.append(make_row(version=2), 1, [{"type": "big", "x": "y" * 100_000}])
    assert journal.find_run("shop-1").version == 1
    journal.close()


@pytest.mark.parametrize(
    ("folder", "expected"),
    [("/home/ann/x", "nfs4"), ("/homestead", "ext4"), ("/a b/c", "cifs"), ("/proc/1", "proc")],
)
def test_the_file_system_of_a_folder_is_found(folder, expected):
    """The longest mount point that holds the folder says its type."""
    mounts = (
        "/dev/vda / ext4 rw 0 0\nproc /proc proc rw 0 0\n"
        "server:/home /home nfs4 rw 0 0\n//s/x /a\\040b cifs rw 0 0\n"
    )
    assert expected == find_file_system(Path(folder), mounts)


def test_urls_choose_the_journal(tmp_path):
    """A relative path starts at the project's root, an absolute one is itself."""
    open_journal("sqlite:///.gennaker/state.db", project=tmp_path).close()
    open_journal(f"sqlite:///{tmp_path}/other.db", project=Path("/nowhere")).close()
    assert (tmp_path / ".gennaker/state.db").is_file()
    assert (tmp_path / "other.db").is_file()


def test_a_url_of_no_known_kind_is_refused(tmp_path):
    """The message names what there is."""
    with pytest.raises(InvalidInput) as caught:
        open_journal("mysql://ann:hunter2@db/x", project=tmp_path)
    assert str(caught.value) == (
        "state-unsupported: 'mysql' is no kind of state; "
        "write it like sqlite:///.gennaker/state.db or postgresql://USER@HOST/DATABASE"
    )


def test_ownership_ends_with_the_process(tmp_path):
    """A killed owner's run is free at once; a living one is named."""
    script = (
        "import sys; from pathlib import Path\n"
        "from gennaker_engine.journal.sqlite import SqliteJournal\n"
        f"journal = SqliteJournal(Path({str(tmp_path)!r}) / 'state.db', Path({str(tmp_path)!r}))\n"
        "kept = journal.own_run('shop-1'); print('owned', flush=True); sys.stdin.read()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    journal = SqliteJournal(tmp_path / "state.db", tmp_path)
    assert child.stdout.readline() == b"owned\n"
    assert None is journal.own_run("shop-1")
    assert journal.find_owner("shop-1").endswith(f"pid {child.pid}")
    child.kill()
    child.wait()
    assert None is journal.find_owner("shop-1")
    assert None is not journal.own_run("shop-1")
    child.stdin.close()
    child.stdout.close()
    journal.close()


def test_checklist_64_lists_of_many_runs_use_the_indexes(tmp_path):
    """No listing sorts or scans all runs: the query plans name the indexes."""
    journal = open_at(tmp_path / "state.db")
    queries: list[str] = []
    original = journal._read
    journal._read = lambda query, values: queries.append(query) or original(query, values)
    journal.list_runs(RunFilter())
    journal.list_runs(RunFilter(pipeline="shop"))
    journal.list_runs(RunFilter(states=("running", "waiting")))
    journal.find_runs_by_prefix("shop-1")
    journal.list_changes(5)
    values = dict.fromkeys(("pipeline", "states", "outcomes", "prefix", "end", "after"), "x")
    plans = []
    for query in queries:
        rows = journal._writer.execute(f"EXPLAIN QUERY PLAN {query}", {**values, "limit": 5})
        plans.append(" | ".join(row[3] for row in rows if "RUNS" in row[3].upper()))
    assert plans == [
        "SCAN runs",  # from the newest key on, 50 rows
        "SEARCH runs USING INDEX runs_by_pipeline (pipeline=?)",
        "SEARCH runs USING INDEX runs_active (state=?)",
        "SEARCH runs USING INDEX sqlite_autoindex_runs_1 (run>? AND run<?)",
        "SEARCH runs USING INDEX runs_by_change (change>?)",
    ]
    journal.close()
