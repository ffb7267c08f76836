"""The stage contract: what a stage type is, what it is given, and what it may answer.

A plugin author needs this module and :mod:`gennaker.testing`. A stage type is a class::

    class Greet(Stage):
        \"\"\"Say hello.\"\"\"

        name = "acme.greet"

        class Inputs(StageInputs):
            who: str

        class Outputs(StageOutputs):
            greeting: str

        def run(self, inputs: Inputs, ctx: Context) -> Outcome:
            ctx.log(f"hello {inputs.who}")
            return Succeeded({"greeting": f"hello {inputs.who}"})

registered under the entry-point group ``gennaker.stages``. A stage is idempotent: it may be called
again with the same ``ctx.key`` after a crash, and then must not do its effect twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import field
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

from gennaker.changes import ABSENT, Change, FieldChange, Plan
from gennaker.checks import Check
from gennaker.errors import PermanentError, StageError, TemporaryError
from gennaker.fields import Declared, LiveField, LiveThing, Owner
from gennaker.records import dataclass

__all__ = [
    "ABSENT",
    "API_VERSION",
    "Artifact",
    "Change",
    "Check",
    "Context",
    "Decision",
    "Declared",
    "Effect",
    "Environment",
    "Failed",
    "FieldChange",
    "LiveField",
    "LiveThing",
    "Outcome",
    "OutputType",
    "Owner",
    "PermanentError",
    "Plan",
    "PlanContext",
    "Poll",
    "RunFacts",
    "Secret",
    "Stage",
    "StageError",
    "StageInputs",
    "StageOutputs",
    "Succeeded",
    "TemporaryError",
    "Timer",
    "Waiting",
]

API_VERSION = 1
"""The version of this contract; a plugin that states another is reported and not loaded."""

Effect = Literal["none", "build", "deploy"]
OutputType = Literal["string", "integer", "number", "boolean", "array", "object", "artifact", "any"]
Json = Any
T = TypeVar("T")


class Secret:
    """A secret value: shown as ``***`` everywhere, told only by :meth:`reveal`.

    An input annotated with it is *declared secret*: expressions over ``secrets`` may stand there.
    """

    __slots__ = ("_name", "_value")

    def __init__(self, value: str, name: str = "") -> None:
        self._value = value
        self._name = name

    def reveal(self) -> str:
        """Return the value, for the one call that needs it; in a plan it is read only then."""
        return self._value

    @property
    def name(self) -> str:
        """The name under which it is declared, empty when it is a literal."""
        return self._name

    def __repr__(self) -> str:
        return f"Secret({self._name or '***'!r})"

    def __str__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: Any, _handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        def read(value: Any) -> Secret:
            if isinstance(value, Secret):
                return value
            if isinstance(value, str):
                return cls(value)
            raise ValueError("must be a string")

        return core_schema.no_info_plain_validator_function(
            read, serialization=core_schema.plain_serializer_function_ser_schema(lambda _: "***")
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: core_schema.CoreSchema, _handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "x-gennaker-secret": True}


class StageInputs(BaseModel):
    """Base of a stage type's inputs; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class StageOutputs(BaseModel):
    """Base of a stage type's outputs; every field is what later stages can reference."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Artifact(BaseModel):
    """A content-addressed thing a stage made; an output value and an input value.

    Attributes:
        digest: ``sha256:HEX`` of the bytes.
        size: bytes.
        media_type: what it is, ``application/octet-stream`` unless said.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    digest: str
    size: int
    media_type: str = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The stage did its work; ``outputs`` is a mapping or an instance of its ``Outputs``."""

    outputs: Mapping[str, Json] | StageOutputs = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failed:
    """The thing said no (a test failed, a rollout did not get ready); ``reason`` is for people."""

    reason: str
    code: str = "failed"


@dataclass(frozen=True, slots=True)
class Decision:
    """Wait for people.

    Attributes:
        approvers: rules like ``user:ann``, ``group:release``, ``local:*``; empty means anyone.
        required: how many different people must approve.
        self_allowed: whether who started or retried the run may decide.
        inputs: declarations of what the decider may enter, as parameters are declared.
    """

    message: str = ""
    approvers: tuple[str, ...] = ()
    required: int = 1
    self_allowed: bool = True
    inputs: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Timer:
    """Wait until ``at`` (seconds since the epoch)."""

    at: float


@dataclass(frozen=True, slots=True)
class Poll:
    """Be called again ``every`` so many seconds to look at something remote."""

    every: float


@dataclass(frozen=True, slots=True)
class Waiting:
    """End this call without a thread; ``run`` is called again in the same attempt when it is due.

    Attributes:
        on: what it waits for.
        deadline: seconds since the epoch after which a decision is expired (and counts as a
            rejection) or the wait fails; None for no deadline of its own.
        state: JSON, at most 64 KiB, given back as ``ctx.resumed``.
    """

    on: Decision | Timer | Poll
    deadline: float | None = None
    state: Json = None


Outcome = Succeeded | Failed | Waiting


@dataclass(frozen=True, slots=True)
class RunFacts:
    """The run a stage works in, as expressions see it."""

    id: str
    number: int
    pipeline: str
    title: str
    actor: str
    started_at: str


@dataclass(frozen=True, slots=True)
class Environment:
    """Where a stage acts, as resolved for this run.

    Attributes:
        target: the target plugin's name, None for an environment without a target.
        settings: the target's settings, plain data.
    """

    name: str
    target: str | None = None
    settings: Mapping[str, Json] = field(default_factory=dict)
    variables: Mapping[str, Json] = field(default_factory=dict)
    url: str | None = None


class ArtifactStore(Protocol):
    """The content-addressed store of the run's state."""

    def put(self, content: Path | bytes, *, media_type: str = ..., name: str = ...) -> Artifact:
        """Store bytes or a file and return its artifact; the same bytes are stored once."""

    def put_tree(self, folder: Path, *, name: str = ...) -> Artifact:
        """Store a folder as one reproducible tar (media type ``application/x-tar``)."""

    def open(self, artifact: Artifact) -> BinaryIO:
        """Open an artifact's bytes for reading; checks its digest."""

    def lay(self, artifact: Artifact, target: Path) -> None:
        """Write an artifact to ``target``: a file, or the tree when it is a tar of one."""


