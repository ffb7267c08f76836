"""Whole runs: aborts, finally, timeouts, queues, retries as new runs, outcomes, the view."""

from __future__ import annotations

from typing import Any

import pytest

from gennaker.errors import GennakerError
from gennaker_engine.core import commands as c
from gennaker_engine.core import events as e
from gennaker_engine.core import messages as m
from gennaker_engine.core.run import Run
from gennaker_engine.core.view import describe_row, describe_run
from tests.core.bench import Bench

ONE: dict[str, Any] = {"a": {"uses": "work"}}


def test_an_abort_ends_what_runs_and_runs_finally() -> None:
    """Running stages become aborted, others are skipped, finally runs, the run is aborted."""
    stages = {"a": {"uses": "work"}, "b": {"uses": "work", "needs": "a", "if": "always()"}}
    finals = {"z": {"uses": "work", "with": {"v": "${{ stages.a.outcome }}"}}}
    bench = Bench.start({"stages": stages, "finally": finals})
    bench.cancel()
    assert bench.cause("b") == "aborted"
    assert "z" not in bench.deliveries
    bench.succeed("a")
    assert bench.outcome("a") == "aborted"
    assert bench.deliveries["z"].inputs == {"v": "aborted"}
    bench.succeed("z")
    assert bench.run.outcome == "aborted"


def test_a_second_cancel_aborts_finally_too() -> None:
    """What runs there is told to stop; a third one changes nothing."""
    finals = {"y": {"uses": "work"}, "z": {"uses": "work", "needs": "y"}}
    bench = Bench.start({"stages": ONE, "finally": finals})
    bench.succeed("a")
    bench.cancel()
    assert bench.instance("y").state == "running"
    bench.cancel("interrupt")
    assert bench.cause("z") == "aborted"
    assert bench.cancel().refused
    bench.stop("y")
    assert bench.run.outcome == "aborted"


def test_cancels_before_finally_skip_it() -> None:
    """Twice while the last stage is stopping."""
    bench = Bench.start({"stages": ONE, "finally": {"z": {"uses": "work"}}})
    bench.cancel()
    bench.cancel()
    bench.stop("a")
    assert bench.cause("z") == "aborted"
    assert bench.run.outcome == "aborted"


class TestFinally:
    """A fresh scope that sees everything."""

    def test_it_runs_whatever_happened(self) -> None:
        """Its default is always(), outputs that are not there are handled or skip."""
        finals = {
            "x": {"uses": "work"},
            "y": {"uses": "work", "with": {"v": "${{ stages.a.outputs.out }}"}},
            "z": {"uses": "work", "if": "failure()"},
            "w": {"uses": "work", "if": "success()"},
        }
        bench = Bench.start({"stages": ONE, "finally": finals})
        bench.fail("a")
        assert set(bench.deliveries) == {"x", "z"}
        assert (bench.cause("y"), bench.cause("w")) == ("missing-output", "condition")

    def test_its_failure_fails_the_run(self) -> None:
        """The worst of all stages counts."""
        bench = Bench.start({"stages": ONE, "finally": {"z": {"uses": "work"}}})
        bench.succeed("a")
        bench.fail("z")
        assert bench.run.outcome == "failed"

    def test_a_failure_inside_does_not_hold_the_next_back(self) -> None:
        """They are ordered among themselves; always() is the default."""
        finals = {"y": {"uses": "work"}, "z": {"uses": "work", "needs": "y"}}
        bench = Bench.start({"stages": ONE, "finally": finals})
        bench.succeed("a")
        assert "z" not in bench.deliveries
        bench.fail("y")
        assert "z" in bench.deliveries

    @pytest.mark.parametrize("entered", [True, False])
    def test_an_environment_never_entered(self, entered: bool) -> None:
        """Nothing to clean up where nothing was done."""
        before = {"uses": "work", "environment": "staging", "if": "params.go"}
        finals = {"z": {"uses": "work", "environment": "staging"}}
        pipeline = {"stages": {"a": before}, "finally": finals}
        bench = Bench.start(pipeline, parameters={"go": entered})
        if entered:
            bench.succeed("a")
            assert "z" in bench.deliveries
        else:
            assert bench.cause("z") == "condition"
            assert bench.run.facts.stages["z"].detail["environment"] == "staging"

    def test_it_has_ten_minutes(self) -> None:
        """Then what runs there is aborted."""
        bench = Bench.start({"stages": ONE, "finally": {"z": {"uses": "work"}}})
        bench.succeed("a")
        bench.pass_time(600)
        assert bench.instance("z").state == "stopping"
        bench.stop("z")
        assert (bench.run.outcome, bench.run.timed_out) == ("aborted", False)

    def test_time_without_a_driver_is_not_its_own(self) -> None:
        """Resumed after a day it has what was left."""
        bench = Bench.start({"stages": ONE, "finally": {"z": {"uses": "work"}}})
        bench.succeed("a")
        bench.pass_time(100)
        bench.tell(m.Park("sigterm"))
        bench.pass_time(86400)
        bench.tell(m.Adopt("next", "local:ann"))
        bench.pass_time(499)
        assert bench.instance("z").state == "running"
        bench.check_replay()


