"""The journal port: what the runtime and the CLI need of a database, in domain verbs.

Two implementations pass one contract suite: SQLite here, PostgreSQL for a team. Everything that
must be true together happens in one :class:`Transaction`; an append is compare-and-set on the
run's version, so a late or repeated writer changes nothing and loads the tail instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import field
from typing import Any, NamedTuple, Protocol

from gennaker.errors import GennakerError
from gennaker.records import dataclass
from gennaker_engine.core.locks import Claim

__all__ = [
    "Change",
    "Claim",
    "Defer",
    "DeployRow",
    "Deployment",
    "Journal",
    "Ownership",
    "Removal",
    "RunFilter",
    "RunRow",
    "RunSummary",
    "StoredEvent",
    "Transaction",
    "VersionConflict",
]

Json = Any
Defer = Callable[[Callable[[], None]], None]
"""Does something a little later, or on another thread."""


class VersionConflict(GennakerError):
    """Somebody else appended to the run first; load the tail and decide again."""

    code = "version-conflict"


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as kept.

    Attributes:
        sequence: counts from 1 in the run.
        data: its JSON data, a mapping; the text itself when that is damaged and no JSON.
    """

    sequence: int
    data: Json


@dataclass(frozen=True, slots=True)
class RunRow:
    """The projection of a run that lists need; written in the transaction of its events.

    ``version`` is the sequence of its last event. Times are seconds since the epoch. ``due`` is
    the earliest moment at which time alone changes something. ``waiting`` is what the run waits
    for, in words of ``status`` (``decision``, ``lock``, ``queue`` ...), empty when it does not.
    """

    run: str
    pipeline: str
    number: int
    title: str
    actor: str
    state: str
    outcome: str | None
    version: int
    created_at: float
    started_at: float | None = None
    ended_at: float | None = None
    waiting: str = ""
    due: float | None = None
    sandbox: bool = False
    retry_of: str | None = None


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs to list, newest first."""

    pipeline: str | None = None
    states: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Change:
    """That a run was appended to: its version then, and the append's place among all (``order``)."""

    run: str
    version: int
    order: int


@dataclass(frozen=True, slots=True)
class DeployRow:
    """The last deploy of an environment that began; one that failed has changed things, too."""

    scope: str
    environment: str
    run: str
    instance: str
    at: float


class RunSummary(NamedTuple):
    """What retention looks at; the fields are those of a run's row."""

    run: str
    pipeline: str
    sandbox: bool
    state: str
    version: int
    created_at: float
    ended_at: float | None
    retry_of: str | None


@dataclass(frozen=True, slots=True)
class Removal:
    """That runs and files were removed: by whom, when, by which rule, and how many.

    Attributes:
        at: seconds since the epoch.
        policy: the rule as data.
        counts: what was removed, by kind.
    """

    at: float
    actor: str
    policy: Mapping[str, Json] = field(default_factory=dict)
    counts: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deploy of an environment: by which instance of which run, when, and how it ended.

    ``ended_at`` and ``outcome`` are None until it has ended. Times are seconds since the epoch.
    """

    scope: str
    environment: str
    run: str
    instance: str
    pipeline: str
    started_at: float
    ended_at: float | None = None
    outcome: str | None = None


class Transaction(Protocol):
    """Reads and writes that become durable together, or not at all."""

    def allocate_number(self, pipeline: str) -> int:
        """Return the pipeline's next run number."""

    def append(self, row: RunRow, expected_version: int, events: Sequence[dict[str, Json]]) -> None:
        """Add events to a run (``row.version`` is the version after them) and project its row.

        Events are JSON data (NaN and the infinities are a ValueError); the same data comes back.

        Raises:
            VersionConflict: when the run's version is not ``expected_version`` (0: a new run).
        """

    def end_damaged(self, row: RunRow, event: Mapping[str, Json]) -> None:
        """Project the row of a run and put a last event behind all that are there, whatever they are.

        For a history that cannot be read: nothing is compared but the row's version as it is.
        """

    def load_events(self, run: str, *, after: int = 0) -> list[StoredEvent]:
        """As :meth:`Journal.load_events`, seen from inside: nobody can append meanwhile."""

    def list_changes(self, after: int) -> list[Change]:
        """As :meth:`Journal.list_changes`, seen from inside."""

    def read_claims(self, scope_prefix: str = "") -> list[Claim]:
        """Return the claims whose key starts with the prefix, in order of place."""

    def read_claims_of(self, run: str) -> list[Claim]:
        """Return the run's own claims, in order of place."""

    def next_place(self) -> int:
        """Return a new, larger place."""

    def write_claim(self, claim: Claim) -> None:
        """Insert or replace the claim of (key, run)."""

    def delete_claim(self, key: str, run: str) -> None:
        """Remove it; nothing happens when there is none."""

    def last_deploy(self, scope: str, environment: str) -> DeployRow | None:
        """As :meth:`Journal.last_deploy`, seen from inside."""

    def record_deploy(self, row: DeployRow) -> None:
        """Make this the environment's last deploy."""

    def write_deployment(self, row: Deployment) -> None:
        """Insert or replace the deploy of (scope, environment, run, instance)."""

    def list_summaries(self) -> list[RunSummary]:
        """Return every run, newest first."""

    def list_deploys(self) -> list[DeployRow]:
        """Return the last deploy of every environment."""

    def list_retries_of(self, runs: Sequence[str]) -> list[tuple[str, str]]:
        """Return (retry, what it retried) for the retries of these runs that there are."""

    def remove_runs(self, runs: Sequence[str]) -> int:
        """Remove those of the runs that have ended, with their events; return how many events.

        The numbers of a pipeline's runs go on: none is given twice.
        """

    def record_removal(self, removal: Removal) -> None:
        """Keep what was removed; one with the same time and actor is replaced."""