class PlanContext(Protocol):
    """What ``plan`` is given: everything it may look at, nothing it may change."""

    run: RunFacts
    environment: Environment | None
    project: Path
    """The project root, as it is now (a plan of a run that exists reads the run's source)."""
    artifacts: ArtifactStore
    stage: str
    """The stage's id; ``instance`` has the matrix index too (``test[0]``)."""
    instance: str

    @property
    def source(self) -> Path:
        """The source tree, read-only."""

    @property
    def cache(self) -> Path:
        """A folder the stage type may keep caches in; never needed for correctness."""

    def connect(self) -> Any:
        """Return what the environment's target plugin connects to (its documented type)."""

    @property
    def remaining(self) -> float:
        """Seconds left: of what planning may take, or of working time before the attempt's timeout."""


class Context(PlanContext, Protocol):
    """What ``run`` is given. Safe to use from threads the stage makes."""

    attempt: int
    delivery: int
    key: str
    """The idempotency key ``run/instance/attempt``, the same for every delivery of the attempt."""
    resumed: Json
    """The ``state`` of the ``Waiting`` that ended the last call, None at the first."""
    shown: Json
    """``Plan.observed`` of the plan that its approvers were shown; None when nobody was asked."""
    event: Json
    """What ended the wait: ``{"decisions": [...], "inputs": {...}}``, ``{"timer": …}`` or None."""

    @property
    def workspace(self) -> Path:
        """A scratch folder, empty at every call."""

    def log(self, text: str, *, stream: Literal["stdout", "stderr", "system"] = "system") -> None:
        """Write text to the attempt's log; secrets are masked, lines are bounded."""

    def mask(self, text: str) -> str:
        """Return text with the run's secrets hidden: what is cut has to be masked before."""

    def step(self, name: str, fn: Callable[[str], T]) -> T:
        """Call ``fn(key)`` once durably and return its JSON result (at most 64 KiB).

        A committed result is remembered for the attempt and ``fn`` is not called again; a repeated
        name within one delivery is an error. ``key`` is ``run/instance/attempt/name``.
        """

    @property
    def before(self) -> Artifact | None:
        """What :meth:`record_before` was given last for this instance, also in earlier attempts."""

    def record_before(self, artifact: Artifact) -> None:
        """Keep durably what was there before the first write, for :meth:`Stage.undo`.

        Called before anything is changed. A later attempt that finds :attr:`before` set adds to it
        what it will touch and was not touched yet, and records the whole again.
        """

    @property
    def cancelled(self) -> bool:
        """Whether the attempt is to stop; a stage that works long looks at it."""

    @property
    def parked(self) -> bool:
        """Whether it is to stop only here: the attempt is delivered again later.

        What runs outside and will be found again may go on.
        """

    def check_cancelled(self) -> None:
        """Raise what ends the attempt when it is to stop."""

    def wait_cancelled(self, seconds: float) -> bool:
        """Sleep at most ``seconds``; return True at once when the attempt is to stop."""

    def run_process(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        on_line: Callable[[str, str], None] | None = None,
    ) -> int:
        """Run a child in a process group of its own and return its exit code.

        The group is in the journal, ends with the attempt, and is ended before a redelivery. Its
        output goes to the log, or line by line to ``on_line(stream, line)``. ``env`` is the whole
        environment of the child.
        """

    def guard(self, kind: str, name: str) -> AbstractContextManager[None]:
        """Journal that a thing outside (a container) exists while the block runs.

        When the owner dies inside the block, the stage type's :meth:`Stage.clean_up` is called with
        ``kind`` and ``name`` before a redelivery.
        """


