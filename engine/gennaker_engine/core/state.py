"""What a run is made of while it is handled: plain mutable rows, changed by ``evolve`` alone.

Everything here follows from the events, so a replayed run has equal rows. What is only remembered
to be quick (the agenda, caches) is marked so and takes no part in equality.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gennaker_engine.core.blueprint import Blueprint, StagePlan
from gennaker_engine.core.events import RunCreated
from gennaker_engine.core.timers import Timers

__all__ = ["Gate", "Instance", "Lock", "RunState", "StageState"]

Json = Any


@dataclass(slots=True)
class Instance:
    """One row of a stage: the stage itself, or one combination of its matrix."""

    id: str
    stage: str
    number: int = 0
    matrix: Mapping[str, Json] | None = None
    state: str = "pending"
    inputs: Mapping[str, Json] | None = None
    environment: Mapping[str, Json] | None = None
    effect: str = "none"
    attempt: int = 0
    delivery: int = 0
    deaths: int = 0
    """Deliveries of this attempt whose owner died."""
    worked: float = 0.0
    """Seconds of working time of this attempt until ``working_since``."""
    working_since: float | None = None
    waiting: Mapping[str, Json] | None = None
    """What the attempt waits for, ``{kind, …}``."""
    waiting_since: float | None = None
    deadline: float | None = None
    resumed: Json = None
    event: Json = None
    gate: str | None = None
    """The open gate it waits for."""
    asked: str | None = None
    """The gate its own wait for a decision opened."""
    wait: str | None = None
    """What it waits for, in the words of ``status``: decision, lock, timer or poll."""
    before: Mapping[str, Json] | None = None
    """The artifact of what was there before it changed anything."""
    undoes: Mapping[str, Json] | None = None
    """The artifact it puts back, when that is what it does."""
    steps: dict[str, Json] = field(default_factory=dict)
    guards: dict[tuple[str, str], int] = field(default_factory=dict)
    """Things outside that exist for it, with the attempt they belong to."""
    stopping: tuple[str, str | None, str | None] | None = None
    """Outcome, code and reason it will have once it has stopped."""
    outcome: str | None = None
    code: str | None = None
    reason: str | None = None
    cause: str | None = None
    detail: Mapping[str, Json] = field(default_factory=dict)
    outputs: Mapping[str, Json] | None = None
    read: tuple[str, ...] | None = None
    """What it read of the source, as far as that is known."""
    started_at: float | None = None
    ended_at: float | None = None


@dataclass(slots=True)
class StageState:
    """A stage of the definition in this run."""

    plan: StagePlan = field(compare=False, repr=False)
    pending: int = 0
    """How many of its needs have not ended."""
    state: str = "pending"
    """``pending``, ``active`` (it has instances) or ``ended``"""
    expanded: bool = False
    reused: Mapping[str, Json] | None = None
    instances: list[Instance] = field(default_factory=list)
    next_instance: int = 0
    """The first one that was not looked at yet (``max_parallel`` holds the others back)."""
    busy: int = 0
    """Instances that were resolved and have not ended."""
    done: int = 0
    outcome: str | None = None
    cause: str | None = None
    detail: Mapping[str, Json] = field(default_factory=dict)
    code: str | None = None
    reason: str | None = None
    ignored: bool = False
    failed_above: bool = False
    """It or something before it failed or errored and is not ignored."""
    aborted_above: bool = False
    outputs: Mapping[str, Json] | None = None
    ended_at: float | None = None

    @property
    def failing(self) -> bool:
        """Whether an instance failed whose matrix then goes no further (``fail_fast``)."""
        matrix = self.plan.matrix
        return (
            matrix is not None
            and matrix.fail_fast
            and self.plan.on_failure != "ignore"
            and any(each.outcome in ("failed", "errored") for each in self.instances)
        )

    def list_changed(self) -> list[Instance]:
        """Return the instances that recorded what was there before they changed it."""
        return [each for each in self.instances if each.before is not None]

    @property
    def succeeded(self) -> bool:
        """Whether a stage after it may go on (what ``success()`` asks of a direct need)."""
        return (
            self.outcome == "succeeded"
            or self.ignored
            or (self.outcome == "skipped" and self.cause in ("condition", "empty-matrix"))
        )


@dataclass(slots=True)
class Gate:
    """A question to people about a subject."""

    id: str
    family: str
    """The instance that asks, or ``@ENVIRONMENT``; a gate that asks again is of the same family."""
    stage: str | None
    environment: str | None
    message: str
    approvers: tuple[str, ...]
    required: int
    self_allowed: bool
    inputs: Mapping[str, Json]
    deadline: float | None
    subject: tuple[Mapping[str, Json], ...]
    digest: str
    moved: tuple[str, ...]
    opened_at: float
    state: str = "open"
    decisions: list[dict[str, Json]] = field(default_factory=list)
    plans: Mapping[str, Json] | None = None
    waiters: dict[str, None] = field(default_factory=dict)
    closed_at: float | None = None


@dataclass(slots=True)
class Lock:
    """The run's side of an environment's lock."""

    state: str
    instance: str
    since: float
    entered: bool = False
    """Whether something of the environment started while it was held."""


@dataclass(slots=True)
class RunState:
    """Everything known of a run."""

    created: RunCreated
    blueprint: Blueprint = field(compare=False, repr=False)
    version: int = 0
    phase: str = "new"
    driven: bool = False
    owner: str | None = None
    last_driven_at: float = 0.0
    undriven_since: float | None = None
    queued_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    outcome: str | None = None
    worst: int = 0
    timed_out: bool = False
    nothing_to_do: bool = False
    stopped_by: str | None = None
    aborted: str | None = None
    """Why the run is being aborted; not set by ``stop``."""
    cancels: int = 0
    final_aborted: bool = False
    stages: dict[str, StageState] = field(default_factory=dict)
    instances: dict[str, Instance] = field(default_factory=dict)
    active: dict[str, None] = field(default_factory=dict)
    """Instances that were resolved and have not ended, in that order."""
    open_main: int = 0
    open_final: int = 0
    ran: int = 0
    """Stages that ended in another way than skipped."""
    bad: int = 0
    """Stages outside ``finally`` that are no success for those after them."""
    failed: int = 0
    aborted_stages: int = 0
    gates: dict[str, Gate] = field(default_factory=dict)
    open_gates: dict[str, None] = field(default_factory=dict)
    gate_numbers: dict[str, int] = field(default_factory=dict)
    covers: dict[str, dict[str, str]] = field(default_factory=dict)
    """Instance id to the last gate of each family that showed it."""
    locks: dict[str, Lock] = field(default_factory=dict)
    lock_waiters: dict[str, dict[str, None]] = field(default_factory=dict)
    entered: dict[str, None] = field(default_factory=dict)
    open_environments: dict[str, int] = field(default_factory=dict)
    """Environment as written to the stages of the current section that may still enter it."""
    deploys: int = 0
    working: int = 0
    """Instances with a delivery."""
    waits: dict[str, int] = field(default_factory=dict)
    """What instances wait for, counted by kind."""
    timers: Timers = field(default_factory=Timers)
    agenda: deque[tuple[str, str]] = field(default_factory=deque, compare=False, repr=False)
    """What may go on now; a hint for ``handle``, empty between messages."""
    caches: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    def stage_of(self, instance: Instance) -> StageState:
        """The stage an instance belongs to."""
        return self.stages[instance.stage]

    def find_shown(self, name: str) -> Json:
        """What the plan of an instance was made from, that of the last gate whose people approved it."""
        if name not in self.covers:
            return None
        gates = (self.gates[each] for each in self.covers[name].values())
        approved = [each for each in gates if each.state == "approved"]
        for gate in sorted(approved, key=lambda each: each.opened_at, reverse=True):
            plan = (gate.plans or {}).get(name) or {}
            if "observed" in plan:
                return plan["observed"]
        return None
