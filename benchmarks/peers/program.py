"""What the program of each engine shares: its arguments, its clock, its answer.

``python -m benchmarks.peers.run_NAME SHAPE SHARE FOLDER`` runs one shape once, in this process, keeps
its state in FOLDER, and prints JSON: seconds from the start of the process to when it could begin
(imports, set-up, a server), seconds of the work itself, and how many stages really ran.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.shapes import Needs, make_shape

__all__ = ["Answer", "main"]

Answer = Callable[[Callable[[], int]], None]
"""Takes the work, which returns the number of stages that ran; times it and prints."""


def main(run: Callable[[Needs, Path, Answer], None]) -> None:
    """Read the arguments and let the engine run.

    Args:
        run: sets the engine up for these stages with its state in this folder, then answers.
    """
    shape, share, folder = sys.argv[1:]
    began = _find_start()

    def answer(work: Callable[[], int]) -> None:
        ready = time.time()
        ran = work()
        ended = time.time()
        print(
            json.dumps({"start": ready - began, "work": ended - ready, "stages": ran}), flush=True
        )

    run(make_shape(shape, int(share)), Path(folder), answer)


def _find_start() -> float:
    """Return when this process was started, in seconds since the epoch."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    since_boot = int(fields[19]) / 100  # in ticks of 1/100 s on every Linux
    up = float(Path("/proc/uptime").read_text().split()[0])
    return time.time() - up + since_boot
