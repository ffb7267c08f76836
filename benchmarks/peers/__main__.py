"""``make bench-peers``: the same pipelines in Gennaker, DBOS, Luigi, Dagster and Prefect, in turn.

Each run is a fresh process with its state in a fresh folder on disk; engines take turns, so that a
busy moment meets all of them. Start (imports, set-up, a server) and work are told apart. The first
call installs the engines. ``--share 10 --rounds 1`` tries it out; ``--write`` writes the part of
``benchmarks/RESULTS.md`` and ``docs/images/peers.svg``; for that let the machine be quiet (about ten minutes).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measuring import (
    choose_disk,
    commit_bare,
    compile_sources,
    describe_machine,
    print_rows,
)
from benchmarks.peers.environments import PEERS, find_python, find_version
from benchmarks.peers.picture import Bar, draw
from benchmarks.results import make_table, write_part
from benchmarks.shapes import SHAPES, make_shape

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "images" / "peers.svg"
OURS = "gennaker"
GOAL = 5
"""How many times faster than DBOS's steps the layers must be."""
NAMES = {
    OURS: "Gennaker",
    "dbos": "DBOS",
    "luigi": "Luigi",
    "dagster": "Dagster",
    "prefect": "Prefect",
}
_TIMEOUT = 600

Times = dict[tuple[str, str], list[tuple[float, float]]]
"""Shape and engine to seconds of start and work of each round."""


def main() -> int:
    """Measure, print, and write when asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peers", nargs="*", choices=[*PEERS, []], help="all unless given")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is run")
    parser.add_argument("--share", type=int, default=1, help="divides the width of the shapes")
    parser.add_argument("--write", action="store_true", help="write results and picture")
    chosen = parser.parse_args()
    if chosen.write and chosen.peers:
        parser.error("--write is for all engines")
    compile_sources()
    engines = [OURS, *(chosen.peers or PEERS)]
    pythons = {name: find_python(name) for name in engines}
    machine = describe_machine()
    print(machine, flush=True)
    times: Times = {}
    for _ in range(chosen.rounds):
        for shape in SHAPES:
            for name in engines:
                found = _run(pythons[name], name, shape, chosen.share)
                times.setdefault((shape, name), []).append(found)
    rows = _make_rows(times, engines, chosen.share)
    print_rows(rows)
    if "dbos" in engines:
        print(_tell_goal(times))
    if chosen.write:
        _write(times, engines, chosen.share, machine, rows)
    return 0


def _run(python: Path, name: str, shape: str, share: int) -> tuple[float, float]:
    """Return seconds of start and work of one run in a process of its own."""
    with tempfile.TemporaryDirectory(dir=choose_disk(), ignore_cleanup_errors=True) as folder:
        argv = [str(python), "-m", f"benchmarks.peers.run_{name}", shape, str(share), folder]
        done = subprocess.run(
            argv, cwd=ROOT, capture_output=True, text=True, timeout=_TIMEOUT, check=False
        )
    lines = done.stdout.splitlines()
    if done.returncode != 0 or not lines:
        raise SystemExit(f"{' '.join(argv)} gave {done.returncode}: {done.stderr[-2000:]}")
    answer = json.loads(lines[-1])
    if answer["stages"] != len(make_shape(shape, share)):
        raise SystemExit(f"{name} ran {answer['stages']} stages of {shape}, not all of them")
    return answer["start"], answer["work"]


def _find_work(times: Times, shape: str, name: str) -> float:
    return statistics.median(work for _, work in times[shape, name])


def _find_start(times: Times, shape: str, name: str) -> float:
    return statistics.median(start for start, _ in times[shape, name])


def _make_rows(times: Times, engines: list[str], share: int) -> list[list[str]]:
    rows = [["stages", "engine", "work", "of Gennaker's", "each stage", "start"]]
    for shape in SHAPES:
        count = len(make_shape(shape, share))
        title = _tell_shape(shape, share)
        for name in engines:
            work, start = _find_work(times, shape, name), _find_start(times, shape, name)
            ratio = work / _find_work(times, shape, OURS)
            each = f"{work / count * 1000:.2f} ms"
            rows.append(
                [
                    title,
                    _tell_engine(name),
                    f"{work:.3f} s",
                    f"x {ratio:.1f}",
                    each,
                    f"{start:.2f} s",
                ]
            )
        floor = statistics.median(commit_bare(count) for _ in range(3)) / 1000
        rows.append(
            [
                title,
                "a durable commit each",
                f"{floor:.3f} s",
                "",
                f"{floor / count * 1000:.2f} ms",
                "",
            ]
        )
    return rows


def _tell_shape(shape: str, share: int) -> str:
    count = len(make_shape(shape, share))
    return {
        "layered": f"{count:,} in 10 layers",
        "chain": f"{count} in a row",
        "fan": f"1, then {count - 2}, then 1",
    }[shape]


def _tell_engine(name: str) -> str:
    return f"{NAMES[name]} {find_version(name)}"


def _tell_goal(times: Times) -> str:
    ratio = _find_work(times, "layered", "dbos") / _find_work(times, "layered", OURS)
    return f"Layers: {ratio:.1f} times faster than DBOS's steps (goal: {GOAL})."


def _write(
    times: Times, engines: list[str], share: int, machine: str, rows: list[list[str]]
) -> None:
    panels: dict[str, list[Bar]] = {
        f"{_tell_shape(shape, share)}: no-op stages": [
            (NAMES[name], _find_start(times, shape, name), _find_work(times, shape, name))
            for name in engines
        ]
        for shape in SHAPES
    }
    versions = ", ".join(map(_tell_engine, engines))
    PICTURE.write_text(draw(panels, notes=(versions, machine)))
    write_part(
        "bench-peers",
        f"## make bench-peers\n\n{machine}\n\n{make_table(rows)}\n{_tell_goal(times)}\n\n"
        "Each as its users run it: Gennaker embedded with SQLite, DBOS steps with its SQLite, Luigi with files and one worker,\n"
        "Dagster in one process with its instance in SQLite, Prefect with its own local server. Work is from the order to run\n"
        "to the end of the last stage; start is what the process does before.\n",
    )


if __name__ == "__main__":
    sys.exit(main())
