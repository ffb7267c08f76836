"""The PostgreSQL journal on a real server: the contract of journals, and what is special to it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from gennaker.errors import InvalidInput
from gennaker_engine.journal.decoding import decode_stored
from gennaker_engine.journal.errors import StateError
from gennaker_engine.journal.migrations import Migrations
from gennaker_engine.journal.opening import find_state_folder, open_journal
from gennaker_engine.journal.port import Journal, RunFilter, VersionConflict
from gennaker_engine.journal.postgres import PostgresJournal
from gennaker_engine.journal.postgres_link import ConnectionLost, Timeouts
from tests.contract.journal_contract import JournalContract, make_row
from tests.contract.migration_contract import MigrationContract, add_step, fill, tell
from tests.fixtures.postgres import PASSWORD, PostgresServer
from tests.fixtures.processes import find_free_port
from tests.histories import kept, states

QUICK = Timeouts(busy=0.1, answer=5, patience=0.3)


@pytest.mark.real("postgres")
class TestRealPostgresJournal(JournalContract):
    """The contract, on a server."""

    @pytest.fixture
    def open_journal(self, database: str) -> Callable[[], Journal]:
        """Open the same database at every call."""
        return lambda: PostgresJournal(database)


@pytest.mark.real("postgres")
class TestRealPostgresMigrations(MigrationContract):
    """Upgrades of a schema on a server."""

    dialect = "postgres"

    @pytest.fixture
    def open_state(self, database: str) -> Callable[..., Journal]:
        """Open the same database at every call."""
        return lambda **options: PostgresJournal(database, **options)


def fail_to_open(url: str, **options: Any) -> str:
    """Return the message with which a state is refused; it never holds the password."""
    with pytest.raises((StateError, InvalidInput)) as caught:
        PostgresJournal(url, **options)
    assert PASSWORD not in str(caught.value)
    assert caught.value.__cause__ is None or PASSWORD not in repr(vars(caught.value.__cause__))
    return str(caught.value)


def name_of(postgres: PostgresServer, url: str) -> str:
    """Return how messages name the database of a URL."""
    return f"PostgreSQL database '{url.rpartition('/')[2]}' at 127.0.0.1:{postgres.port}"


# Opening ------------------------------------------------------------------------------------------


def test_real_urls_choose_the_journal(tmp_path, database):
    """Both spellings open it; what is no database lives in the project's `.gennaker`."""
    for url in (database, database.replace("postgresql:", "postgres:")):
        open_journal(url, project=tmp_path).close()
        assert find_state_folder(url, project=tmp_path) == tmp_path / ".gennaker"


def test_real_wrong_password_is_told(postgres, database):
    """Code state-auth, with the server's words."""
    name = database.rpartition("/")[2]
    assert fail_to_open(postgres.url(name, password="wrong-horse")) == (
        f"state-auth: the {name_of(postgres, database)} refuses to let us in: "
        'password authentication failed for user "tester"; '
        "check user and password of the state's URL, or PGPASSWORD or ~/.pgpass"
    )
    assert fail_to_open(database.replace(f":{PASSWORD}@", "@")).startswith("state-auth: ")


def test_real_missing_database_is_told(postgres):
    """A server without such a database is state-unreachable, with the server's words."""
    url = postgres.url("nothing")
    assert fail_to_open(url) == (
        f"state-unreachable: the {name_of(postgres, url)} cannot be reached: "
        'database "nothing" does not exist; see that the server runs and the state\'s URL is '
        "right; runs go on with 'gennaker resume'"
    )


def test_missing_server_is_told_at_once():
    """Nobody waits for a server that was never there."""
    port = find_free_port()
    assert fail_to_open(f"postgresql://ann:{PASSWORD}@127.0.0.1:{port}/x") == (
        f"state-unreachable: the PostgreSQL database 'x' at 127.0.0.1:{port} cannot be reached: "
        "Connection refused; see that the server runs and the state's URL is right; "
        "runs go on with 'gennaker resume'"
    )


