"""Runs with their state in PostgreSQL: real deliveries, several processes, crashes on both sides."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gennaker.errors import NotAllowed
from gennaker_engine.core.events import AttemptEnded
from gennaker_engine.core.messages import Decide
from gennaker_engine.core.run import Run
from gennaker_engine.journal.errors import StateError
from gennaker_engine.journal.port import RunFilter
from gennaker_engine.journal.postgres import PostgresJournal
from gennaker_engine.runtime import Engine
from tests.fixtures.postgres import PASSWORD, PostgresServer
from tests.integration.runtime_parts import (
    open_engine,
    start_processes,
    start_run,
    wait_for,
    write_project,
)

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(name="start")
def make_start() -> Iterator[Start]:
    """Start processes that drive a run; what still lives at the end is killed."""
    with start_processes() as start:
        yield start


def write_pipeline(root: Path, database: str, stages: str) -> Path:
    """Write a project whose state is the database."""
    settings = (
        f"project: shop\nstate: {database}\n"
        "environments:\n  staging: {place: {folder: there}}\n"
    )
    return write_project(root, f"name: shop\nstages:\n{stages}", settings)


def make_chain(note: Path, count: int, delay: float) -> str:
    """Return stages one after another that each note their key and delivery."""
    return "".join(
        f"  s{n}:\n    uses: t.echo\n    with: {{say: x{n}, note: {note}, delay: {delay}}}\n"
        + (f"    needs: s{n - 1}\n" if n else "")
        for n in range(count)
    )


def count_ends(engine: Engine, run_id: str) -> Counter[str]:
    """Return how many outcomes each stage has in the journal, whose replay must give the run."""
    events = [event for _, event in engine.load_events(run_id)]
    assert Run.replay(events) == engine.load_run(run_id)
    return Counter(event.instance for event in events if isinstance(event, AttemptEnded))


def drive_in_thread(engine: Engine, run_id: str) -> tuple[threading.Thread, list[object]]:
    """Drive a run beside the test; the list gets the run, or what was raised."""
    found: list[object] = []

    def drive() -> None:
        try:
            found.append(engine.drive(run_id))
        except StateError as error:
            found.append(error)

    thread = threading.Thread(target=drive)
    thread.start()
    return thread, found


STAGES = """\
  build: {uses: t.behave, with: {how: quick_process}}
  each:
    needs: build
    uses: t.echo
    matrix: {n: [1, 2, 3]}
    with: {say: "${{ string(matrix.n) }}"}
  steps: {uses: t.steps, with: {note: NOTE}}
  flaky: {uses: t.behave, retry: 2, with: {how: temporary}}
  poll: {uses: t.behave, with: {how: poll}}
  deploy: {uses: t.deploy, environment: staging, needs: each, with: {say: out}}
"""


def test_real_run_on_postgres_is_like_any_other(tmp_path, database):
    """Processes, matrix, steps, retry, polling and an environment's lock work; files are here."""
    write_pipeline(tmp_path, database, STAGES.replace("NOTE", str(tmp_path / "note")))
    engine = open_engine(tmp_path)
    assert isinstance(engine.journal, PostgresJournal)
    run = engine.drive(start_run(engine))
    assert (run.id, run.outcome) == ("shop-1", "succeeded")
    assert run.facts.stages["each"].outputs == {"said": ["1", "2", "3"]}
    assert run.facts.stages["steps"].outputs == {"results": [0, 10, 20]}
    assert engine.journal.last_deploy("shop", "staging").run == "shop-1"
    assert engine.journal.read_claims() == []
    assert engine.journal.find_owner("shop-1") is None
    assert count_ends(engine, "shop-1")["deploy"] == 1
    assert (tmp_path / ".gennaker" / "logs").is_dir()
    assert not list((tmp_path / ".gennaker").rglob("*.db"))
    second = engine.drive(engine.create_retry("shop-1", actor="local:bob"))
    assert "build" in second.created.reused
    engine.close()


def test_real_runs_of_several_processes_take_their_turns(tmp_path, database, start):
    """The lock of an environment is one over all processes: deploys never overlap."""
    write_pipeline(
        tmp_path,
        database,
        "  go: {uses: t.deploy, environment: staging, with: {say: x, delay: 0.2}}\n",
    )
    children = [start(tmp_path, "run") for _ in range(3)]
    assert [child.wait(60) for child in children] == [0, 0, 0]
    engine = open_engine(tmp_path)
    times = []
    for number in (1, 2, 3):
        events = [event for _, event in engine.load_events(f"shop-{number}")]
        started = next(event.at for event in events if event.type == "attempt.started")
        times.append((started, next(e.at for e in events if isinstance(e, AttemptEnded))))
    times.sort()
    assert times[0][1] <= times[1][0]
    assert times[1][1] <= times[2][0]
    engine.close()


