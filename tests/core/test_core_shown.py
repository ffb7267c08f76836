"""What a run shows of its stages, of what it waits for, and why something did not run."""

from __future__ import annotations

from typing import Any

import pytest

from gennaker.expressions import compile_expression
from gennaker_engine.core import commands as c
from gennaker_engine.core import events as e
from gennaker_engine.core import messages as m
from gennaker_engine.core.advance import FINALLY_TIME
from gennaker_engine.core.run import Run
from gennaker_engine.core.scope import make_scope
from gennaker_engine.core.timers import Timers
from gennaker_engine.core.view import describe_run
from tests.core.bench import Bench, make_created

WORK = {"uses": "work"}
LATER = {"grant_locks": False}
DEPLOY = {"uses": "deploy", "environment": "staging"}
APPROVAL = {"approvers": ["local:*"], "required": 1, "self": True, "expires": 60.0}


def show(bench: Bench, stage: str) -> dict[str, Any]:
    """One stage as ``status -o json`` shows it."""
    found: dict[str, Any] = describe_run(bench.run)["stages"][stage]
    return found


class TestStages:
    """The entry of a stage."""

    def test_an_attempt_that_failed_is_told_while_the_next_is_awaited(self) -> None:
        """Its code and reason are the instance's; the stage has none before it ends."""
        bench = Bench.start({"stages": {"a": {**WORK, "retry": 1}, "b": WORK}})
        bench.error("a", code="no-route", delay=60.0)
        shown = show(bench, "a")
        assert (shown["state"], shown["outcome"]) == ("waiting", None)
        assert (shown["code"], shown["reason"], shown["attempts"]) == ("no-route", "it broke", 1)

    def test_a_matrix_tells_why_it_could_not_be_made(self) -> None:
        """There is no instance to tell it: code and reason are the stage's own."""
        matrix = {"x": "${{ stages.a.outputs.out.y }}"}
        bench = Bench.start({"stages": {"a": WORK, "many": {**WORK, "matrix": matrix}}})
        bench.succeed("a", out={"z": 1})
        shown = show(bench, "many")
        assert (shown["outcome"], shown["code"] is None) == ("errored", False)
        assert "y" in shown["reason"]
        assert "instances" not in shown

    def test_a_matrix_that_failed_shows_what_its_stage_says(self) -> None:
        """Not what its first instance says, which is shown with the instance."""
        bench = Bench.start({"stages": {"many": {**WORK, "matrix": {"x": [1, 2]}}, "b": WORK}})
        bench.error("many[0]", permanent=True, code="no-route")
        shown = show(bench, "many")
        assert (shown["code"], shown["reason"]) == (None, None)
        assert shown["instances"]["many[0]"]["code"] == "no-route"

    def test_a_stage_that_has_not_begun(self) -> None:
        """No attempts, no instances, and no word of what it would put back or has taken over."""
        bench = Bench.start({"stages": {"a": WORK, "b": {**WORK, "needs": "a"}}})
        shown = show(bench, "b")
        assert (shown["attempts"], shown["state"]) == (0, "pending")
        assert not {"undoes", "reused", "instances"} & set(shown)

    def test_what_puts_back_is_shown_when_something_led_to_it(self) -> None:
        """Neither before, nor when there was nothing to put back."""
        bench = Bench.start({"stages": {"ship": {**DEPLOY, "on_failure": "undo"}}})
        assert list(describe_run(bench.run)["stages"]) == ["ship"]
        bench.record("ship")
        bench.fail("ship")
        assert (show(bench, "undo:ship")["state"], show(bench, "undo:ship")["undoes"]) == (
            "running",
            "ship",
        )
        bench.succeed("undo:ship")
        assert show(bench, "undo:ship")["outcome"] == "succeeded"

        fine = Bench.start({"stages": {"ship": {**DEPLOY, "on_failure": "undo"}}})
        fine.succeed("ship")
        assert list(describe_run(fine.run)["stages"]) == ["ship"]


