"""Races with the real runtime: threads and processes that decide, and aborts at awkward moments."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from gennaker.errors import GennakerError
from gennaker_engine.core.messages import Cancel, Decide, Message
from gennaker_engine.core.run import Run
from gennaker_engine.core.state import RunState
from gennaker_engine.journal.checking import check_journal
from gennaker_engine.runtime import Engine
from tests.fixtures.scale import scale
from tests.fixtures.virtual_clock import VirtualClock
from tests.integration.runtime_parts import (
    open_engine,
    start_processes,
    start_run,
    wait_for,
    write_project,
)

SETTINGS = """project: shop
environments:
  staging: {place: {folder: staging}}
  asked: {place: {folder: asked}, approval: {approvers: ["local:*"]}}
"""
ASKING = """name: shop
stages:
  go: {uses: approval}
  live: {uses: t.deploy, needs: go, environment: staging, with: {say: done}}
finally:
  tidy: {uses: t.echo}
"""
PEOPLE = ("ann", "bob", "eve", "kim")


def decide_on_all(engine: Engine, runs: list[str], actor: str, seed: int, told: list[str]) -> None:
    """Decide on every run as one person, or cancel it; note what counted."""
    random = Random(seed)
    for run_id in runs:
        wish = random.choice(["approve", "approve", "reject", "cancel"])
        message: Message = (
            Cancel(actor) if wish == "cancel" else Decide("go", wish, actor)  # type: ignore[arg-type]
        )
        try:
            refused = engine.send(run_id, message).refused
        except GennakerError:
            refused = "refused"
        if refused is None:
            told.append(f"{wish} {actor} {run_id}")


def list_recorded(engine: Engine, runs: list[str]) -> list[str]:
    """Return every decision and cancel in the journals of runs, as ``decide_on_all`` notes them."""
    found = []
    for run_id in runs:
        for _, event in engine.load_events(run_id):
            if event.type == "approval.decided":
                found.append(f"{event.decision} {event.actor} {run_id}")  # type: ignore[attr-defined]
            elif event.type == "run.abort_requested" and event.reason == "cancel":  # type: ignore[attr-defined]
                found.append(f"cancel {event.actor} {run_id}")  # type: ignore[attr-defined]
    return found


@pytest.mark.scaled
def test_races_of_threads_with_a_driver(tmp_path: Path) -> None:
    """Four people with connections of their own decide while the runs are driven."""
    write_project(tmp_path, ASKING, SETTINGS)
    engine = open_engine(tmp_path)
    others = [open_engine(tmp_path) for _ in PEOPLE]
    runs = [start_run(engine) for _ in range(scale(25, 400))]
    left: list[Run] = []
    driver = threading.Thread(target=lambda: left.extend(engine.drive(runs)), daemon=True)
    driver.start()
    wait_for(lambda: all(engine.load_run(each).facts.waits for each in runs), 60)
    told: list[str] = []
    threads = [
        threading.Thread(target=decide_on_all, args=(other, runs, f"local:{name}", seed, told))
        for seed, (other, name) in enumerate(zip(others, PEOPLE, strict=True))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for run_id in runs:  # who was only asked by those that came too late
        engine.request(run_id, Cancel("local:last"))
    driver.join(60)
    assert Counter(told) == Counter(
        each for each in list_recorded(engine, runs) if "local:last" not in each
    )
    for run in left:
        closed = [e for _, e in engine.load_events(run.id) if e.type == "approval.closed"]
        assert (run.state, len(closed)) == ("ended", 1)
    assert check_journal(engine.journal) == []
    for each in (engine, *others):
        each.close()


@pytest.mark.scaled
def test_races_of_processes_without_a_driver(tmp_path: Path) -> None:
    """Three processes decide on the same runs at the same moment: one of them on each."""
    write_project(tmp_path, ASKING, SETTINGS)
    engine = open_engine(tmp_path)
    runs = [start_run(engine) for _ in range(scale(25, 300))]
    engine.drive(runs, detach_on_wait=True)
    with start_processes() as start:
        wishes = (("approve", "ann"), ("approve", "bob"), ("reject", "eve"))
        children = [
            start(tmp_path, "decide", "go", wish, f"local:{name}", *runs) for wish, name in wishes
        ]
        for child in children:
            assert child.stdout.readline() == "ready\n"
        for child in children:
            child.stdin.write("\n")
            child.stdin.flush()
        told = [child.communicate(timeout=60)[0].split() for child in children]
    for answers in zip(*told, strict=True):
        assert sorted(answers) == ["accepted", "approval-settled", "approval-settled"]
    ended = engine.drive(runs)
    winners = [answers.index("accepted") for answers in zip(*told, strict=True)]
    assert [run.outcome for run in ended] == [
        "aborted" if winner == 2 else "succeeded" for winner in winners
    ]
    assert check_journal(engine.journal) == []
    engine.close()


# Aborts -----------------------------------------------------------------------------------------

Facts = Callable[[RunState], object]
FAR = 4_000_000_000
HANG = "with: {how: hang, note: NOTE}"
MOMENTS: dict[str, tuple[str, Facts, dict[str, str]]] = {
    "apply": (
        f"stages:\n  it: {{uses: t.alter, environment: staging, {HANG}}}\n"
        "  next: {uses: t.echo, needs: it, if: always()}\n",
        lambda facts: facts.instances["it"].started_at,
        {"it": "aborted", "next": "skipped"},
    ),
    "back-off": (
        "stages:\n  it: {uses: t.behave, retry: {limit: 1, delay: 1h}, with: {how: fail}}\n",
        lambda facts: facts.instances["it"].state == "retrying",
        {"it": "aborted"},
    ),
    "decision": (
        "stages:\n  it: {uses: approval}\n  next: {uses: t.echo, needs: it}\n",
        lambda facts: facts.waits == {"decision": 1},
        {"it": "aborted", "next": "skipped"},
    ),
    "timer": (
        f"stages:\n  it: {{uses: t.behave, with: {{how: timer, note: '{FAR}'}}}}\n",
        lambda facts: facts.waits == {"timer": 1},
        {"it": "aborted"},
    ),
    "environment-approval": (
        "stages:\n  it: {uses: t.deploy, environment: asked}\n",
        lambda facts: facts.waits == {"decision": 1},
        {"it": "skipped"},
    ),
    "matrix": (
        "stages:\n  it:\n    uses: t.behave\n    matrix: {x: [1, 2, 3], max_parallel: 1}\n"
        f"    {HANG}\n",
        lambda facts: facts.stages["it"].expanded and facts.instances["it[0]"].started_at,
        {"it": "aborted", "it[0]": "aborted", "it[1]": "skipped", "it[2]": "skipped"},
    ),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_races_of_an_abort_with(tmp_path: Path, moment: str) -> None:
    """Whatever a run is about, it ends aborted, with finally, and leaves no claim and no process."""
    pipeline, is_there, expected = MOMENTS[moment]
    text = pipeline.replace("NOTE", str(tmp_path / "note"))
    write_project(tmp_path, f"name: shop\n{text}finally:\n  tidy: {{uses: t.echo}}\n", SETTINGS)
    engine = open_engine(tmp_path, VirtualClock())
    run_id, left = start_run(engine), list[Run]()
    driver = threading.Thread(target=lambda: left.append(engine.drive(run_id)), daemon=True)
    driver.start()
    wait_for(lambda: has_come(engine, run_id, is_there))
    engine.request(run_id, Cancel("local:bob")).wait(10)
    driver.join(20)
    check_aborted(engine, left[0], {**expected, "tidy": "succeeded"})
    engine.close()


def has_come(engine: Engine, run_id: str, is_there: Facts) -> bool:
    """Whether a run is where the test wants it."""
    try:
        return bool(is_there(engine.load_run(run_id).facts))
    except KeyError:
        return False


def check_aborted(engine: Engine, run: Run, expected: dict[str, str]) -> None:
    """Hold that a run is over, and what became of its parts."""
    facts = run.facts
    found = {name: (facts.stages.get(name) or facts.instances[name]).outcome for name in expected}
    assert (run.state, run.outcome, found) == ("ended", "aborted", expected)
    assert engine.journal.read_claims_of(run.id) == []
    assert not [flaw for flaw in check_journal(engine.journal) if flaw.run == run.id]


def test_races_of_an_abort_with_finally(tmp_path: Path) -> None:
    """The first cancel lets it work, the second ends it."""
    note = tmp_path / "note"
    write_project(
        tmp_path,
        "name: shop\nstages:\n  it: {uses: t.echo}\n"
        f"finally:\n  tidy: {{uses: t.behave, with: {{how: hang, note: {note}}}}}\n",
    )
    engine = open_engine(tmp_path, VirtualClock())
    run_id, left = start_run(engine), list[Run]()
    driver = threading.Thread(target=lambda: left.append(engine.drive(run_id)), daemon=True)
    driver.start()
    wait_for(note.exists)
    engine.request(run_id, Cancel("local:bob")).wait(10)
    assert engine.load_run(run_id).facts.instances["tidy"].state == "running"
    engine.request(run_id, Cancel("local:bob")).wait(10)
    driver.join(20)
    check_aborted(engine, left[0], {"it": "succeeded", "tidy": "aborted"})
    engine.close()


def test_races_of_an_abort_with_a_lock(tmp_path: Path) -> None:
    """Who waits for a lock leaves the queue; who holds it gives it to the next."""
    write_project(
        tmp_path,
        "name: shop\nparameters: {note: {}}\nstages:\n"
        "  it: {uses: t.alter, environment: staging, "
        'with: {how: hang, note: "${{ params.note }}"}}\n',
        SETTINGS,
    )
    engine = open_engine(tmp_path, VirtualClock())
    notes = [tmp_path / name for name in ("first", "second", "third")]
    runs = [start_run(engine, parameters={"note": str(note)}) for note in notes]
    left: list[Run] = []
    driver = threading.Thread(target=lambda: left.extend(engine.drive(runs)), daemon=True)
    driver.start()
    wait_for(notes[0].exists)
    wait_for(lambda: all(engine.load_run(each).facts.waits == {"lock": 1} for each in runs[1:]))
    for number in (1, 0):
        engine.request(runs[number], Cancel("local:bob")).wait(10)
    wait_for(notes[2].exists)
    engine.request(runs[2], Cancel("local:bob")).wait(10)
    driver.join(20)
    for run, outcome in zip(left, ("aborted", "skipped", "aborted"), strict=True):
        check_aborted(engine, run, {"it": outcome})
    assert not notes[1].exists()
    engine.close()
