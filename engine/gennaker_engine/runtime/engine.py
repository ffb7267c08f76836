"""The engine: what commands (and later a server) call to create, drive, decide and read runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

from gennaker.errors import InvalidInput
from gennaker.loader import Loaded
from gennaker.parameters import resolve_parameters
from gennaker.plugins import Registry
from gennaker.project import Project
from gennaker_engine.core.events import Event
from gennaker_engine.core.messages import Message, World
from gennaker_engine.core.run import Reaction, Run
from gennaker_engine.journal.decoding import decode_stored
from gennaker_engine.journal.lookup import resolve_run
from gennaker_engine.journal.opening import find_state_folder, note_server, open_journal
from gennaker_engine.journal.port import RunRow, Transaction, VersionConflict
from gennaker_engine.runtime.clock import Clock, SystemClock
from gennaker_engine.runtime.creating import (
    Pinned,
    Start,
    list_globs,
    list_uses,
    pin_run,
)
from gennaker_engine.runtime.driven import replay
from gennaker_engine.runtime.driver import Driver
from gennaker_engine.runtime.inbox import Answer, Inbox, Letter, not_driven
from gennaker_engine.runtime.moment import Moment
from gennaker_engine.runtime.observer import Observer, QuietObserver
from gennaker_engine.runtime.refusing import check_environments, check_unseen
from gennaker_engine.runtime.retrying import (
    Retry,
    check_ended,
    plan_corrected_retry,
    plan_retry,
)
from gennaker_engine.runtime.rollback import Rollback, find_again, find_undo, pin_rollback
from gennaker_engine.runtime.services import Services
from gennaker_engine.runtime.threads import ThreadPool
from gennaker_engine.runtime.world import WorldReader, lock_scope
from gennaker_engine.storage.artifacts import ArtifactFolder
from gennaker_engine.storage.folder import StateFolder
from gennaker_engine.storage.logs import LogStore
from gennaker_engine.storage.source import capture_source, hash_globs
from gennaker_engine.storage.source_changes import SourceComparison
from gennaker_engine.storage.workspaces import Workspaces

if TYPE_CHECKING:
    from gennaker_engine.planning import PipelinePlan

__all__ = ["Engine"]

T = TypeVar("T")

_ATTEMPTS = 20


class Engine:
    """Runs of one project in one state; make it with :meth:`open`, end it with :meth:`close`.

    Attributes:
        journal: the events and rows of all runs.
        artifacts: what stages made.
        logs: what they wrote.
        state_folder: where everything but the journal lives.
    """

    def __init__(
        self,
        project: Project,
        registry: Registry,
        *,
        url: str,
        clock: Clock | None = None,
        reading: bool = False,
    ) -> None:
        self.project = project
        self.registry = registry
        self.state_folder = StateFolder(project.root, find_state_folder(url, project=project.root))
        if not reading:
            self.state_folder.ensure()
        self.journal = open_journal(url, project=project.root, reading=reading)
        if not reading:
            note_server(url, self.state_folder.folder)
        self.artifacts = ArtifactFolder(self.state_folder.artifacts)
        self.logs = LogStore(self.state_folder.logs)
        self._clock = clock or SystemClock()
        self._world = WorldReader(project, registry, self.state_folder.folder)
        self._pool = ThreadPool()
        self._drivers: list[Driver] = []
        self._early: dict[str, list[Letter]] = {}
        self._lock = threading.Lock()

    @classmethod
    def open(
        cls,
        project: Project,
        registry: Registry,
        *,
        state: str | None = None,
        clock: Clock | None = None,
        reading: bool = False,
    ) -> Engine:
        """Open the engine of a project.

        Args:
            project: its settings are read now and again while runs go on.
            registry: the plugins that can be used.
            state: ``--state``, which wins over the environment and the settings.
            clock: the machine's unless given.
            reading: nothing will be written, so that a state that cannot be will do.

        Raises:
            InvalidInput: wrong settings, or a kind of state that is not offered.
            StateError: the state cannot be used.
        """
        project.load_settings()
        return cls(project, registry, url=project.state_url(state), clock=clock, reading=reading)

    def close(self) -> None:
        """Release the state; a second call does nothing."""
        self.journal.close()

    # Creating -----------------------------------------------------------------------------------

    def create_run(
        self,
        loaded: Loaded,
        parameters: Mapping[str, Any],
        *,
        actor: str,
        sandbox: bool = False,
        plan: str | None = None,
        approved: Sequence[str] = (),
    ) -> str:
        """Create a run and return its id (``shop-42``); :meth:`drive` starts it.

        Args:
            loaded: the pipeline.
            parameters: values by name, text or typed.
            actor: who starts it.
            sandbox: act on the sandbox.
            plan: digest of the plan that was agreed to; another plan now is refused.
            approved: approvals decided before seeing; needs ``sandbox`` or ``plan``.

        Raises:
            InvalidInput: wrong parameters; code ``plan-moved``, ``approve-unseen``,
                ``no-approval``, ``unknown-environment``, ``source-…``.
            NotAllowed: code ``concurrency-rejected``; there is no run then.
        """
        start = Start(actor=actor, sandbox=sandbox, plan=plan, approved=tuple(approved))
        start.check(loaded.definition)
        values = resolve_parameters(loaded.definition, parameters)
        if plan is not None:
            self._check_plan(loaded, values, start)
        self._prepare(sandbox, loaded.definition.to_data())
        pinned = self._pin(loaded, values, store=True)

        def create(moment: Moment, transaction: Transaction, now: float) -> str:
            number = transaction.allocate_number(loaded.definition.name)
            return self._begin(moment, pin_run(pinned, start, number=number, now=now))

        return self._transact(create)

    def plan_retry(
        self,
        run_id: str,
        *,
        actor: str,
        current: Loaded | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> Retry:
        """Return what a retry of an ended run would take over and what would run again.

        Args:
            run_id: the run that is retried.
            actor: who retries it.
            current: the definition of now, used with the source of now; else those of the run.
            parameters: values over those of the run, with ``current`` alone.

        Raises:
            NotAllowed: code ``run-active`` when it has not ended.
            InvalidInput: wrong parameters for ``current``; code ``source-…``.
        """
        run = self.load_run(run_id)
        check_ended(run)
        definition = run.created.definition if current is None else current.definition.to_data()
        self._prepare(run.created.sandbox, definition)
        if current is None:
            return plan_retry(run, self.journal, actor=actor)
        given = {**run.created.parameters, **(parameters or {})}
        values = resolve_parameters(current.definition, given)
        pinned = self._pin(current, values, store=True)
        return plan_corrected_retry(
            run,
            pinned,
            self.journal,
            actor=actor,
            world=self._world.read(sandbox=run.created.sandbox),
            sources=SourceComparison(
                pinned.source, state=self.state_folder, root=self.project.root
            ),
        )

    def create_retry(self, run: str | Retry, *, actor: str) -> str:
        """Create a run that repeats an ended one but takes over what succeeded; return its id.

        Args:
            run: the run, or the retry of it that was planned.
            actor: who retries it.

        Raises:
            NotAllowed: code ``run-active`` when it has not ended, ``concurrency-rejected``.
        """
        retry = self.plan_retry(run, actor=actor) if isinstance(run, str) else run

        def create(moment: Moment, transaction: Transaction, now: float) -> str:
            _check_kept(retry.old, transaction)
            number = transaction.allocate_number(retry.old.created.pipeline)
            return self._begin(moment, retry.make_created(number, now))

        return self._transact(create)

    def find_rollback(
        self, run_id: str, *, environment: str | None = None, again: bool = False
    ) -> Rollback:
        """Return how a run is put back, or with ``again`` how its deploys are made again.

        Raises:
            NotAllowed: why it cannot be.
        """
        run = self.load_run(run_id)
        if again:
            return find_again(run, environment or "")
        return find_undo(run, self.journal, self.registry, environment=environment)

    def create_rollback(self, rollback: Rollback, *, actor: str) -> str:
        """Create the run of a rollback and return its id."""
        self._prepare(rollback.run.created.sandbox, rollback.definition.to_data())

        def create(moment: Moment, transaction: Transaction, now: float) -> str:
            _check_kept(rollback.run, transaction)
            number = transaction.allocate_number(rollback.definition.name)
            return self._begin(moment, pin_rollback(rollback, actor=actor, number=number, now=now))

        return self._transact(create)

    def plan_rollback(self, rollback: Rollback) -> PipelinePlan:
        """Return what the run of a rollback would do, without doing any of it."""
        from gennaker_engine.planning import plan_pipeline

        sandbox = rollback.run.created.sandbox
        self._prepare(sandbox, rollback.definition.to_data())
        created = pin_rollback(rollback, actor=find_actor(), number=0, now=self._clock.now())
        return plan_pipeline(
            created,
            self.make_services(),
            world=self._world.read(sandbox=sandbox),
            project=self.project,
        )

    def make_services(self) -> Services:
        """Return what stage types are called with; each call makes an inbox of its own."""
        return Services(
            registry=self.registry,
            project=self.project.root,
            journal=self.journal,
            state=self.state_folder,
            artifacts=self.artifacts,
            logs=self.logs,
            workspaces=Workspaces(self.state_folder.workspaces),
            inbox=Inbox(),
            pool=self._pool,
            clock=self._clock,
        )

    def find_scope(self, *, sandbox: bool) -> str:
        """Return the scope of the project's locks and deploys, those on the sandbox apart."""
        return lock_scope(self.project.name, sandbox)

    def _prepare(self, sandbox: bool, definition: Mapping[str, Any]) -> None:
        if sandbox:
            self._world.enter_sandbox()
        self._world.preload(list_uses(definition))

    def _pin(self, loaded: Loaded, values: Mapping[str, Any], *, store: bool) -> Pinned:
        root, exclude = self.project.root, self.project.load_settings().exclude
        source = capture_source(root, state=self.state_folder, exclude=exclude, store=store)
        return Pinned(
            project=self.project.name,
            loaded=loaded,
            parameters=values,
            source=source.facts,
            git=source.git,
            files=hash_globs(root, list_globs(loaded.definition), exclude=exclude),
        )

    def _begin(self, moment: Moment, created: Any) -> str:
        world = self._world.read(sandbox=created.sandbox)
        run, reaction = Run.create(created, world=world, now=created.at)
        check_environments(run, world)
        check_unseen(run, world, self.registry)
        moment.begin(run, reaction)
        return run.id

    def _transact(self, work: Callable[[Moment, Transaction, float], T]) -> T:
        """Let ``work`` do something in one transaction, again when somebody else was quicker."""
        for attempt in range(_ATTEMPTS):
            now = self._clock.now()
            moment = Moment(self, now)
            try:
                with self.journal.transaction() as transaction:
                    moment.enter(transaction)
                    result = work(moment, transaction, now)
                    moment.write()
            except VersionConflict:
                if attempt == _ATTEMPTS - 1:
                    raise
                continue
            return result
        raise AssertionError("the last attempt returns or raises")

    def _check_plan(self, loaded: Loaded, values: Mapping[str, Any], start: Start) -> None:
        now = self._plan(loaded, values, sandbox=start.sandbox).digest
        if now != start.plan:
            raise InvalidInput(
                f"the plan is {now} now, not {start.plan}",
                code="plan-moved",
                hint="look at it with 'gennaker plan' and give its digest",
            )

    # Reading ------------------------------------------------------------------------------------

    def resolve_run(self, ref: str) -> RunRow:
        """Return the row of a run by its id, a unique prefix, or ``@last``.

        Raises:
            InvalidInput: code ``unknown-run`` or ``ambiguous-run``.
        """
        return resolve_run(self.journal, ref)

    def load_run(self, run_id: str) -> Run:
        """Return a run as its events left it."""
        return replay(self.journal.load_events(run_id))

    def load_events(self, run_id: str, after: int = 0) -> list[tuple[int, Event]]:
        """Return a run's events with their sequence numbers, those above ``after``."""
        stored = self.journal.load_events(run_id, after=after)
        events = decode_stored(stored, run_id)
        return [(each.sequence, event) for each, event in zip(stored, events, strict=True)]

    def plan(
        self, loaded: Loaded, parameters: Mapping[str, Any], *, sandbox: bool = False
    ) -> PipelinePlan:
        """Return what a run would do, without doing any of it."""
        return self._plan(
            loaded, resolve_parameters(loaded.definition, parameters), sandbox=sandbox
        )

    def _plan(self, loaded: Loaded, values: Mapping[str, Any], *, sandbox: bool) -> PipelinePlan:
        from gennaker_engine.planning import plan_pipeline

        self._prepare(sandbox, loaded.definition.to_data())
        pinned = self._pin(loaded, values, store=False)
        start = Start(actor=find_actor(), sandbox=sandbox)
        return plan_pipeline(
            pin_run(pinned, start, number=0, now=self._clock.now()),
            self.make_services(),
            world=self._world.read(sandbox=sandbox),
            project=self.project,
        )

    # Deciding and driving -----------------------------------------------------------------------

    def send(self, run_id: str, message: Message) -> Reaction:
        """Let a run that another process (or nobody) drives handle a message; execute nothing.

        Raises:
            NotAllowed: and whatever else the run refuses the message with.
        """
        reaction = self._transact(lambda moment, _transaction, _now: moment.handle(run_id, message))
        self._tell_drivers()
        return reaction

    def request(self, run_id: str, message: Message) -> Answer:
        """Give a message to a run that this process drives; safe from threads and signal handlers.

        Before :meth:`drive` has begun it is kept for it.
        """
        answer = Answer()
        letter = Letter(run_id, message, answer)
        for driver in tuple(self._drivers):
            if driver.is_driven(run_id):
                driver.inbox.put(letter)
                return answer
            if driver.has_left(run_id):
                answer.settle(error=not_driven(run_id))
                return answer
        self._early.setdefault(run_id, []).append(letter)
        return answer

    @overload
    def drive(  # type: ignore[overload-overlap]  # a str is a sequence too, the first one wins
        self, runs: str, *, observer: Observer = ..., actor: str = ..., detach_on_wait: bool = ...
    ) -> Run: ...

    @overload
    def drive(
        self,
        runs: Sequence[str],
        *,
        observer: Observer = ...,
        actor: str = ...,
        detach_on_wait: bool = ...,
    ) -> list[Run]: ...

    def drive(
        self,
        runs: str | Sequence[str],
        *,
        observer: Observer | None = None,
        actor: str | None = None,
        detach_on_wait: bool = False,
    ) -> Run | list[Run]:
        """Take runs over and drive them until each has ended or was parked; in this thread.

        Args:
            runs: one id, or many.
            observer: is told what happened, in this thread.
            actor: who drives, ``local:USER`` of this process unless said.
            detach_on_wait: park as soon as all of them only wait for something.

        Returns:
            The run as it was left, a list of them for a list of ids.

        Raises:
            NotAllowed: code ``run-owned``, naming the process that drives it.
            StateError: the state cannot be written any more; the runs can be resumed.
        """
        wanted = [runs] if isinstance(runs, str) else list(runs)
        driver = Driver(
            self.journal,
            self.make_services(),
            world=self._world,
            observer=observer or QuietObserver(),
            tell_siblings=self._tell_drivers,
        )
        self._drivers.append(driver)
        try:
            left = driver.drive(
                wanted, actor or find_actor(), detach_on_wait=detach_on_wait, early=self._early
            )
        finally:
            self._drivers.remove(driver)
        found = [left[each] for each in wanted]
        return found[0] if isinstance(runs, str) else found

    def _tell_drivers(self) -> None:
        for driver in tuple(self._drivers):
            driver.nudge()

    # Book of the moment -------------------------------------------------------------------------

    def find_run(self, run: str, transaction: Transaction) -> Run:
        """Return a run as it is inside the transaction."""
        return replay(transaction.load_events(run))

    def has_driver(self, run: str) -> bool:
        """Whether any process drives the run."""
        return self.journal.find_owner(run) is not None

    def is_driven(self, _run: str) -> bool:
        """Nothing is driven by the engine itself: grants are noticed by their drivers."""
        return False

    def read_world(self, run: Run) -> World:
        """Return the world as the run may see it."""
        return self._world.read(sandbox=run.created.sandbox)


def _check_kept(run: Run, transaction: Transaction) -> None:
    """Refuse to begin what needs the files of a run that ``gc`` has removed meanwhile."""
    if not transaction.load_events(run.id, after=run.version - 1):
        raise InvalidInput(f"run {run.id!r} was removed just now", code="unknown-run")


def find_actor() -> str:
    """Return the local identity, ``local:NAME`` of the operating-system user."""
    from gennaker_engine.journal.ownership import find_user

    return f"local:{find_user()}"
