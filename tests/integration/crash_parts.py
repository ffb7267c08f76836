"""What is killed in the crash sweep: a pipeline with everything in it, and who drives it.

``main`` runs in a child of a :class:`tests.fixtures.zygote.Zygote`. It dies at a commit of the
journal that its fail point chose, or when the test kills it.
"""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
import yaml.cyaml

import gennaker_engine.planning.subject
from gennaker.errors import NotAllowed
from gennaker.plugins import Registry
from gennaker.project import load_project
from gennaker.stage import (
    Context,
    Failed,
    Outcome,
    Stage,
    StageInputs,
    StageOutputs,
    Succeeded,
    TemporaryError,
)
from gennaker_engine.core.events import ApprovalRequested, Event
from gennaker_engine.core.messages import Decide
from gennaker_engine.core.run import Run
from gennaker_engine.core.state import Gate
from gennaker_engine.journal.port import RunFilter
from gennaker_engine.journal.postgres_link import Server
from gennaker_engine.journal.sqlite import SqliteJournal
from gennaker_engine.runtime import Engine
from tests.integration.runtime_parts import Approval, Env, Place, start_run

LAZY = (yaml.cyaml, gennaker_engine.planning.subject)
"""What a run imports when it needs it: loaded once in the parent, not in every child."""

__all__ = ["OWNED", "PIPELINE", "SETTINGS", "Ledger", "main", "open_state"]

OWNED = 3
"""Exit code of a process that was told that another one drives the run."""

SETTINGS = """\
project: shop
environments:
  production: {place: {folder: there}, approval: {approvers: [], required: 1}}
"""
PIPELINE = """\
name: shop
concurrency: {group: shop}
stages:
  list: {uses: c.apply, with: {ledger: LEDGER, items: [x, y]}}
  tests:
    uses: c.apply
    needs: list
    matrix: {version: [1, 2], max_parallel: 1}
    with: {ledger: LEDGER, say: "${{ string(matrix.version) }}"}
  each:
    uses: c.apply
    matrix: {item: "${{ stages.list.outputs.items }}"}
    with: {ledger: LEDGER, say: "item ${{ matrix.item }}"}
  flaky: {uses: c.flaky, needs: list, retry: {limit: 2, delay: 20ms}, with: {ledger: LEDGER}}
  steps: {uses: c.steps, needs: list, with: {ledger: LEDGER}}
  lint: {uses: c.fail, on_failure: ignore, with: {ledger: LEDGER}}
  script: {uses: c.process, needs: lint, with: {ledger: LEDGER}}
  ok: {uses: approval, needs: [tests, each, flaky, steps, script], with: {message: Go?}}
  ship:
    uses: c.deploy
    needs: ok
    environment: production
    with: {ledger: LEDGER, say: "${{ stages.tests.outputs.said.join('+') }}"}
  broken: {uses: c.fail, needs: ship, with: {ledger: LEDGER}}
  after: {uses: c.apply, needs: broken, with: {ledger: LEDGER}}
finally:
  tidy: {uses: c.process, with: {ledger: LEDGER}}
  report: {uses: c.apply, needs: tidy, with: {ledger: LEDGER, say: "${{ stages.broken.outcome }}"}}
"""


