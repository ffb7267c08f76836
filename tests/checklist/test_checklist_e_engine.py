"""Faults of the engine, one small case each; the large sweeps are named in docs/reliability.md."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from gennaker.errors import NotAllowed
from gennaker_engine.cli.main import main
from gennaker_engine.core import events as e
from gennaker_engine.core import messages as m
from gennaker_engine.core.run import Run
from gennaker_engine.journal.port import VersionConflict
from gennaker_engine.journal.sqlite import SqliteJournal
from tests.contract.journal_contract import make_row
from tests.core.bench import Bench

WORK: dict[str, Any] = {"uses": "work"}
PIPELINE: dict[str, Any] = {
    "stages": {
        "a": WORK,
        "b": {**WORK, "matrix": {"x": [1, 2]}, "with": {"v": "${{ stages.a.outputs.out }}"}},
        "c": {**WORK, "needs": "b"},
    },
    "finally": {"z": WORK},
}


def _drive(bench: Bench, boundaries: list[int] | None = None) -> list[str]:
    """Let everything succeed until the run has ended; return what was delivered."""
    delivered = []
    while bench.deliveries:
        name = sorted(bench.deliveries)[0]
        delivered.append(name)
        bench.succeed(name, out=name)
        if boundaries is not None:
            boundaries.append(len(bench.events))
    return delivered


def _read_outputs(bench: Bench) -> dict[str, Any]:
    return {name: each.outputs for name, each in bench.run.facts.instances.items()}


def test_checklist_53_a_death_after_any_commit_changes_no_outcome() -> None:
    """Whoever takes the run over delivers what had not ended, and nothing else."""
    whole = Bench.start(PIPELINE)
    boundaries = [len(whole.events)]
    assert _drive(whole, boundaries) == ["a", "b[0]", "b[1]", "c", "z"]
    for kept in boundaries[:-1]:
        history = whole.events[:kept]
        ended = {each.instance for each in history if isinstance(each, e.InstanceEnded)}
        bench = Bench(Run.replay(history), whole.world, whole.now, events=list(history))
        bench.tell(m.Adopt("process 2", "local:ann", died=True))
        assert not ended & set(_drive(bench))
        assert bench.run.outcome == whole.run.outcome == "succeeded"
        assert _read_outputs(bench) == _read_outputs(whole)
        bench.check_replay()


def test_checklist_54_a_commit_told_twice_counts_once(tmp_path: Path) -> None:
    """Who lost the answer and appends again is told that it is there already."""
    journal = SqliteJournal(tmp_path / "state.db", tmp_path / "owners")
    with journal.transaction() as transaction:
        transaction.append(make_row(), 0, [{"type": "created"}])
    with pytest.raises(VersionConflict), journal.transaction() as transaction:
        transaction.append(make_row(), 0, [{"type": "created"}])
    assert [each.data for each in journal.load_events("shop-1")] == [{"type": "created"}]
    journal.close()


@pytest.mark.parametrize("by", [3600.0, -3600.0])
def test_checklist_57_a_jump_of_the_clock_is_no_time_that_passed(by: float) -> None:
    """An hour that the calendar was set by, either way, neither times a stage out nor stops it."""
    bench = Bench.start({"stages": {"a": {**WORK, "timeout": "10m"}}})
    bench.pass_time(300)
    bench.now += by
    bench.tell(m.ClockMoved(by=by))
    bench.pass_time(200)
    assert bench.instance("a").state == "running"
    bench.pass_time(200)
    assert (bench.outcome("a"), bench.run.outcome) == ("failed", "failed")
    bench.check_replay()


@pytest.mark.parametrize("order", list(permutations(["approve", "reject", "cancel", "expire"])))
def test_checklist_58_the_first_decision_is_the_only_one(order: tuple[str, ...]) -> None:
    """Approval, rejection, abort and expiry in any order: one of them counts, once."""
    bench = Bench.start({"stages": {"go": {"uses": "ask"}, "live": {**WORK, "needs": "go"}}})
    bench.wait("go", "decision", deadline=100)
    closed = []
    for what in order:
        try:
            if what == "expire":
                bench.pass_time(200)
            elif what == "cancel":
                bench.cancel()
            elif what == "approve":
                bench.approve("go")
            else:
                bench.reject("go")
        except NotAllowed:
            continue
        closed.append(sum(isinstance(each, e.ApprovalClosed) for each in bench.events))
    assert closed[-1] == 1
    assert sum(isinstance(each, e.ApprovalDecided) for each in bench.events) <= 1
    bench.check_replay()


def test_checklist_59_an_abort_during_a_deploy_a_back_off_and_finally() -> None:
    """What runs is told to stop, what waits ends, finally runs, and a second abort ends it too."""
    stages = {
        "live": {"uses": "deploy", "environment": "production"},
        "flaky": {**WORK, "retry": {"limit": 3, "delay": "10m"}},
    }
    bench = Bench.start({"stages": stages, "finally": {"z": WORK}})
    bench.fail("flaky")
    bench.cancel()
    assert bench.outcome("flaky") == "aborted"
    assert bench.instance("live").state == "stopping"
    bench.stop("live")
    assert bench.outcome("live") == "aborted"
    assert bench.instance("z").state == "running"
    bench.cancel()
    bench.stop("z")
    assert (bench.outcome("z"), bench.run.outcome) == ("aborted", "aborted")
    bench.check_replay()


def test_checklist_61_a_run_keeps_the_definition_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is changed while the run waits: what was approved is what runs."""
    for name in ("CI", "GITHUB_ACTIONS", "GITLAB_CI", "GENNAKER_STATE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    text = "name: p\nstages:\n  go: {uses: approval, with: {message: ok?}}\n"
    old = "  old: {uses: wait, needs: go, with: {for: 1ms}}\n"
    Path("gennaker.yaml").write_text("project: p\n")
    Path("pipelines").mkdir()
    Path("pipelines/p.yaml").write_text(text + old)
    assert main(["run", "p", "--detach-on-wait"]) == 6
    Path("pipelines/p.yaml").write_text(text + old.replace("old", "new"))
    assert main(["approve", "p-1", "go"]) == 0
    capsys.readouterr()
    assert main(["status", "p-1", "-o", "json"]) == 0
    assert sorted(json.loads(capsys.readouterr().out)["stages"]) == ["go", "old"]
