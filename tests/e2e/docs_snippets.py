"""Reads the runnable parts of a page: files to write, commands to type, output to see.

In a page ``<!-- file: PATH -->`` before a fence writes the fence to PATH, ``<!-- folder: PATH -->``
goes on in a copy of a folder of the project, and a ``console`` fence holds ``$ command`` lines with
the output below each. In the output ``…`` stands for anything in a line, a line ``...`` for any
number of lines. A command that is to fail ends in ``# exit N``. ``<!-- not run: REASON -->`` before
a fence leaves it out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

__all__ = ["Command", "File", "Folder", "match_output", "read_page"]

_MARK = re.compile(r"<!-- (file|folder|not run): (.*?) -->")
_EXIT = re.compile(r"\s+# exit (\d+)$")


@dataclass(frozen=True, slots=True)
class File:
    """A file the reader writes."""

    path: str
    content: str


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of the project in which the reader goes on."""

    path: str


@dataclass(slots=True)
class Command:
    """What the reader types, the exit code and the output that is shown; ``line`` is in the page."""

    text: str
    line: int
    code: int = 0
    shown: list[str] = field(default_factory=list)


Step = File | Folder | Command


def read_page(text: str) -> list[Step]:
    """Return the steps of a page in order."""
    steps: list[Step] = []
    mark: tuple[str, str] | None = None
    fence: str | None = None
    content: list[str] = []
    start = 0
    for number, line in enumerate(text.splitlines(), 1):
        if fence is not None:
            if line.startswith("```"):
                steps += _read_fence(fence, content, start, mark)
                fence, mark = None, None
            else:
                content.append(line)
        elif line.startswith("```"):
            fence, content, start = line[3:].strip(), [], number
        elif found := _MARK.fullmatch(line.strip()):
            mark = (found[1], found[2])
            if mark[0] == "folder":
                steps.append(Folder(mark[1]))
                mark = None
    return steps


def _read_fence(
    language: str, content: list[str], start: int, mark: tuple[str, str] | None
) -> list[Step]:
    if mark is not None and mark[0] == "file":
        return [File(mark[1], "\n".join(content) + "\n")]
    if language != "console" or mark is not None:
        return []
    commands: list[Command] = []
    for offset, line in enumerate(content, 1):
        if line.startswith("$ "):
            found = _EXIT.search(line)
            text = _EXIT.sub("", line[2:])
            commands.append(Command(text, start + offset, int(found[1]) if found else 0))
        elif commands:
            commands[-1].shown.append(line)
    return list(commands)


def match_output(shown: list[str], printed: str) -> bool:
    """Whether the output shown in a page is what was printed; no output shown matches any."""
    while shown and not shown[-1].strip():
        shown = shown[:-1]
    if not shown:
        return True
    pattern = ""
    for line in shown:
        if line.strip() == "...":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += r"[^\n]*?".join(map(re.escape, line.rstrip().split("…"))) + r"\n"
    text = "".join(f"{line.rstrip()}\n" for line in printed.strip("\n").splitlines())
    return re.fullmatch(pattern, text) is not None
