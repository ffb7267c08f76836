"""What happens in the kept histories: one function each, named as its file; played by ``record``.

A scenario gets an empty folder, which is also the current one, and returns the engine whose state is
kept. The runs are real: the embedded runtime drives them, with the stage types of the tests.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

from gennaker.loader import load_file
from gennaker_engine.core.messages import Cancel, Decide
from gennaker_engine.core.run import Run
from gennaker_engine.runtime import Engine
from gennaker_engine.runtime.abandoning import abandon_run
from tests.fixtures.virtual_clock import VirtualClock
from tests.histories.shop import SCENARIOS, SETTINGS, Scenario, When, drive, open_shop, scenario
from tests.integration import crash_parts, runtime_parts
from tests.integration.runtime_parts import start_run, wait_for, write_project

__all__ = ["SCENARIOS", "Scenario"]

# Everything at once ---------------------------------------------------------------------------------


@scenario
def everything(root: Path) -> Engine:
    """Matrix, dynamic matrix, retries, steps, approvals, lock, group, ignored failure, finally."""
    ledger = crash_parts.Ledger("ledger")
    ledger.folder.mkdir()
    pipeline = crash_parts.PIPELINE.replace("LEDGER", "ledger")
    write_project(root, pipeline, crash_parts.SETTINGS)
    crash_parts.main(str(root))
    return crash_parts.open_state(root)


@scenario
def killed(root: Path) -> Engine:
    """Killed in the middle, and adopted by another process that ends it."""
    crash_parts.Ledger("ledger").folder.mkdir()
    write_project(root, crash_parts.PIPELINE.replace("LEDGER", "ledger"), crash_parts.SETTINGS)
    code = "from tests.integration.crash_parts import main; main('.', 'after:9')"
    project = str(Path(__file__).parents[2])
    child = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": project})
    assert child.returncode == -signal.SIGKILL
    crash_parts.main(str(root))
    return crash_parts.open_state(root)


# People ---------------------------------------------------------------------------------------------


@scenario
def approvals(root: Path) -> Engine:
    """Approved, rejected, cancelled while it is open, decided before seeing."""
    engine = open_shop(
        root,
        "stages:\n"
        "  build: {uses: t.echo, with: {say: shop@1}}\n"
        "  go: {uses: approval, needs: build, with: {message: 'Go live?'}}\n"
        "  live: {uses: t.deploy, needs: go, environment: staging, "
        "with: {say: '${{ stages.build.outputs.said }}'}}\n"
        "finally:\n  tell: {uses: t.echo, with: {say: '${{ string(stages.go.outcome) }}'}}\n",
    )
    for decision in ("approve", "reject"):
        run_id = start_run(engine)
        engine.drive(run_id, detach_on_wait=True)
        engine.send(run_id, Decide("go", decision, "local:bob", comment=f"I {decision} of it"))
        engine.drive(run_id)
    run_id = start_run(engine)
    engine.drive(run_id, detach_on_wait=True)
    engine.send(run_id, Cancel("local:bob", "cancel"))
    engine.drive(run_id)
    engine.drive(start_run(engine, sandbox=True, approved=("go",)))
    return engine


@scenario
def environment_asks_again(root: Path) -> Engine:
    """Two people approve for an environment; it moves meanwhile, and they are asked again."""
    engine = open_shop(
        root,
        "stages:\n  live: {uses: t.deploy, environment: production, "
        "with: {say: '${{ environment.variables.host }}'}}\n",
    )
    run_id = start_run(engine)
    engine.drive(run_id, detach_on_wait=True)
    for actor in ("local:bob", "local:bea"):
        engine.send(run_id, Decide("live", "approve", actor))
    settings = SETTINGS.replace("variables: {host: one}", "variables: {host: two}")
    engine.close()
    engine = open_shop(root, (root / "pipelines/p.yaml").read_text().partition("\n")[2], settings)
    engine.drive(run_id, detach_on_wait=True)
    for actor in ("local:bob", "local:bea"):
        engine.send(run_id, Decide("live", "approve", actor))
    engine.drive(run_id)
    return engine


@scenario
def approval_expires(root: Path) -> Engine:
    """Nobody decides in two hours."""
    clock = VirtualClock()
    engine = open_shop(
        root,
        "stages:\n  live: {uses: t.deploy, environment: production}\n",
        clock=clock,
    )
    run_id = start_run(engine)
    engine.drive(run_id, detach_on_wait=True)
    clock.advance(7201)
    engine.drive(run_id)
    return engine


# What stops runs ------------------------------------------------------------------------------------


@scenario
def cancelled(root: Path) -> Engine:
    """Cancelled while a stage has a child process; finally runs; a second time aborts that too."""
    engine = open_shop(
        root,
        "stages:\n"
        "  it: {uses: t.behave, with: {how: process, note: pid}}\n"
        "  later: {uses: t.echo, needs: it}\n"
        "finally:\n  tidy: {uses: t.behave, with: {how: hang, note: tidying}}\n",
    )
    run_id = start_run(engine)

    def cancel(run: Run) -> None:
        engine.request(run.id, Cancel("local:bob", "cancel"))
        watch = threading.Thread(target=lambda: _cancel_again(engine, run.id))
        watch.start()

    engine.drive(run_id, observer=When("guard.entered", cancel))
    return engine


def _cancel_again(engine: Engine, run_id: str) -> None:
    wait_for(Path("tidying").exists)
    engine.request(run_id, Cancel("local:bob", "cancel"))


@scenario
def timeouts(root: Path) -> Engine:
    """A stage, and then a whole run, took too long."""
    engine = open_shop(
        root,
        "timeout: 2s\nstages:\n"
        "  slow: {uses: t.behave, timeout: 500ms, on_failure: ignore, "
        "with: {how: hang, note: slow}}\n"
        "  slower: {uses: t.behave, needs: slow, with: {how: hang, note: slower}}\n"
        "  never: {uses: t.echo, needs: slower}\n",
    )
    engine.drive(start_run(engine))
    return engine


@scenario
def poison(root: Path) -> Engine:
    """An attempt whose process died three times is given up."""
    engine = open_shop(
        root, f"stages:\n  it: {{uses: t.behave, with: {{how: hang, note: {root}/hanging}}}}\n"
    )
    run_id = start_run(engine)
    with runtime_parts.start_processes() as start:
        for _ in range(3):
            Path("hanging").unlink(missing_ok=True)
            child = start(root, "resume", run_id)
            wait_for(Path("hanging").exists, seconds=30)
            child.kill()
            child.wait()
    engine.drive(run_id)
    return engine


@scenario
def guarded(root: Path) -> Engine:
    """The process died inside a guard: what it left is cleaned up; another run is cancelled so."""
    engine = open_shop(
        root,
        "parameters: {note: {required: true}}\n"
        "stages:\n  it: {uses: t.behave, with: {how: guard_crash, note: '${{ params.note }}'}}\n",
    )
    for number in (1, 2):
        run_id = start_run(engine, parameters={"note": f"{root}/thing{number}"})
        with runtime_parts.start_processes() as start:
            assert start(root, "resume", run_id).wait(30) == -signal.SIGKILL
        if number == 2:
            engine.send(run_id, Cancel("local:bob", "cancel"))
        engine.drive(run_id)
    return engine


@scenario
def abandoned(root: Path) -> Engine:
    """Given up with the lock it held as it could not be read; the damage was mended afterwards."""
    engine = open_shop(
        root,
        "stages:\n  it: {uses: t.deploy, environment: staging}\n  ask: {uses: approval, needs: it}\n"
        "  more: {uses: t.deploy, environment: staging, needs: ask}\n",
    )
    run_id = start_run(engine)
    engine.drive(run_id, detach_on_wait=True)
    with sqlite3.connect(".gennaker/state.db") as connection:
        (text,) = connection.execute("SELECT data FROM events WHERE sequence = 4").fetchone()
        connection.execute("UPDATE events SET data = '{' WHERE sequence = 4")
        connection.commit()
        abandon_run(engine, run_id, "local:bob")
        connection.execute("UPDATE events SET data = ? WHERE sequence = 4", (text,))
    return engine


# What has no attempt --------------------------------------------------------------------------------


@scenario
def skips(root: Path) -> Engine:
    """Skipped for each cause there is, an empty matrix, wrong expressions, secrets in inputs."""
    engine = open_shop(
        root,
        "parameters: {name: {default: ''}, flag: {type: boolean, default: false}}\n"
        "stages:\n"
        "  none: {uses: t.echo, matrix: {name: \"${{ params.name == '' ? [] : [params.name] }}\"}, with: {say: x}}\n"
        "  after_none: {uses: t.echo, needs: none, with: {say: '${{ to_json(stages.none.outputs.said) }}'}}\n"
        "  unwanted: {uses: t.echo, if: params.flag}\n"
        "  after_unwanted: {uses: t.echo, with: {say: '${{ stages.unwanted.outputs.said }}'}}\n"
        "  fails: {uses: t.behave, with: {how: fail}}\n"
        "  downstream: {uses: t.echo, needs: fails}\n"
        "  anyway: {uses: t.echo, needs: fails, if: always()}\n"
        "  wrong: {uses: t.echo, needs: anyway, with: {say: '${{ string(1 / size(params.name)) }}'}}\n"
        "  wrong_matrix: {uses: t.echo, matrix: {n: '${{ [1 / size(params.name)] }}'}}\n"
        "  secret: {uses: t.behave, with: {how: quick_process, secret: '${{ secrets.token }}'}}\n"
        "  parts:\n    uses: t.behave\n    matrix: {how: [fail, quick_process, temporary], "
        "max_parallel: 1, fail_fast: true}\n    with: {how: '${{ matrix.how }}'}\n",
    )
    engine.drive(start_run(engine))
    return engine


@scenario
def stopped(root: Path) -> Engine:
    """A failure with `on_failure: stop`; and a run in which there is nothing to do."""
    engine = open_shop(
        root,
        "parameters: {flag: {type: boolean, default: true}}\n"
        "stages:\n"
        "  fails: {uses: t.behave, if: params.flag, on_failure: stop, with: {how: fail}}\n"
        "  hangs: {uses: t.behave, if: params.flag, with: {how: hang, note: hanging}}\n"
        "  later: {uses: t.echo, needs: hangs, if: params.flag}\n",
    )
    engine.drive(start_run(engine))
    engine.drive(start_run(engine, parameters={"flag": False}))
    return engine


# Several runs ---------------------------------------------------------------------------------------


@scenario
def deadlock(root: Path) -> Engine:
    """Two runs hold what the other one wants; the younger one's stage errs."""
    engine = open_shop(
        root,
        "parameters: {first: {required: true}, second: {required: true}}\nstages:\n"
        "  one: {uses: t.deploy, environment: '${{ params.first }}', with: {delay: 0.2}}\n"
        "  two: {uses: t.deploy, needs: one, environment: '${{ params.second }}'}\n"
        "  three: {uses: t.deploy, needs: two, environment: '${{ params.first }}'}\n",
        SETTINGS.partition("  production:")[0] + "  live: {place: {folder: live}}\n",
    )
    ways = [("staging", "live"), ("live", "staging")]
    runs = [
        start_run(engine, parameters=dict(zip(("first", "second"), w, strict=True))) for w in ways
    ]
    engine.drive(runs)
    return engine


