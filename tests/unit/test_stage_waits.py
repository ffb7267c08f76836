"""``approval`` and ``wait``: what they wait for, and what they give when it has come."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gennaker.stage import Decision, Succeeded, Timer, Waiting
from gennaker.testing import FakeContext
from gennaker_stages.waits.approval_stage import Approval
from gennaker_stages.waits.wait_stage import Wait


def approve(context: FakeContext, **inputs: Any) -> Any:
    """Run an approval."""
    return Approval().run(Approval.Inputs.model_validate(inputs), context)


def wait(context: FakeContext, **inputs: Any) -> Any:
    """Run a wait."""
    return Wait().run(Wait.Inputs.model_validate(inputs), context)


@pytest.fixture
def context(tmp_path: Path) -> FakeContext:
    """A first call."""
    return FakeContext(tmp_path)


def test_an_approval_waits_for_who_was_said(context: FakeContext) -> None:
    """All of its keys are in the decision it waits for."""
    waiting = approve(
        context,
        message="Ship it?",
        approvers=["user:ann", "group:release", "local:*"],
        required=2,
        self=False,
        expires="24h",
        inputs={"ticket": {"required": True, "pattern": "OPS-[0-9]+"}},
    )
    assert waiting.on == Decision(
        message="Ship it?",
        approvers=("user:ann", "group:release", "local:*"),
        required=2,
        self_allowed=False,
        inputs={"ticket": {"required": True, "pattern": "OPS-[0-9]+"}},
    )
    assert abs(waiting.deadline - time.time() - 86_400) < 5


def test_an_approval_has_no_deadline_of_its_own(context: FakeContext) -> None:
    """Anyone may decide, whenever they like."""
    assert approve(context) == Waiting(Decision())


def test_an_approval_gives_what_was_decided(context: FakeContext) -> None:
    """The decisions, and what the last approver entered."""
    event = {"decisions": [{"actor": "local:ann"}], "inputs": {"ticket": "OPS-1"}}
    resumed = context.resume(approve(context), event)
    assert approve(resumed) == Succeeded(event)


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"approvers": ["ann"]}, "'ann' is not a rule: write user:NAME, group:NAME or local:NAME"),
        ({"required": 0}, "greater than or equal to 1"),
        ({"expires": 60}, "60 has no unit; write a duration as '60s'"),
        ({"inputs": {"a": {"type": "text"}}}, "Input should be 'string'"),
        ({"self_": False}, "Extra inputs are not permitted"),
    ],
)
def test_wrong_approvals_are_refused(inputs: dict[str, Any], said: str) -> None:
    """With the form that is right."""
    with pytest.raises(ValidationError) as caught:
        Approval.Inputs.model_validate(inputs)
    assert said in str(caught.value)


def test_an_approval_says_in_a_plan_who_is_asked(context: FakeContext) -> None:
    """How many, and by which rules."""
    inputs = Approval.Inputs(approvers=("group:release", "user:ann"), required=2)
    [change] = Approval().plan(inputs, context).changes
    assert change.what == "wait for 2 approvals by group:release or user:ann"


def test_a_wait_for_a_time_is_a_timer(context: FakeContext) -> None:
    """From now on; nothing is held meanwhile."""
    waiting = wait(context, **{"for": "1h30m"})
    assert isinstance(waiting.on, Timer)
    assert abs(waiting.on.at - time.time() - 5400) < 5


def test_a_wait_until_a_moment_is_a_timer(context: FakeContext) -> None:
    """The offset counts."""
    moment = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    assert wait(context, until=moment.isoformat()) == Waiting(Timer(moment.timestamp()))
    assert wait(context, until="2099-01-01T02:00:00+02:00") == Waiting(Timer(4070908800))


def test_what_is_past_is_no_wait(context: FakeContext) -> None:
    """The stage succeeds at once."""
    assert wait(context, until="2020-01-31T08:00:00Z") == Succeeded()
    assert wait(context, **{"for": "0s"}) == Succeeded()


def test_a_wait_ends_with_its_timer(context: FakeContext) -> None:
    """It does not begin again."""
    resumed = context.resume(wait(context, **{"for": "1d"}), {"timer": 1.0})
    assert wait(resumed, **{"for": "1d"}) == Succeeded()


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({}, "needs one of 'for' and 'until'"),
        ({"for": "1h", "until": "2030-01-31T08:00:00Z"}, "needs one of 'for' and 'until'"),
        ({"for": 90}, "90 has no unit; write a duration as '90s'"),
        ({"until": "tomorrow"}, "'tomorrow' is not a timestamp with an offset"),
        ({"until": "2030-01-31"}, "'2030-01-31' is not a timestamp with an offset"),
        ({"until": "2030-01-31T08:00:00"}, "is not a timestamp with an offset, like"),
    ],
)
def test_wrong_waits_are_refused(inputs: dict[str, Any], said: str) -> None:
    """With the form that is right."""
    with pytest.raises(ValidationError) as caught:
        Wait.Inputs.model_validate(inputs)
    assert said in str(caught.value)
