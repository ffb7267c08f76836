"""Questions to plugins about deploys of the past: to the stage type that deployed, and to the target."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from gennaker.errors import PermanentError
from gennaker.target import Target
from gennaker_engine.environments.deployed import Deployed
from gennaker_engine.planning.stage import Ask, Planning
from gennaker_engine.planning.stage import ask_stage as ask
from gennaker_engine.runtime.context import connect_target, read_environment
from gennaker_engine.runtime.engine import Engine
from gennaker_engine.runtime.services import describe_facts

__all__ = ["ask_stage", "ask_target"]

T = TypeVar("T")


def ask_stage(
    engine: Engine,
    deployed: Deployed,
    question: Ask[T],
    *,
    targets: dict[str, Target] | None = None,
) -> T:
    """Return what the type of a deploy's stage answers, given the inputs it had, where it was.

    Args:
        engine: of the project.
        deployed: a deploy.
        question: calls a method of the type that changes nothing.
        targets: plugins that are shared with questions about other stages.

    Raises:
        GennakerError: why it does not answer.
    """
    run, instance = deployed.run, deployed.instance
    if run is None or instance is None:
        raise PermanentError(
            f"the history of run {deployed.row.run!r} cannot be read",
            code="state-corrupt",
            hint="see what 'gennaker doctor' says",
        )
    plan = run.facts.stages[instance.stage].plan
    entry = {
        "id": instance.id,
        "uses": plan.uses,
        "timeout": plan.timeout,
        "inputs": instance.inputs or {},
        "environment": instance.environment,
        "stage": run.created.preset.get(instance.stage, {}).get("stage"),
    }
    planning = Planning(
        engine.make_services(),
        describe_facts(run),
        engine.project.root,
        engine.read_world(run),
        targets={} if targets is None else targets,
    )
    return ask(planning, entry, question)


def ask_target(engine: Engine, deployed: Deployed, question: Callable[[Target, Any], T]) -> T:
    """Return what the target of a deploy answers; ``question`` is given it and a connection.

    Raises:
        GennakerError: why it does not answer.
    """
    environment = read_environment(deployed.instance.environment if deployed.instance else None)
    connection = connect_target(engine.make_services(), environment)
    assert environment is not None  # it was connected to
    return question(engine.registry.target(str(environment.target))(), connection)
