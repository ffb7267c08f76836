"""The embedded runtime on a virtual clock: long waits take no time, and the calendar may be set."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gennaker_engine.core.messages import Decide
from gennaker_engine.core.run import Run
from gennaker_engine.runtime import Engine
from gennaker_engine.runtime.clock import JUMP, ClockWatch, SystemClock
from tests.fixtures.virtual_clock import Hasten, VirtualClock
from tests.integration.runtime_parts import Spend, open_engine, start_run, wait_for, write_project

pytestmark = pytest.mark.races
HOUR = 3600.0


@pytest.fixture
def clock() -> VirtualClock:
    """A clock of its own for the test; ``t.spend`` works on it."""
    Spend.clock = VirtualClock()
    return Spend.clock


def open_project(root: Path, clock: VirtualClock, pipeline: str) -> Engine:
    """Open the engine of a project with one pipeline."""
    settings = "project: shop\nenvironments: {staging: {place: {folder: staging}}}\n"
    return open_engine(write_project(root, f"name: shop\n{pipeline}", settings), clock)


@contextmanager
def driving(engine: Engine) -> Iterator[tuple[str, list[Run]]]:
    """Drive a run in a thread; the list has it when it was left."""
    run_id, found = start_run(engine), list[Run]()
    thread = threading.Thread(target=lambda: found.append(engine.drive(run_id)), daemon=True)
    thread.start()
    yield run_id, found
    thread.join(20)
    assert not thread.is_alive()


def has_event(engine: Engine, run_id: str, kind: str, count: int = 1) -> bool:
    """Whether so many events of a type are recorded."""
    return [event.type for _, event in engine.load_events(run_id)].count(kind) >= count


def jump(engine: Engine, clock: VirtualClock, run_id: str, by: float) -> None:
    """Set the calendar, and wait until the driver took note."""
    before = sum(e.type == "run.clock_moved" for _, e in engine.load_events(run_id))
    clock.jump(by)
    wait_for(lambda: has_event(engine, run_id, "run.clock_moved", before + 1))


def test_days_of_waiting_take_no_time(tmp_path: Path, clock: VirtualClock) -> None:
    """Back-off, a timer and an approval that expires: the driver's waits follow its clock."""
    month = clock.now() + 31 * 86400.0
    engine = open_project(
        tmp_path,
        clock,
        "stages:\n"
        "  again: {uses: t.spend, retry: {limit: 1, delay: 12h, max_delay: 12h}, "
        "with: {seconds: 60, fail_first: true}}\n"
        f"  nap: {{uses: t.behave, needs: again, with: {{how: timer, note: '{month}'}}}}\n",
    )
    run = engine.drive(start_run(engine), observer=Hasten(clock))
    assert run.outcome == "succeeded"
    assert run.facts.instances["again"].attempt == 2
    assert run.facts.ended_at is not None
    assert month <= run.facts.ended_at < month + 60.0
    engine.close()


def test_only_work_counts_as_work(tmp_path: Path, clock: VirtualClock) -> None:
    """Three runs work 40 minutes each behind one lock; none passes its timeout of an hour."""
    engine = open_project(
        tmp_path,
        clock,
        "stages:\n  it: {uses: t.spend, environment: staging, with: {seconds: 2400}}\n",
    )
    runs = engine.drive([start_run(engine) for _ in range(3)])
    assert [run.outcome for run in runs] == ["succeeded"] * 3
    waited = max((run.facts.ended_at or 0.0) - run.created.at for run in runs)
    assert waited == 3 * 2400.0
    engine.close()


