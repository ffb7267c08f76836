"""Drawing a pipeline's DAG: as rails of text, Mermaid, DOT, SVG or JSON.

``render_graph`` is what ``gennaker graph`` prints; with the outcomes of a run the nodes are
coloured and carry a word, so that colour is never the only sign.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from gennaker.graph import find_critical_path, reduce_edges, sort_stages
from gennaker.records import dataclass

if TYPE_CHECKING:
    from gennaker.model import PipelineDefinition

__all__ = ["COLOURS", "SIGNS", "GraphFormat", "Node", "draw_nodes", "render_graph"]

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
    seconds: Mapping[str, float] | None = None,
) -> str:
    """Return the DAG of a definition.

    Args:
        states: stage ids to the states of a run.
        seconds: how long each stage of a run that has ended took; text and JSON then tell the
            critical path, the chain that the run could not be shorter than.
    """
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
    drawn = draw_nodes(nodes, form)
    if not seconds or form not in ("text", "json"):
        return drawn
    path, total = find_critical_path({node.id: node.needs for node in nodes}, seconds)
    path = [name for name in path if name in seconds]
    if form == "text":
        return f"{drawn}\n\ncritical path, {total:.1f}s: {' → '.join(path)}"
    data = {**json.loads(drawn), "critical_path": {"stages": path, "seconds": round(total, 3)}}
    return json.dumps(data, indent=2)


def draw_nodes(nodes: Sequence[Node], form: GraphFormat) -> str:
    """Return the drawing; edges that follow from others are left out."""
    reduced = reduce_edges({node.id: node.needs for node in nodes})
    drawn = [
        Node(node.id, node.uses, reduced[node.id], node.environment, node.final, node.state)
        for node in nodes
    ]
    from gennaker.picture import draw_svg

    draw = {
        "text": _draw_text,
        "mermaid": _draw_mermaid,
        "dot": _draw_dot,
        "svg": draw_svg,
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
