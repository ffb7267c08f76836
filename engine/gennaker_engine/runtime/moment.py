"""One moment of the state: what messages do to runs, locks and rows, in one transaction.

The driver makes one for all that is queued, a second terminal one for its decision. Events and
claims are written together; commands are handed out once the transaction has committed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from gennaker.errors import NotAllowed
from gennaker_engine.core import locks
from gennaker_engine.core.commands import (
    Command,
    EnterGroup,
    LeaveGroup,
    ReleaseLock,
    RequestLock,
)
from gennaker_engine.core.events import (
    AttemptEnded,
    AttemptStarted,
    Event,
    InstanceEnded,
    RunAbandoned,
    encode_event,
)
from gennaker_engine.core.evolve import has_begun
from gennaker_engine.core.messages import (
    Adopt,
    Cancel,
    GrantGroup,
    GrantLock,
    Message,
    RefuseLock,
    WithdrawReuse,
    World,
)
from gennaker_engine.core.reuse import FindDeploy, find_outdated
from gennaker_engine.core.run import Reaction, Run
from gennaker_engine.core.view import describe_row
from gennaker_engine.journal.history import check_history, is_given_up
from gennaker_engine.journal.port import (
    Claim,
    Deployment,
    DeployRow,
    Journal,
    RunRow,
    Transaction,
)

__all__ = ["Book", "Moment", "Touched", "find_deploys_in"]


class Book(Protocol):
    """Where a moment gets its runs from."""

    def find_run(self, run: str, transaction: Transaction) -> Run:
        """Return the run as it is now; one that is not driven here is loaded."""

    def is_driven(self, run: str) -> bool:
        """Whether this process drives the run, so that a grant can be told to it at once."""

    def has_driver(self, run: str) -> bool:
        """Whether any process drives the run."""

    def read_world(self, run: Run) -> World:
        """Return the world as the run may see it."""


@dataclass(slots=True)
class Touched:
    """What a moment did to one run."""

    run: Run
    before: int
    """Its version before."""
    events: list[Event] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)


class Moment:
    """Let it :meth:`enter` a transaction, give it messages, then :meth:`write`."""

    _transaction: Transaction

    def __init__(self, book: Book, now: float) -> None:
        self._book = book
        self._now = now
        self.touched: dict[str, Touched] = {}
        self.claiming: set[str] = set()
        """Runs that asked for something they may not have got at once."""
        self.elsewhere = False
        """Whether a run that this process does not drive was told something by its claims."""

    def enter(self, transaction: Transaction) -> None:
        """Work in this transaction from now on."""
        self._transaction = transaction

    def begin(self, run: Run, reaction: Reaction) -> None:
        """Take in a run that was created just now."""
        self.touched[run.id] = Touched(run, 0)
        self._take(self.touched[run.id], reaction)

    def handle(self, run_id: str, message: Message) -> Reaction:
        """Let the run handle a message, and whatever its locks lead to.

        Raises:
            NotAllowed: and what else the core refuses with; then nothing changed.
        """
        touched = self.touched.get(run_id)
        if touched is None:
            run = self._book.find_run(run_id, self._transaction)
            # Before it is handled: what fails half way has to be taken back too.
            touched = self.touched[run_id] = Touched(run, run.version)
        world = self._book.read_world(touched.run)
        if isinstance(message, Adopt | GrantGroup):
            self._withdraw_reuse(touched, world)
        reaction = touched.run.handle(message, world=world, now=self._now)
        self._take(touched, reaction)
        if isinstance(message, Adopt):
            self._grant_free(run_id)
        return reaction

    def write(self) -> None:
        """Append every run's events, and project its row and its deploys.

        Raises:
            VersionConflict: another process was quicker; nothing was written.
        """
        for touched in self.touched.values():
            if touched.events:
                self._transaction.append(
                    make_row(touched.run),
                    touched.before,
                    [encode_event(event) for event in touched.events],
                )
            if touched.run.facts.deploys:
                self._write_deploys(touched)

    def _write_deploys(self, touched: Touched) -> None:
        for row in find_deploys(touched.run, touched.events):
            self._transaction.record_deploy(row)
        for deployment in find_deployments(touched.run, touched.events):
            self._transaction.write_deployment(deployment)

    def _withdraw_reuse(self, touched: Touched, world: World) -> None:
        """Before a retry starts: what is no longer its environment's last deploy runs again."""
        run = touched.run
        if run.created.reused and not has_begun(run.facts):
            outdated = find_outdated(
                run.facts, find_deploys_in(self._transaction, run.created.scope)
            )
            if outdated:
                message = WithdrawReuse(outdated)
                self._take(touched, run.handle(message, world=world, now=self._now))

    def abandon(self, run: str, row: RunRow | None, actor: str) -> RunAbandoned | None:
        """Give a run up whose history cannot be read: its places go to who is next.

        Args:
            run: its id.
            row: as it is now, None when it is lost.
            actor: who gives it up.

        Returns:
            What is recorded of it, None when there is nothing wrong with the run.
        """
        transaction = self._transaction
        stored, claims = transaction.load_events(run), transaction.read_claims_of(run)
        folded, told = None, [f"the row of run {run!r} is lost"] if claims else []
        if row is not None:
            folded, told = check_history(row, stored, claims)
        if not told:
            return None
        event = RunAbandoned(
            at=self._now, actor=actor, reason=told[0], places=tuple(each.key for each in claims)
        )
        if row is None:
            transaction.append(make_lost_row(event, run), 0, [encode_event(event)])
        elif not is_given_up(stored) and (folded is None or folded.state != "ended"):
            closed = replace(
                row, state="ended", outcome="errored", ended_at=self._now, waiting="", due=None
            )
            transaction.end_damaged(closed, encode_event(event))
        for claim in claims:
            self._release(claim.key, run)
        return event

    # Locks and groups ---------------------------------------------------------------------------

    def _take(self, touched: Touched, reaction: Reaction) -> None:
        touched.events += reaction.events
        for command in reaction.commands:
            change = _CLAIMS.get(type(command))
            if change is None:
                touched.commands.append(command)
            else:
                change(self, touched.run, command)

    def _request_lock(self, run: Run, command: RequestLock) -> None:
        scope = run.created.scope
        self.claiming.add(run.id)
        result = locks.request(
            self._transaction.read_claims(f"lock/{scope}/"),
            Claim(
                key=f"lock/{scope}/{command.environment}",
                run=run.id,
                place=self._transaction.next_place(),
                holding=False,
                since=self._now,
                instance=command.instance,
                deploys=run.facts.deploys,
            ),
            weigh=self._weigh,
            drives=self._book.has_driver,
        )
        self._apply(result)
        if result.deadlock is not None:
            victim, environment, other, other_environment = result.deadlock
            self.handle(victim, RefuseLock(environment, other, other_environment))

    def _weigh(self, name: str) -> tuple[int, float]:
        """Return how many deploys a run has started, and when it was created."""
        touched = self.touched.get(name)
        run = self._book.find_run(name, self._transaction) if touched is None else touched.run
        return run.facts.deploys, run.created.at

    def _release_lock(self, run: Run, command: ReleaseLock) -> None:
        scope = run.created.scope
        self._release(f"lock/{scope}/{command.environment}", run.id)

    def _enter_group(self, run: Run, command: EnterGroup) -> None:
        key = f"group/{run.created.scope}/{command.group}"
        self.claiming.add(run.id)
        result = locks.request(
            self._transaction.read_claims(key),
            Claim(
                key=key,
                run=run.id,
                place=self._transaction.next_place(),
                holding=False,
                since=self._now,
                limit=command.limit,
                policy=command.policy,
            ),
            drives=self._book.has_driver,
        )
        if result.refused:
            raise NotAllowed(
                f"concurrency group {command.group!r} is full",
                code="concurrency-rejected",
                hint="wait for the run that is active, or cancel it",
            )
        self._apply(result)
        for each in result.superseded:
            self.handle(each, Cancel(None, "superseded"))

    def _leave_group(self, run: Run, command: LeaveGroup) -> None:
        self._release(f"group/{run.created.scope}/{command.group}", run.id)

    def _release(self, key: str, run: str) -> None:
        claims, drives = self._transaction.read_claims(key), self._book.has_driver
        self._apply(locks.release(claims, key, run, now=self._now, drives=drives))

    def _grant_free(self, run: str) -> None:
        """Grant a run that is driven again what came free while nobody drove it."""
        for claim in self._transaction.read_claims_of(run):
            if not claim.holding:
                there, drives = self._transaction.read_claims(claim.key), self._book.has_driver
                self._apply(locks.grant(there, claim.key, now=self._now, drives=drives))

    def _apply(self, result: locks.LockResult) -> None:
        """Write what changed, and tell the runs of this process what they were granted."""
        for claim in result.removed:
            self._transaction.delete_claim(claim.key, claim.run)
        for claim in result.changed:
            self._transaction.write_claim(claim)
            if claim.holding:
                self._tell_grant(claim)

    def _tell_grant(self, claim: Claim) -> None:
        if claim.run in self.touched or self._book.is_driven(claim.run):
            self.handle(claim.run, read_grant(claim))
        else:
            self.elsewhere = True  # its own process sees the row


