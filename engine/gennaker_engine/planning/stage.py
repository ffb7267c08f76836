"""Planning one stage: its type's ``plan`` called with what is known of its inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, replace
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
    Plan,
    PlanContext,
    RunFacts,
    Stage,
    StageInputs,
)
from gennaker.target import Target
from gennaker_engine.core.messages import World
from gennaker_engine.core.resolve import list_secrets
from gennaker_engine.runtime.context import connect_target, read_environment
from gennaker_engine.runtime.outputs import describe_validation
from gennaker_engine.runtime.secrets import SecretReader, defer_secrets
from gennaker_engine.runtime.services import Services

__all__ = [
    "PLAN_SECONDS",
    "Planning",
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
class Planning:
    """What the plans of the stages of one pipeline, or of one approval, share.

    Attributes:
        services: what stages work with.
        run: the run they are or would be of.
        source: the tree they would read.
        world: says where secrets come from.
        targets: plugins by name; what one learns of a cluster for a stage it knows for the others.
    """

    services: Services
    run: RunFacts
    source: Path
    world: World
    targets: dict[str, Target] = field(default_factory=dict)

    def find_secrets(self, environment: Mapping[str, Json] | None) -> dict[str, Any]:
        """Return the secrets of a stage in an environment, name to provider and setting.

        An environment that is recorded has its own as they were; one of an approval's subject has them
        as they are now.
        """
        own: Any = {}
        if environment is not None:
            own = environment.get("secrets")
            facts = self.world.environments.get(environment["name"])
            if own is None and facts is not None:
                own = facts.secrets
        return {**self.world.secrets, **(own or {})}


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
        warnings: what people are to know before the run, and what does not stop it.
    """

    changes: tuple[Mapping[str, Json], ...] = ()
    desired: Json = None
    outputs: Mapping[str, Json] = field(default_factory=dict)
    depends_on: tuple[str, ...] = ()
    error: str | None = None
    observed: Json = None
    warnings: tuple[str, ...] = ()

    def to_data(self) -> dict[str, Json]:
        """Return it as approvers are shown it."""
        data: dict[str, Json] = {"warnings": list(self.warnings)} if self.warnings else {}
        if self.error is not None:
            return {**data, "error": self.error}
        data["changes"] = [dict(each) for each in self.changes]
        if self.depends_on:
            data["depends_on"] = list(self.depends_on)
        if self.observed is not None:
            data["observed"] = self.observed
        return data


class StagePlanContext:
    """What ``plan`` may look at (:class:`gennaker.stage.PlanContext`)."""

    def __init__(self, planning: Planning, entry: Mapping[str, Json]) -> None:
        services = planning.services
        self.run = planning.run
        self.instance: str = entry["id"]
        self.stage: str = entry.get("stage") or self.instance.partition("[")[0]
        self.environment = read_environment(entry["environment"])
        self.project: Path = services.project
        self.source = planning.source
        self.artifacts: ArtifactStore = services.artifacts
        self.seconds: float = min(PLAN_SECONDS, entry["timeout"])
        self.masker = Masker()
        """Knows the secrets that planning has read."""
        self.secrets = SecretReader(
            planning.find_secrets(entry["environment"]),
            services.registry,
            services.project,
            self.masker.add,
        )
        self._services = services
        self._targets = planning.targets
        self._uses: str = entry["uses"]
        self._until: float = services.clock.steady() + self.seconds

    @property
    def cache(self) -> Path:
        """A folder of the stage type's own, kept between runs."""
        return self._services.state.make(self._services.state.cache / self._uses)

    def connect(self) -> Any:
        """Return what the environment's target plugin connects to."""
        return connect_target(self._services, self.environment, known=self._targets)

    @property
    def remaining(self) -> float:
        """Seconds left of what planning may take."""
        return max(0.0, self._until - self._services.clock.steady())


def plan_stage(planning: Planning, entry: Mapping[str, Json]) -> StagePlanned:
    """Plan one instance of a stage; a plugin's errors become a plan that says so.

    Args:
        planning: what it shares with the other stages.
        entry: ``{id, uses, inputs, environment}`` as in an approval's subject, secrets and unknown
            values as marks, and ``timeout``, the stage's, in seconds; with ``before``, the artifact of
            what it would put back; with ``stage``, the stage of another run that it stands for.
    """
    planned = _plan_stage(planning, entry)
    faults = [each for each in _find_faults(planning, entry) if each != planned.error]
    return replace(planned, warnings=(*faults, *planned.warnings)) if faults else planned


def _plan_stage(planning: Planning, entry: Mapping[str, Json]) -> StagePlanned:
    name, inputs = entry["id"], entry["inputs"]
    outputs: Mapping[str, Json] = {}
    masker = Masker()
    try:
        kind = planning.services.registry.stage(entry["uses"])
        outputs = {each: Unknown(f"{name}.{each}") for each in kind.declare_outputs(inputs)}
        context = StagePlanContext(planning, entry)
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


def ask_stage(planning: Planning, entry: Mapping[str, Json], ask: Ask[T]) -> T:
    """Return what a stage type answers about inputs that it ran with.

    Args:
        planning: of the run it was of, and the tree it may look at.
        entry: as for :func:`plan_stage`.
        ask: calls a method of the type with the inputs and what it may look at.

    Raises:
        GennakerError: why it does not; a fault of the plugin's own code, too.
    """
    kind = planning.services.registry.stage(entry["uses"])
    context = StagePlanContext(planning, entry)
    try:
        inputs = _read_inputs(kind, entry["inputs"], context)
        return _ask_in_time(context, lambda: ask(kind(), inputs, context))
    except GennakerError:
        raise
    except Exception as error:  # noqa: BLE001 - a plugin's code: its fault is told
        raise _tell_fault(error) from None


def _find_faults(planning: Planning, entry: Mapping[str, Json]) -> Iterator[str]:
    """Yield why secrets of a stage could not be read now; it would err when it starts."""
    services, names = planning.services, set(list_secrets(entry["inputs"]))
    declared = planning.find_secrets(entry["environment"])
    for provider, setting in (declared[name] for name in sorted(names & declared.keys())):
        try:
            reader = services.registry.secret_provider(provider)()
            fault = reader.find_fault(setting, project=services.project)
        except GennakerError as error:
            fault = error
        except Exception as error:  # noqa: BLE001 - a plugin's code: its fault is told
            fault = _tell_fault(error)
        if fault is not None:
            yield str(fault)


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
        warnings=tuple(mask_data(list(plan.warnings), masker)),
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
