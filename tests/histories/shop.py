"""What the kept histories are played with: a project, its engine, and who drives it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from gennaker.plugins import Registry
from gennaker.project import load_project
from gennaker.stage import Artifact, Context, Failed, Outcome, Stage, StageInputs, Succeeded
from gennaker_engine.core.events import Event
from gennaker_engine.core.messages import Park
from gennaker_engine.core.run import Run
from gennaker_engine.runtime import Engine
from gennaker_engine.runtime.observer import QuietObserver
from tests.fixtures.virtual_clock import VirtualClock
from tests.integration import runtime_parts
from tests.integration.runtime_parts import Env, Place, write_project

__all__ = ["SCENARIOS", "SETTINGS", "Scenario", "When", "drive", "open_shop", "scenario"]

Scenario = Callable[[Path], Engine]

SCENARIOS: dict[str, Scenario] = {}
SETTINGS = """\
project: shop
secrets: {token: {env: SHOP_TOKEN}}
environments:
  staging: {place: {folder: staging}, variables: {host: one}}
  production:
    place: {folder: production}
    variables: {host: one}
    approval: {approvers: ["local:*"], required: 2, self: false, expires: 2h}
"""


class Change(Stage):
    """A deploy that can be put back; fails when it is told to."""

    name = "h.change"
    effect = "deploy"

    class Inputs(StageInputs):
        file: str
        text: str
        fail: bool = False

    def run(self, inputs: Inputs, ctx: Context) -> Outcome:
        """Write the file."""
        path = Path(inputs.file)
        before = path.read_text() if path.exists() else ""
        ctx.record_before(ctx.artifacts.put(before.encode(), name="before"))
        path.write_text(inputs.text)
        return Failed("it does not start") if inputs.fail else Succeeded()

    def undo(self, inputs: Inputs, before: Artifact, ctx: Context) -> Outcome:
        """Write what was there."""
        with ctx.artifacts.open(before) as stream:
            Path(inputs.file).write_bytes(stream.read())
        return Succeeded()


def scenario(function: Scenario) -> Scenario:
    """Put a scenario on the list."""
    SCENARIOS[function.__name__] = function
    return function


def open_shop(
    root: Path, pipeline: str, settings: str = SETTINGS, clock: VirtualClock | None = None
) -> Engine:
    """Write a project with one pipeline ``shop`` and open its engine."""
    write_project(root, f"name: shop\n{pipeline}", settings)
    registry = Registry.of(stages=[*runtime_parts.STAGES, Change], targets=[Place], secrets=[Env])
    options = {} if clock is None else {"clock": clock}
    return Engine.open(load_project(root), registry, **options)


class When(QuietObserver):
    """Does something once when an event of a type comes."""

    def __init__(self, kind: str, do: Callable[[Run], object]) -> None:
        self._kind = kind
        self._do: Callable[[Run], object] | None = do

    def on_events(self, run: Run, events: Sequence[Event]) -> None:
        """Look for it."""
        if self._do is not None and any(event.type == self._kind for event in events):
            do, self._do = self._do, None
            do(run)


def drive(engine: Engine, run_id: str, *, until: str | None = None) -> Run:
    """Drive a run; park it at the first event of a type."""
    if until is None:
        return engine.drive(run_id)
    parker = When(until, lambda run: engine.request(run.id, Park("SIGTERM")))
    return engine.drive(run_id, observer=parker)