def read_grant(claim: Claim) -> Message:
    """Return the message that tells a run it holds what it claimed."""
    kind, _, name = claim.key.split("/", 2)
    return GrantLock(name) if kind == "lock" else GrantGroup()


def make_row(run: Run) -> RunRow:
    """Return the projection of a run."""
    return RunRow(**describe_row(run))


def find_deploys_in(reader: Journal | Transaction, scope: str) -> FindDeploy:
    """Return what tells run and instance of the last deploy of an environment."""

    def find(environment: str) -> tuple[str, str] | None:
        row = reader.last_deploy(scope, environment)
        return None if row is None else (row.run, row.instance)

    return find


def make_lost_row(event: RunAbandoned, run: str) -> RunRow:
    """Return the row of a run of which only its id is left, in what it held."""
    pipeline, _, number = run.rpartition("-")
    return RunRow(
        run=run,
        pipeline=pipeline,
        number=int(number) if number.isdecimal() else 0,
        title=pipeline,
        actor=event.actor,
        state="ended",
        outcome="errored",
        version=1,
        created_at=event.at,
        ended_at=event.at,
    )


def find_deploys(run: Run, events: list[Event]) -> Iterator[DeployRow]:
    """Yield a row for each deploy that began in these events: one that fails changes things, too."""
    for event in events:
        if isinstance(event, AttemptStarted):
            instance = run.facts.instances[event.instance]
            if instance.effect == "deploy" and instance.environment is not None:
                name = instance.environment["name"]
                yield DeployRow(run.created.scope, name, run.id, instance.id, event.at)


def find_deployments(run: Run, events: list[Event]) -> Iterator[Deployment]:
    """Yield a row for each deploy that began or ended in these events, as it is after them."""
    kinds = (AttemptStarted, AttemptEnded, InstanceEnded)
    touched = dict.fromkeys(each.instance for each in events if isinstance(each, kinds))
    for name in touched:
        instance = run.facts.instances[name]
        where = instance.environment
        if instance.effect == "deploy" and where is not None and instance.started_at is not None:
            yield Deployment(
                run.created.scope,
                where["name"],
                run.id,
                instance.id,
                run.created.pipeline,
                instance.started_at,
                instance.ended_at,
                instance.outcome,
            )


_CLAIMS: dict[type[Command], Callable[[Moment, Run, Any], None]] = {
    RequestLock: Moment._request_lock,
    ReleaseLock: Moment._release_lock,
    EnterGroup: Moment._enter_group,
    LeaveGroup: Moment._leave_group,
}
