"""A few lines at the bottom of a terminal that are drawn again in place."""

from __future__ import annotations

from collections.abc import Callable, Sequence

__all__ = ["Screen"]


class Screen:
    """Draws a block of lines over the one it drew before.

    Args:
        write: puts text on the terminal at once.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._drawn: list[str] = []

    def draw(self, lines: Sequence[str]) -> None:
        """Show these lines, none of them wider than the terminal, in place of the last ones."""
        if list(lines) == self._drawn:
            return
        self._write(self._up() + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J")
        self._drawn = list(lines)

    def clear(self) -> None:
        """Take the block away."""
        if self._drawn:
            self._write(self._up() + "\x1b[J")
            self._drawn = []

    def leave(self) -> None:
        """Let what is shown stand; the next drawing begins below it."""
        self._drawn = []

    def _up(self) -> str:
        return f"\r\x1b[{len(self._drawn)}A" if self._drawn else "\r"
