"""A run in the hands of a driver: its state, its deliveries, and how it is read from the journal."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from gennaker_engine.core.run import Run
from gennaker_engine.journal.decoding import replay_stored
from gennaker_engine.journal.port import Ownership, StoredEvent
from gennaker_engine.runtime.delivery import Delivery
from gennaker_engine.runtime.inbox import Letter
from gennaker_engine.runtime.services import RunServices

__all__ = ["Driven", "Identity", "replay"]

Identity = tuple[str, int, int]


@dataclass(slots=True)
class Driven:
    """A run that this driver drives."""

    run: Run
    ownership: Ownership
    services: RunServices | None = None
    deliveries: dict[Identity, Delivery] = field(default_factory=dict)
    cleaning: list[threading.Event] = field(default_factory=list)
    """Set when what was left behind has been ended."""
    plans: set[str] = field(default_factory=set)
    """Gates whose subject is being planned."""
    parking: tuple[float, Letter] | None = None
    """Until when (steady seconds) its deliveries may end, and the letter that asked."""

    def only_waits(self) -> bool:
        """Whether nothing of the run works or is about to be tried again."""
        facts = self.run.facts
        return (
            self.run.state == "waiting"
            and not self.deliveries
            and not self.plans
            and all(facts.instances[name].state != "retrying" for name in facts.active)
        )


def replay(stored: Sequence[StoredEvent]) -> Run:
    """Return the run of stored events.

    Raises:
        StateError: code ``state-newer`` when a newer release wrote them, ``state-corrupt``.
        GennakerError: code ``illegal-transition`` when no run can have written them.
    """
    first = stored[0].data if stored else None
    return replay_stored(stored, str(first.get("run")) if isinstance(first, dict) else "?")
