"""What the core alone costs: microseconds per event and per stage, at 1,000 and 100,000 stages.

    python benchmarks/core.py [--largest 100000]

No journal, no thread: a run is created, every delivery succeeds, the events are kept in a list.
The goals: at most 40 µs an event at 1,000 stages, and at 100,000 at most twice the cost of a stage
at 1,000. Exits 1 beyond 1.5 times a goal.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
from typing import NamedTuple

from gennaker.model import PipelineDefinition
from gennaker_engine.core import commands as c
from gennaker_engine.core import messages as m
from gennaker_engine.core.events import Event, RunCreated
from gennaker_engine.core.run import Run

LAYERS = 10
GOAL_EVENT = 40.0
GOAL_RATIO = 2.0
TOLERANCE = 1.5
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


def measure(definition: PipelineDefinition) -> Cost:
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


def main() -> int:
    """Print the figures and say whether the goals are met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--largest", type=int, default=100_000)
    largest = parser.parse_args().largest
    per_stage = {}
    per_event = {}
    for stages, repeats in ((1_000, 9), (largest, 1)):
        definition = make_pipeline(stages)
        costs = [measure(definition) for _ in range(repeats)]
        seconds = statistics.median(cost.run for cost in costs)
        events = costs[0].events
        per_stage[stages] = seconds / stages * 1e6
        per_event[stages] = seconds / events * 1e6
        print(
            f"{stages:>7} stages: {per_event[stages]:6.1f} µs/event, {per_stage[stages]:6.1f} µs/stage,"
            f" compile {costs[0].compile:.3f} s,"
            f" replay {statistics.median(cost.replay for cost in costs) / events * 1e6:5.1f} µs/event"
        )
    ratio = per_stage[largest] / per_stage[1_000]
    print(f"a stage at {largest} costs {ratio:.2f} times one at 1000 (goal {GOAL_RATIO:g})")
    print(f"an event at 1000 stages costs {per_event[1_000]:.1f} µs (goal {GOAL_EVENT:g})")
    beyond = ratio > GOAL_RATIO * TOLERANCE or per_event[1_000] > GOAL_EVENT * TOLERANCE
    return 1 if beyond else 0


if __name__ == "__main__":
    sys.exit(main())
