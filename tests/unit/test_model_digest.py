"""The model: frozen data whose digest says what was written, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gennaker.model import STAGE_KEYS, PipelineDefinition

BASE = {"name": "p", "stages": {"a": {"uses": "x", "with": {"k": 1}}, "b": {"uses": "y"}}}


def define(**changes: Any) -> PipelineDefinition:
    """Return the base pipeline with changes."""
    return PipelineDefinition.model_validate({**BASE, **changes})


def test_stage_keys() -> None:
    """The keys of a stage are those of the specification."""
    assert sorted(STAGE_KEYS) == [
        "environment",
        "if",
        "matrix",
        "name",
        "needs",
        "on_failure",
        "retry",
        "timeout",
        "uses",
        "with",
    ]


@pytest.mark.parametrize(
    "same",
    [
        {"description": "x"},
        {"stages": {"b": {"uses": "y"}, "a": {"uses": "x", "with": {"k": 1}}}},
        {"stages": {"a": {"uses": "x", "with": {"k": 1.0}}, "b": {"uses": "y", "timeout": "60m"}}},
        {"labels": {}, "parameters": {}},
        {
            "stages": {
                "a": {"uses": "x", "with": {"k": 1}, "on_failure": "branch"},
                "b": {"uses": "y", "needs": []},
            }
        },
    ],
)
def test_same_digest(same: dict[str, Any]) -> None:
    """Descriptions, order, short forms and documented defaults make no difference."""
    assert define(**same).digest == define().digest


@pytest.mark.parametrize(
    "other",
    [
        {"title": "x"},
        {"labels": {"a": "b"}},
        {"parameters": {"v": {}}},
        {"timeout": "1h"},
        {"defaults": {"timeout": "1h"}},
        {"stages": {"a": {"uses": "x", "with": {"k": "1"}}, "b": {"uses": "y"}}},
        {"stages": {"a": {"uses": "x", "with": {"k": 1, "l": None}}, "b": {"uses": "y"}}},
        {"stages": {**BASE["stages"], "b": {"uses": "y", "needs": "a"}}},  # type: ignore[dict-item]
        {
            "defaults": {"timeout": "5m"},
            "stages": {**BASE["stages"], "b": {"uses": "y", "timeout": "1h"}},
        },  # type: ignore[dict-item]
    ],
)
def test_other_digest(other: dict[str, Any]) -> None:
    """Everything else that is written makes a difference."""
    assert define(**other).digest != define().digest


def test_a_timeout_beside_a_default_counts() -> None:
    """One hour is no default where ``defaults`` says otherwise."""
    with_default = define(defaults={"timeout": "5m"})
    written = define(
        defaults={"timeout": "5m"},
        stages={"a": {"uses": "x", "with": {"k": 1}}, "b": {"uses": "y", "timeout": "1h"}},
    )
    assert with_default.digest != written.digest
    assert written.timeout_of(written.stages["b"]) == "1h"
    assert with_default.timeout_of(with_default.stages["b"]) == "5m"
    assert define().timeout_of(define().stages["b"]) == "1h"


@pytest.mark.parametrize(
    "wrong",
    [
        {"matrix": {"r": [1], "fail_fast": "yes"}},
        {"matrix": {"r": [1], "max_parallel": "2"}},
        {"matrix": {"r": [1], "max_parallel": 0}},
        {"retry": True},
        {"retry": {"limit": "3"}},
        {"retry": -1},
        {"timeout": 60},
        {"on_failure": "retry"},
        {"if": 5},
        {"extra": 1},
    ],
)
def test_refused(wrong: dict[str, Any]) -> None:
    """Text is no number and no boolean; unknown keys and values are refused."""
    with pytest.raises(ValidationError):
        define(stages={"a": {"uses": "x", **wrong}})


_SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5)
_STAGES = st.fixed_dictionaries(
    {"uses": st.sampled_from(["x", "y.z"])},
    optional={
        "with": st.dictionaries(st.text(max_size=3), st.lists(_SCALARS, max_size=2) | _SCALARS),
        "needs": st.lists(st.sampled_from("abc"), max_size=2) | st.sampled_from("abc"),
        "if": st.booleans() | st.just("always()"),
        "timeout": st.sampled_from(["60m", "1h", "90s"]),
        "retry": st.integers(0, 5) | st.fixed_dictionaries({"limit": st.integers(0, 5)}),
        "on_failure": st.sampled_from(["branch", "stop", "ignore", "undo", {"undo": ["a"]}]),
        "matrix": st.fixed_dictionaries({"r": st.lists(_SCALARS, min_size=1, max_size=2)}),
    },
)


@given(st.dictionaries(st.sampled_from("abc"), _STAGES, min_size=1))
def test_data_round_trip(stages: dict[str, Any]) -> None:
    """What a definition gives as data is the same definition again."""
    first = PipelineDefinition.model_validate({"name": "p", "stages": stages})
    again = PipelineDefinition.model_validate(first.to_data())
    assert again == first
    assert again.digest == first.digest