def test_real_second_terminal_approves_through_postgres(tmp_path, database, start):
    """The owner is told by the server and starts the next stage at once."""
    write_pipeline(
        tmp_path,
        database,
        "  ask: {uses: approval, with: {message: go?}}\n"
        "  after: {uses: t.echo, needs: ask, with: {say: done}}\n",
    )
    child = start(tmp_path, "run")
    assert child.stdout.readline() == "shop-1\n"
    engine = open_engine(tmp_path)
    wait_for(lambda: engine.journal.find_run("shop-1").waiting == "decision")
    with pytest.raises(NotAllowed, match=rf"run-owned: .* pid {child.pid}"):
        engine.drive("shop-1")
    assert engine.send("shop-1", Decide("ask", "approve", "local:bob")).refused is None
    assert child.wait(20) == 0
    events = [event for _, event in engine.load_events("shop-1")]
    decided = next(event.at for event in events if event.type == "approval.decided")
    after = next(e.at for e in events if e.type == "attempt.started" and e.instance == "after")
    assert after - decided < 2
    assert engine.load_run("shop-1").outcome == "succeeded"
    engine.close()


def test_real_killed_owner_leaves_a_run_that_goes_on(tmp_path, database, start):
    """The server frees its lock at once; the finished stage ran once, the other with one key."""
    note = tmp_path / "note"
    write_pipeline(
        tmp_path,
        database,
        f"  first: {{uses: t.echo, with: {{say: a, note: {note}}}}}\n"
        f"  second: {{uses: t.echo, needs: first, with: {{say: b, note: {note}, delay: 1}}}}\n",
    )
    child = start(tmp_path, "run")
    child.stdout.readline()
    engine = open_engine(tmp_path)
    wait_for(lambda: "second" in engine.load_run("shop-1").facts.instances)
    assert f"pid {child.pid}" in engine.journal.find_owner("shop-1")
    child.kill()
    child.wait()
    wait_for(lambda: engine.journal.find_owner("shop-1") is None)
    run = engine.drive("shop-1")
    assert run.outcome == "succeeded"
    assert note.read_text().splitlines() == ["shop-1/first/1 1", "shop-1/second/1 2"]
    assert count_ends(engine, "shop-1") == {"first": 1, "second": 1}
    engine.close()


def test_real_server_restarted_in_the_middle_of_a_run(tmp_path, postgres, database):
    """The run goes on when the server is back: no stage is lost or repeated."""
    note = tmp_path / "note"
    write_pipeline(tmp_path, database, make_chain(note, 8, 0.15))
    engine = open_engine(tmp_path)
    run_id = start_run(engine)
    thread, found = drive_in_thread(engine, run_id)
    for count in (2, 5):
        wait_for(lambda count=count: note.exists() and len(note.read_text().split()) >= 2 * count)
        postgres.restart()
    thread.join(60)
    (run,) = found
    assert run.outcome == "succeeded"
    assert note.read_text().splitlines() == [f"shop-1/s{n}/1 1" for n in range(8)]
    assert count_ends(engine, run_id) == {f"s{n}": 1 for n in range(8)}
    engine.close()


def test_real_server_that_crashes_loses_nothing_acknowledged(tmp_path, postgres, database):
    """SIGKILL to the server: it recovers, and the run goes on as if nothing had been."""
    note = tmp_path / "note"
    write_pipeline(tmp_path, database, make_chain(note, 6, 0.15))
    engine = open_engine(tmp_path)
    run_id = start_run(engine)
    thread, found = drive_in_thread(engine, run_id)
    wait_for(lambda: note.exists() and len(note.read_text().split()) >= 4)
    postgres.crash()
    thread.join(60)
    (run,) = found
    assert run.outcome == "succeeded"
    assert count_ends(engine, run_id) == {f"s{n}": 1 for n in range(6)}
    engine.close()


