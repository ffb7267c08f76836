"""Advice for YAML's own traps: what someone meant who wrote text that YAML reads otherwise."""

from __future__ import annotations

import re
from typing import Final

from gennaker.errors import Location, Problem

__all__ = [
    "BIDIRECTIONAL",
    "check_characters",
    "explain_syntax_error",
    "explain_tag",
    "find_cut_expression",
    "find_ternary_key",
    "is_cut_off",
]

# What YAML does not let stand in a file, and what would show another text than the one that is
# read. Patterns are compiled when they are first used: most files are ASCII.
_UNPRINTABLE_ASCII = "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
_UNPRINTABLE = "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
BIDIRECTIONAL: Final = "[\u202a-\u202e\u2066-\u2069]"
"""What changes the direction of the text after it; a pattern."""
_NEGATION = re.compile(r"(?:^|[\s\[{,:-])(!(?!!)[^\s,\]}]+)")


def check_characters(text: str, file: str, *, strict: bool) -> Problem | None:
    """Return the first character that may not stand in a file.

    Args:
        text: the whole file.
        file: as shown in problems.
        strict: refuse direction overrides too, which hide what is written.
    """
    bad = re.search(_UNPRINTABLE_ASCII if text.isascii() else _UNPRINTABLE, text)
    if bad is not None:
        number = f"U+{ord(bad[0]):04X}"
        return Problem(
            "yaml-character",
            f"character {number} may not stand in a YAML file",
            _locate(text, bad.start(), file),
            "remove it, or write it as an escape in double quotes",
        )
    hidden = re.search(BIDIRECTIONAL, text) if strict and not text.isascii() else None
    if hidden is not None:
        return Problem(
            "yaml-character",
            f"character U+{ord(hidden[0]):04X} changes the direction of text and hides what is read",
            _locate(text, hidden.start(), file),
            f"remove it, or write it as '\\u{ord(hidden[0]):04x}' in double quotes",
        )
    return None


def _locate(text: str, index: int, file: str) -> Location:
    before = text[:index]
    line = before.count("\n") + 1
    return Location(file, line, index - (before.rfind("\n") + 1) + 1)


def explain_tag(tag: str, value: str, location: Location) -> Problem:
    """Return the problem of a tagged node: a negation that lost its quotes, or a real tag."""
    if tag.startswith("!") and not tag.startswith("!!"):
        written = f"{tag} {value}".strip()
        return Problem(
            "yaml-trap",
            f"{tag!r} is read as a YAML tag, because an unquoted value may not start with '!'",
            location,
            f'put the value in quotes: "{_shorten(written)}"',
        )
    short = tag.replace("tag:yaml.org,2002:", "!!")
    return Problem(
        "yaml-tag", f"tag {_shorten(short)!r} is not allowed", location, "write plain data"
    )


def find_cut_expression(value: str) -> bool:
    """Return whether an unquoted value ends inside ``${{``, so that ``#`` began a comment there."""
    return value.rfind("${{") > value.rfind("}}")


def is_cut_off(text: str, comment: str, *, script: bool) -> bool:
    """Return whether a comment after an unquoted expression or script was meant as part of it.

    A ``# note`` is a comment to everybody. A ``#42`` is not, and neither is what stands where a
    script has a quotation mark that is not closed.
    """
    if not comment:
        return False
    return comment[1:2].strip("# \t") != "" or (script and _ends_in_quotes(text))


def _ends_in_quotes(text: str) -> bool:
    open_quote = ""
    escaped = False
    for each in text:
        if escaped:
            escaped = False
        elif each == "\\" and open_quote != "'":
            escaped = True
        elif open_quote:
            open_quote = "" if each == open_quote else open_quote
        elif each in "'\"":
            open_quote = each
    return open_quote != ""


def find_ternary_key(key: str) -> bool:
    """Return whether an unquoted key is the first half of ``a ? b : c``."""
    return " ? " in key


def explain_syntax_error(text: str, file: str, *, problem: str, line: int, column: int) -> Problem:
    """Return the problem for what the parser could not read, with advice where it is a known trap.

    Args:
        text: the whole file.
        file: as shown in problems.
        problem: the parser's own words.
        line: where, from 1; past the end for an end of file.
        column: where, from 1.
    """
    lines = text.split("\n")
    # An error at the end of a file stands on the line after the last one.
    while line > 1 and (line > len(lines) or not lines[line - 1].strip()):
        line -= 1
        column = len(lines[line - 1]) + 1 if line <= len(lines) else 1
    source = lines[line - 1] if line <= len(lines) else ""
    location = Location(file, line, column)
    trap = _find_trap(source, problem, column)
    if trap is not None:
        return Problem("yaml-trap", trap[0], location, trap[1])
    above = lines[line - 2] if line > 1 else ""
    if "expected ','" in problem and (" #" in above or " #" in source):
        # The comment may have swallowed the rest of a value, and its bracket.
        hint = (
            "' #' starts a comment: put a value that contains it in quotes, and close the bracket"
        )
        return Problem("yaml-syntax", _reword(problem), location, hint)
    return Problem("yaml-syntax", _reword(problem), location, _advise(problem, source, column))


def _find_trap(source: str, problem: str, column: int) -> tuple[str, str] | None:
    negation = _NEGATION.search(source)
    if negation is not None and (
        "anchor" in problem or "tag" in problem or "alphabetic" in problem
    ):
        return (
            f"{_shorten(negation[1])!r} is read as a YAML tag, "
            "because an unquoted value may not start with '!'",
            f'put the value in quotes: "{_shorten(source[negation.start(1) :].strip())}"',
        )
    before = source[: column - 1]
    if "mapping values" in problem and "?" in before:
        return (
            "': ' in an unquoted 'a ? b : c' is read as the start of a mapping",
            "put the whole value in quotes",
        )
    if "mapping values" in problem and "${{" in before:
        return (
            "': ' in an unquoted expression is read as the start of a mapping",
            'put the whole value in quotes: "${{ … }}"',
        )
    if "expected ','" in problem and before.endswith("$") and source[column - 1 :].startswith("{{"):
        return (
            "an unquoted '${{' inside '{ }' or '[ ]' is read as the start of a mapping",
            'put the expression in quotes: "${{ … }}"',
        )
    return None


def _reword(problem: str) -> str:
    if "cannot start any token" in problem:
        return "this character cannot start a value"
    if "mapping values" in problem:
        return "': ' starts a mapping, which cannot stand here"
    return problem


def _advise(problem: str, source: str, column: int) -> str | None:
    if "cannot start any token" in problem:
        if "\t" in source[:column] and not source[: column - 1].strip():
            return "indent with spaces, not with tabs"
        return "put the value in quotes"
    if "mapping values" in problem:
        return "put the value in quotes, or check the indentation"
    if "expected key" in problem or "could not find expected ':'" in problem:
        return "check the indentation, and that every key is followed by ': '"
    if "'-' indicator" in problem:
        return "check the indentation"
    if "escape" in problem:
        return "double a backslash in double quotes, or use single quotes"
    if "end of stream" in problem:
        return "close the quote"
    if "expected ','" in problem:
        return "close the bracket, or put the value in quotes"
    return None


def _shorten(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}…"
