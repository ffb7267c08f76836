"""The one evaluator: a tree and a scope to a value, within a budget.

It is total: whatever the tree and the data, it gives a value or raises ``ExpressionError``, in
bounded time and memory. Nothing here reaches attributes of Python objects, files or the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

# Loading these registers their functions.
from gennaker.errors import ExpressionError, MissingOutput
from gennaker.expressions import functions_data, functions_text, functions_time  # noqa: F401
from gennaker.expressions.functions import STATUS, TYPE_NAMES, call
from gennaker.expressions.limits import Budget, LimitError
from gennaker.expressions.lookup import AbsentValue, absent_key, get, has
from gennaker.expressions.nodes import (
    Call,
    Chain,
    Compare,
    Conditional,
    Ident,
    Index,
    ListNode,
    Literal,
    Logic,
    Macro,
    MapNode,
    Node,
    SecretName,
    Select,
    Unary,
)
from gennaker.expressions.operators import (
    ARITHMETIC,
    as_key,
    check_known,
    check_range,
    compare,
    equal,
    from_key,
    mismatch,
)
from gennaker.expressions.parser import ROOTS
from gennaker.expressions.scope import Scope
from gennaker.expressions.suggest import hyphenated, suggest
from gennaker.expressions.values import (
    OptionalValue,
    SecretRef,
    SecretText,
    TypeValue,
    UnknownText,
    kind_of,
    shown,
)

__all__ = ["evaluate"]

_NONE = OptionalValue(False)


def evaluate(root: Node, scope: Scope, budget: Budget) -> object:
    """Return the value of ``root``; not yet plain data.

    Raises:
        ExpressionError: it cannot be evaluated, or goes over the limits; with the offset.
        MissingOutput: it uses an output of a stage that ended without outputs.
        UnknownValue: it needs a value that is not known yet.
    """
    try:
        return _Evaluator(scope, budget).visit(root)
    except AbsentValue as error:
        raise error.told() from None
    except RecursionError:
        raise LimitError("the expression or a value in it is nested too deep") from None


class _Evaluator:
    __slots__ = ("_budget", "_scope", "_variables")

    def __init__(self, scope: Scope, budget: Budget) -> None:
        self._scope = scope
        self._budget = budget
        self._variables: dict[str, object] = {}

    def visit(self, node: Node) -> Any:
        self._budget.spend()
        try:
            return _RULES[type(node)](self, node)
        except ExpressionError as error:
            # The innermost node that fails is where the error points.
            if error.offset is None:
                error.offset = node.offset
            raise

    # -- variables and what is in them -------------------------------------------------------

    def _literal(self, node: Literal) -> object:
        return node.value

    def _ident(self, node: Ident) -> object:
        name = node.name
        if name in self._variables:
            return self._variables[name]
        try:
            return self._scope.values[name]
        except KeyError:
            pass
        if name in TYPE_NAMES:
            return TypeValue(name)
        if name in ROOTS:
            raise ExpressionError(
                f"{name!r} has no value here", code="unknown-variable", hint=_here(self._scope)
            )
        raise ExpressionError(
            f"unknown variable {name!r}",
            code="unknown-variable",
            hint=suggest(name, [*self._variables, *self._scope.values, *ROOTS]),
        )

    def _secret(self, node: SecretName) -> SecretText:
        return SecretText((SecretRef(node.name),))

    def _select(self, node: Select) -> object:
        operand = self.visit(node.operand)
        field = node.field
        if type(operand) is dict and not (node.optional or node.test):
            try:
                return operand[field]
            except KeyError:
                raise absent_key(field, operand) from None
        return self._element(operand, field, node)

    def _index(self, node: Index) -> object:
        operand = self.visit(node.operand)
        return self._element(operand, self.visit(node.index), node)

    def _element(self, operand: object, key: object, node: Select | Index) -> object:
        """One element of a map, list or version, in the manner the node asks for it."""
        if isinstance(operand, OptionalValue):
            if node.test:
                return operand.present and has(operand.value, key)
            if not operand.present:
                return _NONE
            found = operand.value
            return OptionalValue(True, get(found, key)) if has(found, key) else _NONE
        if node.test:
            return has(operand, key)
        if node.optional:
            return OptionalValue(True, get(operand, key)) if has(operand, key) else _NONE
        return get(operand, key)

    # -- constructors ------------------------------------------------------------------------

    def _list(self, node: ListNode) -> list[object]:
        self._budget.take(8 * len(node.items))
        found = []
        for item, optional in zip(node.items, node.optional, strict=True):
            value = self.visit(item)
            if optional:
                value = _optional(value)
                if not value.present:
                    continue
                value = value.value
            found.append(value)
        return found

    def _map(self, node: MapNode) -> dict[Any, object]:
        self._budget.take(16 * len(node.entries))
        found: dict[Any, object] = {}
        for (key_node, value_node), optional in zip(node.entries, node.optional, strict=True):
            key = as_key(self.visit(key_node))
            value = self.visit(value_node)
            if isinstance(key, float):
                raise ExpressionError(f"{shown(key)} is not a key", code="expression-type")
            if key in found:
                raise ExpressionError(f"the key {shown(from_key(key))} is there twice")
            if optional:
                value = _optional(value)
                if not value.present:
                    continue
                value = value.value
            found[key] = value
        return found

    # -- operators ---------------------------------------------------------------------------

    def _unary(self, node: Unary) -> object:
        value = self.visit(node.operand)
        kind = kind_of(value)
        if node.operator == "!":
            return not _boolean(value, "!")
        if kind == "int":
            return check_range(-value)
        if kind == "double":
            return -value
        check_known(value)
        raise ExpressionError(f"cannot negate {kind}", code="expression-type")

    def _chain(self, node: Chain) -> object:
        try:
            value = self.visit(node.first)
            for operator, offset, operand in node.rest:
                value = self._combine(operator, offset, value, self.visit(operand))
            return value
        except ExpressionError as error:
            meant = hyphenated(node)
            if meant is not None and error.code in ("missing-key", "unknown-variable"):
                raise _hyphen(meant, node.first.offset) from None
            raise

    def _combine(self, operator: str, offset: int, left: Any, right: Any) -> object:
        if type(left) is str and type(right) is str and operator == "+":
            self._budget.take(len(left) + len(right))
            return left + right
        a, b = kind_of(left), kind_of(right)
        try:
            found = ARITHMETIC.get((operator, a, b))
            if found is not None:
                return found[1](self._budget, left, right)
            if operator == "+" and {a, b} <= {"string", "unknown", "secret"}:
                self._budget.take(256)
                if "secret" in (a, b):
                    return SecretText.of(left, right)
                self._budget.take(len(left) + len(right))
                return UnknownText.of(left, right)
            check_known(left)
            check_known(right)
            raise mismatch(operator, a, b)
        except ExpressionError as error:
            error.offset = offset
            raise

    def _compare(self, node: Compare) -> bool:
        operator = node.operator
        left, right = self.visit(node.left), self.visit(node.right)
        if operator == "==":
            return equal(left, right, self._budget)
        if operator == "!=":
            return not equal(left, right, self._budget)
        if operator == "in":
            return self._contains(left, right)
        return compare(operator, left, right, self._budget)

    def _contains(self, item: object, container: object) -> bool:
        check_known(item)
        if isinstance(container, Mapping):
            return as_key(item) in container
        if isinstance(container, list | tuple):
            return any(equal(each, item, self._budget) for each in container)
        check_known(container)
        raise mismatch("in", kind_of(item), kind_of(container))

    def _logic(self, node: Logic) -> bool:
        """``&&`` and ``||``: one deciding operand decides, even beside one that fails."""
        decides = node.operator == "||"
        failed: ExpressionError | None = None
        for operand in node.operands:
            try:
                if _boolean(self.visit(operand), node.operator, operand.offset) is decides:
                    return decides
            except LimitError:
                raise
            except ExpressionError as error:
                failed = failed or error
        if failed is not None:
            raise failed
        return not decides

    def _conditional(self, node: Conditional) -> object:
        condition = _boolean(self.visit(node.condition), "?", node.condition.offset)
        return self.visit(node.yes if condition else node.no)

    # -- macros ------------------------------------------------------------------------------

    def _macro(self, node: Macro) -> object:
        target = self.visit(node.target)
        if isinstance(target, Mapping):
            items: list[object] = [from_key(key) for key in target]
        elif isinstance(target, list | tuple):
            items = list(target)
        else:
            check_known(target)
            raise ExpressionError(
                f"{node.kind}() goes over a list or a map, not over {kind_of(target)}",
                code="expression-type",
            )
        self._budget.take(8 * len(items))
        variables = self._variables
        inner = dict(variables)
        self._variables = inner
        try:
            return _MACROS[node.kind](self, node, items, inner)
        finally:
            self._variables = variables

    def _quantify(self, node: Macro, items: list[object], inner: dict[str, object]) -> bool:
        decides = node.kind == "exists"
        failed: ExpressionError | None = None
        for item in items:
            inner[node.variable] = item
            try:
                if _boolean(self.visit(node.body), f"{node.kind}()", node.body.offset) is decides:
                    return decides
            except LimitError:
                raise
            except ExpressionError as error:
                failed = failed or error
        if failed is not None:
            raise failed
        return not decides

    def _collect(self, node: Macro, items: list[object], inner: dict[str, object]) -> object:
        """``filter``, ``map`` in both forms, and ``exists_one``."""
        found: list[object] = []
        test = node.guard if node.kind == "map" else node.body
        for item in items:
            inner[node.variable] = item
            if test is not None and not _boolean(self.visit(test), f"{node.kind}()", test.offset):
                continue
            found.append(self.visit(node.body) if node.kind == "map" else item)
        return len(found) == 1 if node.kind == "exists_one" else found

    # -- calls -------------------------------------------------------------------------------

    def _call(self, node: Call) -> object:
        name = node.name
        if node.member:
            if name in ("or", "orValue") and len(node.args) == 2:
                return self._or(node)
        elif name == "default":
            return self._default(node)
        elif name in STATUS:
            return self._ask_status(name)
        elif name == "hash_files":
            return self._hash_files(node)
        return call(name, node.member, [self.visit(each) for each in node.args], self._budget)

    def _or(self, node: Call) -> object:
        target = self.visit(node.args[0])
        if not isinstance(target, OptionalValue):
            check_known(target)
            raise ExpressionError(
                f"{node.name}() is of optionals, not of {kind_of(target)}",
                code="expression-type",
                hint="make one with .? as in params.?name, or use default(x, d)",
            )
        if node.name == "orValue":
            return target.value if target.present else self.visit(node.args[1])
        return target if target.present else _optional(self.visit(node.args[1]))

    def _default(self, node: Call) -> object:
        """``default(x, d)``: ``d`` where ``x`` is absent, null or an optional without value."""
        try:
            value = self.visit(node.args[0])
        except (MissingOutput, AbsentValue):
            value = None
        if isinstance(value, OptionalValue):
            value = value.value if value.present else None
        return self.visit(node.args[1]) if value is None else value

    def _ask_status(self, name: str) -> bool:
        status = self._scope.status
        if status is None:
            raise ExpressionError(
                f"{name}() has no meaning here", code="status-outside-if", hint="use it in 'if'"
            )
        return bool(getattr(status, name)())

    def _hash_files(self, node: Call) -> str:
        glob = node.args[0]
        assert isinstance(glob, Literal)
        digest = self._scope.files.get(str(glob.value))
        if digest is None:
            raise ExpressionError(
                f"the files of {shown(glob.value)} were not hashed when the run was created"
            )
        return digest


def _here(scope: Scope) -> str:
    return f"here are: {', '.join(sorted(scope.values))}"


def _boolean(value: object, where: str, offset: int | None = None) -> bool:
    if value is True or value is False:
        return bool(value)
    error: ExpressionError
    try:
        check_known(value)
        error = ExpressionError(
            f"{where!r} needs a boolean, not {kind_of(value)}",
            code="expression-type",
            hint="compare it with something, as in x != ''",
        )
    except ExpressionError as found:
        error = found
    error.offset = offset
    raise error


def _optional(value: object) -> OptionalValue:
    if isinstance(value, OptionalValue):
        return value
    check_known(value)
    raise ExpressionError(f"expected an optional, not {kind_of(value)}", code="expression-type")


def _hyphen(meant: str, offset: int) -> ExpressionError:
    error = ExpressionError(
        "a hyphen is minus in an expression",
        code="hyphenated-name",
        hint=f"write {meant}",
    )
    error.offset = offset
    return error


_MACROS: dict[str, Callable[..., object]] = {
    "all": _Evaluator._quantify,
    "exists": _Evaluator._quantify,
    "exists_one": _Evaluator._collect,
    "filter": _Evaluator._collect,
    "map": _Evaluator._collect,
}
_RULES: dict[type[Node], Callable[..., Any]] = {
    Literal: _Evaluator._literal,
    Ident: _Evaluator._ident,
    SecretName: _Evaluator._secret,
    Select: _Evaluator._select,
    Index: _Evaluator._index,
    Call: _Evaluator._call,
    Macro: _Evaluator._macro,
    ListNode: _Evaluator._list,
    MapNode: _Evaluator._map,
    Unary: _Evaluator._unary,
    Chain: _Evaluator._chain,
    Compare: _Evaluator._compare,
    Logic: _Evaluator._logic,
    Conditional: _Evaluator._conditional,
}
