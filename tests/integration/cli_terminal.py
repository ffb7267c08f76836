"""A terminal for tests: a real pty with the program in it, and what its screen shows."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path

__all__ = ["PLUGIN", "Screen", "Terminal", "install_plugin", "make_environment"]

_SEQUENCE = re.compile(r"\x1b\[\??([\d;]*)([A-Za-z])")

PLUGIN = '''
import pathlib
from gennaker.stage import Context, Decision, Failed, Outcome, Stage, StageInputs, StageOutputs
from gennaker.stage import Succeeded, Waiting


class Hold(Stage):
    """Work until a file exists, then end."""

    name = "t.hold"

    class Inputs(StageInputs):
        file: str = ""
        fail: bool = False

    def run(self, inputs: Inputs, ctx: Context) -> Outcome:
        ctx.log("holding on")
        while inputs.file and not pathlib.Path(inputs.file).exists():
            ctx.check_cancelled()
            ctx.wait_cancelled(0.02)
        ctx.log("letting go")
        return Failed("it said no") if inputs.fail else Succeeded()


class Ask(Stage):
    """Wait for a person."""

    name = "t.ask"

    class Inputs(StageInputs):
        message: str = ""
        approvers: tuple[str, ...] = ()
        declared: dict = {}

    class Outputs(StageOutputs):
        inputs: dict

    def run(self, inputs: Inputs, ctx: Context) -> Outcome:
        if ctx.event is None:
            return Waiting(
                Decision(inputs.message, inputs.approvers, inputs=inputs.declared)
            )
        return Succeeded({"inputs": ctx.event["inputs"]})
'''


def install_plugin(folder: Path) -> None:
    """Put a distribution with the stage types ``t.hold`` and ``t.ask`` into a folder."""
    (folder / "cli_plugin.py").write_text(PLUGIN)
    info = folder / "cli_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: cli-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[gennaker.stages]\nt.hold = cli_plugin:Hold\nt.ask = cli_plugin:Ask\n"
    )


def make_environment(plugins: Path, **more: str) -> dict[str, str]:
    """The environment of a person at a terminal, without CI, colour or a state of its own."""
    dropped = {"CI", "GITHUB_ACTIONS", "GITLAB_CI", "NO_COLOR", "CLICOLOR_FORCE", "GENNAKER_STATE"}
    dropped |= {"COLUMNS", "LINES"}  # the terminal says its size itself
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return kept | {"PYTHONPATH": str(plugins), "TERM": "xterm", "LANG": "C.UTF-8"} | more


class Screen:
    """What a terminal shows after some output: just what the program needs of a VT100."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.lines: list[str] = [""]
        self.row = self.column = 0

    @classmethod
    def of(cls, text: str, columns: int) -> Screen:
        """Return the screen after this output."""
        screen = cls(columns)
        position = 0
        while position < len(text):
            match = _SEQUENCE.match(text, position)
            if match:
                screen._obey(match[1], match[2])
                position = match.end()
            else:
                screen._put(text[position])
                position += 1
        return screen

    @property
    def text(self) -> str:
        """All lines, without the blanks at their ends."""
        return "\n".join(line.rstrip() for line in self.lines).rstrip()

    def _put(self, letter: str) -> None:
        if letter == "\r":
            self.column = 0
        elif letter == "\n":
            self.row += 1
            self._reach()
        elif letter >= " ":
            assert self.column < self.columns, f"wraps: {self.lines[self.row]!r}"
            line = self.lines[self.row].ljust(self.column)
            self.lines[self.row] = line[: self.column] + letter + line[self.column + 1 :]
            self.column += 1

    def _obey(self, number: str, command: str) -> None:
        if command == "A":
            assert int(number or 1) <= self.row, "goes above what was drawn"
            self.row -= int(number or 1)
        elif command == "K":
            self.lines[self.row] = self.lines[self.row][: self.column]
        elif command == "J":
            self.lines[self.row] = self.lines[self.row][: self.column]
            del self.lines[self.row + 1 :]

    def _reach(self) -> None:
        while len(self.lines) <= self.row:
            self.lines.append("")


class Terminal:
    """The program on a pty; keys are typed, signals sent, the screen read."""

    def __init__(
        self,
        argv: list[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        size: tuple[int, int] = (24, 100),
    ) -> None:
        self._master, slave = os.openpty()
        self._size = size
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gennaker_engine.cli", *argv],
            cwd=cwd,
            env=env,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=_take_terminal,  # the child is the session's leader: this is its terminal
        )
        os.close(slave)
        self.output = ""

    def wait_for(self, text: str, timeout: float = 20.0) -> None:
        """Read until the text is on the screen."""
        deadline = time.monotonic() + timeout
        while text not in self.screen:
            assert self._read(deadline), f"{text!r} is not on the screen:\n{self.screen}"

    def type(self, text: str) -> None:
        """Type keys; ``\\x03`` is Ctrl-C."""
        os.write(self._master, text.encode())

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program."""
        self._process.send_signal(number)

    def end(self, timeout: float = 20.0) -> int:
        """Read to the end and return the exit code."""
        deadline = time.monotonic() + timeout
        while self._read(deadline):
            pass
        code = self._process.wait(timeout=max(deadline - time.monotonic(), 0.1))
        os.close(self._master)
        return code

    def kill(self) -> None:
        """End the program however it is."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    @property
    def screen(self) -> str:
        """What the terminal shows, all that scrolled away too."""
        return Screen.of(self.output, self._size[1]).text

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], max(deadline - time.monotonic(), 0))
        if not ready:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:
            return False
        self.output += data.decode(errors="replace")
        return bool(data)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
