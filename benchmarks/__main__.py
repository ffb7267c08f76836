"""``make bench``: every benchmark, one table; ``--check`` exits 1 where a goal is clearly missed.

``--write`` also writes the table to its part of ``benchmarks/RESULTS.md``.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks import commands, core, engine, growth, kubernetes, rendering
from benchmarks.measuring import compile_sources, describe_machine, make_rows, print_rows
from benchmarks.results import make_table, write_part

# The core comes last: what it keeps in memory would count in the memory of processes started after.
SUITES = {
    "engine": engine.measure,
    "commands": commands.measure,
    "kubernetes": kubernetes.measure,
    "rendering": rendering.measure,
    "growth": growth.measure,
    "core": core.measure,
}


def main() -> int:
    """Run the chosen suites."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suites", nargs="*", choices=[*SUITES, []], help="all unless given")
    parser.add_argument("--check", action="store_true", help="exit 1 beyond 1.5 times a goal")
    parser.add_argument("--write", action="store_true", help="write it to benchmarks/RESULTS.md")
    chosen = parser.parse_args()
    compile_sources()
    machine = describe_machine()
    print(machine)
    found = [each for name in chosen.suites or SUITES for each in SUITES[name]()]
    rows = make_rows(found)
    print_rows(rows)
    if chosen.write:
        write_part("bench", f"## make bench\n\n{machine}\n\n{make_table(rows)}")
    return 1 if chosen.check and any(each.missed for each in found) else 0


if __name__ == "__main__":
    sys.exit(main())
