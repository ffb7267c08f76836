"""``did you mean``: one way to suggest a name, for compiling, checking and evaluating."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from gennaker.expressions.nodes import Call, Chain, Ident, Index, Macro, Node, Select

__all__ = ["hyphenated", "suggest"]


def suggest(name: str, names: Iterable[str], *, label: str = "there are") -> str | None:
    """Return a hint: the nearest of ``names``, or all of them when there are few."""
    from difflib import get_close_matches

    # Looking for near names is slow work, and a list of hundreds helps nobody.
    known = [each for each in islice(names, 200) if isinstance(each, str) and len(each) <= 64]
    near = get_close_matches(name[:64], known, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    if not known:
        return None
    listed = ", ".join(sorted(known)[:10])
    return f"{label}: {listed}" + (", …" if len(known) > 10 else "")


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
