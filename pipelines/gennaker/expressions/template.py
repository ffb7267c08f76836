"""Strings with ``${{ }}`` in them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from gennaker.errors import ExpressionError
from gennaker.expressions.analysis import Reference
from gennaker.expressions.expression import Expression, compile_expression
from gennaker.expressions.functions import number_text
from gennaker.expressions.lexer import syntax_error, tokenize
from gennaker.expressions.limits import DEFAULT_LIMITS, Budget, LimitError, Limits
from gennaker.expressions.scope import Scope
from gennaker.expressions.values import SecretText, UnknownText, kind_of

__all__ = [
    "Placed",
    "Template",
    "compile_condition",
    "compile_template",
    "literal_text",
    "reference_text",
]

_OPEN = "${{"
_MOST_EXPRESSIONS = 1000


class Placed(NamedTuple):
    """An expression of a template, and the offset of its source in the template's text."""

    expression: Expression
    offset: int


class Template:
    """A compiled string of a pipeline; immutable, shared between threads and runs.

    Attributes:
        text: as written.
        pieces: literal text (``$${{`` undone) and placed expressions, in order.
        is_literal: there is no expression in it.
        is_whole: it is exactly one ``${{ … }}``, whose value keeps its type.
        expressions: the expressions, with the offsets of their sources in ``text``.
        references: what all of them mention; offsets in ``text``.
    """

    __slots__ = ("expressions", "is_literal", "is_whole", "pieces", "references", "text")

    def __init__(self, text: str, pieces: tuple[str | Placed, ...]) -> None:
        self.text = text
        self.pieces = pieces
        self.expressions = tuple(piece for piece in pieces if isinstance(piece, Placed))
        self.is_literal = not self.expressions
        self.is_whole = len(pieces) == 1 and not self.is_literal
        self.references = tuple(
            Reference(
                each.root,
                each.path,
                each.offset + offset,
                each.end + offset,
                each.computed,
                each.guarded,
            )
            for expression, offset in self.expressions
            for each in expression.references
        )

    @property
    def mentions_secrets(self) -> bool:
        """Whether its result is a :class:`SecretText`."""
        return any(each.expression.mentions_secrets for each in self.expressions)

    @property
    def calls_status(self) -> bool:
        """Whether one of its expressions calls ``success()`` or its like."""
        return any(each.expression.calls_status for each in self.expressions)

    @property
    def hash_globs(self) -> tuple[str, ...]:
        """The globs of all its ``hash_files`` calls, each once."""
        return tuple(
            dict.fromkeys(glob for each in self.expressions for glob in each.expression.hash_globs)
        )

    @property
    def reference(self) -> Reference | None:
        """The one reference the whole template is (``${{ stages.a.outputs.b }}``), else None."""
        if not self.is_whole or self.expressions[0].expression.reference is None:
            return None
        return self.references[0]

    def evaluate(self, scope: Scope) -> Any:
        """Return its value over ``scope``; text unless :attr:`is_whole`. Never evaluated again.

        Raises:
            ExpressionError: an expression fails, or gives no scalar inside a longer string;
                ``offset`` is where in ``text``.
        """
        budget = Budget(scope.limits)
        if self.is_whole:
            return self._value(self.expressions[0], scope, budget)
        if self.is_literal:
            return self.pieces[0] if self.pieces else ""
        parts: list[Any] = []
        marked: set[str] = set()
        for piece in self.pieces:
            if isinstance(piece, str):
                parts.append(piece)
                continue
            value = self._value(piece, scope, budget)
            if type(value) is not str:
                value = self._scalar(piece, value)
                marked.add(kind_of(value))
            if not isinstance(value, SecretText):
                budget.take(len(value))
            parts.append(value)
        if "secret" in marked:
            return SecretText.of(*parts)
        return UnknownText.of(*parts) if "unknown" in marked else "".join(parts)

    def _value(self, placed: Placed, scope: Scope, budget: Budget) -> Any:
        try:
            return placed.expression.evaluate_within(scope, budget)
        except ExpressionError as error:
            error.offset = (error.offset or 0) + placed.offset
            raise

    def _scalar(self, placed: Placed, value: Any) -> Any:
        """The text of a scalar inside a longer string."""
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int | float):
            return number_text(value)
        kind = kind_of(value)
        if kind in ("unknown", "secret"):
            return value
        hints = {
            "null": "give it a value with default(x, d)",
            "list": "use .join(', '), or to_json() for all of it",
            "map": "use to_json() or one of its fields",
        }
        error = ExpressionError(
            f"{placed.expression.source!r} is {kind}, which has no place inside a text",
            code="expression-type",
            hint=hints.get(kind),
        )
        error.offset = placed.offset
        raise error

    def rewrite_references(self, replace: Callable[[Reference], str | None]) -> str:
        """Return ``text`` with each reference's constant part replaced.

        Args:
            replace: gives the new text for a reference, None to leave it as it is.
        """
        pieces = []
        position = 0
        for each in self.references:
            new = replace(each)
            if new is not None and each.offset >= position:
                pieces += [self.text[position : each.offset], new]
                position = each.end
        return "".join([*pieces, self.text[position:]])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Template) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Template({self.text!r})"


