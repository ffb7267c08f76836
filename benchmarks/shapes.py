"""The pipelines that engines are measured with: stage to the stages it needs, each after those.

Nothing but Python is needed, so that the peers' programs import it in their own environments.
"""

from __future__ import annotations

__all__ = ["SHAPES", "Needs", "list_levels", "make_shape"]

SHAPES = ("layered", "chain", "fan")
"""1,000 stages in 10 layers; 50 in a row; one, 200 after it, one after these."""

Needs = dict[str, list[str]]


def make_shape(shape: str, share: int = 1, *, length: int = 50) -> Needs:
    """Return a shape.

    Args:
        shape: one of :data:`SHAPES`.
        share: the width (of a chain, the length) is divided by it, for a quick try.
        length: of a chain.
    """
    if shape == "layered":
        width = 100 // share
        return {
            f"l{layer}n{place}s": [
                f"l{layer - 1}n{each}s"
                for each in dict.fromkeys((place + step) % width for step in (0, 37, 71))
            ]
            if layer
            else []
            for layer in range(10)
            for place in range(width)
        }
    if shape == "chain":
        return {
            f"n{place}s": [f"n{place - 1}s"] if place else [] for place in range(length // share)
        }
    middle = [f"n{place}s" for place in range(200 // share)]
    return {"first": [], **{each: ["first"] for each in middle}, "last": middle}


def list_levels(needs: Needs) -> list[list[str]]:
    """Return the stages in levels, each of which needs earlier ones only."""
    levels: dict[str, int] = {}
    for name, before in needs.items():
        levels[name] = max((levels[each] for each in before), default=-1) + 1
    found: list[list[str]] = [[] for _ in range(max(levels.values()) + 1)]
    for name, level in levels.items():
        found[level].append(name)
    return found
