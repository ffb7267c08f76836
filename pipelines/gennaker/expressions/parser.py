"""Tokens to a syntax tree: a Pratt parser of CEL's grammar, macros included.

What is left out of CEL: message construction (``Type{...}``), a leading dot, and two-variable
macros. What it adds: ``has()`` takes an index with a constant key, for keys with a hyphen.
"""

from __future__ import annotations

from typing import NoReturn

from gennaker.expressions.lexer import Token, syntax_error, tokenize
from gennaker.expressions.limits import LimitError, Limits
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
from gennaker.expressions.values import Uint

__all__ = ["NAMESPACES", "ROOTS", "parse"]

ROOTS = ("params", "stages", "matrix", "environment", "secrets", "run", "git", "trigger")
"""The variables of every scope; a macro's variable may not hide one."""

NAMESPACES = frozenset({"base64", "optional"})
"""Names before a dot that belong to the function's name."""

_CONSTANTS: dict[object, object] = {"true": True, "false": False, "null": None}
_RESERVED = frozenset(
    [
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ]
)
_MACROS = {"all": 2, "exists": 2, "exists_one": 2, "map": 3, "filter": 2}
_TERNARY, _OR, _AND, _RELATION, _SUM, _PRODUCT = 1, 2, 3, 4, 5, 6
_POWER = {
    "?": _TERNARY,
    "||": _OR,
    "&&": _AND,
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "in"), _RELATION),
    **dict.fromkeys("+-", _SUM),
    **dict.fromkeys("*/%", _PRODUCT),
}
_INT_MAX = (1 << 63) - 1


def parse(source: str, limits: Limits) -> Node:
    """Return the tree of ``source``.

    Raises:
        ExpressionError: code ``expression-syntax``, with the offset of the offending token.
        LimitError: it is nested too deep.
    """
    return _Parser(tokenize(source, limits), limits.depth).parse()


