"""Processes that race for one run: each has its own copy of it, clock and settings.

A process loads the run, decides on what it loaded, and appends by compare-and-set on the real
journal; between any two of these steps the others may go on. Who loses loads and decides again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from gennaker.errors import GennakerError
from gennaker_engine.core import events as e
from gennaker_engine.core import messages as m
from gennaker_engine.core.events import decode_event, encode_event
from gennaker_engine.core.run import Run
from gennaker_engine.journal.checking import check_run
from gennaker_engine.journal.port import Journal, Transaction, VersionConflict
from gennaker_engine.runtime.driven import replay
from gennaker_engine.runtime.moment import Moment, make_row
from tests.core.bench import ACTOR, Bench

__all__ = ["Race", "prepare_history"]

BEGIN = 1000.0
DEADLINE = 300.0
TIMEOUT = 600.0
RELEASE = ("local:ann", "local:bob", "local:eve", "local:kim")
PIPELINE: Mapping[str, Any] = {
    "timeout": "10m",
    "stages": {
        "go": {"uses": "ask"},
        "flaky": {"uses": "work", "retry": {"limit": 1, "delay": "1m"}, "timeout": "5m"},
        "live": {"uses": "deploy", "needs": "go", "environment": "staging"},
        "check": {"uses": "work", "needs": ["live", "flaky"]},
    },
    "finally": {"tidy": {"uses": "work"}},
}
MOST_STEPS = 200


def make_world(*removed: str) -> m.World:
    """Return the settings as a process reads them, without some people in the group."""
    bench = Bench.start({"stages": {"a": {"uses": "work"}}}, adopt=False)
    people = tuple(each for each in RELEASE if each not in removed)
    staging = m.EnvironmentFacts(
        "staging", approval={"approvers": ["group:release"], "required": 1, "self": True}
    )
    return replace(bench.world, environments={"staging": staging}, groups={"release": people})


WORLDS = {name: make_world(name) for name in ("", *RELEASE)}


def prepare_history(required: int, asked: int) -> list[dict[str, Any]]:
    """Return the events of a run that waits for people, for a stage, and for time.

    Args:
        required: approvals of ``go``.
        asked: 1 when its environment's question is the one that is open, else 0.
    """
    bench = Bench.start(PIPELINE, environments=WORLDS[""].environments, groups=WORLDS[""].groups)
    bench.wait("go", "decision", deadline=DEADLINE, required=required, approvers=["group:release"])
    if asked:
        for actor in RELEASE[:required]:
            bench.approve("go", actor)
        bench.succeed("go")
    return [encode_event(event) for event in bench.events]


@dataclass
class Process:
    """One of those that race; also the book of its moments."""

    race: Race
    message: m.Message
    now: float
    world: m.World
    run: Run | None = None
    told: str | None = None
    """``accepted``, or why not, once that is known."""
    lost: int = 0

    def find_run(self, _run: str, _transaction: Transaction) -> Run:
        """The copy it loaded."""
        assert self.run is not None
        return self.run

    def has_driver(self, _run: str) -> bool:
        """Somebody always drives the run of a race, or is about to."""
        return True

    def is_driven(self, _run: str) -> bool:
        """A grant is told to it at once."""
        return True

    def read_world(self, _run: Run) -> m.World:
        """The settings it read."""
        return self.world

    def step(self) -> None:
        """Load, or decide on what was loaded and append."""
        journal, name = self.race.journal, self.race.name
        if self.run is None:
            self.run = replay(journal.load_events(name))
            return
        version, moment, told = self.run.version, Moment(self, self.now), "accepted"
        try:
            with journal.transaction() as transaction:
                moment.enter(transaction)
                told = moment.handle(name, self.message).refused or told
                moment.write()
        except VersionConflict:
            self.run, self.lost = None, self.lost + 1
            return
        except GennakerError as error:
            told = error.code
        if told != "accepted" and journal.load_events(name, after=version):
            self.run = None  # refused for what it had loaded; it looks again
            return
        self.told = told


@dataclass
class Race:
    """One run and those that race for it; :meth:`start` puts the run into the journal."""

    journal: Journal
    name: str
    random: Random
    processes: list[Process] = field(default_factory=list)

    def start(self, history: list[dict[str, Any]]) -> None:
        """Append the history under this run's name."""
        first = replace(decode_event(history[0]), run=self.name)  # type: ignore[call-arg]
        events = [encode_event(first), *history[1:]]
        run = Run.replay(decode_event(dict(each)) for each in events)
        with self.journal.transaction() as transaction:
            transaction.append(make_row(run), 0, events)

    def enter(self, message: m.Message, *, removed: str = "") -> None:
        """Let a process take part: with this message, at its own moment, with its own settings."""
        now = BEGIN + self.random.choice([0.0, 1.0, 10.0, 61.0, DEADLINE, DEADLINE + 1, TIMEOUT])
        self.processes.append(Process(self, message, now, WORLDS[removed]))

    def run(self) -> None:
        """Let one process after the other do a step, in any order, until all know."""
        going = list(self.processes)
        while going:
            process = self.random.choice(going)
            process.step()
            if process.told is not None:
                going.remove(process)

    def finish(self) -> Run:
        """Let a last owner bring the run to its end, in one commit; time passes when it must."""
        owner = Process(self, m.Tick(), BEGIN + TIMEOUT, WORLDS[""])
        owner.run = run = replay(self.journal.load_events(self.name))
        with self.journal.transaction() as transaction:
            for _ in range(MOST_STEPS):
                if run.state == "ended":
                    break
                moment = Moment(owner, owner.now)
                moment.enter(transaction)
                message = find_next(run)
                moment.handle(self.name, message)
                moment.write()
                if isinstance(message, m.Tick) and run.next_due is not None:
                    owner.now = max(owner.now, run.next_due)
        assert run.state == "ended", "the run does not end"
        return run

    def check(self) -> Counter[str]:
        """Hold what must be true of any race; return what happened, counted."""
        assert check_run(self.journal, self.name) == []
        stored = self.journal.load_events(self.name)
        events = [decode_event(each.data) for each in stored]
        assert isinstance(events[-1], e.RunEnded)
        check_counts(events)
        self._check_told(events)
        found = Counter(event.result for event in events if isinstance(event, e.ApprovalClosed))
        found["lost"] = sum(each.lost for each in self.processes)
        found[f"run {events[-1].outcome}"] += 1
        found.update(each.told or "" for each in self.processes)
        return found

    def _check_told(self, events: list[e.Event]) -> None:
        """Hold that who was told yes is recorded once, and who was told no is not."""
        accepted = [each for each in self.processes if each.told == "accepted"]
        decisions = Counter(
            (each.message.actor, each.message.decision, each.now)
            for each in accepted
            if isinstance(each.message, m.Decide)
        )
        recorded = Counter(
            (event.actor, event.decision, event.at)
            for event in events
            if isinstance(event, e.ApprovalDecided) and event.origin == "race"
        )
        assert decisions == recorded
        cancels = sum(isinstance(each.message, m.Cancel) for each in accepted)
        told = [x for x in events if isinstance(x, e.AbortRequested) and x.reason == "cancel"]
        assert len(told) == cancels <= 2
        for each in accepted:
            if isinstance(each.message, m.Decide):
                assert each.message.actor in each.world.groups["release"]


