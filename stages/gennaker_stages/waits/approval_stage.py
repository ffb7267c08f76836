"""``approval``: wait for people to decide. Rejections and expiry never come here: the core has them."""

from __future__ import annotations

import re
import time
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from gennaker.durations import parse_duration
from gennaker.model import Duration, Parameter
from gennaker.stage import (
    Change,
    Context,
    Decision,
    Outcome,
    Plan,
    PlanContext,
    Stage,
    StageInputs,
    StageOutputs,
    Succeeded,
    Waiting,
)

__all__ = ["Approval"]

_RULE = re.compile(r"(user|group|local):\S+")


def _check_rules(rules: tuple[str, ...]) -> tuple[str, ...]:
    for rule in rules:
        if not _RULE.fullmatch(rule):
            raise ValueError(f"{rule!r} is not a rule: write user:NAME, group:NAME or local:NAME")
    return rules


class Approval(Stage):
    """Ask people before going on; what they decide on is every stage downstream.

    The outputs are the decisions and what the last approver entered.
    """

    name = "approval"

    class Inputs(StageInputs):
        message: str = Field(default="", description="What approvers are asked.")
        approvers: Annotated[
            tuple[str, ...],
            AfterValidator(_check_rules),
            Field(
                description="Who may decide: user:NAME, group:NAME, local:NAME; empty is anyone."
            ),
        ] = ()
        required: int = Field(default=1, ge=1, le=100, description="How many must approve.")
        self_: bool = Field(
            default=True,
            alias="self",
            description="Whether who started or retried the run may decide.",
        )
        expires: Duration | None = Field(
            default=None, description="When it counts as rejected; never unless said."
        )
        inputs: dict[str, Parameter] = Field(
            default_factory=dict,
            description="What approvers enter, declared as parameters are.",
        )

    class Outputs(StageOutputs):
        decisions: list[dict[str, Any]] = Field(
            description="Who decided what, when and with which comment"
        )
        inputs: dict[str, Any] = Field(description="What the last approver entered")

    def plan(self, inputs: Inputs, ctx: PlanContext) -> Plan:
        """Say who is asked."""
        who = " or ".join(inputs.approvers) or "anyone"
        count = "an approval" if inputs.required == 1 else f"{inputs.required} approvals"
        return Plan([Change("run", f"wait for {count} by {who}", detail=inputs.message)])

    def run(self, inputs: Inputs, ctx: Context) -> Outcome:
        """Wait, and give on what was decided."""
        if isinstance(ctx.event, dict) and "decisions" in ctx.event:
            return Succeeded(
                {"decisions": ctx.event["decisions"], "inputs": ctx.event.get("inputs") or {}}
            )
        expires = None if inputs.expires is None else parse_duration(inputs.expires)
        return Waiting(
            Decision(
                message=inputs.message,
                approvers=inputs.approvers,
                required=inputs.required,
                self_allowed=inputs.self_,
                inputs={name: each.to_data() for name, each in inputs.inputs.items()},
            ),
            deadline=None if expires is None else time.time() + expires,
        )