def test_real_connections_cut_again_and_again(tmp_path, postgres, database):
    """Every session is ended ten times while a run works: same outcomes, each once."""
    note = tmp_path / "note"
    write_pipeline(tmp_path, database, make_chain(note, 12, 0.05))
    engine = open_engine(tmp_path)
    run_id = start_run(engine)
    thread, found = drive_in_thread(engine, run_id)
    for _ in range(10):
        postgres.cut_connections()
        thread.join(0.05)
    thread.join(60)
    (run,) = found
    assert run.outcome == "succeeded"
    assert count_ends(engine, run_id) == {f"s{n}": 1 for n in range(12)}
    assert note.read_text().splitlines() == [f"shop-1/s{n}/1 1" for n in range(12)]
    engine.close()


def test_real_runs_are_created_once_each_while_connections_are_cut(tmp_path, postgres, database):
    """Twenty runs get the numbers from 1 to 20, whatever happens to their transactions."""
    write_pipeline(tmp_path, database, "  it: {uses: t.echo}\n")
    engine = open_engine(tmp_path)
    done = threading.Event()

    def cut() -> None:
        while not done.wait(0.01):
            postgres.cut_connections()

    thread = threading.Thread(target=cut)
    thread.start()
    try:
        names = [start_run(engine) for _ in range(20)]
    finally:
        done.set()
        thread.join(30)
    assert names == [f"shop-{number}" for number in range(1, 21)]
    assert len(engine.journal.list_runs(RunFilter())) == 20
    engine.close()


def test_real_server_that_stays_away_leaves_a_run_that_can_be_resumed(
    tmp_path, postgres: PostgresServer, database
):
    """After its patience the driver stops with a clear message; later the run goes on."""
    note = tmp_path / "note"
    write_pipeline(tmp_path, database, make_chain(note, 3, 0.4))
    engine = open_engine(tmp_path)
    engine.journal._server.timeouts.patience = 0.5
    run_id = start_run(engine)
    thread, found = drive_in_thread(engine, run_id)
    wait_for(lambda: note.exists() and len(note.read_text().split()) >= 4)
    # Not in order: while it ends it answers that it does, for as long as the machine takes.
    assert postgres.program is not None
    postgres.program.kill()
    try:
        thread.join(30)
    finally:
        postgres.start()
    (error,) = found
    name = database.rpartition("/")[2]
    assert str(error) == (
        f"state-unreachable: the PostgreSQL database {name!r} at 127.0.0.1:{postgres.port} cannot "
        "be reached: Connection refused; see that the server runs and the state's URL is right; "
        "runs go on with 'gennaker resume'"
    )
    engine.close()
    second = open_engine(tmp_path)
    run = second.drive(run_id)
    assert run.outcome == "succeeded"
    assert count_ends(second, run_id) == {"s0": 1, "s1": 1, "s2": 1}
    assert note.read_text().splitlines()[0] == "shop-1/s0/1 1"
    second.close()


def call(root: Path, state: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a project with this state."""
    return subprocess.run(
        [sys.executable, "-m", "gennaker_engine.cli", *words],
        capture_output=True,
        text=True,
        cwd=root,
        env={**os.environ, "GENNAKER_STATE": state},
        timeout=60,
        check=False,
    )


def test_real_commands_find_runs_in_postgres(tmp_path, database):
    """run, runs, status and logs: what one wrote the others read."""
    script = "with: {source: false, run: 'echo hello; env'}"
    write_project(tmp_path, f"name: shop\nstages:\n  say: {{uses: shell, {script}}}\n")
    done = call(tmp_path, database, "run", "shop")
    assert done.returncode == 0, done.stderr
    assert "shop-1 succeeded" in done.stderr
    assert call(tmp_path, database, "runs", "-o", "name").stdout.split() == ["shop-1"]
    assert "say" in call(tmp_path, database, "status", "@last").stdout
    logs = call(tmp_path, database, "logs", "@last").stdout
    assert "hello" in logs
    assert PASSWORD not in logs + done.stdout + done.stderr
    assert "ok" in call(tmp_path, database, "doctor").stdout


def test_real_command_line_tells_a_wrong_password(tmp_path, database):
    """One message, no traceback, no password; exit code 7 (errored)."""
    write_project(tmp_path, "name: shop\nstages:\n  it: {uses: wait, with: {for: 1s}}\n")
    wrong = "wrong-horse"
    done = call(tmp_path, database.replace(PASSWORD, wrong), "run", "shop")
    assert "refuses to let us in" in done.stderr
    assert "state-auth" in done.stderr
    assert wrong not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    assert done.returncode == 7
