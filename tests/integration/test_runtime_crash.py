"""After ``kill -9`` at any moment nothing acknowledged is lost, and the run goes on."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from gennaker.errors import NotAllowed
from gennaker_engine.core.events import AttemptEnded, AttemptStarted
from gennaker_engine.core.messages import Cancel, Decide, Message, Park
from gennaker_engine.core.run import Run
from gennaker_engine.runtime import Engine, QuietObserver
from tests.integration.runtime_parts import (
    is_alive,
    open_engine,
    start_processes,
    start_run,
    wait_for,
    write_project,
)


@pytest.fixture(name="start")
def make_start() -> Iterator[object]:
    """Start processes that drive a run; what still lives at the end is killed."""
    with start_processes() as start:
        yield start


def resume(root: Path, run_id: str = "shop-1") -> tuple[Run, Engine]:
    """Drive a run in this process to its end."""
    engine = open_engine(root)
    return engine.drive(run_id), engine


class AtOutput(QuietObserver):
    """Asks something of the run as soon as its process has said ``out``."""

    def __init__(self, engine: Engine, message: Message) -> None:
        self._engine, self._message = engine, message

    def on_log(self, run, instance, attempt, stream, text):
        if text == "out":
            self._engine.request(run, self._message)


def test_a_killed_stage_is_delivered_again_and_finished_ones_are_not(tmp_path, start):
    """The finished stage ran once, the interrupted one twice with one key, the run succeeds."""
    note = tmp_path / "note"
    write_project(
        tmp_path,
        "name: shop\nstages:\n"
        f"  first: {{uses: t.echo, with: {{say: a, note: {note}}}}}\n"
        f"  second: {{uses: t.echo, needs: first, with: {{say: b, note: {note}, delay: 2}}}}\n",
    )
    child = start(tmp_path, "run")
    child.stdout.readline()
    watch = open_engine(tmp_path)
    wait_for(lambda: "second" in watch.load_run("shop-1").facts.instances)
    watch.close()
    child.kill()
    child.wait()
    run, engine = resume(tmp_path)
    assert run.outcome == "succeeded"
    assert note.read_text().splitlines() == ["shop-1/first/1 1", "shop-1/second/1 2"]
    adopted = [
        event.died for _, event in engine.load_events("shop-1") if event.type == "run.adopted"
    ]
    assert adopted == [False, True]
    engine.close()


def test_committed_steps_are_not_done_again(tmp_path, start):
    """A process that kills itself after a step goes on with the next one."""
    note = tmp_path / "note"
    write_project(
        tmp_path,
        f"name: shop\nstages:\n  it: {{uses: t.steps, with: {{note: {note}, die_after: 1}}}}\n",
    )
    assert start(tmp_path, "run").wait(20) == -signal.SIGKILL
    run, engine = resume(tmp_path)
    assert run.facts.instances["it"].outputs == {"results": [0, 10, 20]}
    assert note.read_text().split() == [f"shop-1/it/1/step-{number}" for number in range(3)]
    engine.close()


def test_an_orphaned_process_is_ended_before_the_redelivery(tmp_path, start):
    """The process group of the dead owner is gone when the stage is called again."""
    note = tmp_path / "pid"
    write_project(
        tmp_path,
        f"name: shop\nstages:\n  it: {{uses: t.behave, with: {{how: process, note: {note}}}}}\n",
    )
    child = start(tmp_path, "run")
    orphan = int(wait_for(lambda: note.exists() and note.read_text()))
    child.kill()
    child.wait()
    assert is_alive(orphan)
    note.unlink()
    second = start(tmp_path, "resume", "shop-1")
    other = int(wait_for(lambda: note.exists() and note.read_text()))
    assert other != orphan
    assert not is_alive(orphan)
    engine = open_engine(tmp_path)
    engine.send("shop-1", Cancel("local:ann"))
    assert second.wait(20) == 0
    assert not is_alive(other)
    assert engine.load_run("shop-1").outcome == "aborted"
    engine.close()


def test_what_a_stage_guards_is_cleaned_up_before_the_redelivery(tmp_path, start):
    """The stage type ends its own kinds of things."""
    note = tmp_path / "thing"
    write_project(
        tmp_path,
        f"name: shop\nstages:\n  it: {{uses: t.behave, with: {{how: guard_crash, note: {note}}}}}\n",
    )
    assert start(tmp_path, "run").wait(20) == -signal.SIGKILL
    assert note.read_text() == "exists"
    run, engine = resume(tmp_path)
    assert run.facts.instances["it"].outputs == {"value": "thing gone"}
    assert run.facts.instances["it"].guards == {}
    engine.close()


def test_killed_at_random_moments_a_run_ends_as_if_undisturbed(tmp_path, start):
    """Killed and resumed again and again, every stage succeeds, and each outcome is recorded once."""
    stages = "".join(
        f"  s{n}:\n    uses: t.echo\n    with: {{say: x{n}, delay: 0.03}}\n"
        + (f"    needs: [s{n - 1}]\n" if n else "")
        for n in range(12)
    )
    write_project(tmp_path, f"name: shop\nstages:\n{stages}")
    engine = open_engine(tmp_path)
    run_id = start_run(engine)
    for number in range(4):
        child = start(tmp_path, "resume", run_id)
        child.stdout.readline()
        # Each time further on, so that no attempt loses three owners.
        wait_for(lambda last=f"s{3 * number}": last in engine.load_run(run_id).facts.instances)
        time.sleep(0.01 * number)
        child.kill()
        child.wait()
    run = engine.drive(run_id)
    events = [event for _, event in engine.load_events(run_id)]
    ends = Counter(event.instance for event in events if isinstance(event, AttemptEnded))
    assert run.outcome == "succeeded"
    assert ends == {f"s{n}": 1 for n in range(12)}
    assert Run.replay(events) == run
    engine.close()


def test_three_dead_owners_are_poison(tmp_path, start):
    """An attempt whose owner died three times is given up."""
    note = tmp_path / "note"
    write_project(
        tmp_path,
        f"name: shop\nstages:\n  it: {{uses: t.behave, with: {{how: hang, note: {note}}}}}\n",
    )
    for words in (("run",), *[("resume", "shop-1")] * 2):
        note.unlink(missing_ok=True)
        child = start(tmp_path, *words)
        wait_for(note.exists)
        child.kill()
        child.wait()
    run, engine = resume(tmp_path)
    it = run.facts.instances["it"]
    assert (it.outcome, it.code) == ("errored", "poison")
    engine.close()


def test_two_processes_do_not_drive_one_run(tmp_path, start):
    """The second one is told who drives it."""
    note = tmp_path / "note"
    write_project(
        tmp_path,
        f"name: shop\nstages:\n  it: {{uses: t.behave, with: {{how: hang, note: {note}}}}}\n",
    )
    child = start(tmp_path, "run")
    wait_for(note.exists)
    engine = open_engine(tmp_path)
    with pytest.raises(NotAllowed) as caught:
        engine.drive("shop-1")
    assert caught.value.code == "run-owned"
    assert str(caught.value).startswith("run-owned: run 'shop-1' is driven by ")
    assert f"pid {child.pid}" in str(caught.value)
    engine.close()


APPROVED = """name: shop
stages:
  ask: {uses: approval, with: {message: go?}}
  after: {uses: t.echo, needs: ask, with: {say: done}}