class TestRunTimeout:
    """Of the whole run, waits included."""

    def test_it_aborts_and_is_recorded(self) -> None:
        """A wait counts; finally runs after it."""
        pipeline = {
            "timeout": "1m",
            "stages": {"a": {"uses": "ask"}},
            "finally": {"z": {"uses": "work"}},
        }
        bench = Bench.start(pipeline)
        bench.wait("a", "decision")
        bench.pass_time(60)
        assert bench.outcome("a") == "aborted"
        assert bench.run.facts.gates["a/1"].state == "withdrawn"
        bench.succeed("z")
        assert (bench.run.outcome, bench.run.timed_out) == ("aborted", True)

    def test_it_counts_from_leaving_the_queue(self) -> None:
        """And not before."""
        group = {"group": "g", "limit": 1, "policy": "queue"}
        bench = Bench.start({"timeout": "1m", "stages": ONE}, concurrency=group)
        bench.pass_time(3600)
        bench.tell(m.GrantGroup())
        bench.pass_time(59)
        assert bench.instance("a").state == "running"
        bench.pass_time(1)
        assert bench.instance("a").state == "stopping"

    def test_finally_is_not_its_business(self) -> None:
        """Once only finally is left it does not come any more."""
        pipeline = {"timeout": "1m", "stages": ONE, "finally": {"z": {"uses": "work"}}}
        bench = Bench.start(pipeline)
        bench.succeed("a")
        bench.pass_time(120)
        bench.succeed("z")
        assert (bench.run.outcome, bench.run.timed_out) == ("succeeded", False)


class TestQueue:
    """Concurrency groups."""

    GROUP: dict[str, Any] = {"group": "g", "limit": 1, "policy": "queue"}

    def test_a_queued_run_starts_when_it_is_granted(self) -> None:
        """It asks when it is created, and leaves at its end."""
        bench = Bench.start({"stages": ONE}, concurrency=self.GROUP)
        assert bench.commands == [c.EnterGroup("g", 1, "queue")]
        assert (bench.run.state, describe_row(bench.run)["waiting"]) == ("waiting", "queue")
        assert bench.deliveries == {}
        bench.tell(m.GrantGroup())
        assert bench.tell(m.GrantGroup()).refused
        bench.succeed("a")
        assert bench.commands[-1] == c.LeaveGroup("g")

    @pytest.mark.parametrize("adopt", [True, False])
    def test_a_queued_run_that_is_superseded_ends_at_once(self, adopt: bool) -> None:
        """Nothing of it ran, so finally does not; nobody has to drive it for that."""
        pipeline = {"stages": ONE, "finally": {"z": {"uses": "work"}}}
        bench = Bench.start(pipeline, concurrency=self.GROUP, adopt=adopt)
        bench.tell(m.Cancel(None, "superseded"))
        assert bench.run.outcome == "aborted"
        assert (bench.cause("a"), bench.cause("z")) == ("aborted", "aborted")
        assert bench.commands[-1] == c.LeaveGroup("g")

    def test_a_run_that_left_the_queue_is_not_superseded(self) -> None:
        """Only queued runs are."""
        bench = Bench.start({"stages": ONE}, concurrency=self.GROUP)
        bench.tell(m.GrantGroup())
        assert bench.tell(m.Cancel(None, "superseded")).refused
        assert bench.instance("a").state == "running"


class TestRetriedRuns:
    """A new run that takes over what succeeded."""

    REUSED = {"a": {"outcome": "succeeded", "outputs": {"out": "x"}, "run": "shop-0"}}

    def test_reused_stages_are_there_with_their_outputs(self) -> None:
        """The next one starts with them."""
        stages = {**ONE, "b": {"uses": "work", "with": {"v": "${{ stages.a.outputs.out }}"}}}
        bench = Bench.start({"stages": stages}, reused=self.REUSED, retry_of="shop-0")
        assert list(bench.deliveries) == ["b"]
        assert bench.deliveries["b"].inputs == {"v": "x"}
        view = describe_run(bench.run)
        assert (view["stages"]["a"]["reused"], view["retry_of"]) == ("shop-0", "shop-0")
        bench.succeed("b")
        assert bench.run.outcome == "succeeded"
        bench.check_replay()

    def test_finally_sees_the_environment_that_was_entered(self) -> None:
        """By the run that is retried."""
        stages = {"a": {"uses": "deploy", "environment": "staging"}, "b": {"uses": "work"}}
        finals = {"z": {"uses": "work", "environment": "staging"}}
        bench = Bench.start({"stages": stages, "finally": finals}, reused=self.REUSED)
        bench.succeed("b")
        assert "z" in bench.deliveries

    def test_everything_reused(self) -> None:
        """The run ends when it is adopted."""
        assert Bench.start({"stages": ONE}, reused=self.REUSED).run.outcome == "succeeded"


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        (("succeed", "succeed"), "succeeded"),
        (("succeed", "fail"), "failed"),
        (("error", "fail"), "errored"),
    ],
)
def test_the_worst_outcome_is_the_runs(outcomes: tuple[str, str], expected: str) -> None:
    """errored > failed > aborted > succeeded."""
    bench = Bench.start({"stages": {"a": {"uses": "work"}, "b": {"uses": "work"}}})
    for name, outcome in zip("ab", outcomes, strict=True):
        getattr(bench, outcome)(name)
    assert bench.run.outcome == expected


