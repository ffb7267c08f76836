"""What a benchmark gives, and how it is printed."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Measurement", "print_table", "time_calls", "time_command"]

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


def print_table(measurements: Sequence[Measurement]) -> None:
    """Print a row each: the median, the goal, the floor and the ratio to it."""
    width = max(len(each.name) for each in measurements)
    print(f"{'what'.ljust(width)}  {'median':>12}  {'goal':>10}  floor")
    for each in measurements:
        goal = f"≤ {each.goal:g} {each.unit}" if each.goal is not None else ""
        floor = ""
        if each.floor is not None:
            ratio = each.value / each.floor if each.floor else 0.0
            floor = f"{each.floor:.1f} {each.unit} {each.floor_name} (x {ratio:.1f})"
        sign = "  MISSED" if each.missed else ""
        value = f"{each.value:.1f} {each.unit}"
        print(f"{each.name.ljust(width)}  {value:>12}  {goal:>10}  {floor}{sign}")
