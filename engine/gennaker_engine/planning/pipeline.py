"""The plan of a whole pipeline: the real core, with stages that are planned instead of run.

Every stage is taken to succeed, with tokens for the outputs that only a run gives. What cannot be
evaluated with a token is said to depend on it, and so is everything after it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any

from gennaker.canonical import digest_of
from gennaker.expressions import Unknown
from gennaker.project import Project
from gennaker.records import dataclass
from gennaker.stage import RunFacts
from gennaker_engine.core.commands import Command, Deliver, RequestLock
from gennaker_engine.core.events import (
    AttemptStarted,
    Event,
    InstanceEnded,
    RunCreated,
    StageEnded,
    StageSkipped,
)
from gennaker_engine.core.messages import (
    Adopt,
    GrantLock,
    Message,
    ReportSucceeded,
    World,
)
from gennaker_engine.core.run import Run
from gennaker_engine.core.scope import make_scope
from gennaker_engine.planning.stage import Planning, StagePlanned, list_unknown, plan_stage
from gennaker_engine.runtime.services import Services

__all__ = ["PipelinePlan", "PlannedStage", "plan_pipeline"]

_TOUCHES = frozenset({"create", "change", "replace", "delete", "prune", "build"})

Json = Any


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStage:
    """What would become of one stage, or of one instance of its matrix.

    Attributes:
        id: ``build`` or ``test[0]``.
        uses: its stage type.
        action: ``run``, ``skip``, ``depends`` (it cannot be said yet) or ``error``.
        cause: of a skip, in the words of a run.
        detail: what the cause is about.
        depends_on: names of the outputs that decide it, for ``depends``; for ``run`` those its own
            changes depend on.
        environment: where it would act.
        effect: ``none``, ``build`` or ``deploy``.
        approval: whether the environment asks people first.
        inputs: resolved; ``{"$unknown": …}`` for what only a run gives, secrets by their names.
        changes: ``{action, what, detail, fields}`` each.
        error: why it cannot be planned.
        warnings: what people are to know before the run, and what does not stop it.
    """

    id: str
    uses: str
    action: str
    cause: str | None = None
    detail: Mapping[str, Json] = field(default_factory=dict)
    depends_on: tuple[str, ...] = ()
    environment: str | None = None
    effect: str = "none"
    approval: bool = False
    inputs: Mapping[str, Json] = field(default_factory=dict)
    changes: tuple[Mapping[str, Json], ...] = ()
    error: str | None = None
    warnings: tuple[str, ...] = ()

    @property
    def would_change(self) -> bool:
        """Whether running it would change something outside."""
        if self.action != "run":
            return self.action == "depends"
        if self.changes:
            return any(each["action"] in _TOUCHES for each in self.changes)
        return self.effect != "none"

    @property
    def would_fail(self) -> bool:
        """Whether something of it would be refused."""
        return any(each["action"] == "refuse" for each in self.changes)

    def to_data(self) -> dict[str, Json]:
        """Return it as JSON data."""
        data: dict[str, Json] = {"id": self.id, "uses": self.uses, "action": self.action}
        for name in ("cause", "detail", "environment", "inputs", "error"):
            if value := getattr(self, name):
                data[name] = value
        if self.action == "run":
            data["effect"] = self.effect
            data["changes"] = [dict(each) for each in self.changes]
        if self.approval:
            data["approval"] = True
        for name in ("depends_on", "warnings"):
            if value := getattr(self, name):
                data[name] = list(value)
        return data


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelinePlan:
    """What a run of a pipeline would do.

    Attributes:
        pipeline: its name.
        digest: of definition, source, parameters, environment settings and desired objects.
        stages: in the order in which they would start.
    """

    pipeline: str
    digest: str
    parameters: Mapping[str, Json]
    source: Mapping[str, Json]
    stages: tuple[PlannedStage, ...]

    @property
    def would_change(self) -> bool:
        """Whether a run would change something outside."""
        return any(stage.would_change for stage in self.stages)

    @property
    def would_fail(self) -> bool:
        """Whether something that a run would do would be refused."""
        return any(stage.would_fail for stage in self.stages)

    def to_data(self) -> dict[str, Json]:
        """Return it as versioned JSON data."""
        return {
            "apiVersion": "gennaker.dev/v1",
            "kind": "Plan",
            "pipeline": self.pipeline,
            "digest": self.digest,
            "params": dict(self.parameters),
            "source": dict(self.source),
            "would_change": self.would_change,
            "would_fail": self.would_fail,
            "stages": [stage.to_data() for stage in self.stages],
        }


def plan_pipeline(
    created: RunCreated, services: Services, *, world: World, project: Project
) -> PipelinePlan:
    """Plan a run.

    Args:
        created: what the run would be pinned to.
        services: what stages work with.
        world: environments and stage types.
        project: whose tree, as it is now, the stages' plans read.
    """
    planner = _Planner(_open(created), services, world)
    planner.work()
    settings = project.load_settings().environments
    digest = digest_of(
        {
            "definition": created.digest,
            "source": created.source.get("digest"),
            "parameters": dict(created.parameters),
            "environments": {
                name: settings[name].to_data() for name in sorted(planner.environments)
            },
            "sandbox": created.sandbox,
            "desired": planner.desired,
        }
    )
    return PipelinePlan(
        pipeline=created.pipeline,
        digest=digest,
        parameters=created.parameters,
        source=created.source,
        stages=tuple(planner.found.values()),
    )


def _open(created: RunCreated) -> RunCreated:
    """Return the beginning of a run that is planned: no number, no queue, nothing stops the rest."""
    definition = dict(created.definition)
    for section in ("stages", "finally"):
        definition[section] = {
            name: {key: value for key, value in stage.items() if key != "on_failure"}
            for name, stage in definition.get(section, {}).items()
        }
    return replace(
        created,
        run=Unknown("run.id"),
        number=Unknown("run.number"),  # type: ignore[arg-type]  # a token, seen by expressions only
        definition=definition,
        digest=f"plan:{created.digest}",
        concurrency=None,
    )


class _Planner:
    """Feeds a run of the core with successes until it has ended."""

    def __init__(self, created: RunCreated, services: Services, world: World) -> None:
        # Nobody is asked in a plan; who would be asked is told with the stage.
        asking = {name for name, each in world.environments.items() if each.approval}
        open_to_all = {
            name: replace(each, approval=None) for name, each in world.environments.items()
        }
        self._asking = asking
        self._world = replace(world, environments=open_to_all, planning=True)
        self._now = created.at
        self._run, reaction = Run.create(created, world=self._world, now=self._now)
        # When a run starts is not known; the scope of a started run is made once and kept.
        make_scope(self._run.facts).values["run"]["started_at"] = Unknown("run.started_at")
        self._facts = RunFacts(
            id=created.run,
            number=created.number,
            pipeline=created.pipeline,
            title=created.title,
            actor=created.actor,
            started_at=Unknown("run.started_at"),
        )
        self._planning = Planning(services, self._facts, services.project, world)
        self._commands: deque[Command] = deque(reaction.commands)
        self.found: dict[str, PlannedStage] = {}
        self.desired: dict[str, Json] = {}
        self.environments: set[str] = set()

    def work(self) -> None:
        """Plan everything."""
        self._tell(Adopt(owner="plan", actor=self._facts.actor))
        while self._commands:
            command = self._commands.popleft()
            if isinstance(command, Deliver):
                self._plan(command)
            elif isinstance(command, RequestLock):
                self._tell(GrantLock(command.environment))

    def _tell(self, message: Message) -> None:
        reaction = self._run.handle(message, world=self._world, now=self._now)
        for event in reaction.events:
            self._note(event)
        self._commands.extend(reaction.commands)

    def _plan(self, command: Deliver) -> None:
        environment = command.environment
        where = environment["name"] if environment is not None else None
        effect = self._run.facts.instances[command.instance].effect
        entry = {
            "id": command.instance,
            "uses": command.uses,
            "inputs": command.inputs,
            "environment": environment,
            "timeout": command.remaining,
            "before": command.undoes,
            "stage": command.stage,
        }
        planned = plan_stage(self._planning, entry)
        if where is not None:
            self.environments.add(where)
        self.desired[command.instance] = planned.desired
        self.found[command.instance] = _describe(
            command, planned, where=where, effect=effect, asks=where in self._asking
        )
        self._tell(
            ReportSucceeded(
                command.instance, command.attempt, command.delivery, outputs=planned.outputs
            )
        )

    def _note(self, event: Event) -> None:
        """Keep the place of what starts, and tell what would not run."""
        if isinstance(event, AttemptStarted):
            self.found[event.instance] = PlannedStage(id=event.instance, uses="", action="run")
        elif isinstance(event, StageSkipped):
            self.found[event.instance] = self._describe_skip(event)
        elif isinstance(event, InstanceEnded):
            self.found[event.instance] = self._describe_end(
                event.instance, event.code, event.reason
            )
        elif isinstance(event, StageEnded) and event.code is not None:
            self.found[event.stage] = self._describe_end(event.stage, event.code, event.reason)

    def _find_uses(self, instance: str) -> str:
        return self._run.facts.stages[instance.partition("[")[0]].plan.uses

    def _describe_skip(self, event: StageSkipped) -> PlannedStage:
        before = self.found.get(str(event.detail.get("stage", "")))
        uses = self._find_uses(event.instance)
        if event.cause == "upstream" and before is not None and before.action == "depends":
            return PlannedStage(
                id=event.instance, uses=uses, action="depends", depends_on=before.depends_on
            )
        return PlannedStage(
            id=event.instance, uses=uses, action="skip", cause=event.cause, detail=event.detail
        )

    def _describe_end(self, name: str, code: str | None, reason: str | None) -> PlannedStage:
        uses = self._find_uses(name)
        if code == "unknown-value":
            token = read_token(reason or "")
            return PlannedStage(id=name, uses=uses, action="depends", depends_on=(token,))
        return PlannedStage(id=name, uses=uses, action="error", error=f"{code}: {reason}")


def _describe(
    command: Deliver, planned: StagePlanned, *, where: str | None, effect: str, asks: bool
) -> PlannedStage:
    return PlannedStage(
        id=command.instance,
        uses=command.uses,
        action="run" if planned.error is None else "error",
        depends_on=planned.depends_on or list_unknown(command.inputs),
        environment=where,
        effect=effect,
        approval=asks and effect == "deploy",
        inputs=command.inputs,
        changes=planned.changes,
        error=planned.error,
        warnings=planned.warnings,
    )


def read_token(reason: str) -> str:
    """Return the name of the token that :class:`gennaker.errors.UnknownValue` is about."""
    return reason.removeprefix("depends on ").partition(", which is not known")[0].strip("'")
