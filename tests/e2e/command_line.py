"""The command as a person calls it: the installed program in a folder of its own, for the e2e tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

PROGRAM = str(Path(sys.executable).parent / "gennaker")
SECONDS = 60.0


class Said:
    """What one command printed and returned.

    Attributes:
        code: Its exit code, minus the signal when one ended it.
        out: Its stdout.
        err: Its stderr.
    """

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err
        assert "Traceback" not in out + err, err

    @property
    def text(self) -> str:
        """All that a person saw."""
        return self.out + self.err


class Desk:
    """A project folder and the commands typed there.

    Args:
        folder: The project's folder, made with a ``gennaker.yaml``.
    """

    def __init__(self, folder: Path, settings: str = "") -> None:
        self.folder = folder
        (folder / "pipelines").mkdir(parents=True)
        (folder / "gennaker.yaml").write_text(f"project: desk\n{settings}")
        dropped = {"CI", "GITHUB_ACTIONS", "GITLAB_CI", "CLICOLOR_FORCE", "GENNAKER_STATE"}
        kept = {name: value for name, value in os.environ.items() if name not in dropped}
        self.env = kept | {"LANG": "C.UTF-8", "GIT_CEILING_DIRECTORIES": str(folder.parent)}
        self._programs: list[subprocess.Popen[str]] = []

    def write(self, text: str, name: str = "pipelines/demo.yaml") -> Desk:
        """Write a file; FOLDER in it stands for the project's folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("FOLDER", str(self.folder)))
        return self

    def call(self, *words: str, before: Sequence[str] = (), **env: str) -> Said:
        """Run one command to its end; ``before`` are words of a program that starts it."""
        done = subprocess.run(
            [*before, PROGRAM, *words],
            cwd=self.folder,
            env=self.env | env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def start(self, *words: str, **env: str) -> subprocess.Popen[str]:
        """Start one command, in a session of its own as another terminal would."""
        program = subprocess.Popen(
            [PROGRAM, *words],
            cwd=self.folder,
            env=self.env | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._programs.append(program)
        return program

    def end(self, program: subprocess.Popen[str]) -> Said:
        """Wait for a started command and return what it said."""
        out, err = program.communicate(timeout=SECONDS)
        return Said(program.returncode, out, err)

    def view(self, run: str = "@last") -> dict[str, Any]:
        """The run as ``status -o json`` prints it."""
        said = self.call("status", run, "-o", "json")
        assert said.code == 0, said.err
        found: dict[str, Any] = json.loads(said.out)
        return found

    def list_runs(self) -> dict[str, str | None]:
        """The outcome of each run, None for one that has not ended."""
        said = self.call("runs", "-o", "json")
        assert said.code == 0, said.err
        return {each["id"]: each["outcome"] for each in json.loads(said.out)["items"]}

    def close(self) -> None:
        """End what a failed test left, its sandbox too."""
        for program in self._programs:
            if program.poll() is None:
                program.kill()
            program.communicate()


def tell_outcomes(view: dict[str, Any]) -> dict[str, str | None]:
    """Each stage's outcome in a run's view."""
    return {name: stage["outcome"] for name, stage in view["stages"].items()}


def wait_for(found: Callable[[], object], *, seconds: float = 20.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


def find_processes(mark: str) -> Iterator[int]:
    """Process ids whose command line or environment has this text, zombies aside, from /proc."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            text = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
        except OSError:
            continue
        if state not in "ZX" and mark.encode() in text:
            yield int(folder.name)