class TestWaits:
    """``waiting``: on what, since when, until when."""

    def test_a_stage_that_is_tried_again(self) -> None:
        """It waits for its back-off, which says when it is over; what works waits for nothing."""
        bench = Bench.start({"stages": {"a": {**WORK, "retry": 1}, "b": WORK}})
        bench.error("a", delay=60.0)
        (wait,) = describe_run(bench.run)["waiting"]
        assert (wait["stage"], wait["on"], wait["retry"]) == ("a", "timer", True)
        assert (wait["until"], wait["deadline"]) == ("1970-01-01T00:17:40.000Z", None)

    def test_a_stage_that_waits_itself(self) -> None:
        """It says until when, too."""
        bench = Bench.start({"stages": {"a": WORK}})
        bench.wait("a", "timer", at=1030.0)
        (wait,) = describe_run(bench.run)["waiting"]
        assert (wait["on"], wait["retry"]) == ("timer", False)
        assert (wait["until"], wait["since"]) == (
            "1970-01-01T00:17:10.000Z",
            "1970-01-01T00:16:40.000Z",
        )

    def test_an_approval_is_named_by_the_stage_that_asks(self) -> None:
        """That of an environment by a stage which waits for it."""
        asked = m.EnvironmentFacts("staging", approval=APPROVAL)
        pipeline = {"stages": {"live": DEPLOY, "go": {"uses": "ask"}}}
        bench = Bench.start(pipeline, environments={"staging": asked})
        bench.wait("go", "decision")
        waits = {each["gate"]: each["stage"] for each in describe_run(bench.run)["waiting"]}
        assert waits == {"@staging/1": "live", "go/1": "go"}


class TestReasons:
    """Why something did not run, or not to its end."""

    @pytest.mark.parametrize(
        ("reason", "told"),
        [
            ("cancel", "the run was cancelled"),
            ("interrupt", "the run was interrupted"),
        ],
    )
    def test_an_abort_says_whose(self, reason: str, told: str) -> None:
        """The attempt that was stopped and the stage that was skipped tell the same story."""
        bench = Bench.start({"stages": {"a": WORK, "b": {**WORK, "needs": "a"}}})
        bench.cancel(reason)
        bench.stop("a")
        assert show(bench, "a")["reason"] == told
        assert (bench.cause("b"), show(bench, "b")["detail"]) == ("aborted", {"by": reason})

    def test_the_time_of_finally_is_over(self) -> None:
        """What is left of it is stopped, and says why; nobody cancelled anything."""
        last = {"y": {**WORK, "timeout": "9h"}, "z": {**WORK, "needs": "y"}}
        bench = Bench.start({"stages": {"a": WORK}, "finally": last})
        bench.succeed("a")
        bench.pass_time(FINALLY_TIME)
        bench.stop("y")
        assert show(bench, "y")["reason"] == "the time of 'finally' is over"
        assert show(bench, "z")["detail"] == {"by": "finally-timeout"}

    def test_a_stop_names_the_stage(self) -> None:
        """That what was stopped says which stage's failure it was."""
        pipeline = {"stages": {"a": {**WORK, "on_failure": "stop"}, "b": WORK, "c": WORK}}
        bench = Bench.start(pipeline)
        bench.fail("a")
        bench.stop("b")
        assert show(bench, "b")["reason"] == "stage 'a' failed and stops the run"

    def test_a_second_cancel_is_what_skips_finally(self) -> None:
        """And the detail says so."""
        last = {"y": WORK, "z": {**WORK, "needs": "y"}}
        bench = Bench.start({"stages": {"a": WORK}, "finally": last})
        bench.cancel()
        bench.stop("a")
        bench.cancel()
        bench.stop("y")
        assert show(bench, "z")["detail"] == {"by": "cancel"}

    def test_what_was_cancelled_while_nobody_drove_is_not_called_again(self) -> None:
        """The process that takes over ends the attempt that its owner left behind, with the reason."""
        bench = Bench.start({"stages": {"a": WORK, "b": {**WORK, "needs": "a"}}})
        bench.tell(m.Park("signal"))
        bench.cancel()
        reaction = bench.tell(m.Adopt("next", "local:ann", died=True))
        assert not [each for each in reaction.commands if isinstance(each, c.Deliver)]
        assert (bench.outcome("a"), show(bench, "a")["code"]) == ("aborted", "aborted")
        assert show(bench, "a")["reason"] == "the run was cancelled"

    def test_what_was_cancelled_is_cleaned_up_once(self) -> None:
        """By the process that takes over, not once for the end and once for the adoption."""
        bench = Bench.start({"stages": {"a": WORK}})
        bench.tell(m.GuardChanged("a", 1, 1, "container", "x", entered=True))
        bench.tell(m.Park("signal"))
        bench.cancel()
        reaction = bench.tell(m.Adopt("next", "local:ann", died=True))
        wanted = c.CleanUp("a", "work", (("container", "x"),))
        assert [each for each in reaction.commands if isinstance(each, c.CleanUp)] == [wanted]

    def test_one_instance_whose_values_cannot_be_had(self) -> None:
        """It alone is errored, whichever it is; the others are run."""
        matrix = {"x": [0, 1, 2], "fail_fast": False}
        stage = {**WORK, "matrix": matrix, "with": {"y": "${{ 1 / matrix.x }}"}}
        bench = Bench.start({"stages": {"many": stage, "b": WORK}})
        assert (bench.outcome("many[0]"), bench.outcome("many")) == ("errored", None)
        assert set(bench.deliveries) == {"many[1]", "many[2]", "b"}

    def test_a_condition_that_cannot_be_had(self) -> None:
        """It is the stage's one instance that is errored."""
        bench = Bench.start({"stages": {"a": {**WORK, "if": "1 / 0 == 1"}, "b": WORK}})
        ended = bench.last(e.InstanceEnded)
        assert (ended.instance, ended.outcome) == ("a", "errored")


