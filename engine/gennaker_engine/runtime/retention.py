"""Retention: which ended runs a policy lets go, and removing them with whatever only they need.

``gennaker gc`` calls :class:`Retention`. Rows go first, in small transactions, then the files
that nothing in the journal mentions: whenever it is killed, what is left mentions nothing that is
gone, and the next call finishes. Nothing that is not over is ever touched.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from gennaker.durations import format_duration
from gennaker_engine.journal.errors import StateError
from gennaker_engine.journal.port import Journal, Removal, RunSummary, Transaction
from gennaker_engine.storage.folder import StateFolder
from gennaker_engine.storage.sweeping import (
    Swept,
    sweep_artifacts,
    sweep_cache,
    sweep_runs,
    sweep_sources,
)

__all__ = ["GRACE", "Policy", "Removed", "Retention"]

GRACE = 3600.0
"""Seconds for which a file is kept that nothing mentions yet."""
_CHUNK = 500
"""Runs that are removed in one transaction: others write between two of them."""
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")

Json = Any


@dataclass(frozen=True, slots=True)
class Policy:
    """What is kept; a run goes only when no rule keeps it.

    Attributes:
        keep: newest ended runs of each pipeline (those of the sandbox count for themselves).
        older_than: seconds; what ended later than so long ago is kept.
        deploys: newest runs that deployed to each environment.
    """

    keep: int
    older_than: float
    deploys: int

    def to_data(self) -> dict[str, Json]:
        """Return it as ``gennaker.yaml`` has it."""
        return {**asdict(self), "older_than": format_duration(self.older_than)}


@dataclass(slots=True)
class Removed:
    """What was removed, or would be.

    Attributes:
        runs: their ids, newest first.
        events: how many they had.
        files: kind (``artifacts``, ``sources``, ``logs``, ``workspaces``, ``cache``) to what went.
        database: bytes that the journal's file gave back.
    """

    runs: list[str] = field(default_factory=list)
    events: int = 0
    files: dict[str, Swept] = field(default_factory=dict)
    database: int = 0

    def count(self) -> dict[str, Json]:
        """Return the numbers alone."""
        return {
            "runs": len(self.runs),
            "events": self.events,
            **{name: asdict(each) for name, each in self.files.items()},
            "database": self.database,
        }


class Retention:
    """Removes what a policy does not keep.

    Args:
        journal: the runs.
        folder: their files.
        policy: what is kept.
        sharer: another state that uses the same folder: then no file is touched, since the other
            one may mention it.
    """

    def __init__(
        self, journal: Journal, folder: StateFolder, policy: Policy, *, sharer: str = ""
    ) -> None:
        self._journal = journal
        self._folder = folder
        self._policy = policy
        self._sharer = sharer

    def preview(self, *, now: float) -> Removed:
        """Return what :meth:`remove` would do, without doing it.

        Raises:
            StateError: the state cannot be used.
        """
        expired = choose_runs(self._journal, self._policy, now=now)
        removed = Removed([each.run for each in expired], sum(each.version for each in expired))
        removed.files = self._sweep(now=now, going=removed.runs)
        return removed

    def remove(self, *, actor: str, now: float) -> Removed:
        """Remove it, and keep a record of that.

        Args:
            actor: who does it.
            now: seconds since the epoch.

        Raises:
            StateError: the state cannot be used.
            OSError: a file cannot be removed.
        """
        removed = Removed()
        expired = [each.run for each in choose_runs(self._journal, self._policy, now=now)]
        for at in range(0, len(expired), _CHUNK):
            with self._journal.transaction() as transaction:
                going = _check_again(transaction, expired[at : at + _CHUNK])
                removed.events += transaction.remove_runs(going)
                removed.runs += going
                self._record(transaction, removed, actor, now)
        removed.files = self._sweep(now=now)
        with self._journal.transaction() as transaction:
            self._record(transaction, removed, actor, now)
        if not self._is_driven():
            removed.database = self._journal.compact()
        return removed

    def _record(self, transaction: Transaction, removed: Removed, actor: str, now: float) -> None:
        if removed.runs or any(each.count for each in removed.files.values()):
            counts = removed.count()
            transaction.record_removal(Removal(now, actor, self._policy.to_data(), counts))

    def _sweep(self, *, now: float, going: Collection[str] | None = None) -> dict[str, Swept]:
        """Remove the files that no run of the journal mentions or owns.

        Args:
            now: seconds since the epoch.
            going: the runs that would be removed, to count only; None to remove files.
        """
        if self._sharer:
            return {}
        folder, dry_run, gone = self._folder, going is not None, set(going or ())
        # First: what a run that is active now mentions only later is younger than the run.
        began = [each.created_at for each in self._list_runs() if each.state != "ended"]
        before = min([now, *began]) - GRACE
        unused = min(before, now - self._policy.older_than)
        marked = {
            digest
            for run, text in self._journal.scan_events("sha256:")
            if run not in gone
            for digest in _DIGEST.findall(text)
        }
        return {
            "artifacts": sweep_artifacts(folder.artifacts, marked, before=before, dry_run=dry_run),
            "sources": sweep_sources(folder.sources, marked, before=before, dry_run=dry_run),
            "logs": sweep_runs(
                folder.logs,
                lambda: {each.run for each in self._list_runs()} - gone,
                dry_run=dry_run,
            ),
            "workspaces": sweep_runs(folder.workspaces, self._list_active, dry_run=dry_run),
            "cache": sweep_cache(folder.cache, before=unused, dry_run=dry_run),
        }

    def _list_runs(self) -> list[RunSummary]:
        with self._journal.transaction() as transaction:
            return transaction.list_summaries()

    def _list_active(self) -> set[str]:
        return {each.run for each in self._list_runs() if each.state != "ended"}

    def _is_driven(self) -> bool:
        """Whether a process is at work that would have to wait while the file is written anew."""
        return any(self._journal.find_owner(run) is not None for run in self._list_active())


def choose_runs(journal: Journal, policy: Policy, *, now: float) -> list[RunSummary]:
    """Return the runs that no rule keeps and no other run needs, newest first."""
    deploys = journal.list_deploys()
    kept = {each.run for each in deploys}
    for scope in {each.scope for each in deploys}:
        kept |= {each.run for each in journal.list_current_deployments(scope)}
    with journal.transaction() as transaction:
        runs = transaction.list_summaries()
    places: Counter[tuple[str, bool]] = Counter()
    expired = set()
    for each in runs:
        if each.state == "ended":
            places[each.pipeline, each.sandbox] += 1
            over = places[each.pipeline, each.sandbox] > policy.keep
            if over and (each.ended_at or now) <= now - policy.older_than:
                expired.add(each.run)
    if expired:
        kept |= find_deploying(journal, policy.deploys)
    chosen = []
    for each in runs:  # a retry comes before what it retried
        if each.run in expired and each.run not in kept:
            chosen.append(each)
        elif each.retry_of is not None:
            kept.add(each.retry_of)
    return chosen


def find_deploying(journal: Journal, count: int) -> set[str]:
    """Return the newest ``count`` runs that deployed, of each environment of each scope.

    A run whose events cannot be read is returned, too: nobody knows what it did.
    """
    missing = {(each.scope, each.environment): count for each in journal.list_deploys()}
    found: set[str] = set()
    seen: set[str] = set()
    for run, _ in journal.scan_events('"effect":"deploy"'):
        if not any(missing.values()):
            break
        if run in seen:
            continue
        seen.add(run)
        try:
            places = set(_find_places([each.data for each in journal.load_events(run)]))
        except (StateError, KeyError, TypeError, AttributeError):
            found.add(run)
            continue
        for place in places:
            if missing.get(place, 0) > 0:
                missing[place] -= 1
                found.add(run)
    return found


def _find_places(events: Sequence[Mapping[str, Json]]) -> Iterable[tuple[str, str]]:
    """Yield scope and environment of each deploy of a run that began."""
    scope = events[0].get("scope", "")
    where: dict[str, str] = {}
    for each in events:
        if each["type"] == "stage.resolved" and each.get("effect") == "deploy":
            where[each["instance"]] = (each.get("environment") or {}).get("name", "")
        elif each["type"] == "attempt.started" and each["instance"] in where:
            yield scope, where[each["instance"]]


def _check_again(transaction: Transaction, runs: Sequence[str]) -> list[str]:
    """Return those of the runs, newest first, that nothing has come to need meanwhile."""
    last = {each.run for each in transaction.list_deploys()}
    retries: dict[str, set[str]] = defaultdict(set)
    for retry, original in transaction.list_retries_of(runs):
        retries[original].add(retry)
    going: dict[str, None] = {}
    for run in runs:
        if run not in last and retries[run] <= going.keys():
            going[run] = None
    return list(going)
