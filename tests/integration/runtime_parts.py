"""A small plugin and a project for the tests of the runtime; also a program that drives a run.

``python runtime_parts.py PROJECT COMMAND ...`` opens the engine of a project in a process of its
own, so that a test can kill it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from gennaker.errors import GennakerError
from gennaker.loader import load_file
from gennaker.plugins import Registry
from gennaker.project import load_project
from gennaker.secret_provider import SecretProvider
from gennaker.stage import (
    Artifact,
    Change,
    Context,
    Decision,
    Failed,
    Outcome,
    PermanentError,
    Plan,
    PlanContext,
    Poll,
    Secret,
    Stage,
    StageInputs,
    StageOutputs,
    Succeeded,
    TemporaryError,
    Timer,
    Waiting,
)
from gennaker.target import Target, TargetSettings
from gennaker_engine.core.messages import Decide
from gennaker_engine.runtime import Engine
from gennaker_engine.runtime.clock import Clock
from tests.fixtures.virtual_clock import VirtualClock

__all__ = [
    "STAGES",
    "is_alive",
    "make_registry",
    "open_engine",
    "start_run",
    "wait_for",
    "write_project",
]

T = TypeVar("T")


class Echo(Stage):
    """Give back what is said, and write it down where the test can see it."""

    name = "t.echo"

    class Inputs(StageInputs):
        say: str = ""
        note: str = ""
        delay: float = 0

    class Outputs(StageOutputs):
        said: str

    def plan(self, inputs: Inputs, ctx: PlanContext) -> Plan:
        """Say what would be said."""
        return Plan([Change("run", f"say {inputs.say}")], desired={"say": inputs.say})

    def run(self, inputs: Inputs, ctx: Context) -> Outcome:
        """Say it."""
        if inputs.delay:
            ctx.wait_cancelled(inputs.delay)
        if inputs.note:
            with Path(inputs.note).open("a") as stream:
                stream.write(f"{ctx.key} {ctx.delivery}\n")
        ctx.log(inputs.say)
        return Succeeded({"said": inputs.say})


class Deploy(Echo):
    """An echo that changes an environment."""

    name = "t.deploy"
    effect = "deploy"


class Switch(Stage):
    """Set the content of a file, and put it back; ``bad`` content fails after it was written."""

    name = "t.switch"
    effect = "deploy"

    class Inputs(StageInputs):
        file: str
        content: str

    def plan(self, inputs: Inputs, ctx: PlanContext) -> Plan:
        """Say what the content would become."""
        path = Path(inputs.file)
        same = path.exists() and path.read_text() == inputs.content
        change = Change("leave" if same else "change", inputs.file, f"to {inputs.content!r}")
        return Plan([change], desired={"content": inputs.content})

    def run(self, inputs: Inputs, ctx: Context) -> Outcome:
        """Record the content, then change it, unless it is that already."""
        path = Path(inputs.file)
        content = path.read_bytes() if path.exists() else b""
        if content == inputs.content.encode():
            return Succeeded()
        if ctx.before is None:
            ctx.record_before(ctx.artifacts.put(content))
        path.write_text(inputs.content)
        return Failed("bad content") if inputs.content == "bad" else Succeeded()

    def plan_undo(self, inputs: Inputs, before: Artifact, ctx: PlanContext) -> Plan:
        """Say what it would be again."""
        return Plan([Change("change", inputs.file, f"back to {self._read(before, ctx)!r}")])

    def undo(self, inputs: Inputs, before: Artifact, ctx: Context) -> Outcome:
        """Write what was there, and record what is there as :meth:`run` does."""
        ctx.log(f"back to {self._read(before, ctx)!r}")
        path = Path(inputs.file)
        ctx.record_before(ctx.artifacts.put(path.read_bytes() if path.exists() else b""))
        path.write_text(self._read(before, ctx))
        return Succeeded()

    def _read(self, before: Artifact, ctx: PlanContext) -> str:
        with ctx.artifacts.open(before) as stream:
            return stream.read().decode()


class Behave(Stage):
    """Do one of many things a stage may do."""

    name = "t.behave"

    class Inputs(StageInputs):
        how: str
        note: str = ""
        secret: Secret | None = None

    class Outputs(StageOutputs):
        value: Any = None

    def run(self, inputs: Inputs, ctx: Context) -> Outcome:
        """Do it."""
        outcome: Outcome = getattr(self, inputs.how)(inputs, ctx)
        return outcome

    def fail(self, _inputs: Inputs, _ctx: Context) -> Outcome:
        return Failed("the thing said no", code="said-no")

    def raise_it(self, _inputs: Inputs, _ctx: Context) -> Outcome:
        raise ValueError("out of\nrange")

    def exit_it(self, _inputs: Inputs, _ctx: Context) -> Outcome:
        raise SystemExit(3)

    def permanent(self, _inputs: Inputs, _ctx: Context) -> Outcome:
        raise PermanentError("never", code="no-way", hint="give up")

    def temporary(self, _inputs: Inputs, ctx: Context) -> Outcome:
        if ctx.attempt == 1:
            raise TemporaryError("later", delay=0.05)
        return Succeeded({"value": ctx.attempt})

    def no_outcome(self, _inputs: Inputs, _ctx: Context) -> Any:
        return "done"

    def not_json(self, _inputs: Inputs, _ctx: Context) -> Outcome:
        return Succeeded({"value": {1: 2}})

    def nan(self, _inputs: Inputs, _ctx: Context) -> Outcome:
        return Succeeded({"value": [float("nan")]})

    def circular(self, _inputs: Inputs, _ctx: Context) -> Outcome:
        value: list[Any] = []
        value.append(value)
        return Succeeded({"value": value})

    def huge(self, _inputs: Inputs, _ctx: Context) -> Outcome:
        return Succeeded({"value": "x" * 70_000})

    def undeclared(self, _inputs: Inputs, _ctx: Context) -> Outcome:
        return Succeeded({"other": 1})

    def tell_secret(self, inputs: Inputs, ctx: Context) -> Outcome:
        assert inputs.secret is not None
        ctx.log(f"the secret is {inputs.secret.reveal()}")
        return Failed(f"it is {inputs.secret.reveal()}")

    def give_secret(self, inputs: Inputs, _ctx: Context) -> Outcome:
        assert inputs.secret is not None
        return Succeeded({"value": f"<{inputs.secret.reveal()}>"})

    def hang(self, inputs: Inputs, ctx: Context) -> Outcome:
        Path(inputs.note).write_text("hanging")
        ctx.wait_cancelled(60)
        ctx.check_cancelled()
        return Succeeded()

    def tell_stop(self, inputs: Inputs, ctx: Context) -> Outcome:
        ctx.log("out")
        ctx.wait_cancelled(60)
        Path(inputs.note).write_text("parked" if ctx.parked else "stopped")
        ctx.check_cancelled()
        return Succeeded()

    def process(self, inputs: Inputs, ctx: Context) -> Outcome:
        code = ctx.run_process(
            ["/bin/sh", "-c", f"echo out; echo err >&2; sleep 61 & echo $! > {inputs.note}; wait"]
        )
        return Failed(f"exit code {code}")

    def quick_process(self, _inputs: Inputs, ctx: Context) -> Outcome:
        code = ctx.run_process(["/bin/sh", "-c", "pwd; echo err >&2; exit 3"])
        return Succeeded({"value": code})

    def poll(self, _inputs: Inputs, ctx: Context) -> Outcome:
        count = (ctx.resumed or 0) + 1
        if count < 3:
            return Waiting(Poll(0.02), state=count)
        return Succeeded({"value": count})

    def timer(self, inputs: Inputs, ctx: Context) -> Outcome:
        if ctx.resumed is None:
            at = float(inputs.note) if inputs.note else time.time() + 0.05
            return Waiting(Timer(at), state="set")
        return Succeeded({"value": ctx.event is not None})

    def wait_for_nan(self, _inputs: Inputs, _ctx: Context) -> Outcome:
        return Waiting(Poll(1), deadline=float("nan"))

    def wait_for_text(self, _inputs: Inputs, _ctx: Context) -> Outcome:
        return Waiting(Timer("soon"))  # type: ignore[arg-type]

    def wait_for_nothing(self, _inputs: Inputs, _ctx: Context) -> Outcome:
        return Waiting("nothing")  # type: ignore[arg-type]

    def ask_nobody(self, _inputs: Inputs, _ctx: Context) -> Outcome:
        return Waiting(Decision(required=0))

    def be_deaf(self, _inputs: Inputs, _ctx: Context) -> Outcome:
        time.sleep(2)
        return Succeeded()

    def guard_crash(self, inputs: Inputs, ctx: Context) -> Outcome:
        """Die inside a guard the first time."""
        if ctx.delivery == 1:
            with ctx.guard("thing", inputs.note):
                Path(inputs.note).write_text("exists")
                os.kill(os.getpid(), signal.SIGKILL)
        return Succeeded({"value": Path(inputs.note).read_text()})

    def clean_up(self, kind: str, name: str) -> None:
        """End the thing a dead owner left."""
        Path(name).write_text(f"{kind} gone")


class Alter(Behave):
    """Behave in an environment, under its lock."""

    name = "t.alter"
    effect = "deploy"


class Spend(Stage):
    """Work for some seconds of a virtual clock, and so for no time."""

    name = "t.spend"
    effect = "deploy"
    clock = VirtualClock()

    class Inputs(StageInputs):
        seconds: float
        fail_first: bool = False

    def run(self, inputs: Inputs, ctx: Context) -> Outcome:
        """Let the clock go on."""
        self.clock.advance(inputs.seconds)
        return Failed("not yet") if inputs.fail_first and ctx.attempt == 1 else Succeeded()


class Steps(Stage):
    """Three durable steps, each noted when it is really done; may die after one."""

    name = "t.steps"

    class Inputs(StageInputs):
        note: str
        die_after: int = -1

    class Outputs(StageOutputs):
        results: list[int]

    def run(self, inputs: Inputs, ctx: Context) -> Outcome:
        """Do the steps."""
        results = []
        for number in range(3):

            def work(key: str, number: int = number) -> int:
                with Path(inputs.note).open("a") as stream:
                    stream.write(f"{key}\n")
                return number * 10

            results.append(ctx.step(f"step-{number}", work))
            if number == inputs.die_after and ctx.delivery == 1:
                os.kill(os.getpid(), signal.SIGKILL)
        return Succeeded({"results": results})


class Approval(Stage):
    """Ask people."""

    name = "approval"

    class Inputs(StageInputs):
        message: str = ""
        approvers: tuple[str, ...] = ()

    class Outputs(StageOutputs):
        decisions: list[Any]

    def run(self, inputs: Inputs, ctx: Context) -> Outcome:
        """Wait for them."""
        if ctx.event is None:
            return Waiting(Decision(message=inputs.message, approvers=inputs.approvers))
        return Succeeded({"decisions": ctx.event["decisions"]})


class Place(Target):
    """A place that is a folder."""

    name = "place"

    class Settings(TargetSettings):
        folder: str

    def namespace(self, settings: Settings) -> str:
        """The folder is the namespace."""
        return settings.folder

    def connect(self, settings: Settings, *, environment: str, project: Path) -> Any:
        """Return the folder."""
        return project / settings.folder

    def sandbox(self, settings: Settings, *, environment: str, state: Path) -> dict[str, Any]:
        """Point into the state folder."""
        return {"folder": str(state / "sandbox" / environment)}


class Env(SecretProvider):
    """Secrets from the environment."""

    name = "env"

    def read(self, setting: Any, *, project: Path) -> str:
        """Return the variable."""
        return os.environ[setting]


STAGES = (Echo, Deploy, Switch, Behave, Alter, Spend, Steps, Approval)


def make_registry() -> Registry:
    """Return a registry of these plugins alone."""
    return Registry.of(stages=STAGES, targets=[Place], secrets=[Env])


def write_project(root: Path, pipeline: str, settings: str = "project: shop\n") -> Path:
    """Write a project with one pipeline ``pipelines/p.yaml`` and return its root."""
    (root / "pipelines").mkdir(parents=True, exist_ok=True)
    (root / "gennaker.yaml").write_text(settings)
    (root / "pipelines" / "p.yaml").write_text(pipeline)
    return root


def open_engine(root: Path, clock: Clock | None = None) -> Engine:
    """Open the engine of a project with these plugins; on the machine's clock unless given."""
    return Engine.open(load_project(root), make_registry(), clock=clock)


