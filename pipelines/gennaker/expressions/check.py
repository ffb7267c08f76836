"""Types and references of expressions, checked before anything runs.

It only reports what would fail whatever the values are; what it cannot know is ``dyn`` and is left
to the evaluation. All problems of an expression are found at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gennaker.errors import ExpressionError, Location, Problem
from gennaker.expressions.analysis import Reference
from gennaker.expressions.expression import Expression
from gennaker.expressions.functions import FUNCTIONS, STATUS, TYPE_NAMES, no_form
from gennaker.expressions.functions_text import compile_pattern
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
from gennaker.expressions.operators import ARITHMETIC, COMPARABLE, mismatch
from gennaker.expressions.parser import ROOTS
from gennaker.expressions.suggest import hyphenated, suggest
from gennaker.expressions.template import Template
from gennaker.expressions.types import BOOL, DYN, INT, STRING, Type, TypeScope
from gennaker.expressions.values import NUMBERS, kind_of
from gennaker.records import dataclass

__all__ = ["ExpressionProblem", "check_expression", "check_template", "find_type"]


@dataclass(frozen=True, slots=True)
class ExpressionProblem:
    """A problem at an offset (0-based) of the text that was checked."""

    offset: int
    code: str
    message: str
    hint: str | None = None

    def at(self, location: Location | None) -> Problem:
        """Return it as a problem at a place in a file."""
        return Problem(self.code, self.message, location, self.hint)


def check_template(template: Template, types: TypeScope) -> list[ExpressionProblem]:
    """Return what is wrong with a template that stands where ``types`` says."""
    found = []
    for expression, offset in template.expressions:
        inside = types if template.is_whole else None
        for each in _check(expression, types, inside):
            found.append(
                ExpressionProblem(each.offset + offset, each.code, each.message, each.hint)
            )
    return found


def check_expression(expression: Expression, types: TypeScope) -> list[ExpressionProblem]:
    """Return what is wrong with an expression, such as an ``if``, that stands where ``types`` says."""
    return _check(expression, types, types)


def find_type(expression: Expression, types: TypeScope) -> Type:
    """Return the type an expression's value will have, ``dyn`` where that is not known."""
    return _Checker(types).visit(expression.tree)


def _check(
    expression: Expression, types: TypeScope, whole: TypeScope | None
) -> list[ExpressionProblem]:
    checker = _Checker(types)
    checker.check_places(expression)
    result = checker.visit(expression.tree)
    if whole is None:
        if result.kind in ("null", "list", "map"):
            checker.add(
                0,
                "expression-type",
                f"{expression.source!r} is {result.kind}, which has no place inside a text",
                "use to_json() or one of its fields",
            )
    elif whole.expected is not None and not _fits(result, whole.expected.kind):
        checker.add(
            0,
            "expression-type",
            f"{expression.source!r} is {result}, but must be {whole.expected}",
            "compare it with something, as in x != ''" if whole.expected.kind == "bool" else None,
        )
    return sorted(checker.problems, key=lambda each: each.offset)


def _fits(given: Type, kind: str) -> bool:
    # A value that leaves an expression is plain data, in which these are text.
    as_text = kind == "string" and given.kind in ("timestamp", "duration", "semver")
    as_number = kind in NUMBERS and given.kind in NUMBERS
    return given.kind in ("dyn", kind) or kind == "dyn" or as_text or as_number


