"""Canaries: secret values that are easy to find again, a project that is given them, and the search.

The search knows nothing of how the product masks: it undoes encodings (base64, URL, JSON and Python
escapes) wherever it meets them and looks for the marks that every value, and every line of one, has.
"""

from __future__ import annotations

import base64
import os
import re
import sqlite3
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote_to_bytes

from tests.integration.cli_terminal import make_environment

__all__ = ["Canaries", "Project", "Watch", "find_marks", "install", "list_views"]

_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{12,}(?:\r?\n[A-Za-z0-9+/_-]{2,})*")
_ESCAPE = re.compile(rb"\\(u00[0-9a-fA-F]{2}|x[0-9a-fA-F]{2}|.)")
_SIMPLE = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"b": b"\b", b"f": b"\f"}


class Canaries:
    """Secret values of every awkward kind, written to files of a folder outside the project.

    Attributes:
        values: name to value: ``plain``, ``url``, ``quoted``, ``lines``, ``split``.
        marks: what no text may hold; every value has one, of several lines every line.
    """

    def __init__(self, folder: Path, **more: str) -> None:
        self.folder = folder
        self.marks: list[str] = []
        mark = self._make_mark
        self.values = {
            "plain": f"kanari-{mark()}",
            "url": f"ka/{mark()}+&=%?ri ü",
            "quoted": f"ka\"{mark()}\\'ri\t<b>",
            "lines": f"-----BEGIN {mark()}-----\n  {mark()}==\n-----END {mark()}-----",
            "split": f"{mark()}-then-comes",
            **more,
        }
        self.marks += more.values()
        folder.mkdir(mode=0o700)
        for name, value in self.values.items():
            (folder / name).write_text(value + "\n", "utf-8")

    def _make_mark(self) -> str:
        self.marks.append(uuid.uuid4().hex)
        return self.marks[-1]

    def renew(self) -> dict[str, str]:
        """Return further values, one for each name; they are searched for, too."""
        return {name: f"{value[:4]}{self._make_mark()}" for name, value in self.values.items()}

    def declare(self) -> str:
        """Return the ``secrets`` of a ``gennaker.yaml``, as a flow map."""
        each = (f"{name}: {{file: {self.folder / name}}}" for name in self.values)
        return f"{{{', '.join(each)}}}"

    def find_in(self, data: bytes) -> list[str]:
        """Return the marks that are in the data in any form."""
        return find_marks(data, self.marks)

    def find_below(self, folder: Path) -> list[str]:
        """Return ``PATH: MARK`` for what is found in files and names below a folder."""
        found = []
        names = (
            Path(parent, name)
            for parent, folders, files in os.walk(folder)  # what goes away meanwhile is no error
            for name in (*folders, *files)
        )
        for path in names:
            found += [f"the name {path}: {mark}" for mark in self.find_in(os.fsencode(path))]
            try:
                data = path.read_bytes() if path.is_file() else b""
            except OSError:  # it went away meanwhile
                continue
            found += [f"{path}: {mark}" for mark in self.find_in(data)]
        return found


def find_marks(data: bytes, marks: list[str]) -> list[str]:
    """Return those marks that the data, or what is encoded in it, holds."""
    views = list(list_views(data))
    return [mark for mark in marks if any(mark.encode() in view for view in views)]


def list_views(data: bytes) -> Iterator[bytes]:
    """Yield the data itself and what it is when each encoding is undone."""
    yield data
    yield data.replace(b"\r", b"").replace(b"\n", b"")
    if b"%" in data:
        yield unquote_to_bytes(data)
    plain = data
    for _ in range(3):  # JSON within JSON within JSON
        if b"\\" not in plain:
            break
        plain = _ESCAPE.sub(_undo_escape, plain)
        yield plain
    for text in {data, plain}:
        for run in _BASE64.finditer(text):
            letters = re.sub(rb"\s", b"", run[0]).replace(b"-", b"+").replace(b"_", b"/")
            for start in range(4):
                part = letters[start:]
                if len(part) % 4 == 1:
                    part = part[:-1]
                yield base64.b64decode(part + b"=" * (-len(part) % 4))


def _undo_escape(match: re.Match[bytes]) -> bytes:
    word = match[1]
    if len(word) > 1:
        return bytes([int(word[-2:], 16)])
    return _SIMPLE.get(word, word)


