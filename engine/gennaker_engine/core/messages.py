"""What the outside tells the core. A message is not stored: the events it leads to are.

The runtime, the CLI and ``simulate`` make them and give them to ``Run.handle``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, Literal

from gennaker.records import dataclass

__all__ = [
    "Adopt",
    "Cancel",
    "ClockMoved",
    "Decide",
    "EnvironmentFacts",
    "GrantGroup",
    "GrantLock",
    "GuardChanged",
    "Message",
    "Park",
    "RecordBefore",
    "RefuseLock",
    "ReportErrored",
    "ReportFailed",
    "ReportStep",
    "ReportStopped",
    "ReportSucceeded",
    "ReportWaiting",
    "SubjectPlanned",
    "Tick",
    "WithdrawReuse",
    "World",
]

Json = Any


@dataclass(frozen=True, slots=True)
class EnvironmentFacts:
    """An environment's settings as read now; ``secrets`` are ``{name: (provider, setting)}``."""

    name: str
    target: str | None = None
    settings: Mapping[str, Json] = field(default_factory=dict)
    variables: Mapping[str, Json] = field(default_factory=dict)
    secrets: Mapping[str, tuple[str, Json]] = field(default_factory=dict)
    url: str | None = None
    namespace: str | None = None
    approval: Mapping[str, Json] | None = None
    """``{approvers: [...], required: N, self: bool, expires: seconds|None}``"""


@dataclass(frozen=True, slots=True)
class World:
    """What the core may know of the outside while it handles one message; pure to use."""

    environments: Mapping[str, EnvironmentFacts] = field(default_factory=dict)
    secrets: Mapping[str, tuple[str, Json]] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    find_effect: Callable[[str, Mapping[str, Json], bool], str] = lambda _uses, _inputs, _env: (
        "none"
    )
    """Stage type, resolved inputs, has an environment -> ``none|build|deploy``."""
    declare_outputs: Callable[[str, Mapping[str, Json]], tuple[str, ...]] = lambda _uses, _with: ()
    """Stage type, ``with`` as written -> names of its outputs (for matrix output lists)."""

    planning: bool = False
    """Nothing runs: an input that asks more of a token than it can give is that token."""


class Message:
    """Base of everything ``Run.handle`` takes."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Adopt(Message):
    """A process drives the run from now on; ``died``: the last one ended without parking."""

    owner: str
    actor: str
    died: bool = False


@dataclass(frozen=True, slots=True)
class Park(Message):
    """The process lets go of the run (SIGTERM, second Ctrl-C, ``--detach-on-wait``)."""

    reason: str


@dataclass(frozen=True, slots=True)
class ClockMoved(Message):
    """The calendar was set while the run was driven: ``now`` is ``by`` seconds ahead of before."""

    by: float


@dataclass(frozen=True, slots=True)
class WithdrawReuse(Message):
    """Before a retry starts: these stages cannot be reused any more, each for its reason."""

    stages: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class GrantGroup(Message):
    """The concurrency group has room for the run."""


@dataclass(frozen=True, slots=True)
class GrantLock(Message):
    """The environment's lock is the run's."""

    environment: str


@dataclass(frozen=True, slots=True)
class RefuseLock(Message):
    """Waiting for the lock would never end; ``other`` is the run it would wait for in a circle."""

    environment: str
    other: str
    other_environment: str


@dataclass(frozen=True, slots=True)
class ReportSucceeded(Message):
    """A delivery returned ``Succeeded``; outputs are valid JSON within the limits."""

    instance: str
    attempt: int
    delivery: int
    outputs: Mapping[str, Json]
    read: tuple[str, ...] | None = None
    """What it read of the source (``AttemptEnded.read``)."""


@dataclass(frozen=True, slots=True)
class ReportFailed(Message):
    """A delivery returned ``Failed``."""

    instance: str
    attempt: int
    delivery: int
    reason: str
    code: str = "failed"


@dataclass(frozen=True, slots=True)
class ReportErrored(Message):
    """A delivery raised; ``permanent`` is never retried, ``delay`` (seconds) sets the back-off."""

    instance: str
    attempt: int
    delivery: int
    reason: str
    code: str = "error"
    permanent: bool = False
    delay: float | None = None


@dataclass(frozen=True, slots=True)
class ReportStopped(Message):
    """A delivery that was told to stop has ended (or was abandoned)."""

    instance: str
    attempt: int
    delivery: int


@dataclass(frozen=True, slots=True)
class ReportWaiting(Message):
    """A delivery returned ``Waiting``; ``on`` is ``{kind: decision|timer|poll, …}``."""

    instance: str
    attempt: int
    delivery: int
    on: Mapping[str, Json]
    deadline: float | None = None
    state: Json = None


@dataclass(frozen=True, slots=True)
class ReportStep(Message):
    """A ``ctx.step`` succeeded."""

    instance: str
    attempt: int
    delivery: int
    name: str
    result: Json = None


@dataclass(frozen=True, slots=True)
class RecordBefore(Message):
    """A delivery keeps what it is going to change."""

    instance: str
    attempt: int
    delivery: int
    artifact: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class GuardChanged(Message):
    """Something outside came to exist, or is gone."""

    instance: str
    attempt: int
    delivery: int
    kind: str
    name: str
    entered: bool


@dataclass(frozen=True, slots=True)
class SubjectPlanned(Message):
    """The plans that a gate's approvers are shown."""

    gate: str
    plans: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Decide(Message):
    """A person decides on the open gate of ``stage`` (the approval, or a stage of a gate's subject)."""

    stage: str
    decision: Literal["approve", "reject"]
    actor: str
    origin: str = ""
    comment: str | None = None
    inputs: Mapping[str, Json] = field(default_factory=dict)
    digest: str | None = None
    """What the person was shown, when that is known; another subject now is refused."""


@dataclass(frozen=True, slots=True)
class Cancel(Message):
    """Stop the run; a second time stops ``finally`` too."""

    actor: str | None
    reason: Literal["cancel", "interrupt", "superseded"] = "cancel"


@dataclass(frozen=True, slots=True)
class Tick(Message):
    """Time has passed: whatever is due at ``now`` happens."""
