"""Problems as people see them: ``file:line:col: code: message; hint``, with the line and a caret.

The line of the file and the caret under the column are shown on a terminal; in GitHub's CI a
problem is an annotation.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gennaker.errors import Problem
from gennaker_engine.cli.render.annotations import annotate_problem
from gennaker_engine.cli.render.console import Console, Palette
from gennaker_engine.cli.render.text import clean, clip, columns_of

__all__ = ["render_problem", "render_problems"]

_LARGEST = 4 << 20
"""Bytes of a file beyond which no line of it is shown."""


def render_problems(
    problems: Iterable[Problem], console: Console, *, base: Path | None = None, data: bool = False
) -> str:
    """Return all problems, one after another, in the form the console asks for.

    Args:
        problems: errors and warnings in the order to tell them.
        console: where they will be written.
        base: folder that file names are relative to when not to the current one.
        data: whether they go to stdout (``validate``) instead of stderr.
    """
    if console.ci == "github":
        return "\n".join(annotate_problem(problem) for problem in problems)
    terminal = console.out_is_terminal if data else console.live
    paint = console.paint if data else console.paint_err
    lines: list[str] = []
    files: dict[str, list[str]] = {}
    for problem in problems:
        source = _line_of(problem, base, files) if terminal else None
        lines.extend(render_problem(problem, paint, source=source, width=console.width))
    return "\n".join(lines)


def render_problem(
    problem: Problem, paint: Palette, *, source: str | None = None, width: int = 80
) -> list[str]:
    """Return the lines of one problem; ``source`` is the file's line it speaks of."""
    tone = "red" if problem.severity == "error" else "yellow"
    where = paint(f"{clean(str(problem.location))}: ", "bold") if problem.location else ""
    kind = paint("warning: ", "yellow") if problem.severity == "warning" else ""
    hint = f"; {_clean_lines(problem.hint)}" if problem.hint else ""
    told = f"{where}{kind}{paint(problem.code, tone)}: {_clean_lines(problem.message)}{hint}"
    if source is None or problem.location is None or problem.location.line is None:
        return [told]
    gutter = f"{problem.location.line:>5} | "
    column = max((problem.location.column or 1) - 1, 0)
    indent = " " * columns_of(clean(source[:column]))
    caret = paint(" " * (len(gutter) - 2) + "| ", "dim") + indent + paint("^", tone, "bold")
    return [told, clip(paint(gutter, "dim") + clean(source), width), clip(caret, width)]


def _clean_lines(text: str) -> str:
    """Clean every line of a message, which may have several, and keep them apart."""
    return "\n".join(clean(line) for line in text.split("\n"))


def _line_of(problem: Problem, base: Path | None, files: dict[str, list[str]]) -> str | None:
    location = problem.location
    if location is None or location.line is None:
        return None
    if location.file not in files:
        files[location.file] = _read_lines(location.file, base)
    lines = files[location.file]
    return lines[location.line - 1] if 0 < location.line <= len(lines) else None


def _read_lines(name: str, base: Path | None) -> list[str]:
    """Return the lines of a file; none when it cannot be read, as that is not the problem told."""
    for path in (Path(name), *([base / name] if base is not None else [])):
        try:
            if path.is_file() and path.stat().st_size <= _LARGEST:
                return path.read_text("utf-8", "replace").split("\n")
        except OSError:
            continue
    return []
