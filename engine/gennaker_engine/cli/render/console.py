"""Where the command line writes, and how plain or rich that may be.

stdout is data, stderr is progress and messages. Colour follows ``--color``, then ``NO_COLOR``,
``CLICOLOR_FORCE`` and what the stream is; a live tree is drawn only on a terminal outside CI.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TextIO

__all__ = ["PLAIN", "Ci", "Console", "Palette"]

Ci = Literal["", "ci", "github", "gitlab"]

_CODES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
}


@dataclass(frozen=True, slots=True)
class Palette:
    """Styles text when ``enabled``, returns it unchanged otherwise."""

    enabled: bool

    def __call__(self, text: str, *styles: str) -> str:
        if not self.enabled or not styles or not text:
            return text
        return f"\x1b[{';'.join(_CODES[style] for style in styles)}m{text}\x1b[0m"


PLAIN = Palette(False)
"""Styles nothing."""


@dataclass
class Console:
    """The two streams of a call and what they can show.

    Attributes:
        paint: styles text for stdout.
        paint_err: styles text for stderr.
        ci: which CI system's annotations and groups to write, ``ci`` for one without any.
        live: whether stderr can be redrawn (a terminal, not ``dumb``, outside CI).
        interactive: whether a person can be asked (stdin and stderr are terminals, outside CI).
    """

    stdout: TextIO
    stderr: TextIO
    paint: Palette
    paint_err: Palette
    ci: Ci = ""
    live: bool = False
    interactive: bool = False

    @classmethod
    def detect(
        cls,
        *,
        color: str = "auto",
        environ: Mapping[str, str] | None = None,
        streams: tuple[TextIO, TextIO, TextIO] | None = None,
    ) -> Console:
        """Look at the streams and the environment once.

        Args:
            color: ``auto``, ``always`` or ``never``.
            environ: this process's environment by default.
            streams: stdin, stdout and stderr; this process's by default.
        """
        values = os.environ if environ is None else environ
        stdin, stdout, stderr = streams or (sys.stdin, sys.stdout, sys.stderr)
        ci = detect_ci(values)
        able = values.get("TERM", "") != "dumb"
        terminal = able and not ci and _is_terminal(stderr)
        return cls(
            stdout=stdout,
            stderr=stderr,
            paint=Palette(choose_color(color, values, terminal=able and _is_terminal(stdout))),
            paint_err=Palette(choose_color(color, values, terminal=able and _is_terminal(stderr))),
            ci=ci,
            live=terminal,
            interactive=terminal and _is_terminal(stdin),
        )

    def out(self, text: str) -> None:
        """Write data, ended by a newline, to stdout."""
        self.stdout.write(text if text.endswith("\n") else text + "\n")

    def err(self, text: str) -> None:
        """Write a message, ended by a newline, to stderr; a closed stderr is no reason to stop."""
        self.err_raw(text if text.endswith("\n") else text + "\n")

    def err_raw(self, text: str) -> None:
        """Write text as it is to stderr, at once."""
        try:
            self.stderr.write(text)
            self.stderr.flush()
        except (OSError, ValueError):
            # Closed, or its terminal is gone.
            return

    @property
    def out_is_terminal(self) -> bool:
        """Whether a person reads stdout."""
        return _is_terminal(self.stdout)

    @property
    def width(self) -> int:
        """Columns of the terminal, 80 where there is none."""
        return shutil.get_terminal_size().columns

    @property
    def height(self) -> int:
        """Rows of the terminal, 24 where there is none."""
        return shutil.get_terminal_size().lines


def detect_ci(environ: Mapping[str, str]) -> Ci:
    """Return which CI system this is, ``""`` outside CI."""
    if environ.get("GITHUB_ACTIONS") == "true":
        return "github"
    if environ.get("GITLAB_CI") == "true":
        return "gitlab"
    return "ci" if environ.get("CI", "").lower() not in ("", "0", "false") else ""


def choose_color(option: str, environ: Mapping[str, str], *, terminal: bool) -> bool:
    """Return whether to colour a stream: the option, ``NO_COLOR``, ``CLICOLOR_FORCE``, the stream."""
    if option != "auto":
        return option == "always"
    if environ.get("NO_COLOR"):
        return False
    if environ.get("CLICOLOR_FORCE", "0") not in ("", "0"):
        return True
    return terminal and environ.get("CLICOLOR", "1") != "0"


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False