def start_run(engine: Engine, **options: Any) -> str:
    """Create a run of the project's one pipeline."""
    path = engine.project.root / "pipelines" / "p.yaml"
    (loaded,) = load_file(path, project=engine.project)
    parameters = options.pop("parameters", {})
    return engine.create_run(loaded, parameters, actor="local:ann", **options)


def is_alive(pid: int) -> bool:
    """Whether a process lives (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_for(found: Callable[[], T], seconds: float = 10) -> T:
    """Return what ``found`` returns as soon as that is true."""
    until = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.005)
    return value


@contextmanager
def start_processes() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Give what starts processes that drive a run; what still lives at the end is killed."""
    children: list[subprocess.Popen[str]] = []
    project = Path(__file__).parents[2]

    def start(root: Path, *words: str) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, __file__, str(root), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=project,
            env={**os.environ, "PYTHONPATH": str(project)},
        )
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.wait()
        child.stdout.close()
        child.stdin.close()


def decide(engine: Engine, stage: str, decision: Any, actor: str, *runs: str) -> None:
    """Decide on runs as one person; prints for each whether it counted, once a line came in."""
    print("ready", flush=True)  # noqa: T201
    input()
    for run_id in runs:
        try:
            engine.send(run_id, Decide(stage, decision, actor))
        except GennakerError as error:
            print(error.code)  # noqa: T201
        else:
            print("accepted")  # noqa: T201


def main(root: str, command: str, *words: str) -> None:
    """Drive in this process and print what became of the run as JSON; or decide."""
    engine = open_engine(Path(root))
    if command == "decide":
        decide(engine, *words)
        return
    run_id = start_run(engine) if command == "run" else words[0]
    print(run_id, flush=True)  # noqa: T201
    run = engine.drive(run_id)
    print(json.dumps({"state": run.state, "outcome": run.outcome}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