class Ledger:
    """A target that notes the keys of what is asked of it, and does nothing twice for one key."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def apply(self, key: str, effect: str) -> None:
        """Do it; a second call with the key must ask for the same and changes nothing."""
        self._note("calls", key)
        path = self.folder / key.replace("/", ":")
        try:
            with path.open("x") as stream:
                stream.write(effect)
        except FileExistsError:
            # Who was killed while it wrote has left less.
            if not effect.startswith(path.read_text()):
                raise ValueError(f"{key} had another effect before") from None
            path.write_text(effect)

    def start_process(self, pid: str) -> None:
        """Note a process that the target started."""
        self._note("pids", pid)

    def read_calls(self) -> list[str]:
        """Return the keys of all calls, in their order."""
        return self._read("calls")

    def read_pids(self) -> list[int]:
        """Return all processes that stages have started in the background."""
        return [int(each) for each in self._read("pids")]

    def read_effects(self) -> dict[str, str]:
        """Return what was done, by key."""
        return {
            path.name.replace(":", "/"): path.read_text()
            for path in self.folder.iterdir()
            if ":" in path.name
        }

    def _note(self, name: str, line: str) -> None:
        with (self.folder / f"{name}.txt").open("a") as stream:
            stream.write(f"{line}\n")

    def _read(self, name: str) -> list[str]:
        path = self.folder / f"{name}.txt"
        return path.read_text().split() if path.exists() else []


class Apply(Stage):
    """Have one effect."""

    name = "c.apply"

    class Inputs(StageInputs):
        ledger: str
        say: str = ""
        items: list[str] = []

    class Outputs(StageOutputs):
        said: str
        items: list[str]
        results: list[int]

    def run(self, inputs: Inputs, ctx: Context) -> Outcome:
        """Do it."""
        Ledger(inputs.ledger).apply(ctx.key, inputs.say)
        return Succeeded({"said": inputs.say, "items": inputs.items, "results": []})


class Deploy(Apply):
    """Change an environment."""

    name = "c.deploy"
    effect = "deploy"


class Flaky(Apply):
    """Succeed at the third attempt."""

    name = "c.flaky"

    def run(self, inputs: Apply.Inputs, ctx: Context) -> Outcome:
        """Try it."""
        Ledger(inputs.ledger).apply(ctx.key, f"try {ctx.attempt}")
        if ctx.attempt < 3:
            raise TemporaryError("not yet")
        return Succeeded({"said": str(ctx.attempt), "items": [], "results": []})


class Fail(Apply):
    """Say no."""

    name = "c.fail"

    def run(self, inputs: Apply.Inputs, ctx: Context) -> Outcome:
        """Say it."""
        Ledger(inputs.ledger).apply(ctx.key, "no")
        return Failed("no")


class Steps(Apply):
    """Have three effects, each a durable step."""

    name = "c.steps"

    def run(self, inputs: Apply.Inputs, ctx: Context) -> Outcome:
        """Do them."""
        ledger = Ledger(inputs.ledger)

        def work(key: str) -> int:
            ledger.apply(key, "step")
            return len(ledger.read_effects()[key])

        results = [ctx.step(f"step-{number}", work) for number in range(3)]
        return Succeeded({"said": "", "items": [], "results": results})


class Process(Apply):
    """Run a script with children in the background, one in a session of its own."""

    name = "c.process"

    def run(self, inputs: Apply.Inputs, ctx: Context) -> Outcome:
        """Run it."""
        ledger = Ledger(inputs.ledger)
        ledger.apply(ctx.key, "script")
        note = f"echo $! >> {ledger.folder}/pids.txt"
        script = f"sleep 97 & {note}; setsid sleep 98 & {note}; sleep 0.03"
        code = ctx.run_process(["/bin/sh", "-c", script])
        return Succeeded({"said": str(code), "items": [], "results": []})


def open_state(root: Path) -> Engine:
    """Open the engine of a project with these stage types."""
    stages = (Apply, Deploy, Flaky, Fail, Steps, Process, Approval)
    registry = Registry.of(stages=stages, targets=[Place], secrets=[Env])
    return Engine.open(load_project(root), registry)


class Decider:
    """Says yes to every approval as soon as it is asked."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def on_events(self, run: Run, events: Sequence[Event]) -> None:
        """Answer what was just asked."""
        for event in events:
            if isinstance(event, ApprovalRequested):
                self.approve(run.id, event)

    def on_log(self, run: str, instance: str, attempt: int, stream: str, text: str) -> None:
        """Nothing is said to logs."""

    def approve(self, run: str, asked: ApprovalRequested | Gate) -> None:
        """Approve as another person would."""
        stage = asked.stage or str(asked.subject[0]["id"])
        self._engine.request(run, Decide(stage, "approve", "local:bob"))


class FailPoint:
    """Kills this process before or after its N-th commit that wrote something."""

    def __init__(self, words: str) -> None:
        when, _, number = words.partition(":")
        self._before, self._number = when == "before", int(number or 0)
        self._commits = 0

    def arm(self) -> None:
        """Let every journal that is opened from now on have it."""
        point = self

        class Sqlite(sqlite3.Connection):
            _changes = -1

            def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:  # type: ignore[override]
                if sql != "COMMIT":
                    if sql.startswith("BEGIN"):
                        self._changes = self.total_changes
                    return super().execute(sql, *values)
                wrote = self._changes != self.total_changes
                return point.pass_by(lambda: super(Sqlite, self).execute(sql), wrote=wrote)

        class Postgres(psycopg.Connection[Any]):
            def execute(self, query: Any, *values: Any, **options: Any) -> psycopg.Cursor[Any]:
                def work() -> psycopg.Cursor[Any]:
                    return super(Postgres, self).execute(query, *values, **options)

                is_commit = isinstance(query, str) and query.endswith("COMMIT")
                return point.pass_by(work, wrote=True) if is_commit else work()

        SqliteJournal.connection_class = Sqlite
        Server.connection_class = Postgres

    def pass_by(self, commit: Any, *, wrote: bool) -> Any:
        """Commit, and die if this is the moment."""
        self._commits += wrote
        now = wrote and self._commits == self._number
        if now and self._before:
            os.kill(os.getpid(), signal.SIGKILL)
        result = commit()
        if now:
            os.kill(os.getpid(), signal.SIGKILL)
        return result


def main(root: str, point: str = "") -> int:
    """Start the run of a project, or go on with it; return 0 when it has ended."""
    if point:
        FailPoint(point).arm()
    engine = open_state(Path(root))
    decider = Decider(engine)
    rows = engine.journal.list_runs(RunFilter())
    run_id = rows[0].run if rows else start_run(engine)
    for gate in engine.load_run(run_id).facts.gates.values():
        if gate.state == "open":
            decider.approve(run_id, gate)
    try:
        run = engine.drive(run_id, observer=decider)
    except NotAllowed as error:
        (Path(root) / f"told-{os.getpid()}").write_text(str(error))
        return OWNED
    engine.close()
    return 0 if run.state == "ended" else 1
