"""A soak: many runs one after another in one process take no more and no more of anything.

``python test_soak.py FOLDER RUNS`` drives the runs and prints what the process has, sample by sample.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAMPLES = 60
WARM_UP = SAMPLES // 3
PIPELINE = """\
name: p
concurrency: {group: g}
stages:
  make: {uses: t.echo, matrix: {n: [1, 2]}, with: {say: 'it ${{ matrix.n }}'}}
  steps: {uses: t.steps, needs: make, with: {note: NOTE}}
  poll: {uses: t.behave, with: {how: poll}}
  retry: {uses: t.behave, retry: 1, with: {how: temporary}}
  fail: {uses: t.behave, on_failure: ignore, with: {how: raise_it}}
  deploy: {uses: t.deploy, environment: staging, with: {say: '${{ stages.make.outputs.said }}'}}
"""


def drive(folder: Path, runs: int) -> None:
    """Drive the runs here, each created, driven to its end and read; print samples as JSON."""
    from tests.integration.runtime_parts import open_engine, start_run, write_project

    write_project(
        folder,
        PIPELINE.replace("NOTE", str(folder / "note")).replace(
            "with: {say: '${{ stages.make.outputs.said }}'}", "needs: make"
        ),
        "project: shop\nenvironments: {staging: {place: {folder: f}}}\n",
    )
    engine = open_engine(folder)
    engine.drive(start_run(engine))
    for connection in (engine.journal._writer, engine.journal._reader):
        # SQLite caches 2 MB a connection: full at once, or it would look like growth for long.
        connection.execute("PRAGMA cache_size = -100")
    for number in range(1, runs + 1):
        ended = engine.drive(start_run(engine))
        assert ended.outcome == "succeeded"
        if number % max(1, runs // SAMPLES) == 0:
            gc.collect()
            sys.stdout.write(json.dumps(take_sample()) + "\n")
    engine.close()


def take_sample() -> dict[str, int]:
    """Return what this process has: bytes of memory, open files, threads."""
    status = Path("/proc/self/status").read_text()
    memory = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return {
        "memory": int(memory.split()[1]) << 10,
        "files": len(list(Path("/proc/self/fd").iterdir())),
        "threads": threading.active_count(),
    }


def find_slope(values: list[int]) -> float:
    """Return how much a value grows from one sample to the next: the median of all pairs (Theil, Sen)."""
    return statistics.median(
        (later - earlier) / (at - before)
        for before, earlier in enumerate(values)
        for at, later in enumerate(values)
        if at > before
    )


def test_a_slope_is_found() -> None:
    """What the test below relies on: growth is seen through noise, and noise is no growth."""
    assert find_slope([5, 5, 9, 5, 5, 5]) == 0
    assert find_slope([10, 13, 14, 99, 18, 20]) == pytest.approx(2, abs=0.5)


@pytest.mark.scaled
def test_many_runs_in_one_process_stay_flat(tmp_path: Path) -> None:
    """Memory, open files and threads after a warm-up: a run leaves under 500 bytes behind."""
    from tests.fixtures.scale import scale

    runs = scale(360, 10_000)
    with (tmp_path / "err").open("wb") as err:
        done = subprocess.run(
            [sys.executable, __file__, str(tmp_path / "project"), str(runs)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=err,
            timeout=scale(110, 7200),
            check=False,
        )
    assert done.returncode == 0, (tmp_path / "err").read_text()
    samples = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(samples) >= SAMPLES
    for what in ("files", "threads"):
        values = [each[what] for each in samples]
        # Threads are kept for as many attempts as once met; on a busy machine that is one more late.
        assert find_slope(values[WARM_UP:]) < 0.1, list(values)
        assert max(values) < 40, values
    memory = [each["memory"] for each in samples[WARM_UP:]]
    grown = find_slope(memory) / (runs // SAMPLES)
    # Of a few hundred runs the allocator's own steps are a part; of thousands they are none.
    assert grown < scale(3000, 500), (grown, memory)


if __name__ == "__main__":
    drive(Path(sys.argv[1]), int(sys.argv[2]))
