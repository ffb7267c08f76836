"""The picture of a comparison: bars of seconds, work solid and the start before it pale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

__all__ = ["Bar", "draw"]

Bar = tuple[str, float, float]
"""Name, seconds of the start, seconds of the work."""

_WIDTH, _LEFT, _RIGHT, _ROW = 760, 150, 200, 26
_OURS, _OTHERS = "#0969da", "#8c959f"


def draw(panels: Mapping[str, Sequence[Bar]], *, notes: Sequence[str]) -> str:
    """Return an SVG with a panel of bars for each title, each with a scale of its own."""
    parts: list[str] = []
    y = 20
    for title, bars in panels.items():
        parts.append(_text(16, y + 4, title, weight=600))
        y += 18
        longest = max(start + work for _, start, work in bars)
        for name, start, work in bars:
            parts += _draw_bar(y, name, start, work, (_WIDTH - _LEFT - _RIGHT) / longest)
            y += _ROW
        y += 22
    for each in notes:
        parts.append(_text(16, y, each, size=11, colour="#57606a"))
        y += 16
    height = y
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img" font-family="system-ui, sans-serif" '
        f'font-size="13">\n<title>Seconds of the same pipelines in several engines</title>\n'
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _draw_bar(y: int, name: str, start: float, work: float, scale: float) -> list[str]:
    colour = _OURS if name.startswith("Gennaker") else _OTHERS
    first, second = start * scale, max(work * scale, 1.0)
    return [
        _text(_LEFT - 8, y + 14, name, anchor="end"),
        f'<rect x="{_LEFT}" y="{y}" width="{first:.1f}" height="18" fill="{colour}" opacity="0.3"/>',
        f'<rect x="{_LEFT + first:.1f}" y="{y}" width="{second:.1f}" height="18" fill="{colour}"/>',
        _text(_LEFT + first + second + 8, y + 14, f"{_tell(work)} + {_tell(start)} to start"),
    ]


def _tell(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"


def _text(
    x: float, y: float, text: str, *, size: int = 13, weight: int = 400, anchor: str = "start",
    colour: str = "#1f2328",
) -> str:  # fmt: skip
    return (
        f'<text x="{x:.1f}" y="{y}" font-size="{size}" font-weight="{weight}" '
        f'text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'
    )
