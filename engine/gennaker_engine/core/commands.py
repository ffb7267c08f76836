"""What the core asks the runtime to do. Carried out after the events it came with are durable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from gennaker.records import dataclass

__all__ = [
    "CleanUp",
    "Command",
    "Deliver",
    "EnterGroup",
    "LeaveGroup",
    "PlanSubject",
    "ReleaseLock",
    "RequestLock",
    "Stop",
]

Json = Any


class Command:
    """Base of everything the core asks for."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Deliver(Command):
    """Call the stage's ``run``.

    ``inputs`` are as ``gennaker.expressions.to_json`` writes them: secrets stand as
    ``{"$secret": […]}``, data that looks like it is escaped. ``event`` is what ended a wait:
    ``{"decisions": […], "inputs": {…}}``, ``{"timer": AT}``, or None.
    """

    instance: str
    stage: str
    uses: str
    attempt: int
    delivery: int
    inputs: Mapping[str, Json]
    environment: Mapping[str, Json] | None
    remaining: float
    """Seconds of working time left to the attempt."""
    resumed: Json = None
    event: Json = None
    steps: Mapping[str, Json] = field(default_factory=dict)
    before: Mapping[str, Json] | None = None
    """What the instance recorded, in an earlier delivery or attempt, of what was there before."""
    undoes: Mapping[str, Json] | None = None
    """The artifact to put back: ``undo`` is called instead of ``run``."""
    leftovers: tuple[tuple[str, str], ...] = ()
    """Guards (kind, name) a dead owner left behind, ended before ``run`` is called."""
    shown: Json = None
    """What the plan that its approvers saw was made from."""


@dataclass(frozen=True, slots=True)
class Stop(Command):
    """Tell a delivery to stop; it is answered by a report (late ones are refused)."""

    instance: str
    attempt: int
    delivery: int


@dataclass(frozen=True, slots=True)
class CleanUp(Command):
    """End what a dead owner left behind of an attempt that is not delivered again."""

    instance: str
    uses: str
    leftovers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class RequestLock(Command):
    """Ask for an environment's lock, in the transaction of the event that asks."""

    environment: str
    instance: str


@dataclass(frozen=True, slots=True)
class ReleaseLock(Command):
    """Give it back (also a place in its queue), in the same transaction."""

    environment: str


@dataclass(frozen=True, slots=True)
class EnterGroup(Command):
    """Ask for a place in the concurrency group, in the same transaction."""

    group: str
    limit: int
    policy: str


@dataclass(frozen=True, slots=True)
class LeaveGroup(Command):
    """Give the place (or the place in the queue) back."""

    group: str


@dataclass(frozen=True, slots=True)
class PlanSubject(Command):
    """Plan each stage of an open gate's subject, for the approvers to see."""

    gate: str