class TestRooms:
    """How many instances run at once."""

    def test_a_matrix_never_has_more_than_its_room(self) -> None:
        """Two at once from the first to the last, however they end."""
        matrix = {"x": list(range(7)), "max_parallel": 2, "fail_fast": False}
        bench = Bench.start({"stages": {"many": {**WORK, "matrix": matrix}}})
        seen = []
        while bench.deliveries:
            seen.append(len(bench.deliveries))
            bench.succeed(next(iter(bench.deliveries)))
        assert seen == [2, 2, 2, 2, 2, 2, 1]

    def test_who_leaves_the_queue_of_a_lock_leaves_the_others_in_it(self) -> None:
        """Two wait for the environment, one's matrix is given up: the other still gets it."""
        places = {**DEPLOY, "environment": "${{ matrix.e }}"}
        many = {**places, "matrix": {"e": ["production", "staging"]}}
        bench = Bench.start({"stages": {"many": many, "b": DEPLOY}}, grant_locks=False)
        bench.tell(m.GrantLock("production"))
        assert set(bench.deliveries) == {"many[0]"}
        bench.fail("many[0]")
        assert bench.outcome("many[1]") is not None
        bench.tell(m.GrantLock("staging"))
        assert set(bench.deliveries) == {"b"}


class TestRuns:
    """A run as a whole."""

    def test_a_group_has_room_for_one(self) -> None:
        """Unless the pipeline says for how many."""
        created = make_created({"stages": {"a": WORK}}, concurrency={"group": "g"})
        world = Bench.start({"stages": {"a": WORK}}).world
        _, reaction = Run.create(created, world=world, now=1000.0)
        (command,) = reaction.commands
        assert command == c.EnterGroup("g", 1, "queue")

    def test_runs_are_equal_when_their_facts_are(self) -> None:
        """And to nothing else."""
        one, same = (Bench.start({"stages": {"a": WORK}}) for _ in range(2))
        other = Bench.start({"stages": {"b": WORK}})
        assert one.run == same.run
        assert one.run != other.run
        assert one.run != "shop-1"

    @pytest.mark.parametrize(
        ("kind", "more"), [(m.ReportFailed, {"reason": "no"}), (m.ReportSucceeded, {"outputs": {}})]
    )
    def test_a_report_of_the_runtimes_own_kind_is_what_it_is_made_of(
        self, kind: type[Any], more: dict[str, Any]
    ) -> None:
        """A subclass counts as its base."""
        bench = Bench.start({"stages": {"a": WORK}})
        bench.tell(type("Own", (kind,), {})("a", 1, 1, **more))
        assert bench.outcome("a") == ("failed" if kind is m.ReportFailed else "succeeded")

    def test_a_run_is_pending_until_a_process_drives_it(self) -> None:
        """Then it runs, also before anything of it does."""
        bench = Bench.start({"stages": {"a": WORK}}, adopt=False)
        assert bench.run.state == "pending"
        bench.tell(m.Adopt("process 1", "local:ann"))
        assert bench.run.state == "running"
        bench.tell(m.Park("signal"))
        assert bench.run.state == "pending"


