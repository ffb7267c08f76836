"""Messages redelivered to runs that have ended long ago, through the engine: nothing is written."""

from __future__ import annotations

import pytest

from gennaker_engine.core.events import encode_event
from gennaker_engine.core.messages import Cancel, ReportErrored, ReportSucceeded, World
from gennaker_engine.core.run import Run
from gennaker_engine.journal.checking import check_journal
from gennaker_engine.journal.decoding import replay_stored
from gennaker_engine.journal.port import RunFilter, VersionConflict
from gennaker_engine.runtime.moment import make_row
from tests.integration.runtime_parts import open_engine, start_run, write_project

PIPELINE = "name: shop\nstages:\n  a: {uses: t.echo}\n  b: {uses: t.echo, needs: a}\n"
RUNS = 39


def test_late_redelivery_after_a_minute_leaves_finished_runs_finished(tmp_path):
    """Each run's messages come again 60 s later, to it and to a process that slept: all stay ended.

    The process that slept holds the run as it was while its first stage worked, and writes what
    follows from a second answer of that stage as if nothing had happened since.
    """
    engine = open_engine(write_project(tmp_path, PIPELINE))
    names = [start_run(engine) for _ in range(RUNS)]
    assert {run.outcome for run in engine.drive(names)} == {"succeeded"}
    rows = engine.journal.list_runs(RunFilter())
    for name in names:
        stored = engine.journal.load_events(name)
        for message in (
            ReportSucceeded("a", 1, 1, {"said": "again"}),
            ReportErrored("b", 1, 1, "again"),
            Cancel("local:bob"),
        ):
            assert engine.send(name, message).refused == f"run {name!r} has ended"
        working = 1 + next(
            each.sequence for each in stored if each.data["type"] == "attempt.started"
        )
        slept: Run = replay_stored(stored[: working - 1], name)
        version = slept.version
        reaction = slept.handle(
            ReportSucceeded("a", 1, 1, {"said": ""}), world=World(), now=slept.created.at + 60
        )
        assert slept.state == "running"
        assert reaction.events
        with pytest.raises(VersionConflict), engine.journal.transaction() as transaction:
            events = [encode_event(event) for event in reaction.events]
            transaction.append(make_row(slept), version, events)
        assert engine.journal.load_events(name) == stored
    assert engine.journal.list_runs(RunFilter()) == rows
    assert check_journal(engine.journal) == []
    engine.close()
