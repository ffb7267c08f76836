"""What every journal must hold when its schema is upgraded with data in it.

A suite for an implementation subclasses and says how to open one. The upgrade is one that only the
tests have: a step more than the release has.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from gennaker_engine.journal import migrations
from gennaker_engine.journal.errors import StateError
from gennaker_engine.journal.migrations import Migrations
from gennaker_engine.journal.port import Journal, RunFilter
from tests.contract.journal_contract import make_claim, make_row

__all__ = ["BROKEN", "MigrationContract", "add_step", "fill", "tell"]

STEP = """-- The statement with the counter fails when it is executed twice.
ALTER TABLE runs ADD COLUMN note TEXT
;
UPDATE runs SET note = upper(pipeline)
;
CREATE TABLE notes (run TEXT PRIMARY KEY)
;
INSERT INTO counters (name, value) VALUES ('upgraded', 1)
"""
BROKEN = STEP + ";\nSELECT * FROM missing\n"

Open = Callable[..., Journal]


def add_step(dialect: str, folder: Path, statements: str = STEP) -> Migrations:
    """Return the release's steps and one more, made in ``folder``."""
    shutil.copytree(migrations._FOLDER / dialect, folder)
    number = Migrations(folder).newest + 1
    (folder / f"{number:04}_tests.sql").write_text(statements)
    return Migrations(folder)


def fill(journal: Journal) -> None:
    """Write two runs with events, and a claim."""
    for run in ("shop-1", "shop-2"):
        with journal.transaction() as transaction:
            transaction.append(make_row(run), 0, [{"type": "a", "v": 1, "text": f"of {run}"}])
            transaction.write_claim(make_claim("lock", run, transaction.next_place()))


def tell(journal: Journal) -> object:
    """Return what the journal holds, through its port."""
    rows = journal.list_runs(RunFilter())
    events = [journal.load_events(row.run) for row in rows]
    return rows, events, journal.read_claims(), journal.list_changes(0)


class MigrationContract:
    """Subclass it and give ``dialect`` and the fixture ``open_state``."""

    dialect: str

    @pytest.fixture
    def open_state(self) -> Open:
        """Return what opens the state under test once more; it takes ``migrations``."""
        raise NotImplementedError

    def test_migrations_are_numbered_without_a_gap(self):
        """A step's number is the version that it leads to."""
        names = sorted(each.name for each in (migrations._FOLDER / self.dialect).iterdir())
        assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))
        assert Migrations.of(self.dialect).newest == len(names)

    def test_an_upgrade_keeps_what_was_written(self, open_state, tmp_path):
        """An older release's database takes the steps that it has not had, and reads the same."""
        journal = open_state()
        fill(journal)
        before = tell(journal)
        journal.close()
        newer = add_step(self.dialect, tmp_path / "steps")
        for _ in range(2):
            journal = open_state(migrations=newer)
            assert tell(journal) == before
            journal.close()
        journal = open_state(migrations=newer)
        fill_again = make_row(version=2)
        with journal.transaction() as transaction:
            transaction.append(fill_again, 1, [{"type": "b", "v": 1}])
        assert journal.find_run("shop-1") == fill_again
        journal.close()

    def test_an_empty_database_takes_all_steps(self, open_state, tmp_path):
        """A new state and an upgraded one are made by the same files."""
        newer = add_step(self.dialect, tmp_path / "steps")
        journal = open_state(migrations=newer)
        fill(journal)
        assert len(journal.list_runs(RunFilter())) == 2
        journal.close()
        open_state(migrations=newer).close()

    def test_a_step_that_fails_changes_nothing(self, open_state, tmp_path):
        """The old release goes on with its database."""
        journal = open_state()
        fill(journal)
        before = tell(journal)
        with pytest.raises(StateError):
            open_state(migrations=add_step(self.dialect, tmp_path / "broken", BROKEN))
        with journal.transaction() as transaction:
            transaction.next_place()
        journal.close()
        journal = open_state(migrations=add_step(self.dialect, tmp_path / "steps"))
        assert tell(journal) == before
        journal.close()

    def test_of_processes_that_upgrade_at_once_one_does(self, open_state, tmp_path):
        """The others wait and find it done."""
        journal = open_state()
        fill(journal)
        before = tell(journal)
        newer = add_step(self.dialect, tmp_path / "steps")
        opened: list[Journal] = []
        start = threading.Barrier(4)

        def upgrade() -> None:
            start.wait(10)
            opened.append(open_state(migrations=newer))

        threads = [threading.Thread(target=upgrade) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert [tell(each) for each in opened] == [before] * 4
        for each in (journal, *opened):
            each.close()

    def test_who_has_it_open_since_before_the_upgrade_writes_nothing(self, open_state, tmp_path):
        """A process of the older release is told at its next write, and when it opens again."""
        old = open_state()
        fill(old)
        before = tell(old)
        version = Migrations.of(self.dialect).newest
        new = open_state(migrations=add_step(self.dialect, tmp_path / "steps"))
        message = (
            "state-newer: .* was written by a newer Gennaker: its schema is version "
            f"{version + 1}, this one knows {version}; use that version of Gennaker, or choose "
            "another state"
        )
        with pytest.raises(StateError, match=message), old.transaction() as transaction:
            transaction.next_place()
        with pytest.raises(StateError, match=message):
            open_state()
        assert tell(new) == before
        old.close()
        new.close()
