"""Drawing a DAG: rails of text, Mermaid, DOT, SVG, JSON."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gennaker.drawing import Node, draw_nodes
from gennaker.graph import find_critical_path, find_cycle, find_layers, reduce_edges, sort_stages
from gennaker.picture import BOX_HEIGHT

SHOP = [
    Node("image", "docker.build"),
    Node("staging", "kubernetes.deploy", ("image",), "staging", state="succeeded"),
    Node("verify", "shell", ("staging", "image"), state="failed"),
    Node("render", "helm.template", ("image",)),
    Node("go_live", "approval", ("verify", "render"), state="skipped"),
    Node("bye", "shell", final=True),
]


@st.composite
def graphs(draw: st.DrawFn) -> list[Node]:
    count = draw(st.integers(1, 9))
    nodes = []
    for index in range(count):
        needs = draw(st.lists(st.integers(0, index - 1), unique=True)) if index else []
        nodes.append(Node(f"s{index}", "shell", tuple(f"s{each}" for each in needs)))
    return nodes


def test_rails_lead_from_a_stage_to_what_needs_it() -> None:
    """The text has a row a stage; a stage without needs has an open circle."""
    assert draw_nodes(SHOP, "text") == (
        "○    image    docker.build\n"
        "├─●  staging  kubernetes.deploy in staging  succeeded\n"
        "│ ●  verify   shell  failed\n"
        "● │  render   helm.template\n"
        "●─╯  go_live  approval  skipped\n"
        "○    bye      shell  finally"
    )


def test_mermaid_names_states_by_classes() -> None:
    """Edges that follow from others are left out, states are classes."""
    text = draw_nodes(SHOP, "mermaid")
    assert "  s1 --> s2" in text
    assert "  s0 --> s2" not in text
    assert "  class s2 failed" in text
    assert '  s5(["bye<br/><small>shell</small>"])' in text


def test_dot_and_json_have_every_edge_of_the_reduction() -> None:
    """The two forms for programs agree."""
    data = json.loads(draw_nodes(SHOP, "json"))
    edges = {(each["from"], each["to"]) for each in data["edges"]}
    assert edges == {
        ("image", "staging"),
        ("staging", "verify"),
        ("image", "render"),
        ("verify", "go_live"),
        ("render", "go_live"),
    }
    assert {
        tuple(each) for each in re.findall(r'"(\w+)" -> "(\w+)"', draw_nodes(SHOP, "dot"))
    } == edges


@given(nodes=graphs())
def test_no_edge_of_the_picture_runs_behind_a_box(nodes: list[Node]) -> None:
    """The straight part of an edge that passes a layer is on a level where no box is."""
    tree = ElementTree.fromstring(draw_nodes(nodes, "svg"))
    space = "{http://www.w3.org/2000/svg}"
    boxes = [
        (int(each.attrib["x"]), int(each.attrib["y"]))
        for each in tree.findall(f"{space}g/{space}rect")
    ]
    assert len(boxes) == len(nodes)
    for path in tree.findall(f"{space}path"):
        for left, level in re.findall(r"(\d+) (\d+) H", path.attrib["d"]):
            for x, y in boxes:
                assert not (x == int(left) and y <= int(level) <= y + BOX_HEIGHT)


def test_names_are_escaped_in_the_picture() -> None:
    """What a plugin calls itself is text, never markup."""
    text = draw_nodes([Node("a", "<script>&")], "svg")
    assert "<script>" not in text
    ElementTree.fromstring(text)


@pytest.mark.parametrize(
    ("needs", "cycle"),
    [
        ({"a": ["b"], "b": ["a"]}, True),
        ({"a": [], "b": ["a"]}, False),
        ({"a": ["a"]}, True),
    ],
)
def test_a_cycle_is_told_whole(needs: dict[str, list[str]], cycle: bool) -> None:
    """The first node of a cycle is repeated at its end."""
    found = find_cycle(needs)
    assert (found is not None) == cycle
    if found is not None:
        assert found[0] == found[-1]


@given(nodes=graphs())
def test_orders_layers_and_reduction_agree(nodes: list[Node]) -> None:
    """A node follows all it needs; the reduction reaches what the whole reaches."""
    needs = {node.id: node.needs for node in nodes}
    order = sort_stages(needs)
    depth = {name: index for index, layer in enumerate(find_layers(needs)) for name in layer}
    for name, several in needs.items():
        assert all(order.index(each) < order.index(name) for each in several)
        assert all(depth[each] < depth[name] for each in several)
    assert find_layers(reduce_edges(needs)) == find_layers(needs)


def test_the_critical_path_is_the_longest_by_time() -> None:
    """Durations decide, not the number of stages."""
    needs = {"a": (), "b": ("a",), "c": ("b",), "slow": ("a",)}
    assert find_critical_path(needs, {"a": 1, "b": 1, "c": 1, "slow": 5}) == (["a", "slow"], 6)