@scenario
def groups(root: Path) -> Engine:
    """In a group of one: the second run is superseded by the third, which waits for the first."""
    engine = open_shop(
        root,
        "concurrency: {group: one, limit: 1, policy: supersede}\n"
        "stages:\n  it: {uses: t.behave, with: {how: poll}}\n",
    )
    runs = [start_run(engine) for _ in range(3)]
    engine.drive([runs[0], runs[2]])
    start_run(engine)
    start_run(engine)  # waits for good
    return engine


@scenario
def waiting(root: Path) -> Engine:
    """Runs that wait for a timer, a decision, a lock, a retry, and for anybody to drive them."""
    engine = open_shop(
        root,
        "parameters: {what: {}}\nstages:\n"
        "  timer: {uses: t.behave, if: params.what == 'timer', "
        "with: {how: timer, note: '4000000000'}}\n"
        "  ask: {uses: approval, if: params.what == 'ask', with: {message: 'Go?'}}\n"
        "  again: {uses: t.behave, if: params.what == 'again', retry: {limit: 1, delay: 10h, "
        "max_delay: 10h}, with: {how: raise_it}}\n"
        "  deploy: {uses: t.deploy, if: params.what.startsWith('lock'), environment: staging, "
        "with: {say: x}}\n"
        "  keep: {uses: approval, needs: deploy, with: {message: 'Keep it?'}}\n"
        "  more: {uses: t.deploy, needs: keep, environment: staging, with: {say: y}}\n",
    )
    for what in ("timer", "ask", "lock 1", "lock 2"):
        engine.drive(start_run(engine, parameters={"what": what}), detach_on_wait=True)
    drive(engine, start_run(engine, parameters={"what": "again"}), until="attempt.ended")
    start_run(engine)  # nobody has driven it yet
    return engine


