"""What the core alone costs: microseconds per event and per stage, at 1,000 and 100,000 stages.

No journal, no thread: a run is created, every delivery succeeds, the events are kept in a list.
"""

from __future__ import annotations

import gc
import statistics
import time
from typing import NamedTuple

from benchmarks.measuring import Measurement
from gennaker.model import PipelineDefinition
from gennaker_engine.core import commands as c
from gennaker_engine.core import messages as m
from gennaker_engine.core.events import Event, RunCreated
from gennaker_engine.core.run import Run

LAYERS = 10
LARGEST = 100_000
WORLD = m.World()


class Cost(NamedTuple):
    """What a run cost: seconds to compile, to run, to replay; events."""

    compile: float
    run: float
    replay: float
    events: int


def make_pipeline(stages: int) -> PipelineDefinition:
    """Return ``stages`` no-op stages in ten layers, each needing two of the layer before."""
    width = stages // LAYERS
    data = {}
    for layer in range(LAYERS):
        for number in range(width):
            stage: dict[str, object] = {"uses": "noop", "with": {"text": "x"}}
            if layer:
                before = {f"s{layer - 1}_{number}", f"s{layer - 1}_{(number + 1) % width}"}
                stage["needs"] = sorted(before)
            data[f"s{layer}_{number}"] = stage
    return PipelineDefinition.model_validate({"name": f"bench{stages}", "stages": data})


def play(definition: PipelineDefinition) -> Cost:
    """Play one run to its end and replay it."""
    created = RunCreated(
        at=0.0,
        run="bench-1",
        pipeline=definition.name,
        number=1,
        title="bench",
        actor="local:bench",
        definition=definition.to_data(),
        digest=definition.digest,
    )
    gc.collect()
    begin = time.perf_counter()
    run, reaction = Run.create(created, world=WORLD, now=0.0)
    compiled = time.perf_counter()
    events: list[Event] = [*reaction.events]
    queue: list[c.Command] = []
    reaction = run.handle(m.Adopt("bench", "local:bench"), world=WORLD, now=0.0)
    now = 0.0
    while True:
        events += reaction.events
        queue += reaction.commands
        if not queue:
            break
        delivery = queue.pop()
        assert isinstance(delivery, c.Deliver)
        now += 0.001
        report = m.ReportSucceeded(delivery.instance, delivery.attempt, delivery.delivery, {"a": 1})
        reaction = run.handle(report, world=WORLD, now=now)
    ended = time.perf_counter()
    assert run.state == "ended"
    assert run.outcome == "succeeded"
    twin = Run.replay(events)
    replayed = time.perf_counter()
    assert twin.version == run.version
    return Cost(compiled - begin, ended - compiled, replayed - ended, len(events))


def measure() -> list[Measurement]:
    """Measure the cost of an event, and how the cost of a stage grows with the run."""
    small = _play_median(1_000, repeats=9)
    large = _play_median(LARGEST, repeats=1)
    return [
        Measurement("core: an event, 1,000 stages", small.run / small.events * 1e6, "µs", 40),
        Measurement("core: replay an event", small.replay / small.events * 1e6, "µs"),
        Measurement(
            f"core: a stage, {LARGEST:,} stages",
            large.run / LARGEST * 1e6,
            "µs",
            goal=2 * small.run / 1_000 * 1e6,
            floor=small.run / 1_000 * 1e6,
            floor_name="a stage of 1,000",
        ),
    ]


def _play_median(stages: int, *, repeats: int) -> Cost:
    definition = make_pipeline(stages)
    costs = [play(definition) for _ in range(repeats)]
    return Cost(
        statistics.median(each.compile for each in costs),
        statistics.median(each.run for each in costs),
        statistics.median(each.replay for each in costs),
        costs[0].events,
    )
