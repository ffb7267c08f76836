"""Strings with ``${{ }}``: what they give, where errors point, and what stays as written."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gennaker.errors import ExpressionError
from gennaker.expressions import Scope, compile_expression, compile_template, literal_text
from gennaker.expressions import reference_text as spell

SCOPE = Scope({"params": {"v": "1.4", "n": 3, "r": 1e21, "b": True, "none": None, "l": [1]}})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("plain }} text", "plain }} text"),
        ("${{ params.n }}", 3),
        ("${{params.l}}", [1]),
        ("${{ params.none }}", None),
        (" ${{ params.n }}", " 3"),
        ("v${{ params.v }}-${{ params.n }}", "v1.4-3"),
        ("${{ params.b }}${{ params.r }}", "true1e+21"),
        ("${{ 1.0 }}/${{ 0.5 }}", "1/0.5"),
        ("${{ {'a': {'b': '}}'}}.a.b }}!", "}}!"),
        ("${{ '${{ params.v }}' }}", "${{ params.v }}"),
        ("$${{ params.v }}", "${{ params.v }}"),
        ("a $${{ b }} ${{ params.v }}", "a ${{ b }} 1.4"),
        ("cost $5 ${ x }", "cost $5 ${ x }"),
        ("${{\n  params.v\n}}", "1.4"),
        ("${{ duration('90m') }} long", "1h30m long"),
    ],
)
def test_a_template_gives(text: str, expected: Any) -> None:
    """The whole-string form keeps its type; everything else is text."""
    found = compile_template(text).evaluate(SCOPE)

    assert expected == found
    assert type(expected) is type(found)


def test_a_result_is_never_evaluated_again() -> None:
    """A value that looks like an expression stays text."""
    scope = Scope({"params": {"title": "${{ secrets.password }}"}})

    assert compile_template("x ${{ params.title }}").evaluate(scope) == "x ${{ secrets.password }}"


@pytest.mark.parametrize(
    ("text", "offset", "expected"),
    [
        (
            "tag: ${{ params.v",
            5,
            "expression-syntax: '${{' is never closed;"
            " close it with '}}', or write '$${{' for the text",
        ),
        ("x ${{ }}", 6, "expression-syntax: the expression is empty"),
        ("x ${{ 1 + }}", 9, "expression-syntax: the expression ends too early"),
        (
            "x ${{ nope() }}",
            6,
            "unknown-function: unknown function 'nope';"
            " the functions are listed in the specification of expressions",
        ),
    ],
)
def test_a_wrong_template_points_into_its_text(text: str, offset: int, expected: str) -> None:
    """Offsets are those of the whole string."""
    with pytest.raises(ExpressionError) as raised:
        compile_template(text)

    assert expected == str(raised.value)
    assert offset == raised.value.offset


@pytest.mark.parametrize(
    ("text", "offset", "expected"),
    [
        (
            "a ${{ params.none }}",
            6,
            "expression-type: 'params.none' is null, which has no place inside a text;"
            " give it a value with default(x, d)",
        ),
        (
            "a ${{ params.l }}",
            6,
            "expression-type: 'params.l' is list, which has no place inside a text;"
            " use .join(', '), or to_json() for all of it",
        ),
        (
            "a ${{ params.v }} ${{ params.x }}",
            29,
            "missing-key: there is no 'x'; known: 'b', 'l', 'n', 'none', 'r', 'v'",
        ),
    ],
)
def test_a_template_that_fails_points_into_its_text(text: str, offset: int, expected: str) -> None:
    """Offsets are those of the whole string."""
    with pytest.raises(ExpressionError) as raised:
        compile_template(text).evaluate(SCOPE)

    assert expected == str(raised.value)
    assert offset == raised.value.offset


def test_a_template_knows_its_parts() -> None:
    """References and expressions have offsets into the text."""
    text = "v${{ params.v }} ${{ stages.a.outputs.b }}"
    template = compile_template(text)

    assert [text[each.offset : each.end] for each in template.references] == [
        "params.v",
        "stages.a.outputs.b",
    ]
    assert [each.offset for each in template.expressions] == [5, 21]
    assert (template.is_literal, template.is_whole) == (False, False)
    assert compile_template("$${{ x }}").is_literal
    assert compile_template("${{ params.v }}").is_whole


def test_references_are_rewritten_in_place() -> None:
    """Only the constant part of what is asked for moves."""
    template = compile_template("${{ stages.a.outputs.b }} ${{ params.v + stages.a.outcome }}")
    found = template.rewrite_references(
        lambda each: spell("stages", "new-a", *each.path[1:]) if each.root == "stages" else None
    )

    assert found == "${{ stages['new-a'].outputs.b }} ${{ params.v + stages['new-a'].outcome }}"


@given(st.text())
@settings(max_examples=200)
def test_literal_text_comes_back(text: str) -> None:
    """Any text, spelled as a literal, is a template without expressions that gives it back."""
    template = compile_template(literal_text(text))

    assert template.is_literal
    assert text == template.evaluate(Scope())


@given(st.lists(st.text(min_size=1), min_size=1, max_size=4))
@settings(max_examples=200)
def test_a_spelled_reference_is_read_back(path: list[str]) -> None:
    """Any names, spelled as a reference, compile to the reference with that path."""
    found = compile_expression(spell("params", *path)).reference

    assert found is not None
    assert tuple(path) == found.path
