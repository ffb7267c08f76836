"""Races for one run: whoever comes together, there is one outcome, and everything counts once."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from gennaker_engine.core import messages as m
from gennaker_engine.journal.sqlite import SqliteJournal
from tests.core.bench import ACTOR
from tests.fixtures.scale import scale
from tests.integration.race_parts import RELEASE, Race, prepare_history

PARTS = 4
MEMORY = Path("/dev/shm")


@pytest.fixture
def journal() -> Iterator[SqliteJournal]:
    """A real journal; in memory where the machine has a folder for that, so that a commit is quick."""
    home = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="gennaker-races-", dir=home) as folder:
        made = SqliteJournal(Path(folder, "state.db"), Path(folder, "owners"))
        yield made
        made.close()


def list_messages(random: Random, *, asked: bool) -> Iterator[tuple[m.Message, str]]:
    """Yield what a few processes want, and whom the settings they read have removed."""
    stage = "live" if asked else "go"
    wishes = ["approve", "approve", "approve", "reject", "cancel", "tick", "adopt", "park"]
    wishes += ["failed", "errored", "succeeded", "clock", "stopped"]
    for wish in random.choices(wishes, k=random.randint(3, 7)):
        if wish in ("approve", "reject"):
            actor = random.choice(RELEASE)
            removed = actor if random.random() < 0.15 else ""
            yield m.Decide(stage, wish, actor, origin="race"), removed  # type: ignore[arg-type]
        elif wish == "cancel":
            yield m.Cancel(random.choice(RELEASE)), ""
        elif wish == "adopt":
            yield m.Adopt(f"process {random.randint(2, 9)}", ACTOR, died=random.random() < 0.5), ""
        elif wish == "park":
            yield m.Park("signal"), ""
        elif wish == "clock":
            yield m.ClockMoved(random.choice([3600.0, -3600.0])), ""
        elif wish == "tick":
            yield m.Tick(), ""
        else:
            yield make_report(wish, random.randint(1, 2)), ""


def make_report(wish: str, attempt: int) -> m.Message:
    """Return what a delivery of the flaky stage tells, perhaps late, perhaps twice."""
    identity = ("flaky", attempt, 1)
    if wish == "failed":
        return m.ReportFailed(*identity, reason="it said no")
    if wish == "errored":
        return m.ReportErrored(*identity, reason="it broke")
    if wish == "stopped":
        return m.ReportStopped(*identity)
    return m.ReportSucceeded(*identity, outputs={})


@pytest.mark.scaled
@pytest.mark.parametrize("part", range(PARTS))
def test_races_have_one_outcome(journal: SqliteJournal, part: int) -> None:
    """Approvals, rejections, deadlines, cancels, reports, takeovers, a clock that is set, at once."""
    histories = {
        (required, asked): prepare_history(required, asked)
        for required in (1, 2)
        for asked in (0, 1)
    }
    seen: Counter[str] = Counter()
    for number in range(scale(10_000, 40_000) // PARTS):
        seed = part * 1_000_000 + number
        random = Random(seed)
        required, asked = random.choice((1, 2)), random.choice((0, 1))
        race = Race(journal, f"shop-{number + 1}", random)
        race.start(histories[required, asked])
        for message, removed in list_messages(random, asked=bool(asked)):
            race.enter(message, removed=removed)
        try:
            race.run()
            race.finish()
            seen.update(race.check())
        except BaseException as error:
            error.add_note(f"race {seed}: {[(p.message, p.now, p.told) for p in race.processes]}")
            raise
    # Nothing of what the test is about was left out by chance.
    expected = {"approved", "rejected", "expired", "withdrawn", "lost", "run succeeded"}
    expected |= {"run aborted", "run failed", "not-an-approver", "approval-expired"}
    expected |= {"already-approved", "approval-settled"}
    assert expected <= set(seen), expected - set(seen)
