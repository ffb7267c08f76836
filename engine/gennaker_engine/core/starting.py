"""From known values to a delivery: people first, then the environment's lock, then the start."""

from __future__ import annotations

from gennaker_engine.core.attempts import start_attempt
from gennaker_engine.core.environments import check_lock
from gennaker_engine.core.gates import check_gates, settle_wait
from gennaker_engine.core.turn import Turn

__all__ = ["consider_instance"]


def consider_instance(turn: Turn, name: str) -> None:
    """Start an instance when nothing holds it back; go on with one whose question is settled."""
    instance = turn.run.instances.get(name)
    if instance is None:
        return
    if instance.state == "waiting":
        settle_wait(turn, instance)
    elif (
        instance.state == "ready"
        and instance.gate is None
        and check_gates(turn, instance)
        and check_lock(turn, instance)
    ):
        start_attempt(turn, instance)