@scenario
def retried(root: Path) -> Engine:
    """Retried twice: what succeeded is taken over, a deploy while it is the last one there."""
    pipeline = (
        "stages:\n"
        "  build: {uses: t.echo, with: {say: shop@1}}\n"
        "  each: {uses: t.echo, needs: build, matrix: {n: [1, 2]}, with: {say: '${{ string(matrix.n) }}'}}\n"
        "  deploy: {uses: t.deploy, needs: each, environment: staging, with: {say: x}}\n"
        "  check: {uses: t.behave, needs: deploy, with: {how: fail}}\n"
    )
    engine = open_shop(root, pipeline)
    first = engine.drive(start_run(engine))
    second = engine.drive(engine.create_retry(first.id, actor="local:bob"))
    engine.drive(start_run(engine))
    engine.drive(engine.create_retry(second.id, actor="local:cay"))
    return engine


@scenario
def corrected(root: Path) -> Engine:
    """Retried with a corrected definition; what was to be reused runs as another run deployed there."""
    pipeline = (
        "parameters: {how: {default: fail}}\nstages:\n"
        "  move: {uses: t.deploy, environment: staging, with: {say: x}}\n"
        "  check: {uses: t.echo, needs: move}\n"
        "  aside: {uses: t.echo, with: {say: one}}\n"
        "  bad: {uses: t.behave, needs: check, with: {how: '${{ params.how }}'}}\n"
    )
    engine = open_shop(root, pipeline)
    first = engine.drive(start_run(engine))
    engine = open_shop(root, pipeline.replace("say: one", "say: two"))
    (current,) = load_file(root / "pipelines" / "p.yaml", project=engine.project)
    for other in (False, True):
        retry = engine.plan_retry(
            first.id, actor="local:bob", current=current, parameters={"how": "quick_process"}
        )
        second = engine.create_retry(retry, actor="local:bob")
        if other:
            engine.drive(start_run(engine))
        engine.drive(second)
    return engine


