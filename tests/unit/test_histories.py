"""What earlier releases wrote reads as it did then: states, outcomes, views, after every event."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from gennaker_engine.core.events import EVENT_TYPES
from gennaker_engine.core.run import Run
from gennaker_engine.core.view import describe_row
from gennaker_engine.journal.checking import check_journal
from gennaker_engine.journal.decoding import replay_stored
from gennaker_engine.journal.migrations import Migrations
from gennaker_engine.journal.port import StoredEvent
from gennaker_engine.journal.sqlite import SqliteJournal
from tests.contract.migration_contract import add_step
from tests.histories import kept, record, states
from tests.histories.scenarios import SCENARIOS

NAMES = kept.list_names()


def store(run: kept.KeptRun) -> list[StoredEvent]:
    """Return a kept run's events as a journal gives them."""
    return [StoredEvent(number, data) for number, data in enumerate(run.events, 1)]


@pytest.mark.parametrize("name", NAMES)
def test_histories_read_as_they_did(tmp_path, name):
    """State, outcome and what is waited for after every event; the row and the view at the end."""
    history = kept.load(name)
    journal = SqliteJournal(tmp_path / "state.db", tmp_path / "owners")
    history.write(journal)
    now = kept.read(journal, history.about)
    for was, run in zip(history.runs, now.runs, strict=True):
        assert run.rows == was.rows
        assert run.view == was.view
        assert run.events == was.events
        assert describe_row(replay_stored(store(was), was.name)) == was.row
    journal.close()


@pytest.mark.parametrize("name", NAMES)
def test_histories_go_on_being_legal(tmp_path, name):
    """A check of the state that a later release makes finds nothing wrong in them."""
    journal = SqliteJournal(tmp_path / "state.db", tmp_path / "owners")
    kept.load(name).write(journal)
    flaws = [str(flaw) for flaw in check_journal(journal) if "no last deploy" not in flaw.told]
    assert flaws == []  # which deploy was the last is not kept
    journal.close()


def test_histories_hold_every_event_type_and_version():
    """An event that a release can write is in a kept history, so that it will be read for ever."""
    held = {
        (event["type"], event["v"])
        for name in NAMES
        for run in kept.load(name).runs
        for event in run.events
    }
    missing = sorted(set(EVENT_TYPES) - held)
    assert not missing, "write a scenario with it, then: python -m tests.histories.record"


def test_histories_are_those_of_the_scenarios():
    """A scenario is recorded once it is written; who recorded a file can be seen."""
    assert sorted(SCENARIOS) == NAMES


def test_histories_are_never_recorded_again(capsys):
    """The recorder refuses a name that is kept."""
    assert record.main([NAMES[0], "nonsense"]) == 2
    assert capsys.readouterr().err == (
        "there is no scenario 'nonsense' in tests/histories/scenarios.py\n"
        f"{NAMES[0]!r} is kept already and stays as it is\n"
    )


@pytest.mark.parametrize("name", [path.stem for path in states.find_states("sqlite").values()])
@pytest.mark.parametrize("more", [False, True])
def test_histories_in_states_of_each_version_survive_upgrades(tmp_path, name, more):
    """A state of an older release is opened, upgraded (and once more), and reads as it did."""
    states.restore_sqlite(tmp_path / "state.db", states.FOLDER / f"{name}.sql")
    steps = add_step("sqlite", tmp_path / "steps") if more else None
    journal = SqliteJournal(tmp_path / "state.db", tmp_path / "owners", migrations=steps)
    expected = kept.load(name.rpartition("-")[2])
    history, deploy, change, number = states.tell(journal)
    assert (history.runs, history.claims) == (expected.runs, expected.claims)
    assert deploy == states.DEPLOY
    assert (change, number) == (len(expected.runs), len(expected.runs) + 1)
    journal.close()


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_histories_are_kept_in_states_of_each_version(dialect):
    """A new version of the schema is kept with data in it: python -m tests.histories.record."""
    versions = {version for version, _ in states.find_states(dialect)}
    assert versions == set(range(1, Migrations.of(dialect).newest + 1))


def test_histories_replay_to_what_they_were_folded_to():
    """Replaying at once and event by event give the same run."""
    for name in NAMES:
        for run in kept.load(name).runs:
            stored = store(run)
            *_, folded = kept.fold(stored, run.name)
            assert folded == replay_stored(stored, run.name)
            assert isinstance(folded, Run)
            assert asdict(folded.facts)["version"] == len(stored)