class _Parser:
    def __init__(self, tokens: list[Token], depth: int) -> None:
        self._tokens = tokens
        self._position = 0
        self._token = tokens[0]
        self._limit = depth
        self._depth = 0

    def parse(self) -> Node:
        if self._token.kind == "end":
            raise syntax_error("the expression is empty", self._token.offset)
        node = self._expression(_TERNARY)
        if self._token.kind != "end":
            self._refuse()
        return node

    def _advance(self) -> Token:
        token = self._token
        self._position += 1
        self._token = self._tokens[self._position]
        return token

    def _take(self, kind: str) -> bool:
        if self._token.kind == kind:
            self._advance()
            return True
        return False

    def _expect(self, kind: str) -> Token:
        if self._token.kind != kind:
            self._refuse(f"expected {kind!r}")
        return self._advance()

    def _refuse(self, expected: str = "") -> NoReturn:
        token = self._token
        if token.kind == "end":
            raise syntax_error(expected or "the expression ends too early", token.offset)
        text = shown_token(token)
        message = f"{expected}, not {text}" if expected else f"unexpected {text}"
        raise syntax_error(message, token.offset)

    # -- operators ---------------------------------------------------------------------------

    def _expression(self, minimum: int) -> Node:
        self._depth += 1
        if self._depth > self._limit:
            raise _too_deep(self._limit, self._token.offset)
        left = self._unary()
        while (power := _POWER.get(self._token.kind, 0)) >= minimum:
            left = self._operation(left, power)
        self._depth -= 1
        return left

    def _operation(self, left: Node, power: int) -> Node:
        token = self._token
        if power in (_SUM, _PRODUCT):
            rest = []
            while _POWER.get(self._token.kind) == power:
                operator = self._advance()
                rest.append((operator.kind, operator.offset, self._expression(power + 1)))
            return Chain(token.offset, left, tuple(rest))
        if power in (_OR, _AND):
            operands = [left]
            while self._take(token.kind):
                operands.append(self._expression(power + 1))
            return Logic(token.offset, token.kind, tuple(operands))
        self._advance()
        if power == _RELATION:
            return Compare(token.offset, token.kind, left, self._expression(power + 1))
        yes = self._expression(_OR)
        self._expect(":")
        return Conditional(token.offset, left, yes, self._expression(_TERNARY))

    def _unary(self) -> Node:
        operators = []
        while self._token.kind in ("!", "-"):
            operators.append(self._advance())
            if len(operators) > self._limit:
                raise _too_deep(self._limit, self._token.offset)
        token = self._token
        negative = bool(operators) and operators[-1].kind == "-"
        if negative and token.kind == "number" and type(token.value) is not Uint:
            minus = operators.pop()
            self._advance()
            node: Node = Literal(minus.offset, -token.value)  # type: ignore[operator]
            node = self._postfix(node)
        else:
            node = self._postfix(self._primary())
        for operator in reversed(operators):
            node = Unary(operator.offset, operator.kind, node)
        return node

    # -- operands ----------------------------------------------------------------------------

    def _primary(self) -> Node:
        token = self._token
        kind = token.kind
        if kind == "name":
            return self._name()
        if kind == "string":
            self._advance()
            return Literal(token.offset, token.value)
        if kind == "number":
            if type(token.value) is int and token.value > _INT_MAX:
                raise syntax_error("this integer does not fit into 64 bits", token.offset)
            self._advance()
            return Literal(token.offset, token.value)
        if kind == "(":
            self._advance()
            node = self._expression(_TERNARY)
            self._expect(")")
            return node
        if kind == "[":
            return self._list()
        if kind == "{":
            return self._map()
        if kind == "escaped":
            raise syntax_error("a quoted field stands after a dot only", token.offset)
        self._refuse()

    def _name(self) -> Node:
        token = self._advance()
        name = str(token.value)
        if name in _CONSTANTS:
            return Literal(token.offset, _CONSTANTS[name])
        if name in _RESERVED:
            raise syntax_error(f"{name!r} is a reserved word", token.offset)
        if self._token.kind != "(":
            return Ident(token.offset, name, token.end)
        args = self._arguments()
        if name != "has":
            return Call(token.offset, name, args)
        if len(args) == 1:
            match args[0]:
                case Select(optional=False) as found:
                    return Select(found.offset, found.operand, found.field, found.end, test=True)
                case Index(optional=False, index=Literal(value=str())) as found:
                    return Index(found.offset, found.operand, found.index, found.end, test=True)
                case SecretName():
                    # Refused with the other misuses of secrets, which know the better message.
                    return Call(token.offset, name, args)
        raise syntax_error(
            "has() takes one field of something", token.offset, "write it like has(params.name)"
        )

    def _postfix(self, node: Node) -> Node:
        while True:
            token = self._token
            if token.kind == ".":
                self._advance()
                node = self._selection(node)
            elif token.kind == "[":
                self._advance()
                optional = self._take("?")
                index = self._expression(_TERNARY)
                end = self._expect("]").end
                if isinstance(node, Ident) and node.name == "secrets":
                    node = _secret(node, index, optional, end)
                else:
                    node = Index(token.offset, node, index, end, optional=optional)
            elif token.kind == "{" and isinstance(node, Ident | Select):
                raise syntax_error("messages cannot be made here", token.offset)
            else:
                return node

    def _selection(self, node: Node) -> Node:
        optional = self._take("?")
        token = self._token
        if token.kind not in ("name", "escaped") or (
            token.kind == "name" and token.value in _CONSTANTS
        ):
            self._refuse("expected a field name after '.'")
        self._advance()
        name = str(token.value)
        if self._token.kind == "(" and not optional and token.kind == "name":
            return self._method(node, name, token)
        if isinstance(node, Ident) and node.name == "secrets":
            return _secret(node, Literal(token.offset, name), optional, token.end)
        return Select(token.offset, node, name, token.end, optional=optional)

    def _method(self, node: Node, name: str, token: Token) -> Node:
        if isinstance(node, Ident) and node.name in NAMESPACES:
            return Call(node.offset, f"{node.name}.{name}", self._arguments())
        args = self._arguments()
        most = _MACROS.get(name)
        if most is None or not 2 <= len(args) <= most:
            return Call(token.offset, name, (node, *args), member=True)
        variable = args[0]
        if not isinstance(variable, Ident):
            raise syntax_error(
                f"the first argument of {name}() is the name of a variable",
                variable.offset,
                f"write it like list.{name}(item, …)",
            )
        if variable.name in ROOTS:
            raise syntax_error(
                f"the variable {variable.name!r} would hide {variable.name!r} of the scope",
                variable.offset,
                "give it another name",
            )
        guard = args[1] if len(args) == 3 else None
        return Macro(token.offset, name, node, variable.name, guard, args[-1])

    def _arguments(self) -> tuple[Node, ...]:
        self._expect("(")
        args = []
        while self._token.kind != ")":
            args.append(self._expression(_TERNARY))
            if not self._take(","):
                break
        self._expect(")")
        return tuple(args)

    def _list(self) -> Node:
        start = self._advance()
        items = []
        optional = []
        while self._token.kind != "]":
            optional.append(self._take("?"))
            items.append(self._expression(_TERNARY))
            if not self._take(","):
                break
        self._expect("]")
        return ListNode(start.offset, tuple(items), tuple(optional))

    def _map(self) -> Node:
        start = self._advance()
        entries = []
        optional = []
        while self._token.kind != "}":
            optional.append(self._take("?"))
            key = self._expression(_TERNARY)
            self._expect(":")
            entries.append((key, self._expression(_TERNARY)))
            if not self._take(","):
                break
        self._expect("}")
        return MapNode(start.offset, tuple(entries), tuple(optional))


def shown_token(token: Token) -> str:
    """Return a token as an error message names it."""
    if token.kind == "string":
        return "a string"
    return repr(str(token.value))


def _secret(node: Ident, index: Node, optional: bool, end: int) -> Node:
    if optional or not isinstance(index, Literal) or not isinstance(index.value, str):
        raise syntax_error(
            "a secret is named by a constant",
            node.offset,
            "write it like secrets.db_password or secrets['db-password']",
        )
    return SecretName(node.offset, index.value, end)


def _too_deep(limit: int, offset: int) -> LimitError:
    error = LimitError(
        f"the expression is nested more than {limit} levels deep", hint="split it up"
    )
    error.offset = offset
    return error
