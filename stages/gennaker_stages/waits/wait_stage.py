"""``wait``: go on after a duration or at a moment. No thread waits, so it may be days."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from gennaker.durations import parse_duration
from gennaker.model import Duration
from gennaker.stage import (
    Change,
    Context,
    Outcome,
    Plan,
    PlanContext,
    Stage,
    StageInputs,
    Succeeded,
    Timer,
    Waiting,
)

__all__ = ["Wait"]


def _check_moment(text: str) -> str:
    _read_moment(text)
    return text


def _read_moment(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 timestamp."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or "T" not in text.upper():
        raise ValueError(f"{text!r} is not a timestamp with an offset, like '2030-01-31T08:00:00Z'")
    return moment.timestamp()


class Wait(Stage):
    """Wait for a duration, or until a moment."""

    name = "wait"

    class Inputs(StageInputs):
        for_: Duration | None = Field(
            default=None, alias="for", description="How long, from when the stage starts."
        )
        until: Annotated[str, AfterValidator(_check_moment)] | None = Field(
            default=None, description="Until when, like 2030-01-31T08:00:00Z; the past is no wait."
        )

        @model_validator(mode="after")
        def _want_one(self) -> Wait.Inputs:
            if (self.for_ is None) == (self.until is None):
                raise ValueError("needs one of 'for' and 'until'")
            return self

    def list_sources(self, inputs: Inputs) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def plan(self, inputs: Inputs, ctx: PlanContext) -> Plan:
        """Say how long."""
        what = f"wait until {inputs.until}" if inputs.until else f"wait for {inputs.for_}"
        return Plan([Change("run", what)])

    def run(self, inputs: Inputs, ctx: Context) -> Outcome:
        """Wait once, then go on."""
        if isinstance(ctx.event, dict) and "timer" in ctx.event:
            return Succeeded()
        now = time.time()
        at = (
            _read_moment(inputs.until)
            if inputs.until
            else now + parse_duration(inputs.for_ or "0s")
        )
        return Succeeded() if at <= now else Waiting(Timer(at))