class TestSubjects:
    """What people are asked about, and what of it has moved."""

    @pytest.mark.parametrize(
        ("length", "told"),
        [(78, '"' + 78 * "x" + '"'), (79, '"' + 78 * "x" + "…")],
    )
    def test_long_values_are_told_by_their_beginning(self, length: int, told: str) -> None:
        """Up to eighty characters are whole; of longer ones there are eighty with the mark."""
        live = {**DEPLOY, "with": {"host": "${{ environment.variables.host }}"}}
        asked = m.EnvironmentFacts("staging", approval=APPROVAL, variables={"host": "old"})
        bench = Bench.start({"stages": {"live": live}}, environments={"staging": asked}, **LATER)
        bench.approve("live")
        bench.set_environment("staging", variables={"host": length * "x"})
        bench.tell(m.GrantLock("staging"))
        moved = bench.last(e.ApprovalRequested).moved
        assert moved == (
            f'live.environment.variables.host: "old" is now {told}',
            f'live.inputs.host: "old" is now {told}',
        )

    def test_what_was_a_value_and_is_none(self) -> None:
        """Only what is a map before and after is compared name by name."""
        asked = m.EnvironmentFacts("staging", approval=APPROVAL, variables={"host": {"a": 1}})
        bench = Bench.start({"stages": {"live": DEPLOY}}, environments={"staging": asked}, **LATER)
        bench.approve("live")
        bench.set_environment("staging", variables={"host": "b"})
        bench.tell(m.GrantLock("staging"))
        moved = bench.last(e.ApprovalRequested).moved
        assert moved == ('live.environment.variables.host: {"a":1} is now "b"',)

    def test_what_has_begun_is_asked_about_no_more(self) -> None:
        """An approval that is wanted from now on asks about what has not started."""
        stages = {"a": DEPLOY, "c": WORK, "b": {**DEPLOY, "needs": "c"}}
        bench = Bench.start({"stages": stages})
        bench.set_environment("staging", approval=APPROVAL)
        bench.succeed("c")
        assert [each["id"] for each in bench.last(e.ApprovalRequested).subject] == ["b"]

    def test_what_has_begun_keeps_what_was_shown(self) -> None:
        """Of three that were approved together one runs: the others are asked about again."""
        many = {**DEPLOY, "needs": "b", "matrix": {"x": [1]}, "with": {"x": "${{ matrix.x }}"}}
        stages = {"a": DEPLOY, "c": WORK, "b": {**DEPLOY, "needs": "c"}, "many": many}
        asked = m.EnvironmentFacts("staging", approval=APPROVAL)
        bench = Bench.start({"stages": stages}, environments={"staging": asked})
        bench.approve("a")
        assert set(bench.deliveries) == {"a", "c"}
        bench.set_environment("staging", url="http://new")
        bench.succeed("c")
        requested = bench.last(e.ApprovalRequested)
        told = 'environment.url: null is now "http://new"'
        assert requested.moved == (f"b.{told}", f"many[0].{told}")


class TestScope:
    """What expressions see."""

    def test_a_run_starts_when_it_leaves_its_queue(self) -> None:
        """Whoever asks before sees when it was created; that is not remembered."""
        bench = Bench.start({"stages": {"a": WORK}}, concurrency={"group": "g"})
        source = compile_expression("run.started_at")
        assert source.evaluate(make_scope(bench.run.facts)) == "1970-01-01T00:16:40.000Z"
        bench.now += 5
        bench.tell(m.GrantGroup())
        assert source.evaluate(make_scope(bench.run.facts)) == "1970-01-01T00:16:45.000Z"

    def test_what_puts_back_has_the_values_of_what_it_puts_back(self) -> None:
        """Each instance its own."""
        stage = {**DEPLOY, "matrix": {"x": [1, 2], "fail_fast": False}, "on_failure": "undo"}
        bench = Bench.start({"stages": {"ship": stage}})
        bench.record("ship[1]")
        bench.fail("ship[0]")
        bench.fail("ship[1]")
        assert bench.last(e.StageExpanded).instances == ({"x": 2},)


class TestTime:
    """Working time and due moments."""

    def test_a_fraction_of_a_second_is_no_second(self) -> None:
        """A timeout has what was not worked left, to the fraction."""
        bench = Bench.start({"stages": {"a": {**WORK, "timeout": "10s"}}})
        bench.now += 0.25
        bench.wait("a", "timer", at=1001.0)
        bench.pass_time(1.0)
        assert bench.deliveries["a"].remaining == 9.75

    def test_the_end_of_finally_moves_with_the_clock(self) -> None:
        """A clock that is set does not change how long it may take, nor does another process."""
        pipeline = {"stages": {"a": WORK}, "finally": {"z": {**WORK, "timeout": "2h"}}}
        bench = Bench.start(pipeline)
        bench.succeed("a")
        bench.now += 100.0 + 7200.0
        bench.tell(m.ClockMoved(7200.0))
        bench.tell(m.Park("signal"))
        bench.tell(m.Adopt("next", "local:ann"))
        assert bench.run.facts.timers.get(("finally", "")) == 1000.0 + FINALLY_TIME + 7200.0

    def test_timers_are_equal_when_the_same_is_due(self) -> None:
        """Whatever was cancelled or moved before."""
        one, other = Timers(), Timers()
        one.set(("a", "x"), 5.0)
        one.set(("a", "x"), 6.0)
        assert one != other
        other.set(("a", "x"), 6.0)
        assert one == other
        assert one != "timers"

    def test_what_was_cancelled_takes_room_up_to_a_bound(self) -> None:
        """Twice as much as is due, and 64: then the heap is made anew, and no sooner."""
        timers = Timers()
        timers.set(("a", "y"), 1.0)
        sizes = []
        for moment in range(1000):
            timers.set(("a", "x"), 10.0 + moment)
            sizes.append(len(timers._heap))
        assert max(sizes) == 2 * 2 + 64
        assert timers.first() == (1.0, ("a", "y"))
