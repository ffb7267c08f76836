"""Rollbacks as runs of their own: which stages of an ended run are put back, or made again.

The new run has one stage for each, with the inputs that were recorded then; nothing is evaluated
or rendered anew. It is planned, asks for its environments' approvals and takes their locks like any.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from gennaker.errors import GennakerError, NotAllowed
from gennaker.model import PipelineDefinition, StageDefinition
from gennaker.names import UNDO_PREFIX
from gennaker.plugins import Registry
from gennaker.records import dataclass
from gennaker_engine.core.events import RunCreated
from gennaker_engine.core.run import Run
from gennaker_engine.core.state import Instance, StageState
from gennaker_engine.journal.port import Deployment, Journal
from gennaker_engine.runtime.driven import replay

__all__ = [
    "Rollback",
    "find_again",
    "find_undo",
    "may_have_changed",
    "name_in_rollback",
    "pin_rollback",
]

Json = Any
_MOST_LATER = 50


@dataclass(frozen=True, slots=True)
class Rollback:
    """What a rollback of ``run`` does.

    Attributes:
        run: the run it is about.
        title: of the new run.
        definition: its stages.
        preset: what each is given, as ``RunCreated`` has it.
    """

    run: Run
    title: str
    definition: PipelineDefinition
    preset: Mapping[str, Json]


def find_undo(
    run: Run, journal: Journal, registry: Registry, *, environment: str | None = None
) -> Rollback:
    """Return how everything that a run changed is put back, in all environments or in one.

    Raises:
        NotAllowed: ``run-active`` when it has not ended, ``rollback-superseded`` when another run
            changed something there since, ``nothing-to-undo`` with the reason for each of its deploys.
    """
    _check_ended(run)
    chosen, refused = [], []
    for instance in _list_deploys(run, environment):
        reason = _find_refusal(run, instance)
        if reason is None:
            chosen.append(instance)
        else:
            refused.append(f"{instance.id!r} {reason}")
    if not chosen:
        where = "" if environment is None else f" in environment {environment!r}"
        told = "; ".join(refused) or "it deployed nothing"
        raise NotAllowed(
            f"nothing that run {run.id!r} did{where} can be put back: {told}",
            code="nothing-to-undo",
            hint="deploy an earlier run again with 'gennaker rollback --environment ENV --to RUN'",
        )
    _check_last(run, journal, chosen, registry)
    return _make(run, f"Roll back {run.id}", chosen, undo=True)


def find_again(run: Run, environment: str) -> Rollback:
    """Return how an environment is brought back to what a run deployed there.

    Raises:
        NotAllowed: ``run-active`` when it has not ended, ``nothing-to-deploy`` when it deployed
            nothing there, or not all of it succeeded.
    """
    _check_ended(run)
    found = list(_list_deploys(run, environment))
    broken = [each.id for each in found if each.outcome != "succeeded"]
    if not found or broken:
        told = f"{', '.join(broken)} did not succeed" if broken else "it deployed nothing there"
        raise NotAllowed(
            f"run {run.id!r} is nothing to bring {environment!r} back to: {told}",
            code="nothing-to-deploy",
            hint=f"name a run whose deploys there succeeded: 'gennaker runs {run.created.pipeline}'",
        )
    return _make(run, f"Bring {environment} back to {run.id}", found, undo=False)


def pin_rollback(rollback: Rollback, *, actor: str, number: int, now: float) -> RunCreated:
    """Return the first event of the new run; it has the parameters and the source of the old one."""
    created, definition = rollback.run.created, rollback.definition
    return replace(
        created,
        at=now,
        run=f"{created.pipeline}-{number}",
        number=number,
        title=rollback.title,
        actor=actor,
        definition=definition.to_data(),
        digest=definition.digest,
        functions={},
        # It must not wait in the group behind the run that made it necessary.
        concurrency=None,
        retry_of=None,
        starters=(),
        reused={},
        approved=(),
        plan=None,
        rollback_of=rollback.run.id,
        preset=rollback.preset,
    )


def _check_ended(run: Run) -> None:
    if run.state != "ended":
        raise NotAllowed(
            f"run {run.id!r} has not ended",
            code="run-active",
            hint=f"end it with 'gennaker cancel {run.id}'",
        )


def _list_deploys(run: Run, environment: str | None) -> Iterator[Instance]:
    """Yield what changed an environment, in the order it was written."""
    for stage in run.facts.stages.values():
        if stage.plan.in_finally or stage.plan.undoes is not None:
            continue
        for instance in stage.instances:
            where = instance.environment
            if instance.effect != "deploy" or where is None or instance.started_at is None:
                continue
            if environment is None or where["name"] == environment:
                yield instance


def _find_refusal(run: Run, instance: Instance) -> str | None:
    """Return why a deploy cannot be put back."""
    undone: StageState | None = run.facts.stages.get(f"{UNDO_PREFIX}{instance.stage}")
    if undone is not None and undone.outcome == "succeeded":
        return "was put back in the run itself"
    return "recorded nothing of what was there before" if instance.before is None else None


def may_have_changed(registry: Registry, run: Run, instance: Instance) -> bool:
    """Return whether a deploy that has ended may have changed something.

    A type that can put back records what is there before it writes anything; one that did not
    succeed and did not come so far has left all as it was.
    """
    if instance.outcome == "succeeded" or instance.before is not None:
        return True
    try:
        kind = registry.stage(run.facts.stages[instance.stage].plan.uses)
    except GennakerError:  # it is not installed any more
        return True
    return not kind.can_undo()


def _check_last(run: Run, journal: Journal, chosen: Iterable[Instance], registry: Registry) -> None:
    for name in dict.fromkeys(each.environment["name"] for each in chosen if each.environment):
        later = _find_later(run, journal, name, registry)
        if later is not None:
            # To roll a rollback back would bring again what it put back.
            first = "" if _is_rollback(later, journal) else f"roll {later} back first, or "
            raise NotAllowed(
                f"environment {name!r} was changed by run {later!r} after {run.id!r}",
                code="rollback-superseded",
                hint=f"{first}bring the environment back to an earlier run: "
                f"'gennaker rollback --environment {name} --to RUN'",
            )


def _find_later(run: Run, journal: Journal, environment: str, registry: Registry) -> str | None:
    """Return the newest run after this one that may have changed an environment."""
    last = journal.last_deploy(run.created.scope, environment)
    if last is None or last.run == run.id:
        return None
    for row in journal.list_deployments(run.created.scope, environment, limit=_MOST_LATER):
        if row.run == run.id:
            return None
        if row.outcome is None or _has_changed(row, journal, registry):
            return row.run
    return last.run


def _is_rollback(run: str, journal: Journal) -> bool:
    try:
        return replay(journal.load_events(run)).created.rollback_of is not None
    except GennakerError:  # its history is damaged
        return False


def _has_changed(row: Deployment, journal: Journal, registry: Registry) -> bool:
    try:
        run = replay(journal.load_events(row.run))
    except GennakerError:  # its history is damaged
        return True
    instance = run.facts.instances.get(row.instance)
    return instance is None or may_have_changed(registry, run, instance)


def _make(run: Run, title: str, chosen: list[Instance], *, undo: bool) -> Rollback:
    blueprint = run.facts.blueprint
    names = {each.id: name_in_rollback(each.id) for each in chosen}
    after = {each.id: set(blueprint.downstream_of(each.stage)) for each in chosen}
    stages, preset = {}, {}
    for each in chosen:
        if undo:  # what came later goes first
            needs = [names[one.id] for one in chosen if one.stage in after[each.id]]
        else:
            needs = [names[one.id] for one in chosen if each.stage in after[one.id]]
        plan = blueprint.stages[each.stage]
        written = blueprint.definition.stages[each.stage]
        assert each.environment is not None
        stages[names[each.id]] = StageDefinition(
            uses=plan.uses,
            needs=tuple(needs),
            environment=each.environment["name"],
            timeout=blueprint.definition.timeout_of(written),
            retry=blueprint.definition.retry_of(written),
        )
        given = {
            "stage": each.stage,
            "inputs": each.inputs,
            "environment": each.environment,
            "effect": each.effect,
        }
        preset[names[each.id]] = {**given, "before": each.before} if undo else given
    definition = PipelineDefinition(name=run.created.pipeline, stages=stages)
    return Rollback(run, title, definition, preset)


def name_in_rollback(instance: str) -> str:
    """Return the id of the stage of a rollback that stands for an instance."""
    return instance.replace("[", "-i").replace("]", "")