@pytest.mark.parametrize("by", [HOUR, -HOUR])
def test_setting_the_calendar_cuts_no_working_time(
    tmp_path: Path, clock: VirtualClock, by: float
) -> None:
    """The stage gets its ten minutes, to the second, and then its timeout."""
    note = tmp_path / "note"
    engine = open_project(
        tmp_path,
        clock,
        f"stages:\n  it: {{uses: t.behave, timeout: 10m, with: {{how: hang, note: {note}}}}}\n",
    )
    with driving(engine) as (run_id, found):
        wait_for(note.exists)
        clock.advance(300.0)
        jump(engine, clock, run_id, by)
        clock.advance(299.0)
        jump(engine, clock, run_id, 2.0)
        assert not has_event(engine, run_id, "attempt.stopping")
        clock.advance(1.0)
    engine.close()
    it = found[0].facts.instances["it"]
    assert (it.outcome, it.code, it.worked) == ("failed", "timeout", pytest.approx(600.0))


def test_a_timer_follows_the_calendar_and_fires_once(tmp_path: Path, clock: VirtualClock) -> None:
    """Until noon is until a clock shows noon: set back it is later, set forward past it, now."""
    noon = clock.now() + HOUR
    engine = open_project(
        tmp_path,
        clock,
        f"stages:\n  nap: {{uses: t.behave, timeout: 2d, with: {{how: timer, note: '{noon}'}}}}\n",
    )
    with driving(engine) as (run_id, found):
        wait_for(lambda: engine.load_run(run_id).facts.waits == {"timer": 1})
        jump(engine, clock, run_id, -HOUR)
        clock.advance(1.5 * HOUR)
        assert engine.load_run(run_id).facts.waits == {"timer": 1}
        clock.jump(HOUR)
    assert found[0].outcome == "succeeded"
    resumed = [e for _, e in engine.load_events(run_id) if e.type == "attempt.resumed"]
    assert len(resumed) == 1
    engine.close()


def test_a_parked_run_is_told_nothing(tmp_path: Path, clock: VirtualClock) -> None:
    """What the calendar did meanwhile cannot be known; nothing gets further away by it."""
    engine = open_project(
        tmp_path,
        clock,
        "timeout: 2h\nstages:\n  go: {uses: approval}\n  it: {uses: t.spend, needs: go, with: {seconds: 1}}\n",
    )
    run_id = start_run(engine)
    run = engine.drive(run_id, detach_on_wait=True)
    due = run.facts.timers.get(("run", ""))
    assert due is not None
    clock.jump(-HOUR)
    engine.send(run_id, Decide("go", "approve", "local:bob"))
    run = engine.drive(run_id)
    assert run.outcome == "succeeded"
    adopted = [e for _, e in engine.load_events(run_id) if e.type == "run.adopted"]
    assert adopted[1].at == pytest.approx(adopted[0].at - HOUR)
    engine.close()


class TestWatch:
    """Noticing that the calendar was set."""

    def test_time_that_passes_is_no_jump(self) -> None:
        """However long nobody looked."""
        clock = VirtualClock()
        watch = ClockWatch(clock)
        clock.advance(86400.0)
        assert watch.look() == clock.now()
        assert watch.moved == 0.0

    def test_what_is_slewed_is_no_jump(self) -> None:
        """A time server that corrects little by little moves nothing, whatever it adds up to."""
        clock = VirtualClock()
        watch = ClockWatch(clock)
        for _ in range(100):
            clock.jump(0.5 * JUMP)
            watch.look()
        assert watch.moved == 0.0

    def test_jumps_add_up_until_they_are_told(self) -> None:
        """Two before the next turn are one."""
        clock = VirtualClock()
        watch = ClockWatch(clock)
        for by in (HOUR, -HOUR / 2):
            clock.jump(by)
            watch.look()
        assert watch.moved == pytest.approx(HOUR / 2)

    def test_a_thread_that_was_held_up_sees_no_jump(self) -> None:
        """Between its looks at the two clocks time passes; that is nobody setting one."""
        clock = VirtualClock()
        watch = ClockWatch(clock)
        read = clock.now

        def read_late() -> float:
            clock.advance(5.0)
            return read()

        clock.now = read_late  # type: ignore[method-assign]
        watch.look()
        assert watch.moved == 0.0

    def test_the_machines_clocks_agree(self) -> None:
        """Nobody sets them here."""
        watch = ClockWatch(SystemClock())
        watch.look()
        assert watch.moved == 0.0