"""


def test_a_second_terminal_decides_and_the_first_goes_on(tmp_path, start):
    """The decision is committed elsewhere; the owner starts the next stage within 150 ms."""
    write_project(tmp_path, APPROVED)
    child = start(tmp_path, "run")
    engine = open_engine(tmp_path)
    wait_for(lambda: child.poll() is None and _waits(engine))
    reaction = engine.send("shop-1", Decide("ask", "approve", "local:bob"))
    assert reaction.refused is None
    assert child.wait(20) == 0
    run = engine.load_run("shop-1")
    events = [event for _, event in engine.load_events("shop-1")]
    decided = next(event.at for event in events if event.type == "approval.decided")
    ended = next(
        event.at
        for event in events
        if isinstance(event, AttemptEnded) and event.instance == "after"
    )
    assert run.outcome == "succeeded"
    assert ended - decided < 0.15
    engine.close()


def test_a_decision_on_a_run_nobody_drives_is_kept(tmp_path):
    """Recorded without an owner, it is acted on by the next one; nothing started meanwhile."""
    write_project(tmp_path, APPROVED)
    engine = open_engine(tmp_path)
    run_id = start_run(engine)
    assert engine.drive(run_id, detach_on_wait=True).state == "waiting"
    engine.send(run_id, Decide("ask", "approve", "local:bob"))
    started = [e for _, e in engine.load_events(run_id) if isinstance(e, AttemptStarted)]
    assert [event.instance for event in started] == ["ask"]
    assert engine.drive(run_id).outcome == "succeeded"
    engine.close()


def test_a_parked_run_is_resumed_without_counting_a_death(tmp_path):
    """Parking ends the processes, records no outcome, and the attempt goes on afterwards."""
    note = tmp_path / "pid"
    write_project(
        tmp_path,
        f"name: shop\nstages:\n  it: {{uses: t.behave, with: {{how: process, note: {note}}}}}\n",
    )
    engine = open_engine(tmp_path)
    run_id = start_run(engine)

    for delivery in (1, 2):
        run = engine.drive(run_id, observer=AtOutput(engine, Park("SIGTERM")))
        it = run.facts.instances["it"]
        assert (run.state, it.state, it.delivery, it.deaths) == ("pending", "running", delivery, 0)
        assert not is_alive(int(note.read_text()))
        assert engine.journal.find_owner(run_id) is None
    engine.close()


def test_a_cancelled_run_ends_its_processes_and_runs_finally(tmp_path):
    """Cancel aborts what runs, skips the rest, and the finally stages still run."""
    note = tmp_path / "pid"
    write_project(
        tmp_path,
        f"name: shop\nstages:\n  it: {{uses: t.behave, with: {{how: process, note: {note}}}}}\n"
        "  later: {uses: t.echo, needs: it}\n"
        "finally:\n  tidy: {uses: t.echo, with: {say: tidy}}\n",
    )
    engine = open_engine(tmp_path)
    run_id = start_run(engine)

    run = engine.drive(run_id, observer=AtOutput(engine, Cancel("local:ann", "interrupt")))
    outcomes = {name: each.outcome for name, each in run.facts.stages.items()}
    assert run.outcome == "aborted"
    assert outcomes == {"it": "aborted", "later": "skipped", "tidy": "succeeded"}
    assert not is_alive(int(note.read_text()))
    engine.close()


@pytest.mark.parametrize(
    ("message", "told"),
    [(Park("SIGTERM"), "parked"), (Cancel("local:ann", "interrupt"), "stopped")],
    ids=["parked", "cancelled"],
)
def test_a_stage_is_told_whether_it_goes_on_later(tmp_path, message, told):
    """What runs outside goes on when the attempt does, and is ended when that is."""
    note = tmp_path / "note"
    write_project(
        tmp_path,
        f"name: shop\nstages:\n  it: {{uses: t.behave, with: {{how: tell_stop, note: {note}}}}}\n",
    )
    engine = open_engine(tmp_path)
    run_id = start_run(engine)

    engine.drive(run_id, observer=AtOutput(engine, message))
    assert note.read_text() == told
    engine.close()


def _waits(engine: Engine) -> bool:
    row = engine.journal.find_run("shop-1")
    return row is not None and row.state == "waiting"
