"""What is refused before a run begins, as it could only go wrong in its middle. Called by the engine."""

from __future__ import annotations

from gennaker.errors import InvalidInput
from gennaker.plugins import Registry
from gennaker.stage import Stage
from gennaker.suggestions import suggest
from gennaker_engine.core.blueprint import StagePlan
from gennaker_engine.core.environments import find_names_at_start
from gennaker_engine.core.messages import World
from gennaker_engine.core.reuse import APPROVAL
from gennaker_engine.core.run import Run

__all__ = ["check_environments", "check_unseen"]


def check_environments(run: Run, world: World) -> None:
    """Refuse a new run that would act in an environment which is not declared.

    A name that depends on parameters or a literal matrix is known now; a stage whose ``if`` is known
    to be false acts nowhere.

    Raises:
        InvalidInput: code ``unknown-environment``.
    """
    for stage in run.facts.stages.values():
        for name in find_names_at_start(run.facts, stage) or ():
            if name is not None and name not in world.environments:
                raise InvalidInput(
                    f"stage {stage.plan.id!r} would act in environment {name!r}, which is not declared",
                    code="unknown-environment",
                    hint=suggest(
                        name,
                        sorted(world.environments),
                        otherwise="declare it under 'environments' in gennaker.yaml",
                    ),
                )


def check_unseen(run: Run, world: World, registry: Registry) -> None:
    """Refuse ``--approve`` of a stage that never asks anybody.

    Raises:
        InvalidInput: code ``no-approval``.
    """
    for name in run.created.approved:
        stage = run.facts.stages[name]
        if _can_ask(stage.plan, registry) or _is_protected(run, name, world, registry):
            continue
        raise InvalidInput(
            f"stage {name!r} asks for no approval: --approve {name} would do nothing",
            code="no-approval",
            hint="name an approval, or a stage that deploys to an environment which asks for one",
        )


def _can_ask(plan: StagePlan, registry: Registry) -> bool:
    """Whether the stage itself may ask people; a plugin's may, for all that is known."""
    return plan.uses == APPROVAL or not registry.is_own("stages", plan.uses)


def _is_protected(run: Run, name: str, world: World, registry: Registry) -> bool:
    """Whether the stage may deploy to an environment that asks before."""
    stage = run.facts.stages[name]
    if stage.plan.environment is None:
        return False
    own = registry.stage(stage.plan.uses)
    if own.find_effect.__func__ is Stage.find_effect.__func__ and own.effect != "deploy":  # type: ignore[attr-defined]
        return False
    names = find_names_at_start(run.facts, stage)
    return any(
        facts.approval is not None and (names is None or facts.name in names)
        for facts in world.environments.values()
    )
