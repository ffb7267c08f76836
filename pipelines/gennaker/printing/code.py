"""A small layout engine for Python code that ``ruff format`` leaves as it is.

A :class:`Call` or a bracket stays on one line when it fits into 88 columns; else each item has a
line of its own and a trailing comma, which keeps the formatter from joining them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from gennaker.records import dataclass

__all__ = ["Code", "Group", "Text", "Words", "literal", "plain", "print_code", "quote"]

WIDTH = 88


@dataclass(frozen=True, slots=True)
class Text:
    """Code that is never split."""

    text: str


@dataclass(frozen=True, slots=True)
class Words:
    """A string; one of several lines is written as such, or split after its line ends."""

    value: str


@dataclass(frozen=True, slots=True)
class Group:
    """Items between brackets; each item has a prefix (``key=`` or ``"key": ``) and a value."""

    open: str
    items: tuple[tuple[str, Code], ...]
    close: str


Code = Text | Words | Group


def quote(value: str) -> str:
    """Return a string literal in double quotes, in single ones when that needs fewer escapes."""
    mark = "'" if value.count('"') > value.count("'") else '"'
    escaped = []
    for letter in value:
        if letter in (mark, "\\"):
            escaped.append(f"\\{letter}")
        elif letter == "\n":
            escaped.append("\\n")
        elif letter == "\t":
            escaped.append("\\t")
        elif letter.isprintable():
            escaped.append(letter)
        else:
            escaped.append(_escape(ord(letter)))
    return f"{mark}{''.join(escaped)}{mark}"


def _escape(point: int) -> str:
    if point < 0x100:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def print_code(code: Code, *, indent: int, before: str = "", after: str = "") -> str:
    """Return the lines of one statement (no newline at the end)."""
    flat = before + _flat(code) + after
    margin = " " * indent
    # ruff joins a parenthesised string that fits, so the flat form wins whenever it fits
    if isinstance(code, Text) or (indent + _width(flat) <= WIDTH and not _has_block(code)):
        return margin + flat
    if isinstance(code, Words):
        block = _block(code.value)
        if block is not None:
            return f"{margin}{before}{block}{after}"
        parts = [quote(each) for each in re.findall(r"[^\n]*\n|[^\n]+", code.value)]
        if len(parts) < 2 or any(each.startswith("'") for each in parts):
            return margin + flat
        inside = "".join(f"{margin}    {each}\n" for each in parts)
        return f"{margin}{before}(\n{inside}{margin}){after}"
    if not code.items:
        return margin + flat
    lines = [
        print_code(value, indent=indent + 4, before=prefix, after=",")
        for prefix, value in code.items
    ]
    return "\n".join([f"{margin}{before}{code.open}", *lines, f"{margin}{code.close}{after}"])


def _has_block(code: Code) -> bool:
    if isinstance(code, Group):
        return any(_has_block(value) for _, value in code.items)
    return isinstance(code, Words) and _block(code.value) is not None


def _block(value: str) -> str | None:
    """Return a text of several lines between triple quotes, as people write scripts.

    None for one line, and for what would not be seen (spaces at the end of a line) or end it.
    """
    if "\n" not in value.rstrip("\n") or '"""' in value or value.endswith('"'):
        return None
    lines = value.split("\n")
    if not all(line.isprintable() and line == line.rstrip() for line in lines):
        return None
    escaped = value.replace("\\", "\\\\")
    return f'"""\\\n{escaped}"""'


def _flat(code: Code) -> str:
    if isinstance(code, Text):
        return code.text
    if isinstance(code, Words):
        return quote(code.value)
    inside = ", ".join(prefix + _flat(value) for prefix, value in code.items)
    return f"{code.open}{inside}{code.close}"


def _width(text: str) -> int:
    import unicodedata

    if text.isascii():
        return len(text)
    # the formatter counts columns, in which wide characters take two and combining ones none
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1
        for each in text
    )


def literal(value: Any) -> Code:
    """Return the code of plain data without references."""
    if isinstance(value, str):
        return Words(value)
    if isinstance(value, dict):
        return Group("{", tuple((f"{quote(name)}: ", literal(v)) for name, v in value.items()), "}")
    if isinstance(value, Sequence):
        return Group("[", tuple(("", literal(each)) for each in value), "]")
    return Text(plain(value))


def plain(value: Any) -> str:
    """Return the code of a number, a boolean or None as the formatter writes it (``1e16``)."""
    return repr(value).replace("e+", "e")
