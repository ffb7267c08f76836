"""Drawing a pipeline's DAG: as rails of text, Mermaid, DOT, SVG or JSON.

``render_graph`` is what ``gennaker graph`` prints; with the outcomes of a run the nodes are
coloured and carry a word, so that colour is never the only sign.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from xml.sax.saxutils import escape

from gennaker.graph import find_layers, reduce_edges, sort_stages

if TYPE_CHECKING:
    from gennaker.model import PipelineDefinition

__all__ = ["COLOURS", "GraphFormat", "Node", "draw_nodes", "render_graph"]

GraphFormat = Literal["text", "mermaid", "dot", "svg", "json"]

COLOURS = {
    "succeeded": "#1a7f37",
    "failed": "#cf222e",
    "errored": "#8250df",
    "aborted": "#9a6700",
    "skipped": "#6e7781",
    "running": "#0969da",
    "waiting": "#bf8700",
}
SIGNS = {
    "succeeded": "✓",
    "failed": "✗",
    "errored": "!",
    "aborted": "⊘",
    "skipped": "-",
    "running": "▶",
    "waiting": "…",
}


@dataclass(frozen=True, slots=True)
class Node:
    """One stage to draw: ``state`` is an outcome, ``running``, ``waiting`` or None."""

    id: str
    uses: str
    needs: tuple[str, ...] = ()
    environment: str | None = None
    final: bool = False
    state: str | None = None


def render_graph(
    definition: PipelineDefinition,
    form: GraphFormat = "text",
    *,
    states: Mapping[str, str] | None = None,
) -> str:
    """Return the DAG of a definition; ``states`` maps stage ids to the states of a run."""
    from gennaker.dependencies import find_dependencies

    needs = find_dependencies(definition)
    known = states or {}
    nodes = [
        Node(
            identifier,
            stage.uses,
            tuple(needs.get(identifier, ())),
            stage.environment,
            final,
            known.get(identifier),
        )
        for identifier, stage, final in definition.all_stages()
    ]
    return draw_nodes(nodes, form)


def draw_nodes(nodes: Sequence[Node], form: GraphFormat) -> str:
    """Return the drawing; edges that follow from others are left out."""
    reduced = reduce_edges({node.id: node.needs for node in nodes})
    drawn = [
        Node(node.id, node.uses, reduced[node.id], node.environment, node.final, node.state)
        for node in nodes
    ]
    draw = {
        "text": _draw_text,
        "mermaid": _draw_mermaid,
        "dot": _draw_dot,
        "svg": _draw_svg,
        "json": _draw_json,
    }[form]
    return draw(drawn)


def _draw_json(nodes: Sequence[Node]) -> str:
    return json.dumps(
        {
            "apiVersion": "gennaker.dev/v1",
            "kind": "Graph",
            "nodes": [
                {
                    "id": node.id,
                    "uses": node.uses,
                    "environment": node.environment,
                    "finally": node.final,
                    "state": node.state,
                }
                for node in nodes
            ],
            "edges": [{"from": each, "to": node.id} for node in nodes for each in node.needs],
        },
        indent=2,
    )


def _draw_mermaid(nodes: Sequence[Node]) -> str:
    lines = ["flowchart LR"]
    names = {node.id: f"s{index}" for index, node in enumerate(nodes)}
    for node in nodes:
        sign = f"{SIGNS[node.state]} " if node.state else ""
        label = f"{sign}{node.id}<br/><small>{node.uses}</small>".replace('"', "#quot;")
        opening, closing = ("([", "])") if node.final else ("[", "]")
        lines.append(f'  {names[node.id]}{opening}"{label}"{closing}')
    for node in nodes:
        lines += [f"  {names[each]} --> {names[node.id]}" for each in node.needs]
    for state, colour in COLOURS.items():
        members = ",".join(names[node.id] for node in nodes if node.state == state)
        if members:
            lines.append(f"  classDef {state} stroke:{colour},stroke-width:2px")
            lines.append(f"  class {members} {state}")
    return "\n".join(lines)


def _draw_dot(nodes: Sequence[Node]) -> str:
    lines = ["digraph pipeline {", "  rankdir=LR;", "  node [shape=box, style=rounded];"]
    for node in nodes:
        sign = f"{SIGNS[node.state]} " if node.state else ""
        colour = f', color="{COLOURS[node.state]}"' if node.state else ""
        lines.append(f'  "{node.id}" [label="{sign}{node.id}\\n{node.uses}"{colour}];')
    lines += [f'  "{each}" -> "{node.id}";' for node in nodes for each in node.needs]
    return "\n".join([*lines, "}"])


def _draw_text(nodes: Sequence[Node]) -> str:
    """Rails, a line a stage: a rail leads from each stage down to the stages that need it."""
    by_id = {node.id: node for node in nodes}
    left = {node.id: set[str]() for node in nodes}
    for node in nodes:
        for each in node.needs:
            left[each].add(node.id)
    rails: list[str | None] = []
    width = max((len(node.id) for node in nodes), default=0)
    lines = []
    rows = []
    for name in sort_stages({node.id: node.needs for node in nodes}):
        node = by_id[name]
        ending = []
        for index, rail in enumerate(rails):
            if rail is not None and name in left[rail]:
                left[rail].discard(name)
                if not left[rail]:
                    ending.append(index)
        column = ending[0] if ending else _free(rails)
        joined = [
            index for index, rail in enumerate(rails) if rail in node.needs and index != column
        ]
        rows.append((_draw_row(rails, column, joined, ending), node))
        for index in ending:
            rails[index] = None
        while len(rails) <= column:
            rails.append(None)
        rails[column] = name if left[name] else None
        while rails and rails[-1] is None:
            rails.pop()
    margin = max((len(row) for row, _ in rows), default=0)
    for row, node in rows:
        facts = node.uses if node.environment is None else f"{node.uses} in {node.environment}"
        word = f"  {node.state}" if node.state else ""
        final = "  finally" if node.final else ""
        lines.append(f"{row.ljust(margin)}  {node.id.ljust(width)}  {facts}{final}{word}".rstrip())
    return "\n".join(lines)


def _free(rails: Sequence[str | None]) -> int:
    return next((index for index, rail in enumerate(rails) if rail is None), len(rails))


def _draw_row(
    rails: Sequence[str | None], column: int, joined: Sequence[int], ending: Sequence[int]
) -> str:
    """One row: the node at ``column``, rails passing by, rails that lead into it."""
    last = max([column, *joined], default=column)
    first = min([column, *joined], default=column)
    cells = []
    for index in range(max(len(rails), column + 1)):
        rail = rails[index] if index < len(rails) else None
        across = first <= index < last
        if index == column:
            sign = "●" if joined or ending else "○"
        elif index in joined:
            if index > column:
                sign = (
                    "╯"
                    if index in ending and index == last
                    else "┴"
                    if index in ending
                    else "┤"
                    if index == last
                    else "┼"
                )
            else:
                sign = (
                    "╰"
                    if index in ending and index == first
                    else "┴"
                    if index in ending
                    else "├"
                    if index == first
                    else "┼"
                )
        elif first < index < last:
            sign = "┼" if rail is not None else "─"
        else:
            sign = "│" if rail is not None else " "
        cells.append(sign + ("─" if across else " "))
    return "".join(cells).rstrip()


BOX_WIDTH, BOX_HEIGHT, GAP_X, GAP_Y, MARGIN = 190, 46, 60, 20, 16


def _draw_svg(nodes: Sequence[Node]) -> str:
    """Layers from left to right; edges are curves, states have a colour and a word."""
    layers = _order_layers(nodes)
    place = {
        name: (MARGIN + column * (BOX_WIDTH + GAP_X), MARGIN + row * (BOX_HEIGHT + GAP_Y))
        for column, layer in enumerate(layers)
        for row, name in enumerate(layer)
    }
    width = 2 * MARGIN + len(layers) * (BOX_WIDTH + GAP_X) - GAP_X
    height = 2 * MARGIN + max(map(len, layers), default=1) * (BOX_HEIGHT + GAP_Y) - GAP_Y
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" font-family="system-ui, sans-serif" font-size="13">',
        "<title>Pipeline</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for node in nodes:
        parts += [_draw_edge(place[each], place[node.id]) for each in node.needs]
    parts += [_draw_box(node, *place[node.id]) for node in nodes]
    return "\n".join([*parts, "</svg>"])


def _draw_edge(start: tuple[int, int], end: tuple[int, int]) -> str:
    x1, y1 = start[0] + BOX_WIDTH, start[1] + BOX_HEIGHT // 2
    x2, y2 = end[0], end[1] + BOX_HEIGHT // 2
    bend = (x1 + x2) // 2
    path = f"M{x1} {y1} C{bend} {y1} {bend} {y2} {x2} {y2}"
    return f'<path d="{path}" fill="none" stroke="#8c959f" stroke-width="1.5"/>'


def _draw_box(node: Node, x: int, y: int) -> str:
    colour = COLOURS.get(node.state or "", "#57606a")
    dash = ' stroke-dasharray="5 3"' if node.final or node.state == "skipped" else ""
    word = f"{SIGNS[node.state]} {node.state}" if node.state else (node.environment or "")
    return (
        f"<g><title>{escape(node.id)}: {escape(node.uses)}"
        f"{f', {node.state}' if node.state else ''}</title>"
        f'<rect x="{x}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="7" fill="#f6f8fa" '
        f'stroke="{colour}" stroke-width="1.8"{dash}/>'
        f'<text x="{x + 10}" y="{y + 19}" font-weight="600" fill="#1f2328">'
        f"{escape(_shorten(node.id, 24))}</text>"
        f'<text x="{x + 10}" y="{y + 36}" fill="#57606a" font-size="11">'
        f"{escape(_shorten(node.uses, 18))}</text>"
        f'<text x="{x + BOX_WIDTH - 10}" y="{y + 36}" fill="{colour}" font-size="11" '
        f'text-anchor="end">{escape(_shorten(word, 14))}</text></g>'
    )


def _order_layers(nodes: Sequence[Node]) -> list[list[str]]:
    """Layers whose members are moved towards the middle of what they need (barycentre, 4 passes)."""
    needs = {node.id: node.needs for node in nodes}
    layers = find_layers(needs)
    followers: dict[str, list[str]] = {node.id: [] for node in nodes}
    for node in nodes:
        for each in node.needs:
            followers[each].append(node.id)
    for turn in range(4):
        neighbours = needs if turn % 2 == 0 else followers
        row = {name: index for layer in layers for index, name in enumerate(layer)}
        for layer in layers if turn % 2 == 0 else reversed(layers):
            wanted = {
                name: sum(row[each] for each in neighbours[name]) / len(neighbours[name])
                if neighbours[name]
                else row[name]
                for name in layer
            }
            layer.sort(key=lambda name: wanted[name])
            row.update({name: index for index, name in enumerate(layer)})
    return layers


def _shorten(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
