"""The dialogue in which a person decides an approval, line by line."""

from __future__ import annotations

from typing import Any

import pytest

from gennaker_engine.cli.prompt import Answer, ApprovalPrompt
from gennaker_engine.cli.render.progress import Gate
from gennaker_engine.core.events import ApprovalRequested


def make_gate(**settings: Any) -> Gate:
    """An open gate that covers one deploy, with its plan."""
    values: dict[str, Any] = {
        "at": 0.0,
        "gate": "go_live/1",
        "stage": "go_live",
        "message": "Ship it?",
        "deadline": 86400.0,
        "subject": (
            {
                "id": "production",
                "uses": "kubernetes.deploy",
                "inputs": {"bundle": "x"},
                "environment": {"name": "production", "target": "kubernetes"},
            },
        ),
        "digest": "sha256:" + "b" * 64,
    }
    plans = {"production": {"changes": [{"action": "create", "what": "Deployment/shop"}]}}
    return Gate(ApprovalRequested(**(values | settings)), plans=plans)


def test_the_subject_and_its_plan_are_shown_before_the_question() -> None:
    """Who decides sees what is covered, where, with what, and what would change."""
    assert ApprovalPrompt(make_gate()).begin().splitlines() == [
        "",
        "go_live asks for your approval",
        "Ship it?",
        "it expires at 1970-01-02T00:00:00Z",
        "it covers:",
        "  production  kubernetes.deploy in production (kubernetes)",
        '      bundle: "x"',
        "      create Deployment/shop",
        "subject sha256:" + "b" * 64,
        "Approve? [y]es, [n]o, [l]ater: ",
    ]


def test_yes_asks_for_inputs_then_a_comment() -> None:
    """Each declared input is asked for with its type; an empty answer leaves the default."""
    declared = {"count": {"type": "integer", "required": True}, "note": {"default": "none"}}
    prompt = ApprovalPrompt(make_gate(inputs=declared))
    assert prompt.feed("y\n") == "count (integer): "
    assert prompt.feed("\n") == "'count' is required\ncount (integer): "
    assert prompt.feed("3\n") == 'note (string; default "none"): '
    assert prompt.feed("\n") == "Comment (may be empty): "
    assert prompt.feed("fine\n") == ""
    assert prompt.answer == Answer("approve", "fine", {"count": "3"})


def test_no_asks_for_a_comment_only() -> None:
    """A rejection needs no inputs."""
    prompt = ApprovalPrompt(make_gate(inputs={"count": {"required": True}}))
    assert prompt.feed("NO\n") == "Comment (may be empty): "
    prompt.feed("\n")
    assert prompt.answer == Answer("reject", None, {})


@pytest.mark.parametrize("line", ["l\n", "later\n", None])
def test_a_question_may_be_left_open(line: str | None) -> None:
    """Later, and the end of the input, decide nothing."""
    prompt = ApprovalPrompt(make_gate())
    assert prompt.feed(line).strip() == "left open"
    assert (prompt.done, prompt.answer) == (True, None)


def test_anything_else_asks_again() -> None:
    """No word is taken for a decision by accident."""
    prompt = ApprovalPrompt(make_gate())
    assert prompt.feed("\n") == "Approve? [y]es, [n]o, [l]ater: "
    assert (prompt.done, prompt.answer) == (False, None)
