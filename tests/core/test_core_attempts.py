"""Attempts and deliveries: retries, timeouts, waits, crashes, late reports."""

from __future__ import annotations

from typing import Any

import pytest

from gennaker_engine.core import commands as c
from gennaker_engine.core import events as e
from gennaker_engine.core import messages as m
from gennaker_engine.core.blueprint import RetryRule
from gennaker_engine.core.retries import find_delay
from tests.core.bench import Bench


def start(**stage: Any) -> Bench:
    """Return a run of one stage."""
    return Bench.start({"stages": {"a": {"uses": "work", **stage}}})


RULE = RetryRule(3, 2.0, 2.0, 5.0, frozenset({"failed", "errored"}))


@pytest.mark.parametrize(
    ("attempt", "least", "most"), [(1, 1.0, 2.0), (2, 2.0, 4.0), (3, 2.5, 5.0)]
)
def test_checklist_66_back_off_grows_and_is_jittered(
    attempt: int, least: float, most: float
) -> None:
    """Between a half and the whole, up to the largest delay."""
    delays = {find_delay(RULE, "failed", attempt, key=f"r/a{n}/{attempt}") for n in range(50)}
    assert len(delays) == 50
    assert all(delay is not None and least <= delay <= most for delay in delays)


@pytest.mark.parametrize(
    ("outcome", "attempt", "how", "expected"),
    [
        ("failed", 4, {}, None),
        ("failed", 1, {"permanent": True}, None),
        ("errored", 1, {"delay": 77.0}, 77.0),
        ("aborted", 1, {}, None),
    ],
)
def test_when_there_is_no_other_attempt(
    outcome: str, attempt: int, how: dict[str, Any], expected: float | None
) -> None:
    """The limit, permanent errors and other outcomes; a stage's own delay is exact."""
    assert find_delay(RULE, outcome, attempt, key="k", **how) == expected


def test_a_huge_back_off_is_the_longest() -> None:
    """Numbers beyond what floats hold do not raise."""
    rule = RetryRule(1000, 1e6, 100.0, 60.0, frozenset({"failed"}))
    delay = find_delay(rule, "failed", 900, key="k")
    assert delay is not None
    assert 30 <= delay <= 60


def test_retry_makes_a_new_attempt_without_steps() -> None:
    """Steps of an attempt are forgotten, its number goes up, delivery begins at 1."""
    bench = start(retry=1)
    bench.tell(m.ReportStep("a", 1, 1, "upload", {"x": 1}))
    bench.fail("a")
    assert bench.run.state == "waiting"
    bench.pass_time(5)
    delivery = bench.deliveries["a"]
    assert (delivery.attempt, delivery.delivery, delivery.steps) == (2, 1, {})
    bench.fail("a")
    assert bench.run.outcome == "failed"


def test_retry_on_failed_only() -> None:
    """`on` leaves the other outcome alone."""
    bench = start(retry={"limit": 3, "on": ["failed"]})
    bench.error("a")
    assert bench.outcome("a") == "errored"


def test_a_temporary_error_adds_no_attempt() -> None:
    """Its delay is used where retry allows another attempt, and only there."""
    bench = start()
    bench.error("a", delay=5.0)
    assert bench.outcome("a") == "errored"


def test_what_a_pipeline_says_holds_for_every_stage() -> None:
    """`defaults.retry` and `defaults.timeout` are a stage's own where it has none."""
    defaults = {"retry": 1, "timeout": "10s"}
    bench = Bench.start({"defaults": defaults, "stages": {"a": {"uses": "work"}}})
    assert bench.deliveries["a"].remaining == 10
    bench.fail("a")
    assert bench.run.state == "waiting"


