"""Every fact a journal can hold, as frozen values with a type and a version.

An event is written once and read for ever: a field is never renamed or given another meaning; a
new meaning is a new version. ``at`` is seconds since the epoch. Instances are named ``id`` or, for
a matrix, ``id[0]``; ``stage`` always means the id in the definition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, field, fields
from typing import Any, ClassVar

from gennaker.records import dataclass

__all__ = ["EVENT_TYPES", "Event", "decode_event", "encode_event"]

Json = Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A fact. Subclasses set ``type`` and ``version``."""

    type: ClassVar[str] = ""
    version: ClassVar[int] = 1
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCreated(Event):
    """A run exists: everything it is pinned to."""

    type: ClassVar[str] = "run.created"
    run: str
    pipeline: str
    number: int
    title: str
    actor: str
    definition: Mapping[str, Json]
    digest: str
    functions: Mapping[str, str] = field(default_factory=dict)
    file: str | None = None
    parameters: Mapping[str, Json] = field(default_factory=dict)
    source: Mapping[str, Json] = field(default_factory=dict)
    """``{kind: commit|snapshot|folder, commit, digest, dirty}``"""
    git: Mapping[str, Json] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    """Glob of each ``hash_files`` to its digest."""
    trigger: Mapping[str, Json] = field(default_factory=dict)
    scope: str = ""
    """The state the locks and groups belong to; sandbox runs have their own."""
    sandbox: bool = False
    concurrency: Mapping[str, Json] | None = None
    """``{group, limit, policy}`` with the group's name evaluated."""
    retry_of: str | None = None
    starters: tuple[str, ...] = ()
    """Who started the runs that this one retries, each once; ``actor`` is who retried."""
    reused: Mapping[str, Json] = field(default_factory=dict)
    """Stage id to ``{outcome, outputs, run}`` taken over from the run that is retried."""
    approved: tuple[str, ...] = ()
    """Approvals decided before seeing (``--approve``)."""
    plan: str | None = None
    rollback_of: str | None = None
    """The run whose changes are put back, or whose deploys are made again."""
    preset: Mapping[str, Json] = field(default_factory=dict)
    """Stage id to ``{stage, inputs, environment, effect, before}`` that are given and not evaluated:
    those of ``stage`` of ``rollback_of``. With ``before`` it puts back, without it deploys again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunQueued(Event):
    """The run waits for its concurrency group."""

    type: ClassVar[str] = "run.queued"
    group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Event):
    """The run left the queue (or never was in one); its timeout counts from here."""

    type: ClassVar[str] = "run.started"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReuseWithdrawn(Event):
    """Stages that were to be reused run after all; recorded before anything of the run starts."""

    type: ClassVar[str] = "run.reuse_withdrawn"
    stages: Mapping[str, str]
    """Stage id to the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAdopted(Event):
    """A process drives the run from now on; ``died`` when the one before ended without parking."""

    type: ClassVar[str] = "run.adopted"
    owner: str
    actor: str
    died: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunParked(Event):
    """The process that drove the run let go of it on purpose."""

    type: ClassVar[str] = "run.parked"
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockMoved(Event):
    """The calendar of the process that drives the run was set, ``by`` seconds forward.

    ``at`` and what follows is in the new time. What is measured is shifted, moments are not.
    """

    type: ClassVar[str] = "run.clock_moved"
    by: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AbortRequested(Event):
    """Nothing more starts outside ``finally``; with ``again`` not inside it either."""

    type: ClassVar[str] = "run.abort_requested"
    reason: str
    """``cancel``, ``interrupt``, ``superseded``, ``timeout``, ``finally-timeout`` (its own time is
    over) or ``stop`` (a stage's on_failure)."""
    actor: str | None = None
    stage: str | None = None
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FinallyStarted(Event):
    """All stages outside ``finally`` have ended; its own have until ``deadline``."""

    type: ClassVar[str] = "run.finally_started"
    deadline: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded(Event):
    """The run is over; nothing is recorded after it."""

    type: ClassVar[str] = "run.ended"
    outcome: str
    timed_out: bool = False
    nothing_to_do: bool = False
    """Every stage was skipped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAbandoned(Event):
    """The run's history cannot be read: somebody gave it up, with the places in queues it had."""

    type: ClassVar[str] = "run.abandoned"
    actor: str
    reason: str
    """What is wrong with the history."""
    places: tuple[str, ...] = ()
    """What it held or waited for, ``lock/SCOPE/ENVIRONMENT`` or ``group/SCOPE/GROUP``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageExpanded(Event):
    """A matrix stage became ready and has these instances (their values, in matrix order)."""

    type: ClassVar[str] = "stage.expanded"
    stage: str
    instances: tuple[Mapping[str, Json], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSkipped(Event):
    """An instance (or a whole stage) will not run, for one cause."""

    type: ClassVar[str] = "stage.skipped"
    instance: str
    cause: str
    """``stopped``, ``aborted``, ``upstream``, ``missing-output``, ``condition``, ``empty-matrix``."""
    detail: Mapping[str, Json] = field(default_factory=dict)
    outputs: Mapping[str, Json] | None = None
    """The empty lists of a matrix without instances."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResolved(Event):
    """Inputs and environment settings have values; secrets stand as markers, never as values."""

    type: ClassVar[str] = "stage.resolved"
    instance: str
    inputs: Mapping[str, Json]
    environment: Mapping[str, Json] | None = None
    """``{name, target, settings, variables, url, secrets: {name: [provider, setting]}, approval}``"""
    effect: str = "none"
    before: Mapping[str, Json] | None = None
    """The artifact of what is put back, for a stage that undoes another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockRequested(Event):
    """The run waits for an environment's lock."""

    type: ClassVar[str] = "lock.requested"
    environment: str
    instance: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LockAcquired(Event):
    """The run holds the environment's lock."""

    type: ClassVar[str] = "lock.acquired"
    environment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LockReleased(Event):
    """The run gave the environment's lock back."""

    type: ClassVar[str] = "lock.released"
    environment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRequested(Event):
    """A gate is open: people are asked about ``subject``.

    ``gate`` is ``INSTANCE/ATTEMPT`` of an approval stage or ``@ENVIRONMENT/N`` of an environment.
    """

    type: ClassVar[str] = "approval.requested"
    gate: str
    stage: str | None = None
    environment: str | None = None
    message: str = ""
    approvers: tuple[str, ...] = ()
    required: int = 1
    self_allowed: bool = True
    inputs: Mapping[str, Json] = field(default_factory=dict)
    deadline: float | None = None
    subject: tuple[Mapping[str, Json], ...] = ()
    """``{id, uses, inputs, environment}`` sorted by id; ``environment`` the target as written."""
    digest: str
    moved: tuple[str, ...] = ()
    """What is different from the subject that was decided before, for a gate that asks again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalPlanned(Event):
    """What each stage of the subject would do, as shown to the approvers."""

    type: ClassVar[str] = "approval.planned"
    gate: str
    plans: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalDecided(Event):
    """A named person decided."""

    type: ClassVar[str] = "approval.decided"
    gate: str
    decision: str
    """``approve`` or ``reject``"""
    actor: str
    origin: str = ""
    digest: str
    comment: str | None = None
    inputs: Mapping[str, Json] = field(default_factory=dict)
    unseen: bool = False
    """Decided before seeing (``--approve``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalClosed(Event):
    """The gate is settled: ``approved``, ``rejected``, ``expired`` or ``withdrawn``."""

    type: ClassVar[str] = "approval.closed"
    gate: str
    result: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStarted(Event):
    """A delivery of an attempt starts; durable before ``run()`` is called."""

    type: ClassVar[str] = "attempt.started"
    instance: str
    attempt: int
    delivery: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptWaiting(Event):
    """The call ended with ``Waiting``; ``on`` is ``{kind: decision|timer|poll, …}``."""

    type: ClassVar[str] = "attempt.waiting"
    instance: str
    attempt: int
    on: Mapping[str, Json]
    until: float | None = None
    deadline: float | None = None
    state: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptResumed(Event):
    """The wait is over and ``run`` is called again in the same attempt."""

    type: ClassVar[str] = "attempt.resumed"
    instance: str
    attempt: int
    delivery: int
    """Each call of ``run()`` has its own number, so that a late answer of the one before is known."""
    event: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStopping(Event):
    """A delivery is told to stop; whatever it answers, the attempt ends with this outcome."""

    type: ClassVar[str] = "attempt.stopping"
    instance: str
    attempt: int
    outcome: str
    code: str | None = None
    reason: str | None = None
    until: float | None = None
    """When it is given up and counts as ended without an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCompleted(Event):
    """A ``ctx.step`` succeeded; it is never called again in this attempt."""

    type: ClassVar[str] = "step.completed"
    instance: str
    attempt: int
    name: str
    result: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BeforeRecorded(Event):
    """What was there before the instance changed it is kept as this artifact; the last one holds."""

    type: ClassVar[str] = "before.recorded"
    instance: str
    attempt: int
    artifact: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardEntered(Event):
    """Something outside exists that a dead owner would leave behind.

    ``kind`` ``process``: ``name`` is ``HOST:PID:START``; others belong to the stage type.
    """

    type: ClassVar[str] = "guard.entered"
    instance: str
    attempt: int
    kind: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardLeft(Event):
    """It is gone."""

    type: ClassVar[str] = "guard.left"
    instance: str
    attempt: int
    kind: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnded(Event):
    """An attempt has its outcome; with ``retry_at`` another one follows then."""

    type: ClassVar[str] = "attempt.ended"
    instance: str
    attempt: int
    outcome: str
    code: str | None = None
    reason: str | None = None
    outputs: Mapping[str, Json] | None = None
    retry_at: float | None = None
    read: tuple[str, ...] | None = None
    """Files and folders of the source that it read, ``.`` for all of it; None where nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceEnded(Event):
    """An instance ended without an attempt's outcome (bad expression, deadlock, aborted wait)."""

    type: ClassVar[str] = "instance.ended"
    instance: str
    outcome: str
    code: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StageEnded(Event):
    """A matrix stage has all its instances' outcomes, or could not be expanded (``reason``)."""

    type: ClassVar[str] = "stage.ended"
    stage: str
    outcome: str
    cause: str | None = None
    """Why it counts as skipped, when no instance did anything worse."""
    detail: Mapping[str, Json] = field(default_factory=dict)
    code: str | None = None
    reason: str | None = None
    outputs: Mapping[str, Json] | None = None


def encode_event(event: Event) -> dict[str, Json]:
    """Return the JSON data of an event, ``type`` and ``v`` first, defaults left out."""
    data: dict[str, Json] = {"type": event.type, "v": event.version}
    for name, default in _FIELDS[type(event)]:
        value = getattr(event, name)
        if value != default:
            data[name] = value
    return data


def decode_event(data: Mapping[str, Json]) -> Event:
    """Return the event of stored JSON data.

    Raises:
        KeyError: for a type and version this release does not know.
    """
    values = dict(data)
    cls = EVENT_TYPES[values.pop("type"), values.pop("v")]
    for name in _TUPLES[cls]:
        if name in values:
            values[name] = tuple(values[name])
    return cls(**values)


class _Required:
    """Stands for "no default": equal to nothing, so that the field is always written."""

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = object.__hash__


def _defaults(cls: type[Event]) -> list[tuple[str, Json]]:
    found: list[tuple[str, Json]] = []
    for each in fields(cls):
        if each.default_factory is not MISSING:
            found.append((each.name, each.default_factory()))
        else:
            found.append((each.name, _Required() if each.default is MISSING else each.default))
    return found


EVENT_TYPES: dict[tuple[str, int], type[Event]] = {
    (cls.type, cls.version): cls
    for cls in list(globals().values())
    if isinstance(cls, type) and issubclass(cls, Event) and cls is not Event
}
"""Every stored type and version to its class."""

_FIELDS = {cls: _defaults(cls) for cls in EVENT_TYPES.values()}
_TUPLES = {
    cls: [each.name for each in fields(cls) if str(each.type).startswith("tuple")]
    for cls in EVENT_TYPES.values()
}
