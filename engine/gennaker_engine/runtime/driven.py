"""A run in the hands of a driver: its state, its deliveries, and how it is read from the journal."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from gennaker_engine.core.run import Run
from gennaker_engine.journal.decoding import replay_stored
from gennaker_engine.journal.port import Journal, Ownership, StoredEvent
from gennaker_engine.runtime.delivery import Delivery
from gennaker_engine.runtime.inbox import Letter
from gennaker_engine.runtime.services import RunServices

__all__ = ["Driven", "Identity", "replay"]

Identity = tuple[str, int, int]


class Driven:
    """A run that this driver drives; one that only waits can rest, and then is little more than its id.

    Args:
        run: as it is in the journal.
        ownership: the right to drive it.
        journal: where it is read again when it wakes.

    Attributes:
        services: what its deliveries share, made when the first command is carried out.
        deliveries: those that work now.
        cleaning: set when what was left behind has been ended.
        plans: gates whose subject is being planned.
        parking: until when (steady seconds) its deliveries may end, and the letter that asked.
        queued: the moment for which it was queued last, when time alone changes something.
    """

    __slots__ = (
        "_journal",
        "_run",
        "cleaning",
        "deliveries",
        "id",
        "next_due",
        "ownership",
        "parking",
        "plans",
        "queued",
        "services",
        "version",
    )

    def __init__(self, run: Run, ownership: Ownership, journal: Journal) -> None:
        self._run: Run | None = run
        self._journal = journal
        self.id = run.id
        self.ownership = ownership
        self.version = run.version
        self.next_due = run.next_due
        self.queued: float | None = None
        self.services: RunServices | None = None
        self.deliveries: dict[Identity, Delivery] = {}
        self.cleaning: list[threading.Event] = []
        self.plans: set[str] = set()
        self.parking: tuple[float, Letter] | None = None

    @property
    def run(self) -> Run:
        """The run as this driver knows it; one that rests is replayed up to there."""
        if self._run is None:
            stored = self._journal.load_events(self.id)
            self._run = replay(stored[: self.version])
        return self._run

    @run.setter
    def run(self, run: Run) -> None:
        self._run = run

    @property
    def is_awake(self) -> bool:
        """Whether the run is in memory."""
        return self._run is not None

    def note(self) -> None:
        """Remember what the run is at after a commit."""
        self.version, self.next_due = self.run.version, self.run.next_due

    def rest(self) -> None:
        """Forget all that can be read again; only for one that :meth:`only_waits`."""
        self._run = self.services = None

    def only_waits(self) -> bool:
        """Whether nothing of the run works or is about to be tried again."""
        if not self.is_awake:
            return True
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
