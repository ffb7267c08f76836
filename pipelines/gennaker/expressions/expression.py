"""Compiled expressions: what the rest of Gennaker holds in hand."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from gennaker.errors import ExpressionError
from gennaker.expressions.analysis import Facts, Reference, analyze
from gennaker.expressions.evaluator import evaluate
from gennaker.expressions.functions_data import to_plain
from gennaker.expressions.limits import DEFAULT_LIMITS, Budget, LimitError, Limits
from gennaker.expressions.nodes import Node
from gennaker.expressions.parser import parse
from gennaker.expressions.scope import Scope

__all__ = ["Expression", "compile_expression"]


class Expression:
    """One compiled expression; immutable, shared between threads and runs.

    Attributes:
        source: its text, as written between ``${{`` and ``}}`` or in ``if``.
        tree: its syntax tree.
        references: what it mentions of the scope, in the order of the source.
        calls_status: whether it calls ``success() failure() always() aborted()``.
        calls_success: whether it calls ``success()``.
        hash_globs: the literal globs of its ``hash_files`` calls.
    """

    __slots__ = ("calls_status", "calls_success", "hash_globs", "references", "source", "tree")

    def __init__(self, source: str, tree: Node, facts: Facts) -> None:
        self.source = source
        self.tree = tree
        self.references = facts.references
        self.calls_status = facts.calls_status
        self.calls_success = facts.calls_success
        self.hash_globs = facts.hash_globs

    @property
    def mentions_secrets(self) -> bool:
        """Whether its result is a :class:`SecretText`."""
        return any(each.root == "secrets" for each in self.references)

    @property
    def reference(self) -> Reference | None:
        """The one reference the whole expression is, None when it is anything more."""
        if len(self.references) != 1:
            return None
        only = self.references[0]
        whole = only.offset == 0 and only.end == len(self.source) and not only.computed
        return None if only.guarded or not whole else only

    def evaluate(self, scope: Scope) -> Any:
        """Return its value over ``scope``: JSON data, an ``Unknown`` or a ``SecretText``.

        Raises:
            ExpressionError: it cannot be evaluated; ``offset`` is where in ``source``.
            MissingOutput: it uses an output of a stage that ended without outputs.
            UnknownValue: it needs a value that is not known yet.
        """
        return self.evaluate_within(scope, Budget(scope.limits))

    def evaluate_within(self, scope: Scope, budget: Budget) -> Any:
        """Like :meth:`evaluate`, spending from a budget that others share."""
        value = evaluate(self.tree, scope, budget)
        if type(value) is str or value is None or value is True or value is False:
            return value
        try:
            # What is handed out is paid for again, because shared parts are copied apart.
            return to_plain(value, Budget(scope.limits))
        except ExpressionError as error:
            error.offset = self.tree.offset if error.offset is None else error.offset
            raise

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expression) and self.source == other.source

    def __hash__(self) -> int:
        return hash(self.source)

    def __repr__(self) -> str:
        return f"Expression({self.source!r})"


@lru_cache(maxsize=4096)
def compile_expression(source: str, limits: Limits = DEFAULT_LIMITS) -> Expression:
    """Return the compiled form of ``source``; of ``limits``, its size and depth count here.

    Raises:
        ExpressionError: it is not of the language; ``offset`` is where in ``source``, 0-based.
    """
    if len(source) > limits.source or len(source.encode("utf-8", "replace")) > limits.source:
        error = LimitError(f"an expression may have {limits.source} bytes", hint="split it up")
        error.offset = 0
        raise error
    tree = parse(source, limits)
    return Expression(source, tree, analyze(tree, limits))
