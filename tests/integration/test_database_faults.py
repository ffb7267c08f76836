"""A database that fails in the middle of runs: they go on, or are left so that ``resume`` goes on.

A representative run is played again and again, each time with one fault at another statement of the
journal. However it ends, the journal is a legal history and the run comes to the same end.
"""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from gennaker_engine.cli.main import main
from gennaker_engine.core.events import AttemptStarted, Event
from gennaker_engine.core.messages import Decide
from gennaker_engine.core.run import Run
from gennaker_engine.journal.checking import check_journal
from gennaker_engine.journal.errors import StateError
from gennaker_engine.journal.port import RunFilter, RunRow
from gennaker_engine.journal.sqlite import SqliteTransaction
from gennaker_engine.runtime import Engine
from gennaker_engine.runtime.observer import QuietObserver
from tests.fixtures.database_faults import KINDS, Faults, inject
from tests.fixtures.scale import scale
from tests.integration.runtime_parts import open_engine, start_run, write_project

SETTINGS = "project: shop\nenvironments:\n  staging: {place: {folder: there}}\n"
PIPELINE = """name: shop
concurrency: {group: one, limit: 1}
stages:
  each:
    uses: t.echo
    matrix: {n: [1, 2]}
    with: {say: "${{ string(matrix.n) }}", note: NOTE}
  steps: {uses: t.steps, with: {note: NOTE}}
  flaky: {uses: t.behave, retry: 2, with: {how: temporary}}
  poll: {uses: t.behave, with: {how: poll}}
  broken: {uses: t.behave, on_failure: ignore, with: {how: fail}}
  ask: {uses: approval, needs: [each, steps], with: {message: go?}}
  deploy: {uses: t.deploy, environment: staging, needs: ask, with: {say: out, note: NOTE}}
finally:
  tidy: {uses: t.echo, with: {say: tidied, note: NOTE}}
"""
WORDS = {
    "lost": ("state-unwritable", "the disk of the state {state} fails"),
    "locked": ("state-busy", "the state {state} is locked"),
    "full": ("state-full", "the disk of the state {state} is full"),
    "read-only": ("state-unwritable", "the state {state} cannot be written"),
    "dropped": ("state-unwritable", "the disk of the state {state} fails"),
}
WORDS_OF_SERVER = {
    "full": ("state-full", "the disk of the {place} is full"),
    "read-only": ("state-unwritable", "the {place} is read-only"),
}
GOES_ON = ("lost", "locked", "slow")
"""What a run on SQLite does not mind, once it is created."""


