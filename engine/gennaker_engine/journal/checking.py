"""Whether a state is whole: what ``doctor`` asks, and the tests of crashes, races and faults.

:func:`check_queues` here and :func:`gennaker_engine.journal.history.check_history` are pure. A state
may be written while it is read, so whatever looks wrong is looked at again inside a transaction,
where nobody writes, before it is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

from gennaker.records import dataclass
from gennaker_engine.core.events import AttemptStarted, RunAdopted, RunParked
from gennaker_engine.core.locks import Claim
from gennaker_engine.core.run import Run
from gennaker_engine.journal.history import check_history, is_given_up
from gennaker_engine.journal.port import Journal, RunFilter

__all__ = ["Flaw", "check_journal", "check_queues", "check_run"]

_ACTIVE = ("pending", "waiting", "running")
_ALL = 1_000_000


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something that no honest writer leaves in a journal.

    Attributes:
        run: whose it is; empty for what concerns a queue or an environment.
        told: what is wrong, for people.
    """

    run: str
    told: str

    def __str__(self) -> str:
        return f"{self.run}: {self.told}" if self.run else self.told


def check_journal(journal: Journal, *, ended: int = _ALL) -> list[Flaw]:
    """Return what is wrong in a state; an honest one has nothing.

    Args:
        journal: others may write it meanwhile.
        ended: how many of the runs that have ended to check, the newest; all others are checked.

    Raises:
        StateError: it cannot be read.
    """
    wanted = (RunFilter(states=_ACTIVE, limit=_ALL), RunFilter(states=("ended",), limit=ended))
    runs = dict.fromkeys(row.run for which in wanted for row in journal.list_runs(which))
    runs.update(dict.fromkeys(claim.run for claim in journal.read_claims()))
    flaws = [flaw for run in runs for flaw in check_run(journal, run)]
    drives = _find_drives(journal)
    flaws += _look_again(journal, "", lambda: check_queues(journal.read_claims(), drives))
    flaws += _look_again(journal, "", lambda: _check_deploys(journal))
    return flaws


def check_run(journal: Journal, run: str) -> list[Flaw]:
    """Return what is wrong with one run: its events, its row, its claims, its deploys."""

    def look() -> Iterator[str]:
        row, claims = journal.find_run(run), journal.read_claims_of(run)
        if row is None:
            yield f"it has {len(claims)} claims, but there is no such run"
            return
        folded, told = check_history(row, journal.load_events(run), claims)
        yield from told
        if folded is not None:
            for scope, name in _find_deployed(folded):
                if journal.last_deploy(scope, name) is None:
                    yield f"it deployed to {name!r}, which has no last deploy"

    return _look_again(journal, run, look)


def check_queues(claims: Iterable[Claim], drives: Callable[[str], bool]) -> Iterator[str]:
    """Yield what is wrong with the queues of locks and groups.

    Args:
        claims: all of them.
        drives: whether a process drives a run, so that it can be granted something.
    """
    known = sorted(claims, key=lambda claim: claim.place)
    for before, after in pairwise(known):
        if before.place == after.place:
            yield f"{before.run} and {after.run} have one place, {after.place}"
    for key in sorted({claim.key for claim in known}):
        there = [claim for claim in known if claim.key == key]
        holders = [claim for claim in there if claim.holding]
        if holders and len(holders) > max(claim.limit for claim in holders):
            names = ", ".join(claim.run for claim in holders)
            yield f"{key!r} is held by more than its limit: {names}"
        first = next((claim for claim in there if not claim.holding and drives(claim.run)), None)
        if first is not None and len(holders) < first.limit:
            yield f"{key!r} is free, but {first.run} waits for it"


def _check_deploys(journal: Journal) -> Iterator[str]:
    for deploy in journal.list_deploys():
        began = {"type": AttemptStarted.type, "instance": deploy.instance, "at": deploy.at}
        stored = journal.load_events(deploy.run)
        if is_given_up(stored):
            continue  # nobody can say what it did
        for each in stored:
            if isinstance(each.data, dict) and began.items() <= each.data.items():
                break
        else:
            yield (
                f"the last deploy of {deploy.environment!r} is said to be {deploy.instance!r} of "
                f"{deploy.run}, which did not begin then"
            )


def _find_deployed(run: Run) -> Iterator[tuple[str, str]]:
    """Yield scope and environment of each deploy that began."""
    for each in run.facts.instances.values():
        if each.effect == "deploy" and each.started_at is not None and each.environment is not None:
            yield run.created.scope, each.environment["name"]


def _find_drives(journal: Journal) -> Callable[[str], bool]:
    """Return what says whether a run is driven.

    Its events count and its lock: one that is being taken over has the lock before it can be
    granted anything.
    """

    def drives(run: str) -> bool:
        types = [
            each.data.get("type")
            for each in journal.load_events(run)
            if isinstance(each.data, dict)
        ]
        taken = [each for each in types if each in (RunAdopted.type, RunParked.type)]
        return taken[-1:] == [RunAdopted.type] and journal.find_owner(run) is not None

    return drives


def _look_again(journal: Journal, run: str, look: Callable[[], Iterable[str]]) -> list[Flaw]:
    """Return what is wrong; when something is, what is still wrong while nobody writes."""
    told = list(look())
    if told:
        with journal.transaction():
            told = list(look())
    return [Flaw(run, each) for each in told]
