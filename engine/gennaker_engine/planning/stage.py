"""Planning one stage: its type's ``plan`` called with what is known of its inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from gennaker.errors import GennakerError, PermanentError, StageError
from gennaker.expressions import Unknown, UnknownText, from_json, to_json
from gennaker.masking import Masker
from gennaker.records import dataclass
from gennaker.stage import (
    Artifact,
    ArtifactStore,
    Environment,
    Plan,
    PlanContext,
    RunFacts,
    Stage,
    StageInputs,
)
from gennaker_engine.runtime.context import connect_target, read_environment
from gennaker_engine.runtime.outputs import describe_validation
from gennaker_engine.runtime.secrets import SecretReader, defer_secrets
from gennaker_engine.runtime.services import Services

__all__ = [
    "PLAN_SECONDS",
    "StagePlanContext",
    "StagePlanned",
    "ask_stage",
    "list_unknown",
    "mask_data",
    "plan_stage",
]

Json = Any
T = TypeVar("T")
Ask = Callable[[Stage, Any, PlanContext], T]
PLAN_SECONDS = 60.0
"""So long one stage is planned at most; a stage whose timeout is shorter has that."""


@dataclass(frozen=True, slots=True)
class StagePlanned:
    """What came of planning a stage.

    Attributes:
        changes: ``{action, what, detail, fields}`` each, in order.
        desired: what counts in the plan's digest.
        outputs: values, or tokens for what only a run gives.
        depends_on: names of the tokens for which it cannot be said.
        error: why it cannot be planned.
        observed: what it was made from, for ``ctx.shown``.
    """

    changes: tuple[Mapping[str, Json], ...] = ()
    desired: Json = None
    outputs: Mapping[str, Json] = field(default_factory=dict)
    depends_on: tuple[str, ...] = ()
    error: str | None = None
    observed: Json = None

    def to_data(self) -> dict[str, Json]:
        """Return it as approvers are shown it."""
        if self.error is not None:
            return {"error": self.error}
        data: dict[str, Json] = {"changes": [dict(each) for each in self.changes]}
        if self.depends_on:
            data["depends_on"] = list(self.depends_on)
        if self.observed is not None:
            data["observed"] = self.observed
        return data


class StagePlanContext:
    """What ``plan`` may look at (:class:`gennaker.stage.PlanContext`)."""

    def __init__(
        self,
        services: Services,
        run: RunFacts,
        environment: Environment | None,
        *,
        entry: Mapping[str, Json],
        source: Path,
    ) -> None:
        self.run = run
        self.instance: str = entry["id"]
        self.stage: str = entry.get("stage") or self.instance.partition("[")[0]
        self.environment = environment
        self.project: Path = services.project
        self.source = source
        self.artifacts: ArtifactStore = services.artifacts
        self.seconds: float = min(PLAN_SECONDS, entry["timeout"])
        self.masker = Masker()
        """Knows the secrets that planning has read."""
        own = entry["environment"].get("secrets") if entry["environment"] is not None else None
        self.secrets = SecretReader(
            {**entry["secrets"], **(own or {})},
            services.registry,
            services.project,
            self.masker.add,
        )
        self._services = services
        self._uses: str = entry["uses"]
        self._until: float = services.clock.steady() + self.seconds

    @property
    def cache(self) -> Path:
        """A folder of the stage type's own, kept between runs."""
        return self._services.state.make(self._services.state.cache / self._uses)

    def connect(self) -> Any:
        """Return what the environment's target plugin connects to."""
        return connect_target(self._services, self.environment)

    @property
    def remaining(self) -> float:
        """Seconds left of what planning may take."""
        return max(0.0, self._until - self._services.clock.steady())


def plan_stage(
    services: Services, run: RunFacts, source: Path, entry: Mapping[str, Json]
) -> StagePlanned:
    """Plan one instance of a stage; a plugin's errors become a plan that says so.

    Args:
        services: what stages work with.
        run: the run it is or would be of.
        source: the tree it would read.
        entry: ``{id, uses, inputs, environment}`` as in an approval's subject, secrets and unknown
            values as marks; ``timeout``, the stage's, in seconds; and ``secrets``, the project's, name
            to provider and setting, of which those are read whose values the stage type asks for.
            With ``before``, the artifact of what it would put back; with ``stage``, the stage of
            another run that it stands for.
    """
    name, inputs = entry["id"], entry["inputs"]
    outputs: Mapping[str, Json] = {}
    masker = Masker()
    try:
        kind = services.registry.stage(entry["uses"])
        outputs = {each: Unknown(f"{name}.{each}") for each in kind.declare_outputs(inputs)}
        context = _make_context(services, run, source, entry)
        masker = context.masker
        try:
            valid = _read_inputs(kind, inputs, context)
        except PermanentError:
            unknown = list_unknown(inputs)
            if unknown:
                return StagePlanned(outputs=outputs, depends_on=unknown)
            raise
        plan = _ask_in_time(context, lambda: _ask_plan(kind(), valid, entry, context))
        return _read_plan(kind, plan, outputs, masker)
    except GennakerError as error:
        return StagePlanned(outputs=outputs, error=masker.mask(str(error)))
    except Exception as error:  # noqa: BLE001 - a plugin's code: its fault is told, the plan goes on
        return StagePlanned(outputs=outputs, error=masker.mask(str(_tell_fault(error))))


