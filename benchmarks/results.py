"""``benchmarks/RESULTS.md``: each program writes its own part of it when asked (``--write``)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

__all__ = ["make_table", "write_part"]

RESULTS = Path(__file__).parent / "RESULTS.md"
_HEAD = """\
# Results

Medians on one machine, which each part names. `make bench ARGS=--write` and `make bench-peers ARGS=--write` measure anew and
write their parts; measure on a quiet machine, the load is in the first line.
"""


def make_table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as a Markdown table, the first as its head."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, "|---" * len(rows[0]) + "|")
    return "\n".join(lines) + "\n"


def write_part(name: str, text: str) -> None:
    """Replace the part ``name``, or add it at the end; the other parts stay as they are."""
    whole = RESULTS.read_text() if RESULTS.exists() else _HEAD
    part = f"<!-- begin: {name} -->\n{text.strip()}\n<!-- end: {name} -->\n"
    pattern = re.compile(rf"<!-- begin: {name} -->\n.*?<!-- end: {name} -->\n", re.DOTALL)
    known = pattern.search(whole)
    RESULTS.write_text(pattern.sub(lambda _: part, whole) if known else f"{whole}\n{part}")