class TestTimeouts:
    """Working time of one attempt."""

    def test_a_stage_that_exceeds_it_failed(self) -> None:
        """It is told to stop; whatever it answers then, it has failed for its timeout."""
        bench = start(timeout="30s")
        bench.pass_time(31)
        assert isinstance(bench.commands[-1], c.Stop)
        bench.succeed("a")
        assert (bench.outcome("a"), bench.instance("a").code) == ("failed", "timeout")

    def test_one_that_does_not_answer_is_given_up(self) -> None:
        """After ten seconds its outcome counts and its late answer does not."""
        bench = start(timeout="30s")
        delivery = bench.deliveries["a"]
        bench.pass_time(41)
        assert bench.outcome("a") == "failed"
        late = m.ReportSucceeded(delivery.instance, delivery.attempt, delivery.delivery, {})
        assert bench.tell(late).refused == "run 'shop-1' has ended"

    def test_it_is_retried_like_a_failure(self) -> None:
        """Each attempt has the whole time."""
        bench = start(timeout="30s", retry=1)
        bench.pass_time(30)
        bench.stop("a")
        bench.pass_time(3)
        assert bench.deliveries["a"].remaining == 30

    @pytest.mark.parametrize("kind", ["decision", "timer"])
    def test_waits_do_not_count(self, kind: str) -> None:
        """People and timers take no working time."""
        bench = start(timeout="30s")
        bench.pass_time(20)
        bench.wait("a", kind, **({"at": bench.now + 3600} if kind == "timer" else {}))
        bench.pass_time(3600)
        if kind == "decision":
            bench.approve("a")
        assert bench.deliveries["a"].remaining == 10
        bench.pass_time(10)
        assert bench.instance("a").state == "stopping"

    def test_polling_counts(self) -> None:
        """Also between two looks; then there is nothing to stop."""
        bench = start(timeout="30s")
        bench.wait("a", "poll", every=20.0)
        bench.pass_time(20)
        bench.wait("a", "poll", every=20.0)
        bench.pass_time(10)
        assert (bench.outcome("a"), bench.instance("a").code) == ("failed", "timeout")

    def test_time_without_a_driver_does_not_count(self) -> None:
        """Parked for a day, it has what it had left."""
        bench = start(timeout="30s")
        bench.pass_time(10)
        bench.tell(m.Park("sigterm"))
        assert bench.run.next_due is None
        bench.pass_time(86400)
        bench.tell(m.Adopt("process 2", "local:ann"))
        assert bench.deliveries["a"].remaining == 20

    def test_time_after_a_death_does_not_count(self) -> None:
        """Until the last thing its owner is known to have done it does."""
        bench = start(timeout="30s")
        bench.pass_time(10)
        bench.tell(m.ReportStep("a", 1, 1, "one"))
        bench.pass_time(5)
        bench.now += 86400
        bench.tell(m.Adopt("process 2", "local:ann", died=True))
        assert bench.deliveries["a"].remaining == 20

    def test_locks_and_approvals_do_not_count(self) -> None:
        """The time begins with the first call."""
        stage = {"uses": "deploy", "environment": "staging", "timeout": "30s"}
        bench = Bench.start({"stages": {"a": stage}}, grant_locks=False)
        bench.pass_time(3600)
        bench.tell(m.GrantLock("staging"))
        assert bench.deliveries["a"].remaining == 30


class TestWaits:
    """Calls that ended without a result."""

    def test_a_timer_brings_it_back(self) -> None:
        """In the same attempt, with what it remembered, as another delivery."""
        bench = start()
        bench.wait("a", "timer", at=bench.now + 50)
        assert bench.run.state == "waiting"
        bench.pass_time(50)
        delivery = bench.deliveries["a"]
        assert (delivery.attempt, delivery.delivery) == (1, 2)
        assert delivery.resumed == {"n": 1}
        assert delivery.event == {"timer": 1050.0}

    def test_a_deadline_fails_the_wait(self) -> None:
        """Also for polls and timers, and it can be retried."""
        bench = start(retry=1)
        bench.wait("a", "poll", every=10.0, deadline=25)
        bench.pass_time(20)
        bench.wait("a", "poll", every=10.0, deadline=5)
        bench.pass_time(5)
        assert bench.last(e.AttemptEnded).code == "deadline"
        assert bench.last(e.AttemptEnded).retry_at is not None

    def test_an_abort_ends_a_wait_at_once(self) -> None:
        """There is no delivery to stop."""
        bench = start()
        bench.wait("a", "timer", at=bench.now + 50)
        bench.cancel()
        assert bench.run.outcome == "aborted"

    def test_a_retry_that_is_due_later_is_aborted(self) -> None:
        """It had begun, so it is aborted, not skipped."""
        bench = start(retry=3)
        bench.fail("a")
        bench.cancel()
        assert bench.outcome("a") == "aborted"