class Watch(threading.Thread):
    """Looks at all processes and at folders again and again while something runs.

    Attributes:
        seen: what was found, in words.
        looks: how often it looked.
    """

    def __init__(self, canaries: Canaries, *folders: Path) -> None:
        super().__init__(daemon=True)
        self.seen: set[str] = set()
        self.looks = 0
        self._canaries = canaries
        self._folders = folders
        self._over = threading.Event()

    def __enter__(self) -> Watch:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        """Look until told to stop."""
        while not self._over.wait(0.02):
            self._look_at_processes()
            for folder in self._folders:
                self.seen.update(self._canaries.find_below(folder))
            self.looks += 1

    def _look_at_processes(self) -> None:
        marks = [mark.encode() for mark in self._canaries.marks]
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes()
                environment = (process / "environ").read_bytes()
            except OSError:
                continue
            if any(mark in words for mark in marks):
                self.seen.add(f"argv: {words!r}")
            # A stage's child is given secrets in its environment; nobody else is.
            if b"\0GENNAKER_KEY=" not in environment and any(m in environment for m in marks):
                self.seen.add(f"environ of {words!r}")


def install(folder: Path, source: str, **stages: str) -> None:
    """Put a distribution with stage types into a folder: entry name (``_`` for ``.``) to class."""
    folder.mkdir(exist_ok=True)
    (folder / "canary_plugin.py").write_text(source)
    info = folder / "canary_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: canary-plugin\nVersion: 1.0\n")
    lines = (f"{name.replace('_', '.', 1)} = canary_plugin:{it}" for name, it in stages.items())
    (info / "entry_points.txt").write_text("[gennaker.stages]\n" + "\n".join(lines) + "\n")


class Project:
    """A project in a folder of its own, and the program run in it as a person would.

    Attributes:
        root: the project; ``temporary``: its TMPDIR; ``said``: all that was printed, both streams.
    """

    def __init__(self, folder: Path, settings: str, pipeline: str) -> None:
        self.root = folder / "project"
        self.temporary = folder / "temporary"
        self.plugins = folder / "plugins"
        self.said = b""
        (self.root / "pipelines").mkdir(parents=True)
        self.temporary.mkdir()
        self.plugins.mkdir(exist_ok=True)
        (self.root / "gennaker.yaml").write_text(settings)
        (self.root / "pipelines" / "p.yaml").write_text(pipeline)

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.root / ".gennaker"

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment of the program."""
        return make_environment(self.plugins, TMPDIR=str(self.temporary)) | dict(more or {})

    def start(self, *argv: str, umask: int = -1, **more: str) -> subprocess.Popen[bytes]:
        """Start the program with ``--debug``."""
        return subprocess.Popen(
            [sys.executable, "-m", "gennaker_engine.cli", "--debug", *argv],
            cwd=self.root,
            env=self.environment(more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            umask=umask,
            start_new_session=True,
        )

    def finish(self, process: subprocess.Popen[bytes]) -> tuple[int, str, str]:
        """Wait for it and return its exit code, stdout and stderr."""
        out, err = process.communicate(timeout=100)
        self.said += out + b"\n" + err + b"\n"
        return process.returncode, out.decode(), err.decode()

    def call(self, *argv: str, umask: int = -1, **more: str) -> tuple[int, str, str]:
        """Run the program with ``--debug``; return its exit code, stdout and stderr."""
        return self.finish(self.start(*argv, umask=umask, **more))

    def tell_all(self, run: str) -> None:
        """Ask for all there is to read of a run."""
        for words in (
            ("events", run),
            ("events", run, "-o", "json"),
            ("status", run),
            ("status", run, "-o", "json"),
            ("logs", run, "--timestamps"),
            ("plan", run.rpartition("-")[0], "-o", "json"),
            ("show", run.rpartition("-")[0], "-o", "json"),
        ):
            code, _, err = self.call(*words)
            # A stage that cannot be planned is told of in the plan.
            assert code == 0 or (code == 7 and words[0] == "plan"), (words, err)

    def list_cells(self) -> Iterator[tuple[str, bytes]]:
        """Yield every value of every table of the journal, with where it is."""
        state = sqlite3.connect(f"file:{self.state / 'state.db'}?mode=ro", uri=True)
        tables = state.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            for number, row in enumerate(state.execute(f"SELECT * FROM {table}")):
                for cell in row:
                    if isinstance(cell, str | bytes):
                        data = cell.encode() if isinstance(cell, str) else cell
                        yield f"{table} row {number}", data
        state.close()
