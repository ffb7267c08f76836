"""Compiled values of a definition: data with ``${{ }}`` in it, and conditions.

A thin layer over :mod:`gennaker.expressions` that evaluates whole trees (``with``, a matrix) and
costs nothing where there is no expression.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gennaker.errors import ExpressionError, MissingOutput, UnknownValue
from gennaker.expressions import (
    Expression,
    Reference,
    Scope,
    Template,
    Unknown,
    compile_template,
    to_json,
)
from gennaker.expressions import compile_condition as compile_text

__all__ = ["Condition", "Term", "compile_condition", "compile_term"]

Json = Any
_OPEN = "${{"


class Term:
    """A value as written: constant, or evaluated over a scope.

    Attributes:
        constant: whether it has no expression.
        references: what its expressions mention.
    """

    __slots__ = ("_tree", "_where", "constant", "references")

    def __init__(self, tree: Json, where: tuple[str | int, ...]) -> None:
        templates = list(_list_templates(tree))
        self.constant = not templates
        self.references: tuple[Reference, ...] = tuple(
            each for template in templates for each in template.references
        )
        self._tree = tree if templates else to_json(tree)
        self._where = where

    def mentions(self, root: str) -> bool:
        """Whether it mentions something of ``root`` (``matrix``, ``stages`` …)."""
        return any(each.root == root for each in self.references)

    def evaluate(self, make_scope: Callable[[], Scope], *, tokens: bool = False) -> Json:
        """Return its JSON value, secrets as markers; the scope is made only when it is needed.

        With ``tokens``, as in a plan, what asks more of an unknown value than a token can give is
        that token itself.

        Raises:
            ExpressionError: as :meth:`gennaker.expressions.Template.evaluate`; it says in which
                value.
        """
        if self.constant:
            return self._tree
        return _evaluate(self._tree, make_scope(), tokens, self._where)


def compile_term(value: Json, *where: str) -> Term:
    """Return the compiled form of JSON data as written.

    Args:
        value: the data.
        where: its place in the stage, for messages.
    """
    return Term(_compile(value), where)


class Condition:
    """A compiled ``if``; ``expression`` is None for a literal ``true`` or ``false``."""

    __slots__ = ("expression", "literal", "statuses")

    def __init__(self, expression: Expression | None, literal: bool = False) -> None:
        self.expression = expression
        self.literal = literal
        self.statuses = expression is not None and expression.calls_status

    @property
    def source(self) -> str:
        """As written."""
        if self.expression is None:
            return "true" if self.literal else "false"
        return self.expression.source

    def evaluate(self, scope: Scope) -> Json:
        """Return its value over ``scope``, which may be no boolean.

        Raises:
            ExpressionError: it cannot be evaluated.
        """
        if self.expression is None:
            return self.literal
        try:
            return self.expression.evaluate(scope)
        except ExpressionError as error:
            raise _place(error, ("if",)) from error


def compile_condition(value: str | bool) -> Condition:
    """Return the compiled form of an ``if``."""
    return Condition(None, value) if isinstance(value, bool) else Condition(compile_text(value))


def _compile(value: Json) -> Json:
    if isinstance(value, str):
        if _OPEN not in value:
            return value
        template = compile_template(value)
        return "".join(map(str, template.pieces)) if template.is_literal else template
    if isinstance(value, Mapping):
        return {key: _compile(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_compile(item) for item in value]
    return value


def _list_templates(tree: Json) -> Iterator[Template]:
    if isinstance(tree, Template):
        yield tree
    elif isinstance(tree, dict):
        for item in tree.values():
            yield from _list_templates(item)
    elif isinstance(tree, list):
        for item in tree:
            yield from _list_templates(item)


def _evaluate(tree: Json, scope: Scope, tokens: bool, where: tuple[str | int, ...]) -> Json:
    if isinstance(tree, Template):
        try:
            return to_json(tree.evaluate(scope))
        except UnknownValue as error:
            if not tokens:
                raise
            return to_json(Unknown(error.token))
        except ExpressionError as error:
            raise _place(error, where) from error
    if isinstance(tree, dict):
        if len(tree) == 1:
            ((key, item),) = tree.items()
            if key.startswith("$"):
                (marked,) = to_json({key: None})
                return {marked: _evaluate(item, scope, tokens, (*where, key))}
        return {key: _evaluate(item, scope, tokens, (*where, key)) for key, item in tree.items()}
    if isinstance(tree, list):
        return [_evaluate(item, scope, tokens, (*where, index)) for index, item in enumerate(tree)]
    return tree


def _place(error: ExpressionError, where: tuple[str | int, ...]) -> ExpressionError:
    """The error with the name of the value it is in, where its text is what people will see."""
    if isinstance(error, MissingOutput | UnknownValue):
        return error
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where)
    return ExpressionError(
        f"{name[1:]!r} cannot be evaluated: {error.message}", code=error.code, hint=error.hint
    )
