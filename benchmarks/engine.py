"""The engine: no-op stages of an outside plugin, durable, beside the bare commits they cost.

``python -m benchmarks.engine SHAPE FOLDER`` runs one shape in this process and prints what it took as
JSON; ``make bench`` calls it in fresh processes, and another fresh process reads the outcomes back.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.measuring import Measurement, choose_disk, commit_bare
from benchmarks.shapes import Needs, make_shape

__all__ = ["measure"]

ROOT = Path(__file__).parents[1]
RUNS = 5
SHAPES = {"layered": 1000, "chain": 50, "fan": 202, "runs": 4000}


def measure() -> list[Measurement]:
    """Measure layers, a chain, a fan, many runs at once, and how much memory the layers take."""
    found = {shape: _measure_shape(shape) for shape in SHAPES}
    bare = statistics.median(commit_bare(50) for _ in range(RUNS))

    def take(shape: str, what: str) -> float:
        return statistics.median(each[what] for each in found[shape])

    rate = SHAPES["runs"] / take("runs", "ms") * 1000
    return [
        Measurement(
            "1,000 no-op stages in 10 layers",
            take("layered", "ms"),
            goal=300,
            floor=bare / 5,
            floor_name="10 commits of a row",
        ),
        Measurement("  memory of that run", take("layered", "mb"), unit="MB", goal=100),
        Measurement(
            "chain of 50",
            take("chain", "ms"),
            goal=2 * take("chain", "floor") + 20,
            floor=take("chain", "floor"),
            floor_name=f"its own 50 commits alone (of a row: {bare:.1f} ms)",
        ),
        Measurement("fan 1 to 200 to 1", take("fan", "ms"), goal=100),
        Measurement(
            f"200 runs of 20 stages at once ({rate:,.0f} stages/s)", take("runs", "ms"), goal=1333
        ),
    ]


def _measure_shape(shape: str) -> list[dict[str, float]]:
    found = []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory(dir=choose_disk()) as folder:
            found.append(json.loads(_call(shape, folder)))
            outcomes = json.loads(_call("read", folder))
            if outcomes != {"succeeded": SHAPES[shape]}:
                raise SystemExit(f"{shape}: {outcomes}")
    return found


def _call(*words: str) -> str:
    argv = [sys.executable, "-m", "benchmarks.engine", *words]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(argv)} gave {done.returncode}: {done.stderr}")
    return done.stdout


def _repeat_commits(engine: Any, folder: Path) -> float:
    """Return the milliseconds of a chain's commits into a fresh journal, with nothing around them."""
    from dataclasses import replace

    from gennaker_engine.journal.sqlite import SqliteJournal

    row = engine.journal.find_run("bench-1")
    events = [each.data for each in engine.journal.load_events("bench-1")]
    journal = SqliteJournal(folder / "again.db", folder / "again")
    # A stage of a chain ends, and the next one is resolved and started, in one commit.
    ends = [at for at, data in enumerate(events) if data["type"] == "attempt.ended"]
    started = time.perf_counter()
    for begin, end in zip([0, *ends[:-1]], ends, strict=True):
        with journal.transaction() as transaction:
            transaction.append(replace(row, version=end), begin, events[begin:end])
    taken = (time.perf_counter() - started) * 1000
    journal.close()
    return taken


def write_shape(shape: str) -> str:
    """Return the pipeline of a shape, as JSON, which is YAML."""
    return write_pipeline(make_shape("chain", length=20) if shape == "runs" else make_shape(shape))


def write_pipeline(needs: Needs) -> str:
    """Return a pipeline of no-op stages, as JSON."""
    stages = {
        name: {"uses": "bench.noop", "needs": before, "with": {"value": number}}
        for number, (name, before) in enumerate(needs.items())
    }
    return json.dumps({"name": "bench", "stages": stages})


def make_noop() -> Any:
    """Return the stage type ``bench.noop``, which gives its value back."""
    from gennaker.stage import Context, Outcome, Stage, StageInputs, StageOutputs, Succeeded

    class Noop(Stage):
        """Give the value back."""

        name = "bench.noop"

        class Inputs(StageInputs):
            value: int

        class Outputs(StageOutputs):
            value: int

        def run(self, inputs: Inputs, ctx: Context) -> Outcome:
            """Do nothing."""
            return Succeeded({"value": inputs.value})

    return Noop


def open_bench(folder: Path, pipeline: str) -> tuple[Any, Any]:
    """Write a project with a pipeline; return its engine and the loaded pipeline."""
    from gennaker.loader import load_file
    from gennaker.plugins import Registry
    from gennaker.project import load_project
    from gennaker_engine.runtime import Engine

    (folder / "gennaker.yaml").write_text("project: bench\n")
    (folder / "p.yaml").write_text(pipeline)
    project = load_project(folder)
    (loaded,) = load_file(folder / "p.yaml", project=project)
    return Engine.open(project, Registry.of(stages=[make_noop()])), loaded


def run_shape(shape: str, folder: Path) -> dict[str, float]:
    """Run a shape here; return milliseconds from the first event to the last commit, and MB."""
    import resource

    engine, loaded = open_bench(folder, write_shape(shape))
    if shape == "runs":
        names = [engine.create_run(loaded, {}, actor="local:bench") for _ in range(200)]
        began = time.time()
        engine.drive(names)
        taken = time.time() - began
    else:
        run = engine.drive(engine.create_run(loaded, {}, actor="local:bench"))
        taken = time.time() - run.created.at
    floor = _repeat_commits(engine, folder) if shape == "chain" else 0.0
    engine.close()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"ms": taken * 1000, "mb": memory, "floor": floor}


def read_outcomes(folder: Path) -> dict[str, int]:
    """Return how many stages of all runs have which outcome, from the journal alone."""
    from gennaker.plugins import Registry
    from gennaker.project import load_project
    from gennaker_engine.journal.port import RunFilter
    from gennaker_engine.runtime import Engine

    engine = Engine.open(load_project(folder), Registry.of())
    found: dict[str, int] = {}
    for row in engine.journal.list_runs(RunFilter(limit=1000)):
        for stage in engine.load_run(row.run).facts.stages.values():
            found[str(stage.outcome)] = found.get(str(stage.outcome), 0) + 1
    engine.close()
    return found


def main(shape: str, folder: str) -> None:
    """Run or read in this process; print JSON."""
    path = Path(folder)
    print(json.dumps(read_outcomes(path) if shape == "read" else run_shape(shape, path)))


if __name__ == "__main__":
    main(*sys.argv[1:])