class Ownership(Protocol):
    """The exclusive right to drive one run; ends with :meth:`release` or with the process."""

    run: str

    def release(self, defer: Defer | None = None) -> None:
        """Give it up, at once; what is left to do that may take long is given to ``defer``."""


class Journal(Protocol):
    """A database of runs. Safe to use from several threads; a transaction belongs to one."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Begin a write transaction at once; commit durably on leaving, roll back on an error."""

    def load_events(self, run: str, *, after: int = 0) -> list[StoredEvent]:
        """Return the run's events with a sequence above ``after``, in order."""

    def find_run(self, run: str) -> RunRow | None:
        """Return a run's row by its exact id."""

    def list_runs(self, which: RunFilter) -> list[RunRow]:
        """Return rows, newest first."""

    def find_runs_by_prefix(self, prefix: str, *, limit: int = 10) -> list[RunRow]:
        """Return rows whose id starts with the prefix, newest first."""

    def read_claims(self, scope_prefix: str = "") -> list[Claim]:
        """Return claims without a write transaction, in order of place."""

    def read_claims_of(self, run: str) -> list[Claim]:
        """Return the run's own claims, in order of place."""

    def last_deploy(self, scope: str, environment: str) -> DeployRow | None:
        """Return the last deploy of the environment that began."""

    def list_deployments(
        self, scope: str, environment: str, *, limit: int = 50
    ) -> list[Deployment]:
        """Return the deploys of an environment, newest first."""

    def list_current_deployments(self, scope: str) -> list[Deployment]:
        """Return the newest deploy of each instance in each environment, by their names."""

    def list_deploys(self) -> list[DeployRow]:
        """Return the last deploy of every environment that has one, by scope and name."""

    def change_token(self) -> object:
        """Return a value that differs soon after anyone but this object committed; cheap to ask.

        Soon is at once, or what a message of the server takes. Who decides on what it did not
        notice yet is stopped by the versions.
        """

    def list_changes(self, after: int) -> list[Change]:
        """Return the last append of each run whose order is above ``after``, in order.

        With a change token that moved, this tells which runs are worth loading again.
        """

    def last_change(self) -> int:
        """Return the order of the newest append of all, 0 in an empty journal."""

    def scan_events(self, text: str) -> Iterator[tuple[str, str]]:
        """Yield run and JSON of every event that holds the text, newest run first."""

    def list_removals(self, *, limit: int = 50) -> list[Removal]:
        """Return what was removed, newest first."""

    def compact(self) -> int:
        """Give free space back to the file system when it is much; return the bytes."""

    def own_run(self, run: str) -> Ownership | None:
        """Take the exclusive right to drive the run; None when another process has it."""

    def find_owner(self, run: str) -> str | None:
        """Return who drives the run (``user@host pid N``), None when nobody does."""

    def close(self) -> None:
        """Release everything."""
