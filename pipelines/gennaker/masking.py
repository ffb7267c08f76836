"""The one masking function: no secret value, however it is written, gets into a log, text or event.

A :class:`Masker` knows the values; :meth:`Masker.mask` is for whole texts and :meth:`Masker.stream`
for text that comes in pieces (a value split over two of them is masked too). Beside the plain value
it hides its base64 (wherever it stands in what was encoded, in one line or in lines of 64 or 76),
its URL-encoded, JSON-escaped (once or twice), ``repr`` and shell-quoted forms, and every line of a
value of several lines.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple
from urllib.parse import quote, quote_plus

from gennaker.errors import StageError

__all__ = ["MASK", "MIN_SECRET", "MaskStream", "Masker", "check_secret"]

MASK = "***"
MIN_SECRET = 4
"""Characters; a shorter value cannot be masked without hiding half of every log."""
_WRAPS = (64, 76)
_MAX_WRAPPED = 4 << 10
"""Bytes of a value whose base64 is hidden wherever its lines break; of a larger one, line by line."""


def check_secret(value: str, what: str) -> str:
    """Return a secret's value when it can be masked; ``what`` names it in the message.

    Raises:
        StageError: code ``secret-too-short`` when it has under 4 characters.
    """
    if len(value) < MIN_SECRET:
        raise StageError(
            f"{what} has fewer than {MIN_SECRET} characters",
            code="secret-too-short",
            hint="a value that short cannot be hidden in logs; use a longer one",
        )
    return value


class Masker:
    """Hides secret values in text; safe to use from several threads.

    Args:
        values: the secret values; each has at least 4 characters (:func:`check_secret`).
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._forms: frozenset[str] = frozenset()
        self._index = _Index.of(())
        for value in values:
            self.add(value)

    def add(self, value: str) -> None:
        """Hide one more value from now on, also in streams that began before.

        Raises:
            StageError: code ``secret-too-short``.
        """
        found = frozenset(_list_forms(check_secret(value, "a secret")))
        with self._lock:
            if found <= self._forms:
                return
            self._forms |= found
            self._index = _Index.of(self._forms)

    def mask(self, text: str) -> str:
        """Return ``text`` with ``***`` in the place of every secret value."""
        if not self._forms or len(text) < MIN_SECRET:
            return text
        stream = self.stream()
        return stream.feed(text) + stream.flush()

    def stream(self) -> MaskStream:
        """Return what masks one text that comes in pieces."""
        return MaskStream(self)

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield start and end of the longest form at every place where one begins, in order."""
        by_start, places = self._index.by_start, self._index.places
        at = -1
        while found := places.search(text, at + 1):
            at = found.start()
            for form in by_start.get(found[0], ()):
                if text.startswith(form, at):
                    yield at, at + len(form)
                    break

    def find_open_end(self, text: str) -> int:
        """Return where the part of ``text`` begins that may be the beginning of a secret value."""
        index = self._index
        for at in range(max(0, len(text) - index.longest + 1), len(text)):
            start = text[at : at + MIN_SECRET]
            if len(start) < MIN_SECRET:
                if start in index.short_starts:
                    return at
            elif start in index.by_start:
                rest = text[at:]
                forms = index.by_start[start]
                if any(len(form) > len(rest) and form.startswith(rest) for form in forms):
                    return at
        return len(text)


class _Index(NamedTuple):
    """All forms by their first four characters, longest first; replaced as a whole.

    ``places`` finds where four characters may begin a form; most text is passed over by it alone.
    """

    by_start: dict[str, tuple[str, ...]]
    places: re.Pattern[str]
    short_starts: frozenset[str]
    longest: int

    @classmethod
    def of(cls, forms: Collection[str]) -> _Index:
        grouped: dict[str, list[str]] = {}
        for form in sorted(forms, key=lambda each: (-len(each), each)):
            grouped.setdefault(form[:MIN_SECRET], []).append(form)
        by_start = {start: tuple(each) for start, each in grouped.items()}
        shorter = frozenset(start[:size] for start in by_start for size in range(1, MIN_SECRET))
        return cls(by_start, _find_places(by_start), shorter, max(map(len, forms), default=0))


def _find_places(starts: Iterable[str]) -> re.Pattern[str]:
    letters = [sorted(set(column)) for column in zip(*starts, strict=True)]
    classes = (f"[{''.join(map(re.escape, each))}]" for each in letters)
    return re.compile("".join(classes) or r"(?!)")


class MaskStream:
    """Masks one text that comes in pieces; holds back only what may become a secret value."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._held = ""
        self._hidden = 0

    def feed(self, text: str) -> str:
        """Take more text and return what can be shown by now."""
        text = self._held + text
        return self._show(text, self._masker.find_open_end(text))

    def flush(self) -> str:
        """Return what was held back; the text is at its end."""
        return self._show(self._held, len(self._held))

    def _show(self, text: str, end: int) -> str:
        """Return ``text[:end]`` masked and hold back the rest.

        ``_hidden`` counts the characters from the beginning of what is held that a mask shown
        before covers already. Forms that overlap are hidden under one mask.
        """
        shown: list[str] = []
        at = self._hidden
        for start, stop in self._masker.find(text):
            if start >= end:
                break
            if start >= at:
                shown += (text[at:start], MASK)
            at = max(at, stop)
        shown.append(text[at:end])
        self._held = text[end:]
        self._hidden = max(at - end, 0)
        return "".join(shown)


