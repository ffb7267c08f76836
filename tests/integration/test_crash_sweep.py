"""Killed with SIGKILL at every commit of a run, and at any other moment, nothing is lost or done twice.

A run of a pipeline with everything in it is killed, resumed, and compared with the undisturbed one.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gennaker_engine.core.events import AttemptEnded, StepCompleted
from gennaker_engine.core.view import describe_run
from gennaker_engine.journal.checking import check_journal
from gennaker_engine.journal.port import RunFilter
from tests.e2e.command_line import find_processes
from tests.fixtures.scale import scale
from tests.fixtures.zygote import Zygote
from tests.integration.crash_parts import OWNED, PIPELINE, SETTINGS, Ledger, open_state
from tests.integration.runtime_parts import is_alive, wait_for, write_project

RUN = "shop-1"
KILLED = -signal.SIGKILL


@dataclass
class Outcome:
    """What must be the same whatever happened meanwhile."""

    outcome: str | None
    stages: dict[str, Any]
    effects: dict[str, str]


@pytest.fixture(name="zygote", scope="module")
def make_zygote() -> Iterator[Zygote]:
    """The warm parent of everything that is killed here."""
    with Zygote("tests.integration.crash_parts") as zygote:
        yield zygote


class World:
    """A project with a run, its target, and who drives it; made anew for each death."""

    def __init__(self, zygote: Zygote, root: Path, state: str = "") -> None:
        self.zygote = zygote
        self.root = root
        self.ledger = Ledger(root / "ledger")
        self.ledger.folder.mkdir(parents=True)
        pipeline = PIPELINE.replace("LEDGER", str(self.ledger.folder))
        write_project(root, pipeline, SETTINGS + (f"state: {state}\n" if state else ""))

    def start(self, point: str = "") -> int:
        """Let a process go on with the run; return its pid."""
        return self.zygote.start(str(self.root), point)

    def drive(self, point: str = "") -> int:
        """Let a process go on with the run to its end, or its own; return its exit code."""
        return self.zygote.wait(self.start(point))

    def list_committed(self) -> set[str]:
        """Return the keys of attempts and steps whose results are in the journal."""
        engine = open_state(self.root)
        events = [event for _, event in engine.load_events(RUN)]
        engine.close()
        keys = {_key(each) for each in events if isinstance(each, AttemptEnded)}
        return keys | {
            f"{_key(each)}/{each.name}" for each in events if isinstance(each, StepCompleted)
        }

    def finish(self) -> Outcome:
        """Resume the killed run; check what must hold in any case, and return what came of it."""
        committed, before = self.list_committed(), len(self.ledger.read_calls())
        until = time.monotonic() + 20
        while (code := self.drive()) == OWNED:  # a server notices a death a little later
            assert time.monotonic() < until
        assert code == 0
        repeated = committed & set(self.ledger.read_calls()[before:])
        assert not repeated, "what was committed is not done again"
        return self.look()

    def look(self) -> Outcome:
        """Check that the run has ended in order, and return what came of it."""
        engine = open_state(self.root)
        run, journal = engine.load_run(RUN), engine.journal
        ends: Counter[str] = Counter()
        for _, event in engine.load_events(RUN):
            ends.update([_key(event)] if isinstance(event, AttemptEnded) else [])
        assert [row.run for row in journal.list_runs(RunFilter())] == [RUN]
        assert set(ends.values()) == {1}
        assert journal.read_claims() == []
        assert journal.find_owner(RUN) is None
        assert [str(flaw) for flaw in check_journal(journal)] == []
        assert [pid for pid in self.ledger.read_pids() if is_alive(pid)] == []
        assert list(find_processes(str(self.ledger.folder))) == []
        engine.close()
        owners = self.root / ".gennaker" / "owners"
        assert not owners.exists() or list(owners.iterdir()) == []
        return Outcome(run.outcome, _tell_stages(describe_run(run)), self.ledger.read_effects())


def _key(event: AttemptEnded | StepCompleted) -> str:
    return f"{RUN}/{event.instance}/{event.attempt}"


def _tell_stages(view: dict[str, Any]) -> dict[str, Any]:
    keys = ("outcome", "cause", "detail", "ignored", "code", "reason", "attempts", "outputs")
    told = {name: {key: each[key] for key in keys} for name, each in view["stages"].items()}
    for decision in told["ok"]["outputs"]["decisions"]:
        decision["at"] = None
    return told


@pytest.fixture(name="undisturbed", scope="module")
def find_undisturbed(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """What comes of the run when nobody kills it."""
    world = World(zygote, tmp_path_factory.mktemp("undisturbed"))
    assert world.drive() == 0
    told = world.look()
    outcomes = {name: stage["outcome"] for name, stage in told.stages.items()}
    assert outcomes == {
        **dict.fromkeys(("list", "tests", "each", "flaky", "steps", "script", "ok"), "succeeded"),
        **{"lint": "failed", "ship": "succeeded", "broken": "failed", "after": "skipped"},
        **{"tidy": "succeeded", "report": "succeeded"},
    }
    assert told.outcome == "failed"
    assert told.effects[f"{RUN}/ship/1"] == "1+2"
    assert len(told.effects) == 17
    return told


def kill_at(zygote: Zygote, root: Path, *points: str) -> World | None:
    """Kill a run at a fail point, its resume at the next ...; None when it ended before the last."""
    world = World(zygote, root)
    for point in points:
        code = world.drive(point)
        assert code in (KILLED, 0)
        if code == 0:
            return None
    return world


@pytest.mark.parametrize("when", ["before", "after"])
def test_crash_sweep_of_every_commit(zygote, undisturbed, tmp_path, when):
    """Killed before and after each commit in turn and resumed, it ends as if undisturbed."""
    number = 0
    while True:
        number += 1
        world = kill_at(zygote, tmp_path / str(number), f"{when}:{number}")
        if world is None:
            break
        assert world.finish() == undisturbed, f"killed {when} commit {number}"
        shutil.rmtree(world.root)
    assert number > 15


@pytest.mark.scaled
def test_crash_sweep_of_random_moments(zygote, undisturbed, tmp_path):
    """Killed at any moment, also between commits, it ends as if undisturbed."""
    chance = random.Random(4)
    began = time.monotonic()
    World(zygote, tmp_path / "measured").drive()
    lasts = time.monotonic() - began
    for number in range(scale(10, 200)):
        world = World(zygote, tmp_path / str(number))
        pid = world.start()
        time.sleep(chance.uniform(0, lasts))
        code = zygote.kill(pid)
        assert code in (KILLED, 0)
        assert world.finish() == undisturbed, f"the death number {number}"
        shutil.rmtree(world.root)


@pytest.mark.scaled
def test_crash_sweep_of_resumes(zygote, undisturbed, tmp_path):
    """Killed, killed again at a commit of the resume, and resumed: it ends as if undisturbed."""
    chance = random.Random(5)
    pairs = [(first, second) for first in range(2, 24) for second in range(1, 24 - first)]
    chance.shuffle(pairs)
    left = scale(6, len(pairs))
    for first, second in pairs:
        points = (f"after:{first}", f"{chance.choice(['before', 'after'])}:{second}")
        world = kill_at(zygote, tmp_path / f"{first}-{second}", *points)
        if world is not None:
            assert world.finish() == undisturbed, f"killed {points}"
            shutil.rmtree(world.root)
            left -= 1
        if not left:
            break


def test_crash_sweep_of_two_that_resume_at_once(zygote, undisturbed, tmp_path):
    """One drives the killed run, the other is told who does; nothing is done twice."""
    world = kill_at(zygote, tmp_path / "owned", "after:4")
    assert world is not None
    first = world.start()
    journal = open_state(world.root).journal
    wait_for(lambda: (journal.find_owner(RUN) or "").endswith(f"pid {first}"))
    os.kill(first, signal.SIGSTOP)  # it is in the middle of it while the other one looks
    second = world.start()
    assert zygote.wait(second) == OWNED
    owner = journal.find_owner(RUN)
    os.kill(first, signal.SIGCONT)
    assert zygote.wait(first) == 0
    journal.close()
    told = (world.root / f"told-{second}").read_text()
    assert told == (
        f"run-owned: run {RUN!r} is driven by {owner}; "
        f"watch it with 'gennaker status --watch {RUN}'"
    )
    assert world.look() == undisturbed

    for number in range(3):
        world = kill_at(zygote, tmp_path / str(number), "after:4")
        assert world is not None
        pids = [world.start(), world.start()]
        codes = [zygote.wait(pid) for pid in pids]
        assert 0 in codes
        assert set(codes) <= {0, OWNED}  # who comes when all is over finds it so
        assert world.look() == undisturbed


@pytest.mark.scaled
@pytest.mark.real("postgres")
def test_real_crash_sweep_on_postgres(zygote, undisturbed, tmp_path, postgres):
    """Killed at its commits to a server, it ends as a run in a file does that nobody killed."""
    step = scale(6, 1)
    for number in range(2, 24, step):
        for when in ("before", "after"):
            state = postgres.url(postgres.make_database())
            world = World(zygote, tmp_path / f"{when}-{number}", state)
            assert world.drive(f"{when}:{number}") in (KILLED, 0)
            assert world.finish() == undisturbed, f"killed {when} commit {number}"
