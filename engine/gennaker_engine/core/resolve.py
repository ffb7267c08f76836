"""Giving an instance its values: the environment it acts in, and its inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gennaker.errors import ExpressionError, UnknownValue
from gennaker_engine.core import events as e
from gennaker_engine.core.blueprint import StagePlan
from gennaker_engine.core.expansion import expand_matrix
from gennaker_engine.core.messages import EnvironmentFacts, World
from gennaker_engine.core.scope import make_scope
from gennaker_engine.core.skips import end_unresolved, skip_stage
from gennaker_engine.core.state import Instance, RunState, StageState
from gennaker_engine.core.turn import Turn

__all__ = [
    "Resolved",
    "describe_environment",
    "find_before",
    "find_environment_name",
    "find_environment_names",
    "find_resolved",
    "list_secrets",
    "resolve_instance",
]

Json = Any
Resolved = tuple[Mapping[str, Json], Mapping[str, Json] | None, str]
"""Inputs, environment (as ``StageResolved`` has it) and effect."""


def resolve_instance(turn: Turn, stage: StageState, instance: Instance | None) -> None:
    """Record an instance's values, or that they cannot be had.

    Args:
        instance: None for a stage without a matrix, whose instance comes to be by this.
    """
    name = stage.plan.id if instance is None else instance.id
    matrix = None if instance is None else instance.matrix
    before = find_before(turn.run, stage.plan)
    try:
        if stage.plan.undoes is not None:
            changed = turn.run.stages[stage.plan.undoes].list_changed()
            done = changed[0 if instance is None else instance.number]
            inputs, environment, effect = done.inputs or {}, done.environment, done.effect
            before = done.before
        else:
            inputs, environment, effect = find_resolved(turn.run, turn.world, stage.plan, matrix)
    except ExpressionError as error:
        end_unresolved(turn, stage, name, error)
        return
    if stage.plan.in_finally and environment is not None:
        target = environment["name"]
        if not has_entered(turn.run, target):
            detail = {"environment": target, "reason": f"the run never entered {target!r}"}
            skip_stage(turn, name, "condition", detail)
            return
    turn.emit(
        e.StageResolved(
            at=turn.now,
            instance=name,
            inputs=inputs,
            environment=environment,
            effect=effect,
            before=before,
        )
    )


def find_before(run: RunState, plan: StagePlan) -> Mapping[str, Json] | None:
    """Return what a stage of a rollback puts back; None for one that runs."""
    found: Mapping[str, Json] | None = run.created.preset.get(plan.id, {}).get("before")
    return found


def find_resolved(
    run: RunState, world: World, plan: StagePlan, matrix: Mapping[str, Json] | None
) -> Resolved:
    """Return the values a stage would have now.

    Raises:
        ExpressionError: they cannot be had; ``UnknownValue`` when a stage that has not ended is
            mentioned, code ``unknown-environment`` or ``unknown-secret`` for what is not declared.
    """
    if plan.undoes is not None:
        raise ExpressionError("it is known once that has failed", code="unknown-value")
    given = run.created.preset.get(plan.id)
    if given is not None:
        where = given["environment"]
        if where is not None and "before" not in given:
            where = _find_environment(world, where["name"])
        return given["inputs"], where, given["effect"]
    environment = None
    if plan.environment is not None:
        environment = _find_environment(world, find_environment_name(run, plan, matrix))
    inputs = plan.inputs.evaluate(
        lambda: make_scope(run, matrix=matrix, environment=environment), tokens=world.planning
    )
    if plan.inputs.mentions("secrets"):
        declared = environment["secrets"] if environment is not None else {}
        for secret in list_secrets(inputs):
            if secret not in declared and secret not in world.secrets:
                raise ExpressionError(
                    f"secret {secret!r} is not declared",
                    code="unknown-secret",
                    hint="declare it under 'secrets' in gennaker.yaml",
                )
    return inputs, environment, world.find_effect(plan.uses, inputs, environment is not None)


def _find_environment(world: World, name: str) -> dict[str, Json]:
    facts = world.environments.get(name)
    if facts is None:
        raise ExpressionError(
            f"environment {name!r} is not declared",
            code="unknown-environment",
            hint="declare it under 'environments' in gennaker.yaml",
        )
    return describe_environment(facts)


def find_environment_name(run: RunState, plan: StagePlan, matrix: Mapping[str, Json] | None) -> str:
    """Return the name of the environment a stage acts in.

    Raises:
        ExpressionError: it cannot be evaluated, or is no text.
    """
    assert plan.environment is not None
    name = plan.environment.evaluate(lambda: make_scope(run, matrix=matrix))
    if not isinstance(name, str):
        raise ExpressionError("the environment's name is not a string", code="expression-type")
    return name


def find_environment_names(run: RunState, stage: StageState) -> list[str | None] | None:
    """Return the environment of each instance of a stage that has one, None when not known yet.

    None in the list stands for an instance that will never enter any.
    """
    plan = stage.plan
    combinations: list[Mapping[str, Json] | None] = [None]
    try:
        if stage.expanded:
            combinations = [each.matrix for each in stage.instances]
        elif plan.matrix is not None:
            combinations = [*expand_matrix(plan.matrix, lambda: make_scope(run))]
    except ExpressionError:
        return None
    names: list[str | None] = []
    for values in combinations:
        try:
            names.append(find_environment_name(run, plan, values))
        except UnknownValue:
            return None
        except ExpressionError:
            # It will be errored when it is resolved, and never enters anything.
            names.append(None)
    return names


def describe_environment(facts: EnvironmentFacts) -> dict[str, Json]:
    """Return an environment's settings as they are kept with a stage."""
    return {
        "name": facts.name,
        "target": facts.target,
        "settings": facts.settings,
        "variables": facts.variables,
        "url": facts.url,
        "namespace": facts.namespace,
        "secrets": {name: list(where) for name, where in facts.secrets.items()},
        "approval": facts.approval,
    }


def has_entered(run: RunState, environment: str) -> bool:
    """Whether a stage outside ``finally`` started there, in this run or in the one it retries."""
    if environment in run.entered:
        return True
    reused = (run.stages[name] for name in run.created.reused)
    return any(
        environment in (find_environment_names(run, stage) or ())
        for stage in reused
        if stage.plan.environment is not None
    )


def list_secrets(data: Json) -> Iterator[str]:
    """Yield the names of the secrets whose marks are in resolved inputs."""
    if isinstance(data, dict):
        if len(data) == 1 and isinstance(data.get("$secret"), list):
            yield from (part["name"] for part in data["$secret"] if isinstance(part, dict))
        for item in data.values():
            yield from list_secrets(item)
    elif isinstance(data, list):
        for item in data:
            yield from list_secrets(item)
