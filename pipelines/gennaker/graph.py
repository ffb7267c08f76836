"""Questions about a pipeline as a graph: order, layers, reduction, critical path, cycles.

Works on keys and edges only. Cycles and layers use the standard library, since every command that
validates asks for them; networkx, whose import costs more than a command, answers the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

__all__ = ["find_critical_path", "find_cycle", "find_layers", "reduce_edges", "sort_stages"]

Needs = Mapping[str, Iterable[str]]


def find_cycle(needs: Needs) -> list[str] | None:
    """Return one whole cycle, its first node repeated at the end, or None."""
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return None


def find_layers(needs: Needs) -> list[list[str]]:
    """Return the nodes in layers: each in the first layer after all it needs, as written inside.

    Raises:
        graphlib.CycleError: when there is a cycle.
    """
    known = {name: set(before) for name, before in needs.items()}
    order = TopologicalSorter(known).static_order()
    depth: dict[str, int] = {}
    for name in order:
        depth[name] = 1 + max((depth[each] for each in known.get(name, ())), default=-1)
    layers: list[list[str]] = [[] for _ in range(1 + max(depth.values(), default=-1))]
    for name in known:
        layers[depth[name]].append(name)
    return layers


def sort_stages(needs: Needs) -> list[str]:
    """Return the nodes in an order in which each follows what it needs; written order breaks ties."""
    import networkx

    position = {name: index for index, name in enumerate(needs)}
    graph = _build(needs)
    return list(networkx.lexicographical_topological_sort(graph, key=lambda name: position[name]))


def reduce_edges(needs: Needs) -> dict[str, tuple[str, ...]]:
    """Return the needs without those that follow from others (the transitive reduction)."""
    import networkx

    reduced = networkx.transitive_reduction(_build(needs))
    return {
        name: tuple(each for each in needs[name] if reduced.has_edge(each, name)) for name in needs
    }


def find_critical_path(needs: Needs, seconds: Mapping[str, float]) -> tuple[list[str], float]:
    """Return the longest chain by duration, and its seconds; a node without one counts as zero."""
    import networkx

    graph = _build(needs)
    for before, after in graph.edges:
        graph.edges[before, after]["weight"] = seconds.get(after, 0.0)
    source = object()
    graph.add_node(source)
    for name in needs:
        graph.add_edge(source, name, weight=seconds.get(name, 0.0))
    path = networkx.dag_longest_path(graph, weight="weight")[1:]
    return path, sum(seconds.get(name, 0.0) for name in path)


def _build(needs: Needs) -> networkx.DiGraph:  # type: ignore[name-defined]  # noqa: F821
    import networkx

    graph = networkx.DiGraph()
    graph.add_nodes_from(needs)
    graph.add_edges_from((before, name) for name, several in needs.items() for before in several)
    return graph
