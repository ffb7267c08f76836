"""``make bench``: every benchmark, one table; ``--check`` exits 1 where a goal is clearly missed."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time

from benchmarks import commands, core, engine
from benchmarks.measuring import print_table

# The core comes last: what it keeps in memory would count in the memory of processes started after.
SUITES = {"engine": engine.measure, "commands": commands.measure, "core": core.measure}


def main() -> int:
    """Run the chosen suites."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suites", nargs="*", choices=[*SUITES, []], help="all unless given")
    parser.add_argument("--check", action="store_true", help="exit 1 beyond 1.5 times a goal")
    chosen = parser.parse_args()
    load = os.getloadavg()[0]
    print(
        f"{time.strftime('%Y-%m-%d')}, Python {platform.python_version()}, {platform.machine()}, "
        f"{os.cpu_count()} cores, load {load:.1f}"
    )
    found = [each for name in chosen.suites or SUITES for each in SUITES[name]()]
    print_table(found)
    return 1 if chosen.check and any(each.missed for each in found) else 0


if __name__ == "__main__":
    sys.exit(main())
