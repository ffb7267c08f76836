"""``python -m tests.mutants``: change the core in one place at a time; some test must fail.

Survivors are listed with the reason in ``survivors.toml``; one that is not listed, or is listed but
found by a test, is an error. The result is written to ``docs/reliability-mutants.md``.
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability-mutants.md"
SURVIVORS = Path(__file__).with_name("survivors.toml")
GOAL = 0.95
TESTS = "tests/core"

Row = dict[str, Any]


def read_reasons() -> dict[str, str]:
    """Return the reason why each listed mutant may survive."""
    listed = tomllib.loads(SURVIVORS.read_text("utf-8"))["survivor"]
    return {name: each["reason"] for each in listed for name in each["mutants"]}


def run_session(arguments: list[str]) -> list[Row]:
    """Run the tests on every mutant; return what became of each."""
    with tempfile.NamedTemporaryFile(suffix=".json") as result:
        command = [sys.executable, "-m", "pytest", TESTS, "-p", "tests.mutants.session"]
        options = ["-p", "no:randomly", "-p", "no:xdist", "-p", "no:cacheprovider", "--timeout=0"]
        more = ["-q", "--capture=sys", "--mutants-to", result.name, *arguments]
        done = subprocess.run([*command, *options, *more], cwd=ROOT, check=False)
        if done.returncode not in (0, 5) or not Path(result.name).stat().st_size:
            sys.exit(f"the session failed with exit code {done.returncode}")
        rows: list[Row] = json.loads(Path(result.name).read_text("utf-8"))
        return rows


def write_page(rows: list[Row], reasons: dict[str, str]) -> str:
    """Return the page about a whole check."""
    kinds = sorted({row["kind"] for row in rows})
    lines = [
        "# Mutants of the core",
        "",
        "<!-- Made by `make mutants`; the reasons are in tests/mutants/survivors.toml. -->",
        "",
        f"Checked {datetime.date.today().isoformat()}, Python {sys.version.split()[0]}. Every entry of the core's tables,",
        "every comparison, boolean operator, condition, number and sum in `gennaker_engine.core` was",
        "changed, one at a time, and the core's tests (`tests/core`) were run on each change.",
        "",
        "| what was changed | mutants | a test fails | of these: hangs | survive | found |",
        "|---|---|---|---|---|---|",
    ]
    for kind in [*kinds, "all"]:
        part = [row for row in rows if kind in (row["kind"], "all")]
        count = Counter(row["found"] for row in part)
        caught = count["failed"] + count["hung"]
        left = count["survived"] + count["unreached"]
        share = f"{100 * caught / len(part):.1f} %"
        lines.append(f"| {kind} | {len(part)} | {caught} | {count['hung']} | {left} | {share} |")
    lines += ["", "## Survivors", ""]
    together: dict[str, list[str]] = {}
    for row in list_survivors(rows):
        together.setdefault(reasons.get(row["name"], "no reason yet"), []).append(row["name"])
    for reason, names in together.items():
        lines += [f"{reason}:", "", *(f"- `{name}`" for name in names), ""]
    return "\n".join(lines).rstrip() + "\n"


def list_survivors(rows: list[Row]) -> list[Row]:
    """Return those that no test noticed."""
    return [row for row in rows if row["found"] in ("survived", "unreached")]


def main() -> int:
    """Check, tell, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", default="", help="mutants whose name has this text")
    parser.add_argument("--kind", default="", help="table, comparison, boolean, condition …")
    parser.add_argument("--sample", type=int, default=0, help="so many of them, by chance")
    parser.add_argument("--jobs", type=int, default=2, help="children at once")
    given = parser.parse_args()
    rows = run_session(
        [
            f"--mutants-only={given.only}",
            f"--mutants-kind={given.kind}",
            f"--mutants-sample={given.sample}",
            f"--mutants-jobs={given.jobs}",
        ]
    )
    reasons = read_reasons()
    survivors = {row["name"] for row in list_survivors(rows)}
    names = {row["name"] for row in rows}
    whole = not (given.only or given.kind or given.sample)
    faults = [
        f"no test fails, and no reason is listed: {name}" for name in survivors - reasons.keys()
    ]
    faults += [
        f"listed as a survivor, but a test fails: {name}"
        for name in (reasons.keys() & names) - survivors
    ]
    if whole:
        faults += [
            f"listed, but there is no such mutant: {name}" for name in reasons.keys() - names
        ]
        PAGE.write_text(write_page(rows, reasons), "utf-8")
    share = 1 - len(survivors) / max(1, len(rows))
    sys.stdout.write("\n".join([*sorted(faults), f"{len(rows)} mutants, {share:.1%} found", ""]))
    return int(bool(faults) or share < GOAL)


if __name__ == "__main__":
    sys.exit(main())
