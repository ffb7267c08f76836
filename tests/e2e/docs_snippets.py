"""Reads and runs the snippets of a page: files to write, commands to type, output to see.

In a page ``<!-- file: PATH -->`` before a fence writes the fence to PATH, ``<!-- folder: PATH -->``
goes on in a copy of a folder of the project, and a ``console`` fence holds ``$ command`` lines with
the output below each; a command goes on after a ``\\`` at the end of a line. In the output ``…``
stands for anything in a line, a line ``...`` for any number of lines, and times, durations, digests,
commits, processes and users stand for any other. A command that is to fail ends in ``# exit N``.
``<!-- not run: REASON -->`` before a fence leaves it out.

``test_docs_pages.py`` compares. ``python -m tests.e2e.docs_snippets PAGE…`` writes what is printed
into pages, where it is not what they show already: read the difference before you commit it.
"""

from __future__ import annotations

import getpass
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gennaker.process import run

__all__ = ["Command", "Fence", "File", "Folder", "match_output", "read_page", "run_page"]

ROOT = Path(__file__).parents[2]
PATIENCE = 60
HOME = "/home/ann"  # what pages show for the reader's home
# Whose work pages show, and where.
_SHOWN = (
    (re.compile(rf"\blocal:{re.escape(getpass.getuser())}\b"), "local:ann"),
    (re.compile(r"\b[\w.-]+@[\w.-]+(?= pid \d+)"), "ann@laptop"),
    (re.compile(r" from [\w.-]+(?= saying|$)", re.MULTILINE), " from laptop"),
    (re.compile(r"(?<= process )[\w.-]+(?=:\d+:)"), "laptop"),
)

_MARK = re.compile(r"<!-- (file|folder|not run): (.*?) -->")
_EXIT = re.compile(r"\s+# exit (\d+)$")
# How often a rollout says how far it is depends on the machine.
_UNSTEADY = re.compile(r"(?:^\S+ \| \w+/\S+: (?:the controller|\d+ of) .*\n)+", re.MULTILINE)
# What is never the same twice.
_VOLATILE = (
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z",  # times
    r"(?<=Z) +\d+(?=  )",  # numbers of events: a sandbox that slept has more to do
    r"\b(?:\d+[dhm] ?)*\d+(?:\.\d+)?s\b",  # durations
    r"\b(?:\d+[dhms]){2,}\b|\b\d+[dhm](?= left| ago)",  # and what is left of them
    r"(?:sha256:)?\b[0-9a-f]{9,64}\b",  # digests and commits
    r"\b[\w.-]+@[\w.-]+ pid \d+",  # who drives a run
    r"\b[\w.-]+:\d+:\d+@[0-9a-f]+",  # processes
    r"\blocal:\w+",  # operating-system users
    r" from [\w.-]+(?= saying|$)",  # machines
)
_ANY = re.compile("|".join(f"({each})" for each in _VOLATILE))
_SPACES = re.compile(r"(?:\\ ){2,}")


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
    """What the reader types and is shown: ``first`` and ``last`` are the page's lines of the output."""

    text: str
    line: int
    code: int = 0
    shown: list[str] = field(default_factory=list)
    first: int = 0

    @property
    def last(self) -> int:
        """The line after the output."""
        return self.first + len(self.shown)


@dataclass(frozen=True, slots=True)
class Fence:
    """Text in a language that is neither written nor run."""

    language: str
    line: int
    excuse: str | None


Step = File | Folder | Command | Fence


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
        return [Fence(language, start, mark[1] if mark else None)]
    commands: list[Command] = []
    unfinished = False
    for offset, line in enumerate(content, 1):
        if unfinished:
            commands[-1].text += f"\n{line}"
            commands[-1].first += 1
        elif line.startswith("$ "):
            number = start + offset
            commands.append(Command(line[2:], number, first=number + 1))
        elif commands:
            commands[-1].shown.append(line)
        unfinished = (unfinished or line.startswith("$ ")) and line.endswith("\\")
    for each in commands:
        if found := _EXIT.search(each.text):
            each.code = int(found[1])
            each.text = _EXIT.sub("", each.text)
        while each.shown and not each.shown[-1].strip():
            each.shown.pop()
    return list(commands)


def match_output(shown: list[str], printed: str) -> bool:
    """Whether the output shown in a page is what was printed; no output shown matches any."""
    if not shown:
        return True
    pattern = ""
    for line in shown:
        if line.strip() == "...":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += r"[^\n]*?".join(map(_make_pattern, line.rstrip().split("…"))) + r"\n"
    text = "".join(f"{line.rstrip()}\n" for line in printed.strip("\n").splitlines())
    return re.fullmatch(pattern, text) is not None


def _make_pattern(text: str) -> str:
    """A regular expression of text; what is never the same twice matches its like."""
    parts: list[str] = []
    end = 0
    for found in _ANY.finditer(text):
        parts += [re.escape(text[end : found.start()]), f"(?:{_VOLATILE[found.lastindex - 1]})"]  # type: ignore[operator]
        end = found.end()
    parts.append(re.escape(text[end:]))
    # columns are as wide as what is in them
    return "".join(_SPACES.sub(r"\\ {2,}", part) for part in parts)


def run_page(page: Path, folder: Path) -> Iterator[tuple[Command, int, str]]:
    """Do what a page says in one folder, as one person in one terminal.

    Args:
        page: the page.
        folder: an empty one; a folder in it is the reader's home, where the page begins.

    Returns:
        Each command with its exit code and what it printed on both streams.
    """
    home = folder / "home"
    home.mkdir()
    # What the shell knows (exported variables, where it is) goes on from command to command.
    memory, here = folder / "memory", folder / "here"
    memory.touch()
    here.write_text(str(home))
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "COLUMNS": "100",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    for step in read_page(page.read_text()):
        place = Path(here.read_text())
        if isinstance(step, Folder):
            place = home / step.path
            if not place.exists():
                shutil.copytree(
                    ROOT / step.path,
                    place,
                    ignore=shutil.ignore_patterns(".gennaker", "__pycache__", ".pytest_cache"),
                )
            here.write_text(str(place))
        elif isinstance(step, File):
            (place / step.path).parent.mkdir(parents=True, exist_ok=True)
            (place / step.path).write_text(step.content)
        elif isinstance(step, Command):
            script = f"""\
source {memory}
{{ {step.text}
}} 2>&1
code=$?
export -p | grep -vE ' (OLD)?PWD=' > {memory}
printf %s "$PWD" > {here}
exit $code
"""
            done = run(["bash", "-c", script], cwd=place, env=environment, timeout=PATIENCE)
            yield step, done.code, done.stdout.decode().replace(str(home), HOME)


def write_outputs(page: Path) -> None:
    """Show in a page what its commands print, where it is not what the page shows already."""
    lines = page.read_text().splitlines()
    moved = 0
    with tempfile.TemporaryDirectory() as folder:
        for command, code, printed in run_page(page, Path(folder)):
            if code != command.code:
                where = f"{page}:{command.line}: $ {command.text}: exit {code}"
                sys.stderr.write(f"{where}\n{printed}\n")
            if not printed.strip() or (command.shown and match_output(command.shown, printed)):
                continue
            for pattern, example in _SHOWN:
                printed = pattern.sub(example, printed)
            printed = _UNSTEADY.sub("...\n", printed)
            output = printed.strip("\n").splitlines()
            lines[command.first - 1 + moved : command.last - 1 + moved] = output
            moved += len(output) - len(command.shown)
    page.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        write_outputs(Path(name))
