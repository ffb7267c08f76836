"""Commands that follow from events which another process recorded for a run driven here.

A second terminal decides and records everything that follows, but executes nothing: it is for the
driver to find, in the events it takes in, what is to be done now.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gennaker_engine.core.attempts import make_delivery
from gennaker_engine.core.commands import CleanUp, Command, PlanSubject, Stop
from gennaker_engine.core.events import (
    ApprovalRequested,
    AttemptEnded,
    AttemptResumed,
    AttemptStarted,
    AttemptStopping,
    Event,
    RunAdopted,
)
from gennaker_engine.core.run import Run

__all__ = ["recall_commands", "recall_plans"]


def recall_commands(run: Run, events: Iterable[Event]) -> Iterator[Command]:
    """Yield the commands of events that ``run`` has taken in, as far as they still hold."""
    delivered: set[str] = set()
    for event in events:
        if isinstance(event, AttemptStarted | AttemptResumed):
            instance = run.facts.instances[event.instance]
            current = (instance.attempt, instance.delivery) == (event.attempt, event.delivery)
            if instance.state == "running" and current and instance.id not in delivered:
                delivered.add(instance.id)
                yield make_delivery(run.facts, instance)
        elif isinstance(event, AttemptStopping):
            instance = run.facts.instances[event.instance]
            if instance.state == "stopping":
                yield Stop(instance.id, instance.attempt, instance.delivery)
        elif isinstance(event, AttemptEnded):
            instance = run.facts.instances[event.instance]
            if instance.guards and instance.state == "ended":
                uses = run.facts.stages[instance.stage].plan.uses
                yield CleanUp(instance.id, uses, tuple(instance.guards))
        elif isinstance(event, ApprovalRequested):
            gate = run.facts.gates[event.gate]
            if gate.state == "open" and gate.plans is None and gate.subject:
                yield PlanSubject(gate.id)


def recall_plans(run: Run, events: Iterable[Event]) -> Iterator[Command]:
    """Yield what is to be planned after an adoption: the one before may not have come to it."""
    if any(isinstance(event, RunAdopted) for event in events):
        for name in run.facts.open_gates:
            gate = run.facts.gates[name]
            if gate.plans is None and gate.subject:
                yield PlanSubject(name)
