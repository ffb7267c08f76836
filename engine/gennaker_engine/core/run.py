"""``Run``: a pipeline's run as a state machine without I/O, clock, randomness or threads.

The runtime creates or replays one, gives it messages, stores the events of each reaction and then
carries out its commands. ``handle`` decides and records facts; ``evolve`` applies a fact, and is
all that a replay does. Nothing but facts changes a run, so a replayed one is equal.
"""

from __future__ import annotations

from collections.abc import Iterable

from gennaker.errors import GennakerError, NotAllowed
from gennaker.records import dataclass
from gennaker_engine.core import events as e
from gennaker_engine.core import messages as m
from gennaker_engine.core.advance import advance
from gennaker_engine.core.commands import Command, EnterGroup
from gennaker_engine.core.decisions import DECISIONS
from gennaker_engine.core.due import fire_due
from gennaker_engine.core.evolve import begin, evolve
from gennaker_engine.core.reports import REPORTS
from gennaker_engine.core.state import RunState
from gennaker_engine.core.turn import Turn

__all__ = ["Reaction", "Run"]


@dataclass(frozen=True, slots=True)
class Reaction:
    """What came of a message.

    Attributes:
        events: facts to store, in order, together or not at all.
        commands: what to do after they are stored.
        refused: why the message changed nothing (it came late, or twice).
    """

    events: tuple[e.Event, ...] = ()
    commands: tuple[Command, ...] = ()
    refused: str | None = None


class Run:
    """One run. Read its ``facts``; they change by events alone. Not safe for several threads."""

    __slots__ = ("facts",)

    def __init__(self, facts: RunState) -> None:
        self.facts = facts

    @classmethod
    def create(cls, created: e.RunCreated, *, world: m.World, now: float) -> tuple[Run, Reaction]:
        """Return a new run and its first events, ``created`` at the front.

        Nothing starts before a process adopts it. With a concurrency group it is queued first and
        asks for a place.
        """
        run = cls(begin(created))
        turn = Turn(run.facts, world, now)
        group = created.concurrency
        if group is None:
            turn.emit(e.RunStarted(at=now))
        else:
            turn.emit(e.RunQueued(at=now, group=group["group"]))
            turn.ask(
                EnterGroup(group["group"], group.get("limit", 1), group.get("policy", "queue"))
            )
        run.facts.agenda.clear()
        return run, Reaction((created, *turn.events), tuple(turn.commands))

    @classmethod
    def replay(cls, events: Iterable[e.Event]) -> Run:
        """Return the run that a history describes, equal to the one that wrote it.

        Raises:
            GennakerError: code ``illegal-transition`` when no run can have written it.
        """
        each = iter(events)
        first = next(each, None)
        if not isinstance(first, e.RunCreated):
            raise GennakerError(
                "a history begins with 'run.created'",
                code="illegal-transition",
                hint="the journal is damaged; restore it from a backup",
            )
        run = cls(begin(first))
        for event in each:
            run.evolve(event)
        return run

    def handle(self, message: m.Message, *, world: m.World, now: float) -> Reaction:
        """Decide what follows from a message, record it and go on as far as possible.

        Args:
            world: settings as they are now.
            now: seconds since the epoch.

        Raises:
            NotAllowed, InvalidInput: a decision that is refused; nothing changed.
        """
        run = self.facts
        if run.phase == "ended":
            return self._refuse_ended(message)
        turn = Turn(run, world, now)
        kind = type(message)
        refused = None
        if kind is m.Tick:
            fire_due(turn)
        else:
            handler = REPORTS.get(kind) or DECISIONS.get(kind)
            if handler is None:
                # The runtime may have its own kind of a report.
                handler = next(each for base, each in REPORTS.items() if isinstance(message, base))
            refused = handler(turn, message)
        if turn.events:
            advance(turn)
        return Reaction(tuple(turn.events), tuple(turn.commands), refused)

    def _refuse_ended(self, message: m.Message) -> Reaction:
        said = f"run {self.id!r} has ended"
        if isinstance(message, m.Decide):
            raise NotAllowed(said, code="run-ended", hint="'gennaker retry' starts a new run")
        return Reaction(refused=said)

    def evolve(self, event: e.Event) -> None:
        """Apply a stored fact.

        Raises:
            GennakerError: code ``illegal-transition`` when it cannot follow.
        """
        evolve(self.facts, event)
        self.facts.agenda.clear()

    @property
    def id(self) -> str:
        """``shop-42``."""
        return self.facts.created.run

    @property
    def version(self) -> int:
        """How many events it has."""
        return self.facts.version

    @property
    def created(self) -> e.RunCreated:
        """What it is pinned to."""
        return self.facts.created

    @property
    def state(self) -> str:
        """``pending``, ``waiting``, ``running`` or ``ended``."""
        run = self.facts
        if run.phase == "ended":
            return "ended"
        if run.phase == "queued":
            return "waiting"
        if run.working and run.driven:
            return "running"
        if run.waits:
            return "waiting"
        return "running" if run.driven else "pending"

    @property
    def outcome(self) -> str | None:
        """Its outcome, None before it ends."""
        return self.facts.outcome

    @property
    def timed_out(self) -> bool:
        """Whether its own timeout was recorded."""
        return self.facts.timed_out

    @property
    def driven(self) -> bool:
        """Whether a process drives it, as far as the history says."""
        return self.facts.driven

    @property
    def next_due(self) -> float | None:
        """The earliest moment at which ``Tick`` does something."""
        if not self.facts.driven:
            return None
        first = self.facts.timers.first()
        return None if first is None else first[0]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and self.facts == other.facts

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Run {self.id} {self.state} version {self.version}>"