class TestDeliveries:
    """Crashes: the same attempt again."""

    def crash(self, bench: Bench) -> None:
        bench.deliveries.clear()
        bench.tell(m.Adopt("next", "local:ann", died=True))

    def test_a_crash_delivers_again_with_the_steps_kept(self) -> None:
        """The attempt, so the key, is the same; what it left behind is told."""
        bench = start()
        bench.tell(m.ReportStep("a", 1, 1, "upload", 7))
        bench.tell(m.GuardChanged("a", 1, 1, "process", "host:1:2", entered=True))
        self.crash(bench)
        delivery = bench.deliveries["a"]
        assert (delivery.attempt, delivery.delivery) == (1, 2)
        assert delivery.steps == {"upload": 7}
        assert delivery.leftovers == (("process", "host:1:2"),)

    def test_three_deaths_are_poison(self) -> None:
        """It is errored, never retried, and cleaned up after."""
        bench = start(retry=5)
        bench.tell(m.GuardChanged("a", 1, 1, "process", "host:1:2", entered=True))
        for _ in range(2):
            self.crash(bench)
            assert "a" in bench.deliveries
        self.crash(bench)
        assert (bench.outcome("a"), bench.instance("a").code) == ("errored", "poison")
        assert bench.commands[-1] == c.CleanUp("a", "work", (("process", "host:1:2"),))

    def test_parking_does_not_count_against_it(self) -> None:
        """SIGTERM and waits are no deaths."""
        bench = start()
        for number in range(5):
            bench.tell(m.Park("sigterm"))
            bench.tell(m.Adopt(f"process {number}", "local:ann"))
        assert bench.deliveries["a"].delivery == 6

    @pytest.mark.parametrize("died", [False, True])
    def test_who_takes_a_cancelled_run_over_calls_nothing_again(self, died: bool) -> None:
        """What ran when its owner went, and was cancelled since, is aborted without a delivery."""
        bench = start()
        if not died:
            bench.tell(m.Park("sigterm"))
        bench.tell(m.Cancel("local:ann"))
        if died:
            bench.commands.clear()
        before = len([each for each in bench.commands if isinstance(each, c.Deliver)])
        bench.tell(m.Adopt("next", "local:ann", died=died))
        after = len([each for each in bench.commands if isinstance(each, c.Deliver)])
        assert (before, bench.outcome("a")) == (after, "aborted")
        bench.check_replay()

    def test_a_new_attempt_has_no_deaths(self) -> None:
        """They are counted for each attempt."""
        bench = start(retry=1)
        self.crash(bench)
        self.crash(bench)
        bench.fail("a")
        bench.pass_time(5)
        self.crash(bench)
        assert "a" in bench.deliveries

    def test_what_was_stopping_is_settled_after_a_crash(self) -> None:
        """Nobody will answer any more."""
        bench = start()
        bench.cancel()
        assert bench.run.state == "running"
        self.crash(bench)
        assert bench.run.outcome == "aborted"

    def test_checklist_56_late_and_duplicate_reports_change_nothing(self) -> None:
        """Whatever belongs to an earlier delivery or attempt is refused, saying why."""
        bench = start(retry=1)
        self.crash(bench)
        for report in (
            m.ReportSucceeded("a", 1, 1, {}),
            m.ReportFailed("a", 1, 1, "no"),
            m.ReportErrored("a", 1, 1, "no"),
            m.ReportStopped("a", 1, 1),
            m.ReportWaiting("a", 1, 1, {"kind": "poll", "every": 1.0}),
            m.ReportStep("a", 1, 1, "x"),
            m.GuardChanged("a", 1, 1, "process", "p", entered=True),
            m.GuardChanged("a", 1, 1, "process", "p", entered=False),
            m.ReportStopped("a", 1, 2),
            m.ReportSucceeded("b", 1, 1, {}),
        ):
            reaction = bench.tell(report)
            assert reaction.events == ()
            assert reaction.refused

    def test_steps_and_guards_are_recorded_once(self) -> None:
        """A repeated name is refused; what is gone is gone, however late that is told."""
        bench = start(retry=1)
        bench.tell(m.ReportStep("a", 1, 1, "x"))
        assert bench.tell(m.ReportStep("a", 1, 1, "x")).refused
        entered = m.GuardChanged("a", 1, 1, "container", "c1", entered=True)
        bench.tell(entered)
        assert bench.tell(entered).refused
        bench.fail("a")
        bench.tell(m.GuardChanged("a", 1, 1, "container", "c1", entered=False))
        assert bench.instance("a").guards == {}

    def test_nothing_starts_while_nobody_drives_the_run(self) -> None:
        """Decisions are recorded; what follows waits for an owner."""
        stages = {"a": {"uses": "ask"}, "b": {"uses": "work", "needs": "a"}}
        bench = Bench.start({"stages": stages})
        bench.wait("a", "decision")
        bench.tell(m.Park("detach"))
        assert [event.type for event in bench.approve("a").events] == [
            "approval.decided",
            "approval.closed",
        ]
        bench.tell(m.Adopt("process 2", "local:ann"))
        assert bench.deliveries["a"].event["decisions"][0]["actor"] == "local:bob"

    def test_a_parked_run_takes_no_reports(self) -> None:
        """Its deliveries are made again."""
        bench = start()
        bench.tell(m.Park("sigterm"))
        assert bench.tell(m.ReportSucceeded("a", 1, 1, {})).refused == "run 'shop-1' is parked"