def test_a_finished_run_never_changes() -> None:
    """Every message is refused; every event is illegal."""
    bench = Bench.start({"stages": ONE})
    bench.succeed("a")
    for message in (
        m.Adopt("x", "local:ann", died=True),
        m.Park("x"),
        m.Cancel("local:ann"),
        m.GrantLock("staging"),
        m.ReportSucceeded("a", 1, 1, {}),
        m.Tick(),
    ):
        reaction = bench.tell(message)
        assert (reaction.events, reaction.refused) == ((), "run 'shop-1' has ended")
    with pytest.raises(GennakerError, match=r"has ended; 'run\.started' cannot follow"):
        bench.run.evolve(e.RunStarted(at=0))


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([], "a history begins with 'run.created'"),
        ([e.RunStarted(at=1.0)], "a history begins with 'run.created'"),
    ],
)
def test_what_no_run_can_have_written(events: list[e.Event], said: str) -> None:
    """Is refused with a typed error."""
    with pytest.raises(GennakerError, match=said):
        Run.replay(events)


@pytest.mark.parametrize(
    "event",
    [
        e.AttemptStarted(at=1, instance="a", attempt=2),
        e.AttemptResumed(at=1, instance="a", attempt=1, delivery=2),
        e.StageResolved(at=1, instance="a", inputs={}),
        e.StageSkipped(at=1, instance="a", cause="condition"),
        e.StageSkipped(at=1, instance="nothing", cause="condition"),
        e.InstanceEnded(at=1, instance="nothing", outcome="errored"),
        e.LockAcquired(at=1, environment="staging"),
        e.LockReleased(at=1, environment="staging"),
        e.StageExpanded(at=1, stage="a", instances=({},)),
        e.FinallyStarted(at=1, deadline=2),
        e.RunQueued(at=1, group="g"),
        e.RunStarted(at=1),
    ],
)
def test_an_event_that_cannot_follow(event: e.Event) -> None:
    """Of a run whose stage is running, except what its table has."""
    bench = Bench.start({"stages": ONE})
    if isinstance(event, e.AttemptStarted):
        bench.succeed("a")
    if isinstance(event, e.FinallyStarted):
        bench.run.evolve(event)
    with pytest.raises(GennakerError) as caught:
        bench.run.evolve(event)
    assert caught.value.code == "illegal-transition"


def test_the_view_has_what_is_promised() -> None:
    """The keys of the documented JSON, with times as text."""
    stages = {
        "a": {"uses": "work"},
        "m": {"uses": "work", "matrix": {"x": [1, 2]}},
        "go": {"uses": "ask", "needs": "a"},
        "b": {"uses": "work", "needs": "go"},
    }
    bench = Bench.start({"stages": stages}, parameters={"p": 1}, source={"kind": "commit"})
    bench.succeed("a", out=1)
    bench.succeed("m[0]")
    bench.wait("go", "decision", deadline=60, approvers=["local:*"], message="Go?")
    view = describe_run(bench.run)
    assert (view["apiVersion"], view["kind"], view["id"]) == ("gennaker.dev/v1", "Run", "shop-1")
    assert (view["state"], view["outcome"], view["params"]) == ("running", None, {"p": 1})
    assert view["stages"]["a"]["outputs"] == {"out": 1}
    assert view["stages"]["a"]["started_at"] == "1970-01-01T00:16:40.000Z"
    assert view["stages"]["m"]["instances"]["m[0]"]["outcome"] == "succeeded"
    assert view["stages"]["m"]["state"] == "running"
    (wait,) = view["waiting"]
    assert (wait["stage"], wait["on"], wait["required"]) == ("go", "decision", 1)
    assert (wait["deadline"], wait["decisions"]) == ("1970-01-01T00:17:40.000Z", [])
    assert [entry["id"] for entry in wait["subject"]] == ["b"]
    bench.succeed("m[1]")
    assert describe_run(bench.run)["state"] == "waiting"
    row = describe_row(bench.run)
    assert (row["waiting"], row["due"], row["version"]) == (
        "decision",
        1060.0,
        len(bench.events),
    )


def test_a_run_of_a_thousand_stages_is_quick() -> None:
    """Work per event does not grow with the run; a whole wide run takes a fraction of a second."""
    import time

    stages = {f"s{number}": {"uses": "work"} for number in range(1000)}
    stages["end"] = {"uses": "work", "needs": list(stages)}  # type: ignore[dict-item]
    bench = Bench.start({"stages": stages})
    begin = time.process_time()
    for number in range(1000):
        report = m.ReportSucceeded(f"s{number}", 1, 1, {})
        bench.events += bench.run.handle(report, world=bench.world, now=bench.now).events
    assert time.process_time() - begin < 0.5
    assert bench.instance("end").state == "running"
