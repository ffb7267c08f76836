"""Named SQL: queries live in ``.sql`` files beside this module and are read by name.

The journals call :func:`load_queries` once when they open.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

__all__ = ["load_queries"]

_FOLDER = Path(__file__).parent / "sql"
_MARK = "-- name: "


@cache
def load_queries(file: str) -> dict[str, str]:
    """Return name to text of every ``-- name: X`` query in ``sql/FILE``."""
    queries: dict[str, str] = {}
    for part in (_FOLDER / file).read_text(encoding="utf-8").split(_MARK)[1:]:
        name, _, text = part.partition("\n")
        assert name.strip() not in queries, f"{file} has two queries {name.strip()!r}"
        queries[name.strip()] = text.strip()
    return queries
