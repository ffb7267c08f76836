"""Advice on names in expressions: the near one, and the spelling of names with a hyphen."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from gennaker.expressions.nodes import Call, Chain, Ident, Index, Macro, Node, Select
from gennaker.suggestions import suggest as advise

__all__ = ["hyphenated", "suggest"]


def suggest(name: str, names: Iterable[object], *, otherwise: str | None = None) -> str | None:
    """Return a hint for an unknown ``name``, as everywhere, but in bounded time.

    Args:
        name: what was written, or computed from data.
        names: what is there; the keys of a map of any size and kind.
        otherwise: the hint when none is near.
    """
    # Looking for near names is slow work, and data may have a hundred thousand of them.
    known = [each for each in islice(names, 200) if isinstance(each, str) and len(each) <= 64]
    return advise(name[:64], known, otherwise=otherwise)


def hyphenated(chain: Chain) -> str | None:
    """Return how to write what a chain like ``stages.load-test.outputs`` most likely means.

    None when it is not of that form: names joined by hyphens without spaces.
    """
    first = chain.first
    if not isinstance(first, Select) or not isinstance(first.operand, Ident):
        return None
    name, end = first.field, first.end
    for operator, offset, operand in chain.rest:
        leftmost = _leftmost(operand)
        if (
            operator != "-"
            or not isinstance(leftmost, Ident)
            or offset != end
            or leftmost.offset != end + 1
        ):
            break
        name, end = f"{name}-{leftmost.name}", leftmost.end
        if leftmost is not operand:
            break
    if name == first.field:
        return None
    return f"{first.operand.name}[{name!r}]"


def _leftmost(node: Node) -> Node:
    while True:
        match node:
            case Select(operand=operand) | Index(operand=operand) | Macro(target=operand):
                node = operand
            case Call(member=True, args=args):
                node = args[0]
            case _:
                return node
