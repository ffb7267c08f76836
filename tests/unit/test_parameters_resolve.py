"""Parameters: text and values become typed values, or one error with all problems."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gennaker.errors import InvalidInput
from gennaker.model import Parameter
from gennaker.parameters import check_declaration, resolve_parameters


def problems_of(declared: dict[str, Parameter], given: dict[str, Any]) -> list[str]:
    """Return the problems of resolving as they are shown."""
    with pytest.raises(InvalidInput) as caught:
        resolve_parameters(declared, given)
    return [str(each) for each in caught.value.problems]


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("string", "3", "3"),
        ("integer", "3", 3),
        ("integer", "-3", -3),
        ("integer", 3, 3),
        ("integer", 3.0, 3),
        ("number", "1.5", 1.5),
        ("number", "1e3", 1000.0),
        ("number", "2", 2),
        ("boolean", "true", True),
        ("boolean", "false", False),
        ("boolean", True, True),
    ],
)
def test_reads_text_as_declared(kind: Any, given: Any, expected: Any) -> None:
    """Text of a command line is read as the declared type; typed values stay."""
    found = resolve_parameters({"p": Parameter(type=kind)}, {"p": given})["p"]
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("parameter", "given", "expected"),
    [
        (Parameter(type="integer"), "x", "must be an integer, not 'x'"),
        (Parameter(type="integer"), "1.5", "must be an integer, not '1.5'"),
        (Parameter(type="integer"), True, "must be an integer, not true"),
        (
            Parameter(type="integer"),
            2**53 + 1,
            "must be an integer, not the number 9007199254740993",
        ),
        (Parameter(type="number"), "nan", "must be a number, not 'nan'"),
        (Parameter(type="number"), "1e999", "must be a number, not '1e999'"),
        (Parameter(type="number"), float("inf"), "must be a number, not the number inf"),
        (Parameter(type="boolean"), "yes", "must be true or false, not 'yes'"),
        (Parameter(), 5, "must be a string, not the number 5"),
        (Parameter(), None, "must be a string, not null"),
        (Parameter(choices=("eu", "us")), "de", "must be one of 'eu', 'us', not 'de'"),
        (
            Parameter(pattern="[0-9]+"),
            "1a",
            "must match the pattern '[0-9]+' as a whole, not '1a'",
        ),
        (Parameter(type="integer", minimum=2), "1", "must be at least 2, not 1"),
        (Parameter(type="number", maximum=2), "2.5", "must be at most 2, not 2.5"),
    ],
)
def test_refuses(parameter: Parameter, given: Any, expected: str) -> None:
    """A value that is not what was declared is refused with what it must be."""
    assert problems_of({"p": parameter}, {"p": given}) == [f"parameter: parameter 'p' {expected}"]


def test_all_problems_at_once() -> None:
    """Unknown, missing and ill-typed ones are told together."""
    declared = {
        "version": Parameter(required=True),
        "count": Parameter(type="integer"),
        "dry": Parameter(type="boolean", default=False),
    }
    assert problems_of(declared, {"verison": "1", "count": "x"}) == [
        "parameter: there is no parameter 'verison'; did you mean 'version'?",
        "parameter: parameter 'version' is required; add 'version=…'",
        "parameter: parameter 'count' must be an integer, not 'x'",
    ]


def test_what_is_not_given() -> None:
    """What is not given has its default, or is null."""
    declared = {"a": Parameter(default="x"), "b": Parameter(type="integer")}
    assert resolve_parameters(declared, {}) == {"a": "x", "b": None}


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        (Parameter(pattern="("), ("pattern", "'(' is not a pattern: missing ): (")),
        (
            Parameter(pattern="(?=a)"),
            ("pattern", "'(?=a)' is not a pattern: invalid perl operator: (?="),
        ),
        (
            Parameter(type="integer", pattern="a"),
            ("pattern", "'pattern' is for strings, not for type 'integer'"),
        ),
        (Parameter(minimum=1), ("minimum", "'minimum' is for numbers, not for type 'string'")),
        (
            Parameter(type="integer", minimum=2, maximum=1),
            ("minimum", "'minimum' is more than 'maximum'"),
        ),
        (Parameter(default=5), ("default", "'default' must be a string, not the number 5")),
        (Parameter(choices=()), ("choices", "'choices' is empty")),
        (
            Parameter(choices=("a", 1)),
            ("choices", "a choice must be a string, not the number 1"),
        ),
        (
            Parameter(choices=("a", "b"), default="c"),
            ("default", "'default' must be one of 'a', 'b', not 'c'"),
        ),
        (
            Parameter(default="x", required=True),
            ("required", "a parameter with a default cannot be required"),
        ),
    ],
)
def test_declarations(parameter: Parameter, expected: tuple[str, str]) -> None:
    """A declaration that contradicts itself is told, with the field."""
    assert check_declaration(parameter) == [expected]


@given(
    st.sampled_from(["string", "integer", "number", "boolean"]),
    st.text(max_size=30) | st.integers() | st.floats() | st.booleans() | st.none(),
)
def test_any_value(kind: Any, value: Any) -> None:
    """Whatever is given, the result has the declared type, or it is refused."""
    kinds = {"string": str, "integer": int, "number": (int, float), "boolean": bool}
    try:
        found = resolve_parameters({"p": Parameter(type=kind)}, {"p": value})["p"]
    except InvalidInput as error:
        assert error.code == "parameter"
    else:
        assert isinstance(found, kinds[kind])


def test_a_lone_surrogate_matches_no_pattern() -> None:
    """Text that is no text is told like any other that does not match."""
    declared = {"p": Parameter(type="string", pattern=".*")}
    assert len(problems_of(declared, {"p": "\udcff"})) == 1
