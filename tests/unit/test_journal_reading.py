"""A journal that can only be read: nothing is written, and what others write meanwhile is seen."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gennaker_engine.journal import sqlite_reading
from gennaker_engine.journal.errors import StateError
from gennaker_engine.journal.port import RunFilter
from gennaker_engine.journal.sqlite import SqliteJournal
from gennaker_engine.journal.sqlite_reading import ReadOnlySqliteJournal
from tests.contract.journal_contract import make_row
from tests.contract.migration_contract import add_step


def write(path: Path, run: str) -> SqliteJournal:
    """Write a run, and leave the journal open."""
    journal = SqliteJournal(path, path.parent / "owners")
    with journal.transaction() as transaction:
        transaction.append(make_row(run), 0, [{"type": "created"}])
    return journal


def runs(journal: SqliteJournal) -> list[str]:
    """The runs that a journal has, newest first."""
    return [each.run for each in journal.list_runs(RunFilter())]


@pytest.fixture(name="path")
def make_path(tmp_path: Path) -> Path:
    """A database with one run, which nobody has open."""
    path = tmp_path / "a state?" / "state.db"
    write(path, "shop-1").close()
    return path


@pytest.fixture(name="journal")
def open_reading(path: Path) -> Iterator[ReadOnlySqliteJournal]:
    """The journal of it, only to be read."""
    with closing(ReadOnlySqliteJournal(path, path.parent / "owners")) as journal:
        yield journal


def test_reading_makes_no_file_and_a_write_is_refused(
    path: Path, journal: ReadOnlySqliteJournal
) -> None:
    """No lock, no log and no shared memory beside the database."""
    assert runs(journal) == ["shop-1"]
    assert journal.load_events("shop-1")[0].sequence == 1
    told = r"state-unwritable: the state .*/a state\?/state.db cannot be written; make it"
    with pytest.raises(StateError, match=told), journal.transaction() as transaction:
        transaction.next_place()
    assert [each.name for each in path.parent.iterdir()] == ["state.db"]


def test_what_is_written_meanwhile_is_seen(path: Path, journal: ReadOnlySqliteJournal) -> None:
    """While somebody has the database open, after it was closed, and again; and the token tells."""
    tokens = [journal.change_token()]
    for number in (2, 3):
        other = write(path, f"shop-{number}")
        assert runs(journal)[0] == f"shop-{number}"
        tokens.append(journal.change_token())
        with other.transaction() as transaction:
            transaction.append(make_row(f"late-{number}"), 0, [{"type": "created"}])
        assert runs(journal)[0] == f"late-{number}"
        tokens.append(journal.change_token())
        other.close()
        assert runs(journal)[0] == f"late-{number}"
    assert len(set(tokens)) == len(tokens)


def test_a_question_during_which_the_file_changed_is_asked_anew(
    path: Path, journal: ReadOnlySqliteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read of a file that became another is not believed, be it rows or damage."""
    read, left = sqlite_reading.read_rows, [sqlite3.DatabaseError("malformed"), None]

    def read_and_write(*question):
        found = read(*question)
        if left:
            write(path, f"shop-{len(left) + 1}").close()
            error = left.pop()
            if error is not None:
                raise error
        return found

    monkeypatch.setattr(sqlite_reading, "read_rows", read_and_write)
    assert sorted(runs(journal)) == ["shop-1", "shop-2", "shop-3"]
    left.extend([None] * 100)
    with pytest.raises(StateError) as caught:
        runs(journal)
    assert str(caught.value) == (
        f"state-busy: the state {path} is written all the time, and can only be read here; "
        "try again, or look where it can be written"
    )


def test_damage_is_told_as_such(path: Path, journal: ReadOnlySqliteJournal) -> None:
    """A file that is no database any more, and did not change meanwhile, is not asked for ever."""
    path.write_bytes(b"x" * 4096)
    with pytest.raises(StateError, match="state-corrupt: "):
        runs(journal)


def test_an_older_schema_is_told(path: Path, tmp_path: Path) -> None:
    """It cannot be brought up to date here."""
    steps = add_step("sqlite", tmp_path / "steps")
    with pytest.raises(StateError) as caught:
        ReadOnlySqliteJournal(path, path.parent / "owners", migrations=steps)
    assert str(caught.value) == (
        f"state-unwritable: {path} was written by an older Gennaker, and cannot be brought up to "
        "date where it cannot be written; copy its folder to where you may write, and name that "
        "with --state"
    )