class Approver(QuietObserver):
    """Somebody who approves what a run asks, as soon as it asks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def on_events(self, run: Run, events: list[Event]) -> None:  # type: ignore[override]
        """Decide what is open and was not decided."""
        for name in run.facts.open_gates:
            gate = run.facts.gates[name]
            if not gate.decisions and gate.stage is not None:
                message = Decide(gate.stage, "approve", "local:bob")
                self._engine.request(run.id, message)


@dataclass
class Played:
    """How it went: where the state was, whether the run was created, what it was left with."""

    state: str
    statements: int = 0
    created: bool = False
    error: StateError | None = None


@dataclass
class Play:
    """Play the run with faults; the database is a new one each time."""

    faults: Faults
    folder: Path
    make_state: Callable[[], str | None]
    number: Iterator[int]

    def count(self, kind: str) -> int:
        """Return to how many statements of the run this can happen."""
        played = self.run(kind, 0)
        assert played.error is None
        return played.statements

    def run(self, kind: str, at: int) -> Played:
        """Play it with a fault, mend the database, resume, and hold what must hold."""
        root = self.folder / str(next(self.number))
        root.mkdir()
        note = root / "note"
        state = self.make_state()
        settings = SETTINGS + (f"state: {state}\n" if state else "")
        write_project(root, PIPELINE.replace("NOTE", str(note)), settings)
        played = Played(state or str(root / ".gennaker" / "state.db"))
        engine = open_engine(root)
        self.faults.arm(kind, at)
        try:
            run = start_run(engine)
            played.created = True
            engine.drive(run, observer=Approver(engine))
        except StateError as error:
            played.error = error
        played.statements = self.faults.seen
        self.faults.disarm()
        engine.close()
        engine = open_engine(root)
        self._finish(engine, note)
        engine.close()
        shutil.rmtree(root)
        return played

    def _finish(self, engine: Engine, note: Path) -> None:
        assert check_journal(engine.journal) == []
        rows = engine.journal.list_runs(RunFilter())
        if not rows:
            return  # it could not be created, and was not
        (row,) = rows
        run = engine.drive(row.run, observer=Approver(engine))
        assert check_journal(engine.journal) == []
        assert engine.journal.read_claims() == []
        assert run.outcome == "succeeded"
        outcomes = {name: stage.outcome for name, stage in run.facts.stages.items()}
        assert outcomes == {
            **dict.fromkeys(
                ("each", "steps", "flaky", "poll", "ask", "deploy", "tidy"), "succeeded"
            ),
            "broken": "failed",
        }
        assert run.facts.stages["steps"].outputs == {"results": [0, 10, 20]}
        self._check_notes(engine, row.run, note)

    def _check_notes(self, engine: Engine, run: str, note: Path) -> None:
        """Hold that no delivery ran twice or without its start in the journal."""
        done = Counter(each for each in note.read_text().splitlines() if "/step-" not in each)
        started = {
            f"{run}/{event.instance}/{event.attempt} {event.delivery}"
            for _, event in engine.load_events(run)
            if isinstance(event, AttemptStarted)
        }
        assert max(done.values()) == 1
        assert done.keys() <= started


@pytest.fixture(name="play")
def make_play(tmp_path: Path) -> Iterator[Play]:
    """Play on SQLite files."""
    with inject() as faults:
        yield Play(faults, tmp_path, lambda: None, count())


def spread(total: int, wanted: int) -> list[int]:
    """Return so many of the numbers from 1 to ``total``, evenly, or all of them."""
    step = max(1.0, total / wanted)
    return sorted({round(1 + step * number) for number in range(min(wanted, total))})


@pytest.mark.scaled
@pytest.mark.parametrize("kind", KINDS)
def test_database_faults_anywhere_on_sqlite(play, kind):
    """Whatever fails at whatever statement: a legal journal, a clear message, the same end."""
    for at in spread(play.count(kind), scale(4, 100_000)):
        played = play.run(kind, at)
        if kind in GOES_ON and played.created:
            assert played.error is None
        elif kind not in GOES_ON:
            code, words = WORDS[kind]
            assert played.error is not None
            assert (played.error.code, played.error.exit_code) == (code, 7)
            assert played.error.message == words.format(state=played.state)
            assert played.error.hint


@pytest.mark.scaled
@pytest.mark.timeout(scale(300, 0))
@pytest.mark.parametrize("kind", KINDS)
def test_real_database_faults_anywhere_on_postgres(play, kind, postgres):
    """The same on a server; a connection that is lost is made again, and the run goes on."""
    play.make_state = lambda: postgres.url(postgres.make_database())
    for at in spread(play.count(kind), scale(2, 100_000)):
        played = play.run(kind, at)
        if kind in (*GOES_ON, "dropped"):
            assert not played.created or played.error is None
        else:
            code, words = WORDS_OF_SERVER[kind]
            assert played.error is not None
            assert (played.error.code, played.error.exit_code) == (code, 7)
            name = played.state.rpartition("/")[2]
            place = f"PostgreSQL database {name!r} at 127.0.0.1:{postgres.port}"
            assert played.error.message.startswith(words.format(place=place))
            assert played.error.hint


WAITING = (
    "name: shop\nstages:\n  a: {uses: t.echo, with: {delay: 0.2}}\n  b: {uses: t.echo, needs: a}\n"
)


def hold(state: Path, seconds: float | None, over: threading.Event) -> threading.Thread:
    """Keep the state locked, as a backup may, so long or until it is over; the thread ends with it."""
    connection = sqlite3.connect(state, isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN IMMEDIATE")

    def let_go() -> None:
        over.wait(seconds)
        connection.close()

    thread = threading.Thread(target=let_go)
    thread.start()
    return thread


def drive_while_busy(root: Path, *, patience: float | None, seconds: float | None) -> Run:
    """Drive a run whose state another program locks, for so long or all the time.

    A look waits for ``patience``.
    """
    engine = open_engine(write_project(root, WAITING))
    run_id = start_run(engine)
    if patience is not None:
        engine.journal._writer.execute(f"PRAGMA busy_timeout = {round(patience * 1000)}")
    over = threading.Event()
    thread = hold(root / ".gennaker" / "state.db", seconds, over)
    try:
        return engine.drive(run_id)
    finally:
        over.set()
        thread.join()
        assert check_journal(engine.journal) == []
        engine.close()


def test_database_faults_busy_for_a_while(tmp_path):
    """A state that is locked three times as long as a look waits: the run goes on when it is free."""
    assert drive_while_busy(tmp_path, patience=0.1, seconds=0.3).outcome == "succeeded"


@pytest.mark.nightly
def test_database_faults_busy_for_half_a_minute(tmp_path):
    """The same with the real times: 30 seconds, and a look waits for ten."""
    assert drive_while_busy(tmp_path, patience=None, seconds=30).outcome == "succeeded"


def test_database_faults_busy_for_ever(tmp_path):
    """Nobody waits for ever: the run is left, and told what has the lock and how to go on."""
    with pytest.raises(StateError, match=r"state-busy: the state .* is locked; another process"):
        drive_while_busy(tmp_path, patience=0.05, seconds=None)
    engine = open_engine(tmp_path)
    assert engine.drive("shop-1").outcome == "succeeded"
    engine.close()


@pytest.mark.parametrize(
    ("pragma", "told"),
    [
        ("max_page_count = 1", "state-full: the disk of the state {state} is full; make room"),
        ("query_only = ON", "state-unwritable: the state {state} cannot be written; make it"),
    ],
)
def test_database_faults_of_a_real_file(tmp_path, monkeypatch, capsys, pragma, told):
    """SQLite's own errors, through the command line: exit code 7, what to do, how to go on."""
    stage = "uses: wait, with: {for: 1s}"
    # Each start is an event: some of them fill a page of the file.
    stages = "".join(f"  s{n}: {{{stage}, timeout: {n + 1}m}}\n" for n in range(40))
    write_project(tmp_path, f"name: shop\nstages:\n{stages}  last: {{{stage}, needs: s0}}\n")
    words = ["--project", str(tmp_path)]
    append = SqliteTransaction.append

    def fail_later(transaction: SqliteTransaction, row: RunRow, *rest: Any) -> None:
        if row.version > 100:
            transaction._connection.execute(f"PRAGMA {pragma}")
        append(transaction, row, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(SqliteTransaction, "append", fail_later)
        code = main([*words, "run", "shop"])
    said = capsys.readouterr().err
    assert code == 7, said
    assert told.format(state=tmp_path / ".gennaker" / "state.db") in said
    left = "shop-1 is left as it was recorded last; when the state can be used again, go on with: "
    assert f"{left}gennaker resume shop-1\n" in said
    assert "Traceback" not in said
    assert main([*words, "resume", "shop-1"]) == 0
    engine = open_engine(tmp_path)
    assert check_journal(engine.journal) == []
    engine.close()
