"""Text to tokens, for the parser and for finding where ``${{`` in a template ends."""

from __future__ import annotations

import re
from typing import NamedTuple

from gennaker.errors import ExpressionError
from gennaker.expressions.limits import LimitError, Limits
from gennaker.expressions.values import Uint

__all__ = ["Token", "syntax_error", "tokenize"]

_TOKEN = re.compile(
    r"""
    (?P<space>(?:[ \t\r\n\f]|//[^\n]*)+)
    |(?P<double>[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|\.[0-9]+(?:[eE][+-]?[0-9]+)?)
    |(?P<int>0[xX][0-9a-fA-F]+|[0-9]+)(?P<unsigned>[uU]?)
    |(?P<string>(?P<prefix>[bB]?[rR]|[rR]?[bB]|)(?P<body>
        (?P<long>\"\"\"|''')(?:(?!(?P=long))[^\\]|\\.)*(?P=long)
        |\"(?:[^\"\\\r\n]|\\.)*\"|'(?:[^'\\\r\n]|\\.)*'))
    |(?P<name>[_a-zA-Z][_a-zA-Z0-9]*)
    |(?P<escaped>`[A-Za-z0-9_.\-/ ]+`)
    |(?P<op>&&|\|\||==|!=|<=|>=|[-+*/%!?:.,\[\](){}<>])
    """,
    re.VERBOSE | re.DOTALL,
)
_RAW = re.compile(
    r"(?P<prefix>[bB]?[rR]|[rR][bB])(?P<body>\"\"\".*?\"\"\"|'''.*?'''|\"[^\"\r\n]*\"|'[^'\r\n]*')",
    re.DOTALL,
)
_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\?\"'`])|[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|)"
)
_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_LONGEST_INT = 20


class Token(NamedTuple):
    """``kind`` is ``name``, ``escaped``, ``number``, ``string``, ``in``, ``end`` or an operator."""

    kind: str
    value: object
    offset: int
    end: int


def syntax_error(message: str, offset: int, hint: str | None = None) -> ExpressionError:
    """Return the error of an expression that cannot be compiled, pointing at ``offset``."""
    error = ExpressionError(message, code="expression-syntax", hint=hint)
    error.offset = offset
    return error


def tokenize(
    text: str, limits: Limits, *, start: int = 0, until_braces: bool = False
) -> list[Token]:
    """Return the tokens of ``text`` from ``start``; the last has the kind ``end``.

    Args:
        text: the source; offsets are offsets in it.
        limits: how many characters may be read.
        start: where to begin.
        until_braces: stop before the ``}}`` that closes a template's ``${{``.

    Raises:
        ExpressionError: a character, number or string that is not of the language.
        LimitError: the text is too long.
    """
    tokens: list[Token] = []
    position = start
    braces = 0
    match_token = _TOKEN.match
    # One character more than allowed is read, so that too long is told from never closed.
    stop = min(len(text), start + limits.source + 1)
    while position < stop:
        if until_braces and braces == 0 and text.startswith("}}", position):
            break
        found = match_token(text, position, stop)
        if found is None:
            if stop < len(text) and text[position] in "'\"":
                break
            raise _not_a_token(text, position)
        kind = found.lastgroup
        end = found.end()
        if kind == "string" or (kind == "name" and text[end : end + 1] in ("'", '"')):
            token = _read_string(text, found, position, stop)
            tokens.append(token)
            end = token.end
        elif kind == "name":
            name = found.group()
            tokens.append(Token("in" if name == "in" else "name", name, position, end))
        elif kind == "op":
            operator = found.group()
            braces += (operator == "{") - (operator == "}")
            tokens.append(Token(operator, operator, position, end))
        elif kind == "escaped":
            tokens.append(Token("escaped", found.group()[1:-1], position, end))
        elif kind != "space":
            tokens.append(Token("number", _read_number(text, found), position, end))
        position = end
    closed = position >= len(text) or (until_braces and text.startswith("}}", position))
    if position - start > limits.source or not closed:
        error = LimitError(f"an expression may have {limits.source} bytes", hint="split it up")
        error.offset = start
        raise error
    tokens.append(Token("end", None, position, position))
    return tokens