class _Checker:
    def __init__(self, types: TypeScope) -> None:
        self.problems: list[ExpressionProblem] = []
        self._types = types
        self._variables: dict[str, Type] = {}

    def add(self, offset: int, code: str, message: str, hint: str | None = None) -> None:
        """Record a problem."""
        self.problems.append(ExpressionProblem(offset, code, message, hint))

    def _add_error(self, offset: int, error: ExpressionError) -> Type:
        self.add(offset, error.code, error.message, error.hint)
        return DYN

    # -- where what may stand ----------------------------------------------------------------

    def check_places(self, expression: Expression) -> None:
        """The rules about secrets, computed stages and the questions of ``if``."""
        for each in expression.references:
            if each.root == "secrets":
                self._check_secret(each)
            if each.root == "stages" and not each.path and not self._types.allows_any_stage:
                self.add(
                    each.offset,
                    "computed-stage",
                    "a stage is named by a constant here",
                    "write stages.ID; only stages of 'finally' may look at all of them",
                )
        if expression.calls_status and not self._types.allows_status:
            self.add(
                0,
                "status-outside-if",
                "success(), failure(), always() and aborted() have no meaning here",
                "use them in 'if'",
            )

    def _check_secret(self, reference: Reference) -> None:
        name = reference.path[0]
        if not self._types.allows_secrets:
            self.add(
                reference.offset,
                "secret-misplaced",
                f"the secret {name!r} may not stand here",
                "use it in an input declared secret, or in a value of 'env'",
            )
        elif self._types.secrets is not None and name not in self._types.secrets:
            declare = (
                f"declare it under 'secrets' in gennaker.yaml: '{name}: {{env: {name.upper()}}}'"
            )
            hint = suggest(name, self._types.secrets, otherwise=declare)
            self.add(reference.offset, "unknown-secret", f"unknown secret {name!r}", hint)

    # -- types -------------------------------------------------------------------------------

    def visit(self, node: Node) -> Type:
        """Return the type of ``node``, recording the problems in it."""
        return _RULES[type(node)](self, node)

    def _literal(self, node: Literal) -> Type:
        return Type(kind_of(node.value))

    def _secret(self, node: SecretName) -> Type:
        return STRING

    def _ident(self, node: Ident) -> Type:
        name = node.name
        found = self._variables.get(name) or self._types.roots.get(name)
        if found is not None:
            return found
        if name in TYPE_NAMES:
            return Type("type")
        if name in ROOTS:
            here = ", ".join(sorted(self._types.roots))
            self.add(
                node.offset, "unknown-variable", f"{name!r} has no value here", f"here are: {here}"
            )
        else:
            hint = suggest(name, [*self._variables, *self._types.roots])
            self.add(node.offset, "unknown-variable", f"unknown variable {name!r}", hint)
        return DYN

    def _select(self, node: Select) -> Type:
        return self._element(self.visit(node.operand), node.field, node)

    def _index(self, node: Index) -> Type:
        operand = self.visit(node.operand)
        index = self.visit(node.index)
        if isinstance(node.index, Literal) and isinstance(node.index.value, str):
            return self._element(operand, node.index.value, node)
        inside = operand.element if operand.kind == "optional" and operand.element else operand
        if inside.kind == "list" and index.kind not in (*NUMBERS, "dyn"):
            self.add(
                node.index.offset,
                "expression-type",
                f"a list is indexed by an integer, not by {index}",
            )
        elif inside.kind not in ("list", "map", "dyn", "optional"):
            self._no_elements(inside, node)
        found = (inside.element if inside.kind in ("list", "map") else None) or DYN
        return self._wrapped(found, operand, node)

    def _element(self, operand: Type, name: str, node: Select | Index) -> Type:
        inside = operand
        if operand.kind == "optional":
            inside = operand.element or DYN
        offset = node.end - len(name) if isinstance(node, Select) else node.index.offset
        found = DYN
        if inside.kind == "map":
            fields = inside.fields or {}
            found = fields.get(name, inside.element or DYN)
            if inside.closed and name not in fields:
                self._no_field(inside, name, offset, node)
        elif inside.kind == "semver":
            found = STRING if name == "prerelease" else INT
        elif inside.kind == "list" and isinstance(node, Index):
            self.add(offset, "expression-type", "a list is indexed by an integer, not by string")
        elif inside.kind != "dyn":
            self._no_elements(inside, node)
        return self._wrapped(found, operand, node)

    def _wrapped(self, found: Type, operand: Type, node: Select | Index) -> Type:
        if node.test:
            return BOOL
        return Type("optional", found) if node.optional or operand.kind == "optional" else found

    def _no_field(self, owner: Type, name: str, offset: int, node: Select | Index) -> None:
        # An environment's variables differ by environment: asking whether one is there is right.
        if owner.noun == "variable" and (node.test or node.optional):
            return
        where = f" of {owner.owner}" if owner.owner else ""
        hint = suggest(name, owner.fields or {})
        if hint is None:
            hint = f"there is no {owner.noun} at all"
        self.add(offset, f"unknown-{owner.noun}", f"unknown {owner.noun} {name!r}{where}", hint)

    def _no_elements(self, owner: Type, node: Node) -> None:
        self.add(node.offset, "expression-type", f"{owner} has no elements")

    def _list(self, node: ListNode) -> Type:
        found = [self.visit(item) for item in node.items]
        if any(node.optional):
            return Type("list", DYN)
        return Type("list", _join(found))

    def _map(self, node: MapNode) -> Type:
        fields: dict[str, Type] | None = {}
        for (key, value), optional in zip(node.entries, node.optional, strict=True):
            self.visit(key)
            given = self.visit(value)
            if optional or not isinstance(key, Literal) or not isinstance(key.value, str):
                fields = None
            elif fields is not None:
                fields[key.value] = given
        if fields is None:
            return Type("map", DYN)
        return Type("map", None, fields, closed=True, noun="key")

    # -- operators ---------------------------------------------------------------------------

    def _unary(self, node: Unary) -> Type:
        given = self.visit(node.operand)
        if node.operator == "!":
            self._need_bool(given, "!", node.operand)
            return BOOL
        if given.kind not in ("int", "double", "duration", "dyn"):
            self.add(node.offset, "expression-type", f"cannot negate {given}")
        return given

    def _chain(self, node: Chain) -> Type:
        before = len(self.problems)
        meant = hyphenated(node)
        left = self.visit(node.first)
        for operator, offset, operand in node.rest:
            left = self._combine(operator, offset, left, self.visit(operand))
        if meant is not None and any(
            each.code.startswith("unknown-") for each in self.problems[before:]
        ):
            del self.problems[before:]
            self.add(
                node.first.offset,
                "hyphenated-name",
                "a hyphen is minus in an expression",
                f"write {meant}",
            )
            return DYN
        return left

    def _combine(self, operator: str, offset: int, left: Type, right: Type) -> Type:
        found = ARITHMETIC.get((operator, left.kind, right.kind))
        if found is not None:
            return left if left == right else Type(found[0])
        forms = [
            result
            for (word, a, b), (result, _) in ARITHMETIC.items()
            if word == operator and left.kind in ("dyn", a) and right.kind in ("dyn", b)
        ]
        if not forms:
            return self._add_error(offset, mismatch(operator, left.kind, right.kind))
        return Type(forms[0]) if len(set(forms)) == 1 else DYN

    def _compare(self, node: Compare) -> Type:
        operator = node.operator
        left, right = self.visit(node.left), self.visit(node.right)
        a, b = left.kind, right.kind
        known = "dyn" not in (a, b)
        alike = a == b or {a, b} <= NUMBERS
        if operator == "in":
            if b not in ("list", "map", "dyn"):
                self._add_error(node.offset, mismatch(operator, a, b))
        elif operator in ("==", "!="):
            if known and not alike and "null" not in (a, b):
                self._add_error(node.offset, mismatch(operator, a, b))
        elif (known and not alike) or any(each not in COMPARABLE | {"dyn"} for each in (a, b)):
            self._add_error(node.offset, mismatch(operator, a, b))
        return BOOL

    def _logic(self, node: Logic) -> Type:
        for operand in node.operands:
            self._need_bool(self.visit(operand), node.operator, operand)
        return BOOL

    def _conditional(self, node: Conditional) -> Type:
        self._need_bool(self.visit(node.condition), "?", node.condition)
        return _join([self.visit(node.yes), self.visit(node.no)])

    def _need_bool(self, given: Type, where: str, node: Node) -> None:
        if given.kind not in ("bool", "dyn"):
            self.add(
                node.offset,
                "expression-type",
                f"{where!r} needs a boolean, not {given}",
                "compare it with something, as in x != ''",
            )

    # -- macros and calls --------------------------------------------------------------------

    def _macro(self, node: Macro) -> Type:
        target = self.visit(node.target)
        item = DYN
        if target.kind == "list":
            item = target.element or DYN
        elif target.kind == "map":
            item = STRING if target.fields is not None else DYN
        elif target.kind != "dyn":
            self.add(
                node.offset,
                "expression-type",
                f"{node.kind}() goes over a list or a map, not over {target}",
            )
        before = self._variables
        self._variables = {**before, node.variable: item}
        if node.guard is not None:
            self._need_bool(self.visit(node.guard), f"{node.kind}()", node.guard)
        body = self.visit(node.body)
        self._variables = before
        if node.kind == "map":
            return Type("list", body)
        self._need_bool(body, f"{node.kind}()", node.body)
        return Type("list", item) if node.kind == "filter" else BOOL

    def _call(self, node: Call) -> Type:
        name = node.name
        if name == "default" and not node.member:
            return self._default(node)
        args = [self.visit(each) for each in node.args]
        if name in STATUS and not node.member:
            return BOOL
        if name == "hash_files" and not node.member:
            return STRING
        if node.member and name in ("or", "orValue"):
            return self._optional_or(node, args)
        if name == "matches":
            self._check_pattern(node.args[-1])
        kinds = [each.kind for each in args]
        forms = [
            form
            for form in FUNCTIONS[name, node.member, len(args)]
            if all(
                wanted is None or kind == "dyn" or kind in wanted
                for wanted, kind in zip(form.parameters, kinds, strict=True)
            )
        ]
        if not forms:
            return self._add_error(node.offset, no_form(name, node.member, kinds))
        if name == "value":
            return args[0].element or DYN
        if name in ("distinct", "sort"):
            return args[0] if args[0].kind == "list" else Type("list", DYN)
        if name == "optional.of":
            return Type("optional", args[0])
        if name == "split":
            return Type("list", STRING)
        return Type(forms[0].result)

    def _default(self, node: Call) -> Type:
        given, other = (self.visit(each) for each in node.args)
        inside = given.element or DYN if given.kind == "optional" else given
        return other if inside.kind == "null" else _join([inside, other])

    def _optional_or(self, node: Call, args: list[Type]) -> Type:
        target, other = args
        if target.kind not in ("optional", "dyn"):
            self.add(
                node.offset,
                "expression-type",
                f"{node.name}() is of optionals, not of {target}",
                "make one with .? as in params.?name, or use default(x, d)",
            )
            return DYN
        if node.name == "or":
            return target
        return _join([target.element or DYN, other])

    def _check_pattern(self, node: Node) -> None:
        if isinstance(node, Literal) and isinstance(node.value, str):
            try:
                compile_pattern(node.value)
            except ExpressionError as error:
                self._add_error(node.offset, error)


def _join(types: list[Type]) -> Type:
    """The type of a value that is of one of ``types``."""
    if not types:
        return DYN
    first = types[0]
    if all(each == first for each in types):
        return first
    return Type(first.kind) if len({each.kind for each in types}) == 1 else DYN


_RULES: dict[type[Node], Callable[[Any, Any], Type]] = {
    Literal: _Checker._literal,
    Ident: _Checker._ident,
    SecretName: _Checker._secret,
    Select: _Checker._select,
    Index: _Checker._index,
    Call: _Checker._call,
    Macro: _Checker._macro,
    ListNode: _Checker._list,
    MapNode: _Checker._map,
    Unary: _Checker._unary,
    Chain: _Checker._chain,
    Compare: _Checker._compare,
    Logic: _Checker._logic,
    Conditional: _Checker._conditional,
}
