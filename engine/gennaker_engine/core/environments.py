"""A run's side of environment locks: when one is asked for, and when it is given back."""

from __future__ import annotations

from collections.abc import Collection

from gennaker.errors import ExpressionError
from gennaker.names import UNDO_PREFIX
from gennaker_engine.core import events as e
from gennaker_engine.core.commands import ReleaseLock, RequestLock
from gennaker_engine.core.resolve import find_environment_names
from gennaker_engine.core.scope import make_scope
from gennaker_engine.core.state import Instance, RunState, StageState
from gennaker_engine.core.turn import Turn

__all__ = ["check_lock", "find_names_at_start", "release_lock", "release_locks"]


def check_lock(turn: Turn, instance: Instance) -> bool:
    """Whether the instance may start as far as locks go; asks for the lock when it needs one."""
    if instance.effect != "deploy" or instance.environment is None:
        return True
    name = instance.environment["name"]
    lock = turn.run.locks.get(name)
    if lock is not None and lock.state == "held":
        return True
    if instance.wait != "lock":
        turn.emit(e.LockRequested(at=turn.now, environment=name, instance=instance.id))
        if lock is None:
            turn.ask(RequestLock(name, instance.id))
    return False


def release_lock(turn: Turn, environment: str) -> None:
    """Give a lock, or the place in its queue, back."""
    turn.emit(e.LockReleased(at=turn.now, environment=environment))
    turn.ask(ReleaseLock(environment))


def release_locks(turn: Turn) -> None:
    """Give back each lock that no stage of this section can need any more."""
    run = turn.run
    for name in list(run.locks):
        unwanted = run.locks[name].state == "requested" and name not in run.lock_waiters
        if unwanted or not _can_enter(run, name):
            release_lock(turn, name)


def _can_enter(run: RunState, environment: str) -> bool:
    """Whether a stage that has not ended acts in ``environment``, or may turn out to."""
    if environment in run.open_environments:
        return True
    for key in run.open_environments:
        if "${{" in key:
            names = _possible_names(run, key)
            if names is None or environment in names:
                return True
    return False


def _possible_names(run: RunState, key: str) -> Collection[str] | None:
    """The environments that the stages counted under ``key`` can mean; None when not known yet."""
    stage = run.stages[run.blueprint.by_environment[key][0]]
    names: list[str | None] | None = run.caches.get(("names", key))
    if names is None:
        names = find_environment_names(run, stage)
        if names is None:
            return None
        run.caches["names", key] = names
    undone = run.stages.get(f"{UNDO_PREFIX}{stage.plan.id}")
    if undone is not None and undone.state != "ended":
        return {name for name in names if name is not None}
    if "\n" in key and stage.plan.matrix is not None and stage.expanded:
        # A matrix over environments: an instance that has ended enters its own no more.
        names = [
            name
            for name, instance in zip(names, stage.instances, strict=True)
            if instance.state != "ended"
        ]
    return {name for name in names if name is not None}


def find_names_at_start(run: RunState, stage: StageState) -> list[str | None] | None:
    """Return the environments in which a stage of a new run will act, as far as they are known.

    None: not known yet. Without any: it acts in none, or its ``if`` is known to be false.
    """
    plan = stage.plan
    if plan.environment is None or plan.undoes is not None or stage.state == "ended":
        return []
    condition = plan.condition
    if condition is not None and not condition.statuses:
        try:
            value = condition.literal
            if condition.expression is not None:
                value = condition.expression.evaluate(make_scope(run))
        except ExpressionError:
            value = True
        if value is False:
            return []
    return find_environment_names(run, stage)
