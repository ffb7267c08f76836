"""A journal that has grown: 100,000 ended runs in it, and 10,000 runs that wait in one process.

``python -m benchmarks.growth waiting FOLDER`` follows the waiting runs in this process, until it is
told on stdin, line by line, what to do; ``make bench ARGS=growth`` calls it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.commands import GENNAKER
from benchmarks.measuring import Measurement, time_calls, time_command

__all__ = ["measure"]

ROOT = Path(__file__).parents[1]
RUNS = 100_000
WAITING = 10_000
DECIDED = 200
PIPELINE = """\
name: {name}
stages:
  first: {{uses: shell, with: {{source: false, run: "true"}}}}
  ask: {{uses: approval, needs: first}}
  last: {{uses: shell, needs: ask, with: {{source: false, run: "true"}}}}
"""
ASKING = """\
name: asking
stages:
  ask: {uses: approval}
  go: {uses: wait, needs: ask, with: {for: 1ms}}
"""
Json = Any


def measure() -> list[Measurement]:
    """Measure commands beside 100,000 runs, and what 10,000 waiting runs cost."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        found = _measure_many(Path(folder))
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        found += _measure_waiting(Path(folder))
    return found


def open_project(folder: Path) -> Any:
    """Write the project into a folder and return its engine."""
    from gennaker.plugins import Registry
    from gennaker.project import load_project
    from gennaker_engine.runtime import Engine

    (folder / "pipelines").mkdir(parents=True, exist_ok=True)
    (folder / "gennaker.yaml").write_text("project: bench\n")
    for name in ("shop", "other"):
        (folder / "pipelines" / f"{name}.yaml").write_text(PIPELINE.format(name=name))
    (folder / "pipelines" / "asking.yaml").write_text(ASKING)
    return Engine.open(load_project(folder), Registry.installed())


def create_run(engine: Any, name: str) -> str:
    """Create a run of one of the pipelines."""
    from gennaker.loader import load_file

    path = engine.project.root / "pipelines" / f"{name}.yaml"
    (loaded,) = load_file(path, project=engine.project)
    return str(engine.create_run(loaded, {}, actor="local:bench"))


def multiply_run(engine: Any, run: str, count: int) -> None:
    """Append the history of a run again and again, as that of the pipeline's next runs."""
    row = engine.journal.find_run(run)
    texts = [json.dumps(each.data) for each in engine.journal.load_events(run)]
    for start in range(0, count, 1000):
        with engine.journal.transaction() as transaction:
            for _ in range(start, min(start + 1000, count)):
                number = transaction.allocate_number(row.pipeline)
                name = f"{row.pipeline}-{number}"
                events = [json.loads(each.replace(f'"{run}"', f'"{name}"')) for each in texts]
                events[0]["number"] = number
                transaction.append(replace(row, run=name, number=number), 0, events)


# Many runs --------------------------------------------------------------------------------------


def _measure_many(folder: Path) -> list[Measurement]:
    engine = open_project(folder)
    small = time_calls(lambda: create_run(engine, "asking"), runs=9)
    for name in ("shop", "other"):
        run = create_run(engine, name)
        engine.drive(run, detach_on_wait=True)
        _approve(engine, run, "ask")
        engine.drive(run)
        multiply_run(engine, run, RUNS // 2)
    engine.drive(create_run(engine, "asking"), detach_on_wait=True)
    large = time_calls(lambda: create_run(engine, "asking"), runs=9)
    begun = time_calls(lambda: engine.drive(create_run(engine, "asking"), detach_on_wait=True))
    engine.close()
    size = (folder / ".gennaker" / "state.db").stat().st_size >> 20

    def command(*words: str) -> float:
        return time_command([GENNAKER, *words], cwd=folder)

    told = f"with {RUNS:,} runs"
    return [
        Measurement(f"runs {told} ({size:,} MB)", command("runs"), goal=300),
        Measurement(f"runs --pipeline {told}", command("runs", "--pipeline", "shop"), goal=300),
        Measurement(f"runs --outcome failed {told}", command("runs", "--outcome", "failed")),
        Measurement(f"status @last {told}", command("status", "@last"), goal=300),
        Measurement(f"create a run {told}", large, floor=small, floor_name="in an empty state"),
        Measurement(f"create and begin a run {told}", begun),
        Measurement(f"gc --dry-run {told}", command("gc", "--dry-run"), goal=30_000),
    ]


def _approve(engine: Any, run: str, stage: str) -> None:
    from gennaker_engine.core.messages import Decide

    engine.send(run, Decide(stage, "approve", "local:bench"))


# Waiting runs -----------------------------------------------------------------------------------


def _measure_waiting(folder: Path) -> list[Measurement]:
    engine = open_project(folder)
    multiply_run(engine, create_run(engine, "asking"), WAITING - 1)
    argv = [sys.executable, "-m", "benchmarks.growth", "waiting", str(folder)]
    process = subprocess.Popen(
        argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        told = json.loads(process.stdout.readline())
        runs = [f"asking-{number}" for number in range(1, WAITING, WAITING // DECIDED)]
        for run in runs:
            _approve(engine, run, "ask")
            time.sleep(0.02)
        time.sleep(2)
        took = sorted(_read_delay(engine, run) for run in runs)
    finally:
        process.stdin.close()
        process.kill()
        process.wait()
    engine.close()
    what = f"{WAITING:,} runs wait"
    return [
        Measurement(f"{what}: memory of who follows them", told["memory"], "MB", goal=100),
        Measurement(f"{what}: its processor time", told["cpu"], "%", goal=1),
        Measurement(f"{what}: a decision to the next start, median", statistics.median(took)),
        Measurement(f"{what}: p99", took[int(len(took) * 0.99) - 1], goal=100),
    ]


def _read_delay(engine: Any, run: str) -> float:
    """Return the milliseconds from a decision to the start of the next stage, as recorded."""
    at = {}
    for each in engine.journal.load_events(run):
        if each.data["type"] == "approval.decided":
            at["decided"] = each.data["at"]
        elif each.data["type"] == "attempt.started" and each.data["instance"] == "go":
            at["started"] = each.data["at"]
    return float(at["started"] - at["decided"]) * 1000


def follow_waiting(folder: Path, stream: Any = sys.stdout) -> None:
    """Follow the runs here; once all wait, print megabytes and the percentage of a processor."""
    engine = open_project(folder)
    runs = [f"asking-{number}" for number in range(1, WAITING + 1)]
    threading.Thread(target=_observe, args=(engine, stream), daemon=True).start()
    engine.drive(runs)


def _observe(engine: Any, stream: Any) -> None:
    from gennaker_engine.journal.port import RunFilter

    waiting = RunFilter(states=("pending", "running"), limit=1)
    while engine.journal.list_runs(waiting):
        time.sleep(1)
    time.sleep(12)  # until threads that have nothing to do have ended
    used, at = time.process_time(), time.monotonic()
    time.sleep(10)
    cpu = 100 * (time.process_time() - used) / (time.monotonic() - at)
    status = Path("/proc/self/status").read_text().splitlines()
    memory = next(int(each.split()[1]) / 1024 for each in status if each.startswith("VmRSS"))
    print(json.dumps({"memory": memory, "cpu": cpu}), file=stream, flush=True)


def main(words: Sequence[str]) -> None:
    """Follow the waiting runs of a folder until stdin ends."""
    _, folder = words
    threading.Thread(target=_end_with, args=(sys.stdin,), daemon=True).start()
    follow_waiting(Path(folder))


def _end_with(stream: Any) -> None:
    stream.read()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
