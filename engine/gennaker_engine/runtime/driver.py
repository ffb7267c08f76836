"""The driver: one loop that turns what happened into durable events and carries out what follows.

It runs in the thread of who called :meth:`Engine.drive`. Deliveries, signals and commands put
letters into its inbox; one turn takes all that is queued, without waiting for more, lets the runs
handle it in one transaction, and executes the commands after the commit. While it waits it looks,
every few milliseconds, whether another process has committed something for its runs.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from heapq import heappop, heappush
from typing import Any

from gennaker_engine.core.blueprint import Blueprint
from gennaker_engine.core.commands import CleanUp, Command, Deliver, PlanSubject, Stop
from gennaker_engine.core.events import Event, RunParked
from gennaker_engine.core.messages import (
    Adopt,
    ClockMoved,
    Park,
    ReportErrored,
    ReportFailed,
    ReportStopped,
    ReportSucceeded,
    ReportWaiting,
    SubjectPlanned,
    Tick,
    World,
)
from gennaker_engine.core.run import Run
from gennaker_engine.journal.decoding import decode_stored
from gennaker_engine.journal.errors import StateError
from gennaker_engine.journal.ownership import describe_process
from gennaker_engine.journal.port import (
    Journal,
    Transaction,
    VersionConflict,
)
from gennaker_engine.runtime.clock import ClockWatch
from gennaker_engine.runtime.creating import list_uses
from gennaker_engine.runtime.delivery import Delivery, Parked, end_leftovers
from gennaker_engine.runtime.driven import Driven, replay
from gennaker_engine.runtime.handing import Indigestible, Result, hand_over, settle
from gennaker_engine.runtime.inbox import Answer, Inbox, Letter, not_driven, run_owned
from gennaker_engine.runtime.moment import Moment, Touched, read_grant
from gennaker_engine.runtime.observer import Observer
from gennaker_engine.runtime.recall import recall_commands, recall_plans
from gennaker_engine.runtime.services import RunServices, Services, make_run_services
from gennaker_engine.runtime.world import WorldReader

__all__ = ["Driver"]

NOTICE = 0.01
"""Seconds between two looks for commits of others (some microseconds each)."""
SELDOM = 0.03
"""The same once nothing has happened in :data:`CALM` turns."""
CALM = 200
MAX_BATCH = 4096
"""Letters of one transaction; what is beyond waits for the next one."""
CROWD = 256
"""Runs that are all kept in memory; of more, those that only wait are not."""
DOZE = 5.0
"""Seconds; a run that has something to do sooner stays in memory."""
PARK_GRACE = 8.0
"""Seconds that deliveries have to end when their run is parked: TERM, KILL and a little more."""
_ATTEMPTS = 5
"""Of one moment. The state waits some seconds in each for another process that keeps it locked."""

_REPORTS = (ReportSucceeded, ReportFailed, ReportErrored, ReportStopped, ReportWaiting)


class Driver:
    """Drives the runs given to :meth:`adopt` until each has ended, was parked or left waiting.

    Args:
        journal: where events go.
        services: what deliveries work with; its inbox is this driver's.
        world: what the core may know of the outside.
        observer: who watches.
        tell_siblings: called after a commit that concerns runs which other drivers of this process
            may drive; to them it is no foreign commit.
    """

    def __init__(
        self,
        journal: Journal,
        services: Services,
        *,
        world: WorldReader,
        observer: Observer,
        tell_siblings: Callable[[], None],
    ) -> None:
        self.inbox: Inbox = services.inbox
        self._journal = journal
        self._services = services
        self._world = world
        self._observer = observer
        self._clock = services.clock
        self._watch = ClockWatch(services.clock)
        self._pool = services.pool
        self._driven: dict[str, Driven] = {}
        self._left: dict[str, Run] = {}
        self._due: list[tuple[float, str]] = []
        self._claiming: set[str] = set()
        """Runs that may have a claim whose grant they were not told yet."""
        self._parking: set[str] = set()
        self._token: object = None
        self._seen = journal.last_change()
        self._nudged = self._news = False
        self._quiet = 0
        """Turns since something happened."""
        self._adopted: set[str] = set()
        self._worlds: dict[bool, World] = {}
        """As read in this turn, for runs on the sandbox and others."""
        self._tell_siblings = tell_siblings

    # Runs ---------------------------------------------------------------------------------------

    def adopt(self, run_id: str, actor: str) -> Answer:
        """Take a run over; the answer is settled once the adoption is durable.

        Raises:
            NotAllowed: code ``run-owned``, when another process drives it.
        """
        answer = Answer()
        ownership = self._journal.own_run(run_id)
        if ownership is None:
            raise run_owned(run_id, self._journal.find_owner(run_id))
        try:
            run = replay(self._journal.load_events(run_id))
        except BaseException:
            ownership.release()
            raise
        if run.state == "ended":
            ownership.release()
            self._left[run_id] = run
            answer.settle()
            return answer
        if run.created.sandbox:
            self._world.enter_sandbox()
        self._world.preload(list_uses(run.created.definition))
        self._driven[run_id] = Driven(run, ownership, self._journal)
        self._claiming.add(run_id)
        self._adopted.add(run_id)
        message = Adopt(owner=describe_process(), actor=actor, died=run.driven)
        self.inbox.put(Letter(run_id, message, answer))
        return answer

    def drive(
        self,
        runs: Sequence[str],
        actor: str,
        *,
        detach_on_wait: bool = False,
        early: dict[str, list[Letter]] | None = None,
    ) -> dict[str, Run]:
        """Adopt runs and loop until none is left to drive; return them as they were left.

        Args:
            runs: their ids.
            actor: who drives.
            detach_on_wait: park when all of them only wait.
            early: letters that came before.

        Raises:
            NotAllowed: code ``run-owned``, when another process drives one.
            StateError: the state cannot be written any more; the runs can be resumed.
        """
        try:
            for number, run_id in enumerate(runs, 1):
                self.adopt(run_id, actor)
                for letter in (early or {}).pop(run_id, ()):
                    self.inbox.put(letter)
                if number % CROWD == 0:
                    self._turn()  # of many, the first may rest before the last is read
            while self._driven:
                if self._turn() and detach_on_wait:
                    self._detach()
            return self._left
        finally:
            self._leave()

    def nudge(self) -> None:
        """Let the next turn look at the journal: this process committed something elsewhere."""
        self._nudged = True

    # Book of the moment -------------------------------------------------------------------------

    def find_run(self, run: str, transaction: Transaction) -> Run:
        """Return a driven run, or another one as it is in the journal."""
        driven = self._driven.get(run)
        return driven.run if driven is not None else replay(transaction.load_events(run))

    def is_driven(self, run: str) -> bool:
        """Whether this driver drives the run."""
        return run in self._driven

    def has_driver(self, run: str) -> bool:
        """Whether any process drives the run."""
        return run in self._driven or self._journal.find_owner(run) is not None

    def has_left(self, run: str) -> bool:
        """Whether this driver drove the run and does not any more."""
        return run in self._left

    def read_world(self, run: Run) -> World:
        """Return the world as the run may see it; looked at once a turn, however many runs ask."""
        sandbox = run.created.sandbox
        if sandbox not in self._worlds:
            self._worlds[sandbox] = self._world.read(sandbox=sandbox)
        return self._worlds[sandbox]

    # The loop -----------------------------------------------------------------------------------

    def _turn(self) -> bool:
        """Wait for something, handle it; return whether there was anything."""
        letters = self._sort(self.inbox.take(self._find_patience(), MAX_BATCH))
        self._end_parking(letters)
        due = self._pop_due(self._watch.look())
        # Before the ends of those that wrote them.
        self._show_logs()
        busy = bool(letters or due or self._watch.moved or self._has_news())
        if busy:
            self._settle(letters, due)
        self._quiet = 0 if busy else self._quiet + 1
        return busy

    def _find_patience(self) -> float:
        patience = NOTICE if self._quiet < CALM else SELDOM
        if self._due:
            patience = min(patience, max(0.0, self._due[0][0] - self._clock.now()))
        return patience

    def _pop_due(self, now: float) -> list[str]:
        found = []
        while self._due and self._due[0][0] <= now:
            moment, run_id = heappop(self._due)
            driven = self._driven.get(run_id)
            if driven is not None and driven.next_due == moment:
                driven.queued = None
                found.append(run_id)
        return found

    def _has_news(self) -> bool:
        return self._nudged or self._journal.change_token() != self._token

    def _sort(self, letters: Sequence[Letter]) -> list[Letter]:
        """Take out what is the driver's own business: ends of deliveries, orders to park."""
        kept = []
        for letter in letters:
            driven, message = self._driven.get(letter.run), letter.message
            if driven is None:
                settle(letter, error=not_driven(letter.run))
            elif isinstance(message, Park):
                self._begin_parking(driven, letter)
            else:
                if isinstance(message, _REPORTS):
                    identity = (message.instance, message.attempt, message.delivery)
                    driven.deliveries.pop(identity, None)
                elif isinstance(message, SubjectPlanned):
                    driven.plans.discard(message.gate)
                if not isinstance(message, Parked):
                    kept.append(letter)
        return kept

    def _settle(self, letters: Sequence[Letter], due: Iterable[str]) -> None:
        """Handle everything of this moment in one transaction; then let it show and act."""
        tails: dict[str, list[Event]] = {}
        results: list[Result] = []
        self._worlds.clear()
        for attempt in range(_ATTEMPTS):
            moment = Moment(self, self._watch.look())
            try:
                with self._journal.transaction() as transaction:
                    moment.enter(transaction)
                    results = self._work_off(moment, transaction, tails, letters, due)
                break
            except (VersionConflict, StateError) as problem:
                # Who keeps the state locked for long, as a backup does, is waited for again.
                again = isinstance(problem, VersionConflict) or problem.code == "state-busy"
                if attempt == _ATTEMPTS - 1 or not again:
                    raise
                self._step_back(moment)
            except Indigestible as nonsense:
                # One plugin's nonsense must not stop the others: the letter is replaced.
                self._step_back(moment)
                letters = nonsense.replace_in(letters)
                if attempt == _ATTEMPTS - 1:
                    raise
        self._watch.moved = 0.0
        self._claiming |= moment.claiming & self._driven.keys()
        if moment.elsewhere:
            self._tell_siblings()
        for letter, refused, error in results:
            settle(letter, refused=refused, error=error)
        self._act(moment.touched, tails)

    def _work_off(
        self,
        moment: Moment,
        transaction: Transaction,
        tails: dict[str, list[Event]],
        letters: Sequence[Letter],
        due: Iterable[str],
    ) -> list[Result]:
        """Let all runs go on inside the transaction; return what became of the letters."""
        self._catch_up(transaction, tails)
        if self._watch.moved:
            # What others recorded since it was set, some milliseconds ago, is shifted with the rest.
            for run_id in self._driven:
                moment.handle(run_id, ClockMoved(self._watch.moved))
        self._take_grants(moment, transaction)
        for run_id in (*tails, *due):
            if run_id in self._driven:
                moment.handle(run_id, Tick())
        results = [hand_over(moment, letter) for letter in letters]
        moment.write()
        return results

    def _catch_up(self, transaction: Transaction, tails: dict[str, list[Event]]) -> None:
        """Take in what others appended to the runs driven here, and add it to ``tails``."""
        token = self._journal.change_token()
        self._news = self._nudged or token != self._token
        if not self._news:
            return
        self._token, self._nudged = token, False
        for change in transaction.list_changes(self._seen):
            self._seen = change.order
            driven = self._driven.get(change.run)
            if driven is not None and change.version > driven.version:
                stored = transaction.load_events(change.run, after=driven.run.version)
                tail = decode_stored(stored, change.run)
                tails.setdefault(change.run, []).extend(tail)
                for event in tail:
                    driven.run.evolve(event)

    def _take_grants(self, moment: Moment, transaction: Transaction) -> None:
        """Tell runs what the releases of others granted them."""
        new, self._adopted = self._adopted, set()
        for run_id in sorted(self._claiming if self._news else new):
            claims = transaction.read_claims_of(run_id)
            if all(claim.holding for claim in claims):
                self._claiming.discard(run_id)
            for claim in claims:
                if claim.holding and run_id in self._driven:
                    moment.handle(run_id, read_grant(claim))

    def _step_back(self, moment: Moment) -> None:
        """Forget what the moment did to its runs: another process was quicker."""
        self._nudged = True
        self._claiming |= self._driven.keys() & moment.touched.keys()
        for run_id, touched in moment.touched.items():
            driven = self._driven.get(run_id)
            if driven is not None:
                stored = self._journal.load_events(run_id)
                driven.run = replay(stored[: touched.before])

    # After the commit ---------------------------------------------------------------------------

    def _act(self, touched: dict[str, Touched], tails: dict[str, list[Event]]) -> None:
        for run_id in (*tails, *(each for each in touched if each not in tails)):
            driven = self._driven.get(run_id)
            if driven is None:
                continue
            own = touched.get(run_id)
            events = [*tails.get(run_id, ()), *(own.events if own else ())]
            if events:
                self._observer.on_events(driven.run, events)
            commands = [
                *recall_commands(driven.run, tails.get(run_id, ())),
                *(own.commands if own else ()),
                *recall_plans(driven.run, own.events if own else ()),
            ]
            for command in commands:
                self._execute(driven, command)
            driven.note()
            if driven.next_due is not None and driven.next_due != driven.queued:
                heappush(self._due, (driven.next_due, run_id))
                driven.queued = driven.next_due
            if driven.run.state == "ended" or isinstance(events[-1] if events else None, RunParked):
                self._let_go(run_id)
            elif len(self._driven) > CROWD and self._may_rest(driven):
                driven.rest()

    def _may_rest(self, driven: Driven) -> bool:
        soon = self._clock.now() + DOZE
        return driven.only_waits() and (driven.next_due is None or driven.next_due > soon)

    def _execute(self, driven: Driven, command: Command) -> None:
        if driven.services is None:
            world = self.read_world(driven.run)
            driven.services = make_run_services(self._services, driven.run, world)
        services = driven.services
        if isinstance(command, Deliver):
            if driven.parking is None:
                secrets = self.read_world(driven.run).secrets
                delivery = Delivery(command, services, secrets)
                driven.deliveries[delivery.identity] = delivery
                self._pool.start(delivery.work)
        elif isinstance(command, Stop):
            identity = (command.instance, command.attempt, command.delivery)
            if identity in driven.deliveries:
                driven.deliveries[identity].stop()
            else:
                self.inbox.put(Letter(driven.run.id, ReportStopped(*identity)))
        elif isinstance(command, CleanUp):
            done = threading.Event()
            driven.cleaning.append(done)
            attempt = driven.run.facts.instances[command.instance].attempt
            job = partial(end_leftovers, command, services, attempt=attempt, done=done.set)
            self._pool.start(job)
        elif isinstance(command, PlanSubject):
            if command.gate not in driven.plans:
                driven.plans.add(command.gate)
                facts = driven.run.facts
                subject, blueprint = facts.gates[command.gate].subject, facts.blueprint
                plan = partial(
                    self._plan_subject,
                    services,
                    command.gate,
                    subject=subject,
                    blueprint=blueprint,
                    world=self.read_world(driven.run),
                )
                self._pool.start(plan)
        else:
            raise TypeError(f"the driver does not know {type(command).__name__}")

    def _plan_subject(
        self,
        services: RunServices,
        gate: str,
        *,
        subject: Sequence[Mapping[str, Any]],
        blueprint: Blueprint,
        world: World,
    ) -> None:
        """Plan what a gate's approvers are asked about; in a thread of its own."""
        from gennaker_engine.planning.subject import plan_subject

        plans = plan_subject(services, subject, blueprint, world=world)
        self.inbox.put(Letter(services.facts.id, SubjectPlanned(gate, plans)))

    def _let_go(self, run_id: str) -> None:
        driven = self._driven.pop(run_id)
        self._claiming.discard(run_id)
        self._parking.discard(run_id)
        self._left[run_id] = driven.run
        for delivery in driven.deliveries.values():
            delivery.park()  # who drives the run next delivers it again
            delivery.kill()
        for done in driven.cleaning:
            done.wait(PARK_GRACE)
        driven.ownership.release(self._pool.start)

    def _leave(self) -> None:
        """Leave nothing behind, also when the loop ended with an error."""
        for run_id in tuple(self._driven):
            self._let_go(run_id)
        self.inbox.close()
        self._show_logs()

    def _show_logs(self) -> None:
        notes = self._services.notes
        with contextlib.suppress(IndexError):
            while True:
                note = notes.popleft()
                self._observer.on_log(note.run, note.instance, note.attempt, note.stream, note.text)

    # Parking ------------------------------------------------------------------------------------

    def _begin_parking(self, driven: Driven, letter: Letter) -> None:
        if driven.parking is not None:
            settle(letter)
            return
        driven.parking = (self._clock.steady() + PARK_GRACE, letter)
        self._parking.add(letter.run)
        for delivery in driven.deliveries.values():
            delivery.park()

    def _end_parking(self, letters: list[Letter]) -> None:
        """Add the order to park once the run's deliveries have ended, or their time is over."""
        for run_id in self._parking:
            driven = self._driven[run_id]
            if driven.parking is not None:
                until, letter = driven.parking
                if not driven.deliveries or self._clock.steady() >= until:
                    letters.append(letter)

    def _detach(self) -> None:
        """Park what only waits, when that is all there is."""
        if all(each.only_waits() for each in self._driven.values()):
            for run_id, driven in self._driven.items():
                if driven.parking is None:
                    self.inbox.put(Letter(run_id, Park("detach")))