class Stage:
    """A stage type; subclass it, set ``name``, define ``Inputs``, ``Outputs`` and ``run``."""

    name: ClassVar[str]
    effect: ClassVar[Effect] = "none"
    api_version: ClassVar[int] = API_VERSION
    Inputs: ClassVar[type[StageInputs]] = StageInputs
    Outputs: ClassVar[type[StageOutputs]] = StageOutputs
    scripts: ClassVar[frozenset[str]] = frozenset()
    """Names of inputs that are scripts and take no expressions."""
    target: ClassVar[str | None] = None
    """Name of the target that its environment has to have; None when it works without one, too."""

    @classmethod
    def find_effect(cls, inputs: Mapping[str, Json], environment: bool) -> Effect:
        """Return what the stage does, from its inputs and whether it has an environment. Pure."""
        return cls.effect

    @classmethod
    def declare_outputs(cls, inputs: Mapping[str, Json]) -> Mapping[str, OutputType]:
        """Return the outputs that can be referenced, from ``with`` as written. Pure."""
        return {
            name: _output_type(info.annotation) for name, info in cls.Outputs.model_fields.items()
        }

    def list_sources(self, inputs: Any) -> Sequence[str]:
        """Return the files and folders of ``ctx.source`` that ``run`` reads, ``.`` for all of it. Pure.

        A retry with a corrected definition takes the stage over only while these are the same.
        """
        return (".",)

    def plan(self, inputs: Any, ctx: PlanContext) -> Plan:
        """Say what ``run`` would do; no side effect. Without one, a plan names the stage only."""
        return Plan()

    def list_declared(
        self, inputs: Any, ctx: PlanContext, *, name: str | None = None
    ) -> Sequence[Declared] | None:
        """Return the things that ``run`` with these inputs declares, without asking the target.

        Called for deploys of the past, and many of them: it reads ``inputs`` and artifacts only.

        Args:
            inputs: those of the deploy.
            ctx: where it was.
            name: the thing that is asked about; others need not be told. All unless given.

        Returns:
            The things; None when the type does not tell.
        """
        return None

    def compare(self, inputs: Any, ctx: PlanContext) -> Sequence[Change] | None:
        """Return what of the things that ``run`` made is not any more as it made them; no side effect.

        Each change is what it takes to have it so again; ``leave`` is one that did not move. By
        default what ``plan`` says. None when the type does not look at what is there.
        """
        return self.plan(inputs, ctx).changes or None

    def run(self, inputs: Any, ctx: Context) -> Outcome:
        """Do the work."""
        raise NotImplementedError

    def undo(self, inputs: Any, before: Artifact, ctx: Context) -> Outcome:
        """Put back what :meth:`run` changed, from what it recorded; only if the type can.

        Idempotent, like ``run``; copes with a run that was done by half, or that went on to an
        attempt after the one that recorded.

        Args:
            inputs: those of the call that is undone.
            before: what ``ctx.record_before`` kept.
        """
        raise NotImplementedError

    def plan_undo(self, inputs: Any, before: Artifact, ctx: PlanContext) -> Plan:
        """Say what :meth:`undo` would do; no side effect."""
        return Plan()

    @classmethod
    def can_undo(cls) -> bool:
        """Whether the type says how its changes are put back."""
        return cls.undo is not Stage.undo

    def clean_up(self, kind: str, name: str) -> None:
        """End what a dead owner left behind inside ``ctx.guard(kind, name)``; idempotent."""

    @classmethod
    def check_machine(cls, *, seconds: float) -> Iterable[Check]:
        """Tell ``gennaker doctor`` within ``seconds`` whether what the type needs here is here.

        No side effect. What several types need each may tell: equal checks are shown once.
        """
        return ()


def _output_type(annotation: Any) -> OutputType:
    simple: dict[Any, OutputType] = {
        str: "string",
        int: "integer",
        float: "number",
        bool: "boolean",
        Artifact: "artifact",
    }
    if annotation in simple:
        return simple[annotation]
    origin = getattr(annotation, "__origin__", annotation)
    if origin in (list, tuple):
        return "array"
    return "object" if origin is dict else "any"