def test_real_newer_schema_is_refused(postgres, database):
    """A journal of a later version is neither read nor changed."""
    PostgresJournal(database).close()
    name = database.rpartition("/")[2]
    version = Migrations.of("postgres").newest
    postgres.run_sql(f"UPDATE gennaker.state SET version = {version + 1}", name)
    assert fail_to_open(database) == (
        f"state-newer: the {name_of(postgres, database)} was written by a newer Gennaker: its "
        f"schema is version {version + 1}, this one knows {version}; use that version of "
        "Gennaker, or choose another state"
    )


def test_real_upgrade_that_loses_its_connection_changes_nothing(postgres, database, tmp_path):
    """The server undoes what was half done; the old release goes on with its database."""
    journal = PostgresJournal(database)
    fill(journal)
    before = tell(journal)
    slow = "CREATE TABLE half_done (x int)\n;\nSELECT pg_sleep(60)\n"
    newer = add_step("postgres", tmp_path / "steps", slow)
    said: list[str] = []
    thread = threading.Thread(
        target=lambda: said.append(fail_to_open(database, migrations=newer)), daemon=True
    )
    thread.start()
    sleeps = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(60)%'"
    while postgres.run_sql(sleeps) != "1":
        assert thread.is_alive()
    postgres.cut_connections()
    thread.join(10)
    assert said[0].startswith(f"state-error: the {name_of(postgres, database)} gave an error")
    assert tell(journal) == before
    with journal.transaction() as transaction:
        transaction.next_place()
    journal.close()
    name = database.rpartition("/")[2]
    assert postgres.run_sql("SELECT to_regclass('gennaker.half_done') IS NULL", name) == "t"


@pytest.mark.parametrize("name", [path.stem for path in states.find_states("postgres").values()])
@pytest.mark.parametrize("more", [False, True])
def test_real_histories_in_states_of_each_version_survive_upgrades(database, tmp_path, name, more):
    """A state of an older release is opened, upgraded (and once more), and reads as it did."""
    states.restore_postgres(database, states.FOLDER / f"{name}.sql")
    steps = add_step("postgres", tmp_path / "steps") if more else None
    journal = PostgresJournal(database, migrations=steps)
    expected = kept.load(name.rpartition("-")[2])
    history, deploy, change, number = states.tell(journal)
    assert (history.runs, history.claims) == (expected.runs, expected.claims)
    assert deploy == states.DEPLOY
    assert (change, number) == (len(expected.runs), len(expected.runs) + 1)
    journal.close()


def test_real_schema_of_another_program_is_left_alone(postgres, database):
    """Tables in a schema of our name that are not ours: refused."""
    name = database.rpartition("/")[2]
    postgres.run_sql("CREATE SCHEMA gennaker CREATE TABLE theirs (x int)", name)
    assert fail_to_open(database) == (
        f"state-foreign: the {name_of(postgres, database)} has a schema 'gennaker' of another "
        "program; choose another database as state"
    )


def test_real_database_without_unicode_is_refused(postgres):
    """Text would be changed by another encoding."""
    options = ("ENCODING 'LATIN1'", "TEMPLATE template0", "LOCALE 'C'")
    url = postgres.url(postgres.make_database(*options))
    assert fail_to_open(url).startswith(
        f"state-foreign: the {name_of(postgres, url)} keeps text as LATIN1"
    )


def test_real_empty_schema_made_by_an_administrator_is_used(postgres, database):
    """Who may not make schemas gets one made."""
    name = database.rpartition("/")[2]
    postgres.run_sql("CREATE ROLE plain LOGIN PASSWORD 'plain-horse'", name)
    url = database.replace(f"tester:{PASSWORD}", "plain:plain-horse")
    assert fail_to_open(url) == (
        f"state-unwritable: the {name_of(postgres, database)} cannot be written: permission "
        f"denied for database {name}; let the user of the state's URL write in the schema "
        "'gennaker'"
    )
    postgres.run_sql("CREATE SCHEMA gennaker AUTHORIZATION plain", name)
    journal = PostgresJournal(url)
    with journal.transaction() as transaction:
        assert transaction.allocate_number("shop") == 1
    journal.close()


