"""Cuts the bytes a program writes into lines of text; used while they stream."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Protocol

__all__ = ["MAX_LINE", "LineSplitter", "Masking"]

MAX_LINE = 64 << 10
"""Characters of one line given on; what is beyond is cut with a mark."""


class Masking(Protocol):
    """What hides secret values in a stream of text (:class:`gennaker.masking.MaskStream`)."""

    def feed(self, text: str) -> str:
        """Take more text and return what can be shown by now."""

    def flush(self) -> str:
        """Return what was held back."""


class LineSplitter:
    """Splits bytes into lines of text; invalid UTF-8 is replaced, long lines are cut with a mark."""

    def __init__(self, mask: Masking | None) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._mask = mask
        self._rest: list[str] = []
        self._length = 0
        self._cut = 0

    def feed(self, chunk: bytes) -> Iterator[str]:
        """Take what was read and yield the lines that are whole by it."""
        text = self._decoder.decode(chunk)
        yield from self._split(self._mask.feed(text) if self._mask else text)

    def close(self) -> Iterator[str]:
        """Yield what is left: a last line without an end."""
        text = self._decoder.decode(b"", final=True)
        yield from self._split(self._mask.feed(text) + self._mask.flush() if self._mask else text)
        if self._rest:
            yield self._take()

    def _split(self, text: str) -> Iterator[str]:
        *whole, rest = text.split("\n")
        for each in whole:
            self._keep(each)
            yield self._take()
        self._keep(rest)

    def _keep(self, text: str) -> None:
        room = MAX_LINE - 64 - self._length  # 64 for the mark
        kept = text[: max(room, 0)]
        self._cut += len(text) - len(kept)
        if kept:
            self._rest.append(kept)
            self._length += len(kept)

    def _take(self) -> str:
        line = "".join(self._rest).removesuffix("\r")
        if self._cut:
            line += f"… [{self._cut} characters cut]"
        self._rest, self._length, self._cut = [], 0, 0
        return line
