"""A DAG as SVG: layers from left to right, edges around the boxes, states in colour and words.

An edge that spans several layers has a place of its own in each layer between, so that it never
runs behind a box (the idea of Sugiyama, Tagawa and Toda, 1981).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from gennaker.graph import find_layers

if TYPE_CHECKING:
    from gennaker.drawing import Node

__all__ = ["draw_svg"]

BOX_WIDTH, BOX_HEIGHT, GAP_X, GAP_Y, MARGIN = 224, 46, 56, 20, 16
PASSES = 6
Point = tuple[int, int]
Slot = str | tuple[str, str, int]
"""A stage, or the place of an edge (from, to, layer) in a layer that it passes."""


def draw_svg(nodes: Sequence[Node]) -> str:
    """Return the picture of the nodes; their needs are drawn as they are given."""
    needs = {node.id: node.needs for node in nodes}
    layers, chains = _place_slots(needs)
    place: dict[Slot, Point] = {
        slot: (MARGIN + column * (BOX_WIDTH + GAP_X), MARGIN + row * (BOX_HEIGHT + GAP_Y))
        for column, layer in enumerate(layers)
        for row, slot in enumerate(layer)
    }
    width = 2 * MARGIN + len(layers) * (BOX_WIDTH + GAP_X) - GAP_X
    height = 2 * MARGIN + max(map(len, layers), default=1) * (BOX_HEIGHT + GAP_Y) - GAP_Y
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" font-family="system-ui, sans-serif" font-size="13">',
        "<title>Pipeline</title>",
        '<defs><marker id="end" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="#8c959f"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    parts += [_draw_edge([place[slot] for slot in chain]) for chain in chains]
    parts += [_draw_box(node, *place[node.id]) for node in nodes]
    return "\n".join([*parts, "</svg>"])


def _place_slots(
    needs: Mapping[str, Sequence[str]],
) -> tuple[list[list[Slot]], list[list[Slot]]]:
    """Return the slots of each layer in a good order, and the slots each edge goes through."""
    layers: list[list[Slot]] = [list(layer) for layer in find_layers(needs)]
    depth = {slot: index for index, layer in enumerate(layers) for slot in layer}
    chains: list[list[Slot]] = []
    for after, several in needs.items():
        for before in several:
            between: list[Slot] = [
                (before, after, layer) for layer in range(depth[before] + 1, depth[after])
            ]
            for slot in between:
                layers[slot[2]].append(slot)  # type: ignore[index]  # an edge's place
            chains.append([before, *between, after])
    _order_layers(layers, chains)
    return layers, chains


def _order_layers(layers: list[list[Slot]], chains: list[list[Slot]]) -> None:
    """Move every slot towards the middle of its neighbours, layer by layer, there and back."""
    before: dict[Slot, list[Slot]] = {slot: [] for layer in layers for slot in layer}
    after: dict[Slot, list[Slot]] = {slot: [] for layer in layers for slot in layer}
    for chain in chains:
        for left, right in itertools.pairwise(chain):
            before[right].append(left)
            after[left].append(right)
    row = {slot: index for layer in layers for index, slot in enumerate(layer)}
    for turn in range(PASSES):
        neighbours = before if turn % 2 == 0 else after
        for layer in layers if turn % 2 == 0 else reversed(layers):
            middle = {
                slot: sum(row[each] for each in neighbours[slot]) / len(neighbours[slot])
                if neighbours[slot]
                else float(row[slot])
                for slot in layer
            }
            layer.sort(key=lambda slot: (middle[slot], row[slot]))
            row.update({slot: index for index, slot in enumerate(layer)})


def _draw_edge(places: Sequence[Point]) -> str:
    """A curve between layers, a straight line across those it passes."""
    x, y = places[0][0] + BOX_WIDTH, places[0][1] + BOX_HEIGHT // 2
    path = [f"M{x} {y}"]
    for index, (left, top) in enumerate(places[1:], 2):
        level = top + BOX_HEIGHT // 2
        bend = (x + left) // 2
        path.append(f"C{bend} {y} {bend} {level} {left} {level}")
        x, y = left, level
        if index < len(places):
            x += BOX_WIDTH
            path.append(f"H{x}")
    return (
        f'<path d="{" ".join(path)}" fill="none" stroke="#8c959f" stroke-width="1.5" '
        'marker-end="url(#end)"/>'
    )


def _draw_box(node: Node, x: int, y: int) -> str:
    from gennaker.drawing import COLOURS, SIGNS

    colour = COLOURS.get(node.state or "", "#57606a")
    dash = ' stroke-dasharray="5 3"' if node.final or node.state == "skipped" else ""
    word = f"{SIGNS[node.state]} {node.state}" if node.state else (node.environment or "")
    told = f", {node.state}" if node.state else ""
    return (
        f"<g><title>{escape(node.id)}: {escape(node.uses)}{told}</title>"
        f'<rect x="{x}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="7" fill="#f6f8fa" '
        f'stroke="{colour}" stroke-width="1.8"{dash}/>'
        f'<text x="{x + 10}" y="{y + 19}" font-weight="600" fill="#1f2328">'
        f"{escape(_shorten(node.id, 27))}</text>"
        f'<text x="{x + 10}" y="{y + 36}" fill="#57606a" font-size="11">'
        f"{escape(_shorten(node.uses, 20))}</text>"
        f'<text x="{x + BOX_WIDTH - 10}" y="{y + 36}" fill="{colour}" font-size="11" '
        f'text-anchor="end">{escape(_shorten(word, 14))}</text></g>'
    )


def _shorten(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
