"""The syntax tree of an expression: frozen nodes that know where they stand in the source.

The parser makes it; the analysis, the evaluator and the checker read it. ``offset`` is 0-based and
is where an error about the node points; ``end`` is the offset just after it, where rewriting needs
it. Chains (``a + b - c``, ``a && b && c``) are one node, so that a long chain is not a deep tree.
"""

from __future__ import annotations

from collections.abc import Iterator

from gennaker.records import dataclass

__all__ = [
    "Call",
    "Chain",
    "Compare",
    "Conditional",
    "Ident",
    "Index",
    "ListNode",
    "Literal",
    "Logic",
    "Macro",
    "MapNode",
    "Node",
    "SecretName",
    "Select",
    "Unary",
    "children",
]


# Nodes are compared by identity, which also spares the start-up from making methods nobody calls.
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Node:
    """Base of all nodes."""

    offset: int


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Literal(Node):
    """A constant: null, bool, int, uint, double, string or bytes."""

    value: object


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Ident(Node):
    """A variable: a root of the scope, a macro's variable or the name of a type."""

    name: str
    end: int


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SecretName(Node):
    """``secrets.NAME``: never evaluated further, so it is a leaf of its own."""

    name: str
    end: int


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Select(Node):
    """``operand.field``; ``test`` inside ``has()``, ``optional`` for ``operand.?field``."""

    operand: Node
    field: str
    end: int
    test: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Index(Node):
    """``operand[index]``; ``test`` inside ``has()``, ``optional`` for ``operand[?index]``."""

    operand: Node
    index: Node
    end: int
    test: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Call(Node):
    """``name(args)``, or ``target.name(args)`` where ``member``: then the target is ``args[0]``."""

    name: str
    args: tuple[Node, ...]
    member: bool = False


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Macro(Node):
    """``target.kind(variable, [guard,] body)`` for all, exists, exists_one, map and filter."""

    kind: str
    target: Node
    variable: str
    guard: Node | None
    body: Node


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ListNode(Node):
    """``[a, ?b]``; ``optional`` says which items are left out when they have no value."""

    items: tuple[Node, ...]
    optional: tuple[bool, ...]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class MapNode(Node):
    """``{key: value, ?key: value}``."""

    entries: tuple[tuple[Node, Node], ...]
    optional: tuple[bool, ...]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Unary(Node):
    """``!operand`` or ``-operand``."""

    operator: str
    operand: Node


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Chain(Node):
    """``first (operator operand)*`` of one level: ``+ -`` or ``* / %``, from left to right."""

    first: Node
    rest: tuple[tuple[str, int, Node], ...]
    """Operator, its offset, and the operand to its right."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Compare(Node):
    """``left operator right`` for ``== != < <= > >= in``."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Logic(Node):
    """``a && b && …`` or ``a || b || …``."""

    operator: str
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Conditional(Node):
    """``condition ? yes : no``."""

    condition: Node
    yes: Node
    no: Node


def children(node: Node) -> Iterator[Node]:
    """Yield the nodes directly below ``node``, in the order of the source."""
    match node:
        case Select(operand=operand) | Unary(operand=operand):
            yield operand
        case Index(operand=operand, index=index):
            yield operand
            yield index
        case Call(args=args) | ListNode(items=args) | Logic(operands=args):
            yield from args
        case Macro(target=target, guard=guard, body=body):
            yield target
            if guard is not None:
                yield guard
            yield body
        case MapNode(entries=entries):
            for key, value in entries:
                yield key
                yield value
        case Chain(first=first, rest=rest):
            yield first
            for _, _, operand in rest:
                yield operand
        case Compare(left=left, right=right):
            yield left
            yield right
        case Conditional(condition=condition, yes=yes, no=no):
            yield condition
            yield yes
            yield no