@lru_cache(maxsize=4096)
def compile_template(text: str, limits: Limits = DEFAULT_LIMITS) -> Template:
    """Return the compiled form of a string of a pipeline; most are literal.

    Raises:
        ExpressionError: an expression in it is wrong or not closed; ``offset`` is where in
            ``text``, 0-based.
    """
    pieces: list[str | Placed] = []
    literal = ""
    position = count = 0
    while (start := text.find(_OPEN, position)) >= 0:
        if start > position and text[start - 1] == "$":
            literal += text[position : start - 1] + _OPEN
            position = start + len(_OPEN)
            continue
        literal += text[position:start]
        if literal:
            pieces.append(literal)
            literal = ""
        placed, position = _read_expression(text, start, limits)
        pieces.append(placed)
        count += 1
        if count > _MOST_EXPRESSIONS:
            raise LimitError(f"a string may have {_MOST_EXPRESSIONS} expressions")
    literal += text[position:]
    if literal:
        pieces.append(literal)
    return Template(text, tuple(pieces))


def _read_expression(text: str, start: int, limits: Limits) -> tuple[Placed, int]:
    begin = start + len(_OPEN)
    tokens = tokenize(text, limits, start=begin, until_braces=True)
    end = tokens[-1].offset
    if not text.startswith("}}", end):
        raise syntax_error(
            "'${{' is never closed", start, "close it with '}}', or write '$${{' for the text"
        )
    source = text[begin:end]
    offset = begin + len(source) - len(source.lstrip())
    try:
        return Placed(compile_expression(source.strip(), limits), offset), end + 2
    except ExpressionError as error:
        error.offset = (error.offset or 0) + offset
        raise


def compile_condition(text: str) -> Expression:
    """Return the expression of an ``if``: bare, or the whole of one ``${{ … }}``.

    Raises:
        ExpressionError: it is wrong, or text around an expression.
    """
    stripped = text.strip()
    if not stripped.startswith(_OPEN):
        return compile_expression(text)
    template = compile_template(stripped)
    if not template.is_whole:
        raise syntax_error("a condition is one expression", 0, "write it without '${{ }}'")
    return template.expressions[0].expression


def literal_text(text: str) -> str:
    """Return how a template spells ``text`` so that nothing in it is an expression."""
    return text.replace(_OPEN, "$" + _OPEN)


def reference_text(root: str, *path: str) -> str:
    """Return how an expression spells a reference (``stages['load-test'].outputs.url``)."""
    pieces = [root]
    for name in path:
        plain = (
            name.isascii() and name.isidentifier() and name not in ("in", "true", "false", "null")
        )
        pieces.append(f".{name}" if plain else f"[{_quoted(name)}]")
    return "".join(pieces)


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace("'", "\\'")
    for character, code in (("\n", "\\n"), ("\r", "\\r")):
        escaped = escaped.replace(character, code)
    return f"'{escaped}'"
