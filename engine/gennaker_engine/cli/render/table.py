"""Plain columns for people: as wide as their contents, the last one cut at the terminal's edge."""

from __future__ import annotations

from collections.abc import Sequence

from gennaker_engine.cli.render.console import PLAIN, Palette
from gennaker_engine.cli.render.text import clip, columns_of

__all__ = ["render_table"]

_GAP = "  "


def render_table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    width: int | None = None,
    paint: Palette = PLAIN,
) -> str:
    """Return the table.

    Args:
        header: names of the columns, shown in capitals.
        rows: cells, which may be styled.
        width: columns of the terminal; None cuts nothing, so that nothing is lost in a pipe.
        paint: styles the header.
    """
    names = [name.upper() for name in header]
    sizes = [
        max([columns_of(name), *(columns_of(row[at]) for row in rows)])
        for at, name in enumerate(names)
    ]
    lines = [paint(_line(names, sizes), "bold")]
    lines.extend(_line(row, sizes) for row in rows)
    return "\n".join(lines if width is None else [clip(line, width) for line in lines]) + "\n"


def _line(cells: Sequence[str], sizes: Sequence[int]) -> str:
    padded = [
        cell + " " * (size - columns_of(cell)) for cell, size in zip(cells, sizes, strict=True)
    ]
    return _GAP.join(padded).rstrip()