def check_counts(events: list[e.Event]) -> None:
    """Hold that everything which may happen once happened once."""
    kinds: dict[type[e.Event], tuple[str, ...]] = {
        e.RunEnded: (),
        e.FinallyStarted: (),
        e.ApprovalClosed: ("gate",),
        e.AttemptStarted: ("instance", "attempt", "delivery"),
        e.AttemptResumed: ("instance", "attempt", "delivery"),
        e.AttemptEnded: ("instance", "attempt"),
        e.InstanceEnded: ("instance",),
        e.StageEnded: ("stage",),
    }
    seen = Counter(
        (event.type, *(getattr(event, name) for name in kinds[type(event)]))
        for event in events
        if type(event) in kinds
    )
    assert not [key for key, count in seen.items() if count > 1]
    gates = {event.gate: event for event in events if isinstance(event, e.ApprovalRequested)}
    for event in events:
        if isinstance(event, e.ApprovalDecided):
            deadline = gates[event.gate].deadline
            assert deadline is None or event.at < deadline


def find_next(run: Run) -> m.Message:
    """Return what a helpful world tells a run next."""
    facts = run.facts
    if not run.driven:
        return m.Adopt("last", ACTOR)
    for name in facts.active:
        each = facts.instances[name]
        if each.state == "running":
            return m.ReportSucceeded(name, each.attempt, each.delivery, outputs={})
        if each.state == "stopping":
            return m.ReportStopped(name, each.attempt, each.delivery)
    open_gates = [facts.gates[each] for each in facts.open_gates]
    for gate in open_gates:
        if gate.deadline is None:
            stage = gate.stage or gate.subject[0]["id"]
            taken = {each["actor"] for each in gate.decisions}
            return m.Decide(stage, "approve", next(each for each in RELEASE if each not in taken))
    return m.Tick()