def ask_stage(
    services: Services, run: RunFacts, source: Path, entry: Mapping[str, Json], ask: Ask[T]
) -> T:
    """Return what a stage type answers about inputs that it ran with.

    Args:
        services: what stages work with.
        run: the run it was of.
        source: the tree it may look at.
        entry: as for :func:`plan_stage`.
        ask: calls a method of the type with the inputs and what it may look at.

    Raises:
        GennakerError: why it does not; a fault of the plugin's own code, too.
    """
    kind = services.registry.stage(entry["uses"])
    context = _make_context(services, run, source, entry)
    try:
        inputs = _read_inputs(kind, entry["inputs"], context)
        return _ask_in_time(context, lambda: ask(kind(), inputs, context))
    except GennakerError:
        raise
    except Exception as error:  # noqa: BLE001 - a plugin's code: its fault is told
        raise _tell_fault(error) from None


def _ask_plan(
    stage: Stage, inputs: StageInputs, entry: Mapping[str, Json], context: PlanContext
) -> Plan:
    if entry.get("before") is not None:
        return stage.plan_undo(inputs, Artifact(**entry["before"]), context)
    return stage.plan(inputs, context)


def _ask_in_time(context: StagePlanContext, question: Callable[[], T]) -> T:
    """Return what the stage type answers; what went wrong when its time was over says so."""
    try:
        return question()
    except StageError as error:
        if context.remaining > 0:
            raise
        late = f"{error.message}; no more than {context.seconds:g} s is spent on it"
        raise PermanentError(late, code=error.code, hint=error.hint) from error


def _make_context(
    services: Services, run: RunFacts, source: Path, entry: Mapping[str, Json]
) -> StagePlanContext:
    where = read_environment(entry["environment"])
    return StagePlanContext(services, run, where, entry=entry, source=source)


def _read_inputs(
    kind: type[Stage], inputs: Mapping[str, Json], context: StagePlanContext
) -> StageInputs:
    try:
        return kind.Inputs.model_validate(defer_secrets(inputs, context.secrets))
    except ValidationError as error:
        raise PermanentError(describe_validation(error), code="invalid-inputs") from None


def _tell_fault(error: Exception) -> PermanentError:
    said = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
    return PermanentError(said, code="stage-raised")


def list_unknown(data: Json) -> tuple[str, ...]:
    """Return the names of the tokens in journaled data, sorted."""
    return tuple(sorted(_walk_unknown(data)))


def _walk_unknown(data: Json) -> set[str]:
    if isinstance(data, Mapping):
        if set(data) == {"$unknown"}:
            value = from_json(dict(data))
            parts = value.parts if isinstance(value, UnknownText) else (value,)
            return {part.name for part in parts if isinstance(part, Unknown)}
        return {name for each in data.values() for name in _walk_unknown(each)}
    if isinstance(data, list | tuple):
        return {name for each in data for name in _walk_unknown(each)}
    return set()


def _read_plan(
    kind: type[Stage], plan: Plan, outputs: Mapping[str, Json], masker: Masker
) -> StagePlanned:
    if not isinstance(plan, Plan):
        raise PermanentError(
            f"stage type {kind.name!r} gave a {type(plan).__name__}, not a Plan",
            code="invalid-outcome",
        )
    given = {name: _dump(value) for name, value in plan.outputs.items()}
    return StagePlanned(
        changes=tuple(mask_data(each.to_data(), masker) for each in plan.changes),
        desired=to_json(_dump(plan.desired)),
        outputs={**outputs, **given},
        observed=to_json(_dump(plan.observed)),
    )


def _dump(value: Any) -> Any:
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


def mask_data(data: Json, masker: Masker) -> Json:
    """Return data with every text in it masked, as it can be written to the journal."""
    if isinstance(data, str):
        return masker.mask(data).encode("utf-8", "replace").decode()
    if isinstance(data, dict):
        return {key: mask_data(item, masker) for key, item in data.items()}
    if isinstance(data, list | tuple):
        return [mask_data(item, masker) for item in data]
    return data