def _not_a_token(text: str, position: int) -> ExpressionError:
    character = text[position]
    if character in "'\"":
        return syntax_error("a string is not closed", position, f"close it with {character}")
    hints = {
        "=": "compare with '=='",
        "&": "write '&&'",
        "|": "write '||'",
        "$": "write the expression without '${{' inside",
        "`": "a quoted field has letters, digits and _ . - / inside `…`",
    }
    return syntax_error(f"unexpected {character!r}", position, hints.get(character))


def _read_number(text: str, found: re.Match[str]) -> int | float:
    start, end = found.span()
    if text[end : end + 1].isalnum() or text[end : end + 1] == "_":
        raise syntax_error(f"unexpected {text[end]!r} after a number", end)
    digits = found["double"]
    if digits is not None:
        return float(digits)
    digits = found["int"]
    if len(digits.lstrip("0xX")) > _LONGEST_INT:
        raise syntax_error("this integer does not fit into 64 bits", start)
    number = int(digits, 16 if digits[:2] in ("0x", "0X") else 10)
    if found["unsigned"]:
        if number >= 1 << 64:
            raise syntax_error("this integer does not fit into 64 bits", start)
        return Uint(number)
    # 2^63 itself is let through: the parser takes it after a minus, and refuses it elsewhere.
    if number > 1 << 63:
        raise syntax_error("this integer does not fit into 64 bits", start)
    return number


def _read_string(text: str, found: re.Match[str], start: int, stop: int) -> Token:
    prefix = found["prefix"] if found.lastgroup == "string" else found.group()
    raw = "r" in prefix.lower()
    if raw or found.lastgroup == "name":
        # A raw string may end in a backslash, so it is read by a rule of its own.
        again = _RAW.match(text, start, stop)
        if again is None:
            if raw and len(prefix) <= 2:
                raise _not_a_token(text, start + len(prefix))
            raise syntax_error(f"unexpected string after {prefix!r}", start + len(prefix))
        found = again
    body = found["body"]
    quotes = 3 if body[:3] in ("'''", '"""') else 1
    inner = body[quotes:-quotes]
    inner_start = found.start("body") + quotes
    value: object
    if "b" in prefix.lower():
        value = _utf8(inner, inner_start) if raw else _unescape_bytes(inner, inner_start)
    else:
        value = inner if raw else _unescape(inner, inner_start)
    return Token("string", value, start, found.end())


def _unescape(text: str, offset: int) -> str:
    if "\\" not in text:
        return text

    def replace(match: re.Match[str]) -> str:
        simple, byte, short, long, octal = match.groups()
        if simple is not None:
            return _SIMPLE.get(simple, simple)
        digits = byte or short or long
        if digits is not None or octal is not None:
            number = int(digits, 16) if digits is not None else int(octal, 8)
            if number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF:
                return chr(number)
        raise _bad_escape(text, match.start(), offset)

    return _ESCAPE.sub(replace, text)


def _unescape_bytes(text: str, offset: int) -> bytes:
    pieces = bytearray()
    last = 0
    for match in _ESCAPE.finditer(text):
        pieces += _utf8(text[last : match.start()], offset + last)
        last = match.end()
        simple, byte, short, long, octal = match.groups()
        if simple is not None:
            pieces += _SIMPLE.get(simple, simple).encode()
        elif byte is not None or octal is not None:
            pieces.append(int(byte, 16) if byte is not None else int(octal, 8))
        else:
            del short, long
            raise _bad_escape(text, match.start(), offset)
    pieces += _utf8(text[last:], offset + last)
    return bytes(pieces)


def _utf8(text: str, offset: int) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise syntax_error("a lone surrogate has no bytes in UTF-8", offset + error.start) from None


def _bad_escape(text: str, position: int, offset: int) -> ExpressionError:
    return syntax_error(
        f"{text[position : position + 2]!r} is not an escape here",
        offset + position,
        "write \\\\ for a backslash, or a raw string r'…'",
    )
