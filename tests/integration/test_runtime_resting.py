"""Many runs in one process: those that only wait are not kept in memory, and go on all the same."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path

import pytest

from gennaker_engine.core.messages import Cancel, Decide, Park
from gennaker_engine.core.run import Run
from gennaker_engine.journal.checking import check_journal
from gennaker_engine.journal.port import RunFilter
from gennaker_engine.runtime import driver as driving
from gennaker_engine.runtime.driven import Driven
from tests.integration.runtime_parts import open_engine, start_run, wait_for, write_project

PIPELINE = """\
name: p
stages:
  first: {uses: t.echo, with: {say: it}}
  ask: {uses: approval, needs: first}
  last: {uses: t.echo, needs: ask, with: {say: '${{ stages.first.outputs.said }}'}}
"""


TIMED = """\
  once: {uses: t.behave, with: {how: timer}}
timeout: 2s
"""


@pytest.mark.parametrize("crowd", [1, 2, 256])
def test_waiting_runs_rest_and_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crowd: int
) -> None:
    """Decided from elsewhere and from here, cancelled, or out of time: each ends as it would."""
    monkeypatch.setattr(driving, "CROWD", crowd)
    rested: set[str] = set()
    rest = Driven.rest

    def note(driven: Driven) -> None:
        rested.add(driven.id)
        rest(driven)

    monkeypatch.setattr(Driven, "rest", note)
    engine = open_engine(write_project(tmp_path, PIPELINE))
    runs = [start_run(engine) for _ in range(6)]
    found: list[Run] = []
    thread = threading.Thread(target=lambda: found.extend(engine.drive(runs)))
    thread.start()
    waiting = RunFilter(states=("waiting",))
    wait_for(lambda: len(engine.journal.list_runs(waiting)) == 6, 60)
    if crowd < 6:
        wait_for(lambda: rested == set(runs))
    approve = Decide("ask", "approve", "local:bob")
    with closing(open_engine(tmp_path)) as other:
        other.send(runs[0], approve)
        other.send(runs[1], Decide("ask", "reject", "local:bob"))
        other.send(runs[2], Cancel("local:bob"))
    engine.request(runs[3], approve).wait()
    engine.request(runs[4], Cancel("local:bob")).wait()
    engine.request(runs[5], Park("terminate")).wait()
    thread.join(60)
    outcomes = [run.outcome for run in found]
    assert outcomes == ["succeeded", "aborted", "aborted", "succeeded", "aborted", None]
    assert (rested == set(runs)) == (crowd < 6)
    said = [run.facts.stages["last"].outputs for run in found]
    assert [each and each["said"] for each in said] == ["it", None, None, "it", None, None]
    assert check_journal(engine.journal) == []
    engine.send(runs[5], approve)
    assert engine.drive(runs[5]).outcome == "succeeded"
    engine.close()


def test_timers_and_deadlines_wake_who_rests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time alone changes something: what rests until then is awake in time."""
    monkeypatch.setattr(driving, "CROWD", 1)
    monkeypatch.setattr(driving, "DOZE", 0.1)
    engine = open_engine(write_project(tmp_path, PIPELINE + TIMED))
    runs = [start_run(engine) for _ in range(3)]
    ended = engine.drive(runs)
    assert [run.created.pipeline for run in ended] == ["p"] * 3
    assert {run.outcome for run in ended} == {"aborted"}
    assert all(run.facts.stages["once"].outputs == {"value": True} for run in ended)
    engine.close()
