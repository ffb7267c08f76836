"""What a calendar that is set moves in a run, and what it does not; spans over odd days."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime

import pytest

from gennaker_engine.core import messages as m
from gennaker_engine.core.timers import Timers
from tests.core.bench import Bench

pytestmark = pytest.mark.races
HOUR = 3600.0
JUMPS = pytest.mark.parametrize("by", [HOUR, -HOUR, 30 * 86400.0, -1.0])


def jump(bench: Bench, by: float) -> None:
    """Set the calendar while the run is driven."""
    bench.now += by
    bench.tell(m.ClockMoved(by))


def start_working() -> Bench:
    """A stage at work with a timeout."""
    return Bench.start({"stages": {"a": {"uses": "work", "timeout": "10m"}}})


def start_retrying() -> Bench:
    """A stage that is to be tried again in ten minutes."""
    bench = Bench.start({"stages": {"a": {"uses": "work", "retry": 1}}})
    bench.error("a", delay=600.0)
    return bench


def start_timed_run() -> Bench:
    """A run with a timeout that waits for a person."""
    bench = Bench.start({"timeout": "10m", "stages": {"a": {"uses": "ask"}}})
    bench.wait("a", "decision")
    return bench


def start_finally() -> Bench:
    """A run in its last section, waiting."""
    bench = Bench.start({"stages": {"a": {"uses": "work"}}, "finally": {"z": {"uses": "ask"}}})
    bench.succeed("a")
    bench.wait("z", "decision")
    return bench


def start_polling() -> Bench:
    """A stage that asks again in two minutes; its working time goes on."""
    bench = Bench.start({"stages": {"a": {"uses": "work", "timeout": "10m"}}})
    bench.wait("a", "poll", every=120.0)
    return bench


def start_stopping() -> Bench:
    """A stage that was told to stop."""
    bench = Bench.start({"stages": {"a": {"uses": "work"}}})
    bench.cancel()
    return bench


SPANS = (
    start_working,
    start_retrying,
    start_timed_run,
    start_finally,
    start_polling,
    start_stopping,
)


@JUMPS
@pytest.mark.parametrize("start", SPANS)
def test_spans_are_as_long_as_before(start: Callable[[], Bench], by: float) -> None:
    """Working time, back-off, polls, the run's timeout, the time of finally and to stop."""
    bench = start()
    plain = start()
    for each in (bench, plain):
        each.now += 60.0
    jump(bench, by)
    seen = len(bench.events)
    for each in (bench, plain):
        each.pass_time(HOUR)
    later = bench.events[seen:]
    expected = plain.events[seen - 1 :]
    assert expected
    assert [(event.type, event.at - by) for event in later] == [
        (event.type, pytest.approx(event.at)) for event in expected
    ]
    bench.check_replay()


@JUMPS
def test_working_time_is_measured_over_a_jump(by: float) -> None:
    """An attempt that waits and goes on has worked as long as it did, and no second more."""
    bench = start_working()
    bench.now += 60.0
    jump(bench, by)
    bench.now += 30.0
    bench.wait("a", "decision")
    assert bench.instance("a").worked == pytest.approx(90.0)


@JUMPS
def test_moments_stay_where_they_are(by: float) -> None:
    """An approval's deadline, a timer and a wait's deadline are told as moments."""
    bench = Bench.start({"stages": {name: {"uses": "ask"} for name in ("a", "b", "c")}})
    bench.wait("a", "decision", deadline=600.0)
    bench.wait("b", "timer", at=bench.now + 700.0)
    bench.wait("c", "poll", every=0.5 * HOUR, deadline=800.0)
    due = bench.now + 600.0, bench.now + 700.0, bench.now + 800.0
    jump(bench, by)
    timers = bench.run.facts.timers
    keys = (("gate", "a/1"), ("wait", "b"), ("deadline", "c"))
    assert tuple(map(timers.get, keys)) == due