@scenario
def rolled_back(root: Path) -> Engine:
    """Two runs changed a place; the second is put back, then the first one's deploy is made again."""
    engine = open_shop(
        root,
        "parameters: {text: {required: true}}\nstages:\n"
        "  web: {uses: h.change, environment: staging, "
        "with: {file: web, text: '${{ params.text }}'}}\n",
    )
    for text in ("one", "two"):
        last = engine.drive(start_run(engine, parameters={"text": text}))
    engine.drive(engine.create_rollback(engine.find_rollback(last.id), actor="local:bob"))
    again = engine.find_rollback("shop-1", environment="staging", again=True)
    engine.drive(engine.create_rollback(again, actor="local:bob"))
    return engine


@scenario
def undone(root: Path) -> Engine:
    """What a failed stage and the one before it had changed is put back."""
    engine = open_shop(
        root,
        "stages:\n"
        "  database: {uses: h.change, environment: staging, with: {file: database, text: two}}\n"
        "  web:\n    uses: h.change\n    needs: database\n    environment: staging\n"
        "    on_failure: {undo: [web, database]}\n    with: {file: web, text: two, fail: true}\n",
    )
    Path("database").write_text("one")
    engine.drive(start_run(engine))
    return engine


@scenario
def sandbox(root: Path) -> Engine:
    """On the sandbox, parked and gone on with; the calendar of its machine is set meanwhile."""
    clock = VirtualClock()
    engine = open_shop(
        root,
        "stages:\n"
        "  deploy: {uses: t.deploy, environment: staging, with: {say: x}}\n"
        "  steps: {uses: t.steps, needs: deploy, with: {note: steps}}\n"
        "  ask: {uses: approval, needs: steps}\n",
        clock=clock,
    )
    run_id = start_run(engine, sandbox=True)
    drive(engine, run_id, until="step.completed")
    engine.drive(run_id, detach_on_wait=True)

    def set_clock(run: Run) -> None:
        clock.jump(3600)
        threading.Thread(target=_approve_later, args=(engine, run.id)).start()

    engine.drive(run_id, observer=When("run.adopted", set_clock))
    return engine


def _approve_later(engine: Engine, run_id: str) -> None:
    wait_for(lambda: any(e.type == "run.clock_moved" for _, e in engine.load_events(run_id)))
    time.sleep(0.05)
    engine.request(run_id, Decide("ask", "approve", "local:bob"))
