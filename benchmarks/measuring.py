"""What a benchmark gives, and how it is printed."""

from __future__ import annotations

import compileall
import os
import platform
import sqlite3
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "Measurement",
    "choose_disk",
    "commit_bare",
    "compile_sources",
    "describe_machine",
    "make_rows",
    "print_rows",
    "time_calls",
    "time_command",
]

TOLERANCE = 1.5


@dataclass(frozen=True, slots=True)
class Measurement:
    """A median with the goal it is held to and the floor that was measured in the same run.

    Attributes:
        name: what was done.
        value: the median, in ``unit``.
        goal: the most it should be; None where there is none.
        floor: what the bare thing below it costs, in the same unit.
        floor_name: what that is.
    """

    name: str
    value: float
    unit: str = "ms"
    goal: float | None = None
    floor: float | None = None
    floor_name: str = ""

    @property
    def missed(self) -> bool:
        """Whether it is beyond what noise explains."""
        return self.goal is not None and self.value > self.goal * TOLERANCE


def time_calls(call: Callable[[], object], *, runs: int = 5, warm_up: int = 1) -> float:
    """Return the median milliseconds of a call."""
    for _ in range(warm_up):
        call()
    found = []
    for _ in range(runs):
        started = time.perf_counter()
        call()
        found.append((time.perf_counter() - started) * 1000)
    return statistics.median(found)


def time_command(
    argv: Sequence[str], *, cwd: Path, env: Mapping[str, str] | None = None, runs: int = 9
) -> float:
    """Return the median milliseconds of a whole process, started and ended; it must succeed."""

    def call() -> None:
        done = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(argv)} gave {done.returncode}: {done.stderr.decode()}")

    return time_calls(call, runs=runs, warm_up=2)


def compile_sources() -> None:
    """Compile Gennaker to bytecode, as it is where it was installed; else each start would do it."""
    for folder in ("pipelines", "engine", "stages"):
        compileall.compile_dir(Path(__file__).parents[1] / folder, quiet=1)


def choose_disk() -> Path:
    """Return a folder that is on a disk where ``/tmp`` is in memory: there a commit costs nothing."""
    return Path("/var/tmp")


def commit_bare(count: int) -> float:
    """Return the milliseconds of so many durable commits of one row each."""
    with tempfile.TemporaryDirectory(dir=choose_disk()) as folder:
        connection = sqlite3.connect(Path(folder) / "bare.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE t (x)")
        started = time.perf_counter()
        for number in range(count):
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO t VALUES (?)", (number,))
            connection.execute("COMMIT")
        taken = (time.perf_counter() - started) * 1000
        connection.close()
    return taken


def make_rows(measurements: Sequence[Measurement]) -> list[list[str]]:
    """Return a table: what, median, goal, the ratio to it, the floor and the ratio to that."""
    rows = [["what", "median", "goal", "of goal", "floor"]]
    for each in measurements:
        goal = share = floor = ""
        if each.goal is not None:
            goal, share = f"≤ {each.goal:.4g} {each.unit}", f"{each.value / each.goal:.2f}"
            share += " MISSED" if each.missed else ""
        if each.floor is not None:
            ratio = each.value / each.floor if each.floor else 0.0
            floor = f"{each.floor:.1f} {each.unit} {each.floor_name} (x {ratio:.3g})"
        rows.append([each.name, f"{each.value:.1f} {each.unit}", goal, share, floor])
    return rows


def print_rows(rows: Sequence[Sequence[str]]) -> None:
    """Print a table in columns."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    for row in rows:
        cells = [text.ljust(width) for text, width in zip(row, widths, strict=True)]
        print("  ".join(cells).rstrip())


def describe_machine() -> str:
    """Return date, Python, machine and how busy it is."""
    return (
        f"{time.strftime('%Y-%m-%d')}, Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f}"
    )