def test_an_approval_expires_by_the_calendar_once() -> None:
    """Set forward past the deadline it expires; set back again it stays expired."""
    bench = Bench.start({"stages": {"go": {"uses": "ask"}, "z": {"uses": "work"}}})
    bench.wait("go", "decision", deadline=600.0)
    jump(bench, HOUR)
    bench.tell(m.Tick())
    assert bench.instance("go").code == "expired"
    jump(bench, -HOUR)
    bench.pass_time(2 * HOUR)
    assert bench.types().count("approval.closed") == 1


def test_a_timer_fires_once_whatever_the_calendar_does() -> None:
    """Not lost when the calendar is set back before it, not fired twice when set back after."""
    bench = Bench.start({"stages": {"a": {"uses": "timer", "timeout": "2d"}}})
    bench.wait("a", "timer", at=bench.now + 600.0)
    jump(bench, -HOUR)
    bench.pass_time(HOUR + 599.0)
    assert "attempt.resumed" not in bench.types()
    bench.pass_time(2.0)
    jump(bench, -HOUR)
    bench.pass_time(2 * HOUR)
    assert bench.types().count("attempt.resumed") == 1


@pytest.mark.parametrize("start", SPANS[1:5])
@pytest.mark.parametrize("died", [True, False])
def test_a_calendar_set_back_while_nobody_drives_delays_nothing(
    start: Callable[[], Bench], died: bool
) -> None:
    """Nothing that is measured is further away for the next owner than it was for the last."""
    bench = start()
    if not died:
        bench.tell(m.Park("detach"))
        bench.run.facts.driven = True
        left = (bench.run.next_due or 0.0) - bench.now
        bench.run.facts.driven = False
    else:
        left = (bench.run.next_due or 0.0) - bench.now
    bench.now -= HOUR
    bench.tell(m.Adopt("process 2", "local:ann", died=died))
    assert (bench.run.next_due or 0.0) - bench.now == pytest.approx(left)
    bench.check_replay()


def test_nobody_drives_so_nothing_is_told() -> None:
    """A parked run takes no note of the calendar."""
    bench = start_working()
    bench.tell(m.Park("detach"))
    reaction = bench.tell(m.ClockMoved(HOUR))
    assert (reaction.events, reaction.refused) == ((), "run 'shop-1' is not driven by anybody")


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process whose local time has a summer."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    "evening",
    [
        "2026-03-28T12:00:00+01:00",  # an hour is left out in the night
        "2026-10-24T12:00:00+02:00",  # an hour comes twice
        "2027-01-31T23:30:00+01:00",  # a month ends, and the next is short
        "2028-02-28T23:30:00+01:00",  # a day is put in
        "2026-12-31T23:59:59+01:00",  # a year ends
    ],
)
def test_a_day_has_24_hours_on_every_day(evening: str) -> None:
    """Timeouts, deadlines and timers count seconds: local time and calendar change nothing."""
    begun = datetime.fromisoformat(evening).timestamp()
    stages = {
        "work": {"uses": "work", "timeout": "1d"},
        "go": {"uses": "ask"},
        "nap": {"uses": "timer"},
        "stay": {"uses": "ask"},
    }
    bench = Bench.start({"timeout": "2d", "stages": stages}, at=begun)
    bench.wait("go", "decision", deadline=86400.0)
    bench.wait("nap", "timer", at=begun + 86400.0)
    bench.wait("stay", "decision")
    bench.pass_time(86399.0)
    quiet = len(bench.events)
    bench.pass_time(1.0)
    assert {event.type for event in bench.events[quiet:]} >= {
        "approval.closed",
        "attempt.stopping",
        "attempt.resumed",
    }
    bench.pass_time(86400.0)
    assert bench.run.timed_out


def test_shifting_what_is_not_set_sets_nothing() -> None:
    """Only what is due can be due later."""
    timers = Timers()
    timers.shift(("run", ""), 5.0)
    assert timers.first() is None
    timers.set(("run", ""), 10.0)
    timers.shift(("run", ""), -5.0)
    assert timers.first() == (5.0, ("run", ""))