def _list_forms(value: str) -> Iterator[str]:
    """Every form a value is hidden in, each of at least 4 characters."""
    lines = [line.strip() for line in value.splitlines()]
    for plain in {value, value.strip(), *lines}:
        if len(plain) < MIN_SECRET:
            continue
        for form in (plain, *_encode(plain)):
            if len(form) >= MIN_SECRET:
                yield form
    yield from _break_base64(value)


def _encode(value: str) -> Iterator[str]:
    data = value.encode("utf-8", "surrogatepass")
    for url_safe in (False, True):
        yield from _encode_base64(data, url_safe)
    for safe in ("", "/"):
        encoded = quote(data, safe=safe)
        yield encoded
        yield _lower_escapes(encoded)
    encoded = quote_plus(data)
    yield encoded
    yield _lower_escapes(encoded)
    for ascii_only in (True, False):
        escaped = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        yield escaped
        yield escaped.replace("/", "\\/")
        yield json.dumps(escaped, ensure_ascii=ascii_only)[1:-1]
    yield from _quote(value, data)


def _quote(value: str, data: bytes) -> Iterator[str]:
    """How Python shows a value in an error, and how shells do (``set -x``, ``shlex``)."""
    for shown in (repr(value)[1:-1], repr(data)[2:-1]):
        yield shown
        yield shown.replace("\\'", "'")
        # Beside a text with the other quotation mark, as in the repr of a list or an error.
        yield shown.replace("\\'", "'").replace("'", "\\'")
        yield json.dumps(shown)[1:-1]
    if "'" in value:
        for quote_mark in ("'\\''", "'\"'\"'"):
            yield value.replace("'", quote_mark)


def _break_base64(value: str) -> Iterator[str]:
    """The base64 of a value somewhere in a text that was encoded in lines, by every first break."""
    data = value.encode("utf-8", "surrogatepass")
    if len(data) > _MAX_WRAPPED:
        return
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for shift, first in ((0, 0), (1, 2), (2, 3)):
            text = encode(b"\0" * shift + data).decode("ascii")
            core = text[first : (shift + len(data)) * 8 // 6]
            for width in _WRAPS:
                for at in range(1, min(width, len(core))):
                    rest = range(at, len(core), width)
                    yield "\n".join((core[:at], *(core[each : each + width] for each in rest)))


def _encode_base64(data: bytes, url_safe: bool) -> Iterator[str]:
    """The base64 of ``data`` at each of the three places it can have in a longer text.

    Characters that depend on what stands before or after are left out; the encoding of the value
    alone is there with its padding, and in lines.
    """
    encode = base64.urlsafe_b64encode if url_safe else base64.b64encode
    for shift, first in ((0, 0), (1, 2), (2, 3)):
        text = encode(b"\0" * shift + data).decode("ascii")
        yield text[first : (shift + len(data)) * 8 // 6]
        if shift == 0:
            yield text
            for width in _WRAPS:
                if len(text) > width:
                    yield from (text[at : at + width] for at in range(0, len(text), width))


def _lower_escapes(text: str) -> str:
    """The same with ``%2f`` for ``%2F``."""
    first, *rest = text.split("%")
    return first + "".join(f"%{part[:2].lower()}{part[2:]}" for part in rest)