def test_real_first_opening_at_the_same_moment_makes_one_schema(database):
    """Whoever comes first makes it, the others find it."""
    opened: list[Journal] = []
    threads = [
        threading.Thread(target=lambda: opened.append(PostgresJournal(database))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(opened) == 4
    for journal in opened:
        journal.close()


# Statements that fail -----------------------------------------------------------------------------


def test_real_read_only_database_can_be_read_and_not_written(postgres, database):
    """A standby, or a database set so: reading works, a write is state-unwritable."""
    PostgresJournal(database).close()
    name = database.rpartition("/")[2]
    postgres.run_sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    journal = PostgresJournal(database)
    assert journal.list_runs(RunFilter()) == []
    with pytest.raises(StateError) as caught, journal.transaction() as transaction:
        transaction.allocate_number("shop")
    assert str(caught.value) == (
        f"state-unwritable: the {name_of(postgres, database)} is read-only: cannot execute INSERT "
        "in a read-only transaction; name the primary server in the state's URL, not a standby"
    )
    with pytest.raises(StateError, match="state-unwritable"):
        journal.own_run("shop-1")
    assert journal.find_owner("shop-1") is None
    journal.close()


def test_real_locked_state_is_told_as_busy(postgres, database):
    """Who waits too long for another writer gets state-busy, and nothing is half done."""
    one, other = PostgresJournal(database), PostgresJournal(database, timeouts=QUICK)
    with one.transaction(), pytest.raises(StateError) as caught:  # noqa: SIM117
        with other.transaction() as transaction:
            transaction.append(make_row(), 0, [{"type": "created"}])
    assert str(caught.value) == (
        f"state-busy: the {name_of(postgres, database)} is locked; another process kept it locked "
        "for 0.1s; see pg_stat_activity"
    )
    with other.transaction() as transaction:
        transaction.append(make_row(), 0, [{"type": "created"}])
    one.close()
    other.close()


def test_real_damaged_event_names_its_run(postgres, database):
    """One bad row concerns one run; others are read."""
    journal = PostgresJournal(database)
    for run in ("shop-1", "shop-2"):
        with journal.transaction() as transaction:
            transaction.append(make_row(run), 0, [{"type": "created"}])
    name = database.rpartition("/")[2]
    postgres.run_sql("UPDATE gennaker.events SET data = '{' WHERE run_key = 1", name)
    with pytest.raises(StateError, match="state-corrupt: event 1 of run 'shop-1' is damaged"):
        decode_stored(journal.load_events("shop-1"), "shop-1")
    assert len(journal.load_events("shop-2")) == 1
    journal.close()


def test_real_title_with_nul_is_kept_readable(database):
    """PostgreSQL has no NUL in text: the row shows a replacement, the event keeps it."""
    journal = PostgresJournal(database)
    with journal.transaction() as transaction:
        transaction.append(make_row(title="a\0b"), 0, [{"type": "created", "title": "a\0b"}])
    assert journal.find_run("shop-1").title == "a\ufffdb"
    assert journal.load_events("shop-1")[0].data["title"] == "a\0b"
    journal.close()


def test_real_closed_journal_says_so(postgres, database):
    """Use after the end is an error in words."""
    journal = PostgresJournal(database)
    journal.close()
    journal.close()
    with pytest.raises(StateError, match=r"state-error: the PostgreSQL .* was closed"):
        journal.find_run("shop-1")


def test_real_commits_are_durable_whatever_the_server_prefers(postgres, database):
    """The session's synchronous_commit is on, also where the database says off."""
    name = database.rpartition("/")[2]
    postgres.run_sql(f"ALTER DATABASE {name} SET synchronous_commit = off")
    journal = PostgresJournal(database)
    with journal.transaction() as transaction:
        (found,) = transaction.connection.execute("SHOW synchronous_commit").fetchall()
    assert found == ("on",)
    journal.close()


# Lost connections ---------------------------------------------------------------------------------


def test_real_idle_connections_are_made_again(postgres, database):
    """After a restart of the server reads, writes, notices and ownership go on."""
    journal, other = PostgresJournal(database), PostgresJournal(database)
    with journal.transaction() as transaction:
        transaction.append(make_row(), 0, [{"type": "created"}])
    ownership = journal.own_run("shop-1")
    token = journal.change_token()
    postgres.restart()
    assert journal.find_run("shop-1").version == 1
    assert token != journal.change_token()
    assert other.own_run("shop-1") is None
    with journal.transaction() as transaction:
        transaction.append(make_row(version=2), 1, [{"type": "more"}])
    assert [each.version for each in other.list_changes(0)] == [2]
    ownership.release()
    assert other.find_owner("shop-1") is None
    journal.close()
    other.close()


def test_real_connection_lost_inside_a_transaction_is_a_conflict(postgres, database):
    """Nothing of it was kept; the next attempt works."""
    journal = PostgresJournal(database)

    def write(*, cut: bool) -> None:
        with journal.transaction() as transaction:
            transaction.append(make_row(), 0, [{"type": "created"}])
            if cut:
                postgres.cut_connections()
                transaction.load_events("shop-1")

    with pytest.raises(ConnectionLost) as caught:
        write(cut=True)
    assert isinstance(caught.value, VersionConflict)
    assert str(caught.value) == (
        f"state-unreachable: the connection to the {name_of(postgres, database)} was lost; "
        "try again; runs go on with 'gennaker resume'"
    )
    assert journal.find_run("shop-1") is None
    write(cut=False)
    assert journal.find_run("shop-1").version == 1
    journal.close()


def test_real_commit_that_never_arrived_is_a_conflict(postgres, database):
    """The server is asked, says that it was undone, and the writer decides again."""
    journal = PostgresJournal(database)
    with pytest.raises(ConnectionLost, match="was lost before the commit"):  # noqa: SIM117
        with journal.transaction() as transaction:
            transaction.append(make_row(), 0, [{"type": "created"}])
            postgres.cut_connections()
    assert journal.find_run("shop-1") is None
    journal.close()


def test_real_commit_whose_answer_is_lost_counts(database, monkeypatch):
    """The commit was done, its answer did not come: the server is asked, nothing is done twice."""
    journal = PostgresJournal(database)
    execute = psycopg.Connection.execute

    def lose_answer(self, query, *arguments, **options):
        cursor = execute(self, query, *arguments, **options)
        if query.endswith("COMMIT"):
            monkeypatch.undo()
            self.close()
            raise psycopg.OperationalError("the connection is lost")
        return cursor

    with journal.transaction() as transaction:
        transaction.append(make_row(), 0, [{"type": "created"}])
        monkeypatch.setattr(psycopg.Connection, "execute", lose_answer)
    assert [each.data for each in journal.load_events("shop-1")] == [{"type": "created"}]
    journal.close()


def test_real_session_whose_commit_never_left_is_ended(database, monkeypatch):
    """It still holds the writers' lock on the server: it is ended there, and others go on."""
    journal = PostgresJournal(database)
    execute = psycopg.Connection.execute

    def stop_commit(self, query, *arguments, **options):
        if query.endswith("COMMIT"):
            raise psycopg.OperationalError("timed out")
        return execute(self, query, *arguments, **options)

    def lose(error, connection):
        journal._writer._connection = None  # as forget() does, but the server sees no end
        return True

    with (
        pytest.raises(ConnectionLost, match="was lost before the commit"),
        monkeypatch.context() as patched,
        journal.transaction() as transaction,
    ):
        transaction.append(make_row(), 0, [{"type": "created"}])
        patched.setattr(psycopg.Connection, "execute", stop_commit)
        patched.setattr(journal._writer, "lose", lose)
    transaction.connection.close()
    with journal.transaction() as transaction:
        transaction.append(make_row(), 0, [{"type": "created"}])
    journal.close()


def test_real_server_that_stays_away_is_told(postgres, database):
    """After the patience is over it is state-unreachable, and later it works again."""
    journal = PostgresJournal(database, timeouts=QUICK)
    postgres.stop()
    try:
        for use in (lambda: journal.find_run("shop-1"), journal.change_token):
            with pytest.raises(StateError) as caught:
                use()
            assert str(caught.value) == (
                f"state-unreachable: the {name_of(postgres, database)} cannot be reached: "
                "Connection refused; see that the server runs and the state's URL is right; "
                "runs go on with 'gennaker resume'"
            )
    finally:
        postgres.start()
    assert journal.find_run("shop-1") is None
    journal.close()


# Ownership ----------------------------------------------------------------------------------------

OWNER = """import sys
from gennaker_engine.journal.postgres import PostgresJournal
journal = PostgresJournal(sys.stdin.readline().strip())
kept = journal.own_run("shop-1"); print("owned", flush=True); sys.stdin.read()
"""


def test_real_ownership_ends_with_the_process(postgres, database):
    """A killed owner's run is free at once; a living one is named."""
    child = subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    child.stdin.write(f"{database}\n")
    child.stdin.flush()
    journal = PostgresJournal(database)
    assert child.stdout.readline() == "owned\n"
    assert None is journal.own_run("shop-1")
    assert journal.find_owner("shop-1").endswith(f"pid {child.pid}")
    child.kill()
    child.wait()
    taken = None
    for _ in range(200):  # the server sees the closed socket within milliseconds
        taken = taken or journal.own_run("shop-1")
    assert None is not taken
    child.stdin.close()
    child.stdout.close()
    journal.close()


def test_real_owner_who_lost_the_run_writes_no_more(postgres, database):
    """Its connection was cut, another took the run: the first is told who has it."""
    journal, other = PostgresJournal(database), PostgresJournal(database)
    with journal.transaction() as transaction:
        transaction.append(make_row(), 0, [{"type": "created"}])
    ownership = journal.own_run("shop-1")
    postgres.cut_connections()
    taken = other.own_run("shop-1")
    assert taken is not None
    with pytest.raises(StateError) as caught, journal.transaction() as transaction:
        transaction.append(make_row(version=2), 1, [{"type": "late"}])
    said = str(caught.value)
    assert said.startswith("run-owned: run 'shop-1' was taken over by ")
    assert said.endswith(
        " while the state could not be reached; watch it with 'gennaker status --watch shop-1'"
    )
    with pytest.raises(StateError, match="run-owned: run 'shop-1' was taken over by"):
        journal.change_token()
    journal.change_token()
    ownership.release()
    assert other.find_owner("shop-1") is not None
    with other.transaction() as transaction:
        transaction.append(make_row(version=2), 1, [{"type": "theirs"}])
    journal.close()
    other.close()


def test_real_owner_who_lost_the_run_for_a_while_is_none_any_more(postgres, database):
    """Also when the other has given it up again: the run went on without the first."""
    journal, other = PostgresJournal(database), PostgresJournal(database)
    kept = journal.own_run("shop-2")
    journal.own_run("shop-1")
    postgres.cut_connections()
    other.own_run("shop-1").release()
    with pytest.raises(StateError, match="run 'shop-1' was taken over by another process"):
        journal.change_token()
    journal.change_token()
    assert other.own_run("shop-2") is None
    kept.release()
    assert other.own_run("shop-2") is not None
    journal.close()
    other.close()


def test_real_lists_of_many_runs_use_the_indexes(postgres, database):
    """No listing sorts or scans all of 20,000 runs: the query plans name the indexes."""
    journal = PostgresJournal(database)
    name = database.rpartition("/")[2]
    postgres.run_sql(
        "INSERT INTO gennaker.runs (run, pipeline, number, title, actor, state, version, change, "
        "created_at, waiting, sandbox) SELECT 'p' || n % 2000 || '-' || n, 'p' || n % 2000, n, '', '', "
        "'ended', 1, n, n, '', false FROM generate_series(1, 20000) AS n",
        name,
    )
    postgres.run_sql("ANALYZE gennaker.runs", name)

    def explain(query: str) -> str:
        return postgres.run_sql(f"SET search_path = gennaker; EXPLAIN {query}", name)

    columns = "SELECT run FROM runs WHERE"
    assert "runs_pkey" in explain(f"{columns} true ORDER BY key DESC LIMIT 50")
    pipeline = explain(f"{columns} pipeline = 'p7' ORDER BY key DESC LIMIT 50")
    active = explain(
        f"{columns} state = ANY ('{{running,waiting}}') AND state <> 'ended' ORDER BY key DESC LIMIT 50"
    )
    assert "runs_by_pipeline" in pipeline
    assert "runs_active" in active
    assert "runs_run_key" in explain(f"{columns} run >= 'p7-1' AND run < 'p7-2'")
    assert "runs_by_change" in explain(f"{columns} change > 19990 ORDER BY change")
    journal.close()
