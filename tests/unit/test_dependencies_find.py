"""Dependencies: needs and mentions anywhere in a stage."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gennaker.dependencies import find_dependencies
from gennaker.model import PipelineDefinition


def define(stages: dict[str, Any], **rest: Any) -> PipelineDefinition:
    """Return a pipeline of stages."""
    full = {name: {"uses": "x", **stage} for name, stage in stages.items()}
    return PipelineDefinition.model_validate({"name": "p", "stages": full, **rest})


@pytest.mark.parametrize(
    "stage",
    [
        {"needs": "a"},
        {"needs": ["a"]},
        {"if": "stages.a.outcome == 'failed'"},
        {"if": "${{ stages['a'].outcome == 'failed' }}"},
        {"name": "after ${{ stages.a.outputs.x }}"},
        {"with": {"k": ["${{ stages.a.outputs.x }}"]}},
        {"with": {"k": {"l": "x ${{ default(stages.a.outputs.x, 1) }}"}}},
        {"with": {"k": "${{ has(stages.a.outputs.x) }}"}},
        {"matrix": {"r": "${{ stages.a.outputs.list }}"}},
        {"matrix": {"r": [1], "include": [{"r": "${{ stages.a.outputs.x }}"}]}},
    ],
)
def test_every_place(stage: dict[str, Any]) -> None:
    """A stage depends on what it needs and on what it mentions, wherever that is."""
    assert find_dependencies(define({"a": {}, "b": stage})) == {"a": (), "b": ("a",)}


@pytest.mark.parametrize(
    "stage",
    [
        {"with": {"k": "stages.a.outputs.x"}},
        {"with": {"k": "$${{ stages.a.outputs.x }}"}},
        {"with": {"k": "${{ 'stages.a' }}"}},
        {"with": {"k": "${{ stages.a"}},
        {"if": "stages.a ==", "needs": ["unknown"]},
        {"if": True},
    ],
)
def test_no_mention(stage: dict[str, Any]) -> None:
    """Text is no mention; what cannot be compiled and what is no stage is left out."""
    assert find_dependencies(define({"a": {}, "b": stage}))["b"] == ()


def test_order_and_finally() -> None:
    """Ids come in the order written, each once; a stage of ``finally`` may depend on any."""
    found = find_dependencies(
        define(
            {"c": {"needs": ["b", "a"], "if": "stages.a.outcome == 'x'"}, "a": {}, "b": {}},
            **{
                "finally": {
                    "t": {"uses": "x", "needs": "s", "if": "stages.a.outcome == 'x'"},
                    "s": {"uses": "x"},
                }
            },
        )
    )
    assert found == {"c": ("a", "b"), "a": (), "b": (), "t": ("a", "s"), "s": ()}


@given(st.dictionaries(st.sampled_from("abcde"), st.sets(st.sampled_from("abcde")), min_size=1))
def test_needs_are_mentions(graph: dict[str, set[str]]) -> None:
    """The same graph written with needs and with mentions has the same dependencies."""
    needs = {name: {"needs": sorted(each)} for name, each in graph.items()}
    mentions = {
        name: {"with": {"k": [f"${{{{ stages.{other}.outcome }}}}" for other in sorted(each)]}}
        for name, each in graph.items()
    }
    assert find_dependencies(define(needs)) == find_dependencies(define(mentions))
