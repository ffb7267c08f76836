"""Locks of environments and places in concurrency groups: a pure machine over rows of the journal.

The runtime reads the claims, asks here what changes, and writes it in the transaction of the event
that asks. Both kinds are one thing: a key, at most ``limit`` holders, and a queue in order of
``place``. A lock has a limit of 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import NamedTuple

from gennaker.records import dataclass

__all__ = ["Claim", "Deadlock", "LockResult", "find_deadlock", "grant", "release", "request"]


Weigh = Callable[[str], tuple[int, float]]
Drives = Callable[[str], bool]
"""Whether a process drives a run: nobody else could use what it is granted."""


def _anybody(_run: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Claim:
    """A run's place in a queue: an environment's lock or a concurrency group.

    Attributes:
        key: ``lock/SCOPE/ENVIRONMENT`` or ``group/SCOPE/GROUP``.
        place: order of asking, given by the journal, unique in the state.
        holding: whether it has what it asked for.
        since: when it asked, or got it.
        deploys: how many deploys the run had started when it asked (deadlocks choose by it).
    """

    key: str
    run: str
    place: int
    holding: bool
    since: float
    limit: int = 1
    policy: str = "queue"
    instance: str = ""
    deploys: int = 0


class Deadlock(NamedTuple):
    """A circle of waits, and who has to give way.

    Attributes:
        run: whose waiting stage errs.
        environment: the lock it waits for.
        other: the run it waits for.
        other_environment: the lock that run waits for.
    """

    run: str
    environment: str
    other: str
    other_environment: str


@dataclass(frozen=True, slots=True)
class LockResult:
    """What a request or a release changes.

    Attributes:
        granted: whether the run that asked holds it now.
        changed: claims to write, new ones and newly granted ones.
        removed: claims to delete.
        superseded: runs to cancel; their claims go when they end.
        refused: the group is full and takes no queue; nothing changes.
        deadlock: a circle this request closed.
    """

    granted: bool = False
    changed: tuple[Claim, ...] = ()
    removed: tuple[Claim, ...] = ()
    superseded: tuple[str, ...] = ()
    refused: bool = False
    deadlock: Deadlock | None = None


def request(
    claims: Iterable[Claim],
    wanted: Claim,
    *,
    weigh: Weigh | None = None,
    drives: Drives = _anybody,
) -> LockResult:
    """Ask for what ``wanted`` says; asking again changes nothing.

    Args:
        claims: those of its key; for a lock, of all locks of its scope, so that circles are found.
        wanted: a claim that does not hold, at a new place, larger than any before. Its policy is
            ``queue``, ``supersede`` (who is still queued is cancelled) or ``reject``.
        weigh: as :func:`find_deadlock` has it.
        drives: as :func:`grant` has it.
    """
    known = list(claims)
    key, run, policy = wanted.key, wanted.run, wanted.policy
    own = next((each for each in known if each.key == key and each.run == run), None)
    if own is not None:
        return LockResult(granted=own.holding)
    there = [each for each in known if each.key == key]
    queued = [each for each in there if not each.holding]
    holders = len(there) - len(queued)
    first = policy == "supersede" or not any(drives(each.run) for each in queued)
    free = holders < wanted.limit and first
    if policy == "reject" and not free:
        return LockResult(refused=True)
    claim = replace(wanted, holding=free)
    superseded = tuple(each.run for each in queued) if policy == "supersede" else ()
    deadlock = None if free else find_deadlock([*known, claim], run, weigh)
    return LockResult(granted=free, changed=(claim,), superseded=superseded, deadlock=deadlock)


def release(
    claims: Iterable[Claim], key: str, run: str, *, now: float, drives: Drives = _anybody
) -> LockResult:
    """Give ``key``, or the place in its queue, back; who is next in order is granted it.

    Args:
        drives: as :func:`grant` has it.
    """
    there = [each for each in claims if each.key == key]
    removed = tuple(each for each in there if each.run == run)
    left = [each for each in there if each.run != run]
    return replace(grant(left, key, now=now, drives=drives), removed=removed)


def grant(
    claims: Iterable[Claim], key: str, *, now: float, drives: Drives = _anybody
) -> LockResult:
    """Grant what is free of ``key`` to who waits for it, in order.

    A waiting run that nobody drives keeps its place but is passed over: it could not use what it got,
    and everybody behind it would wait for a person to come back.

    Args:
        drives: says that of a run; every waiting one is driven when it is left out.
    """
    there = sorted((each for each in claims if each.key == key), key=lambda each: each.place)
    holders = sum(each.holding for each in there)
    changed = []
    for each in there:
        if not each.holding and holders < each.limit and drives(each.run):
            changed.append(replace(each, holding=True, since=now))
            holders += 1
    return LockResult(changed=tuple(changed))


def find_deadlock(claims: Iterable[Claim], run: str, weigh: Weigh | None = None) -> Deadlock | None:
    """Return the circle of waits that goes through ``run``, and who gives way in it.

    A run that waits for a lock waits for who holds it and for all before it in the queue. In a
    circle the run with the fewest started deploys gives way, among those the youngest.

    Args:
        weigh: how many deploys a run has started by now and when it was created; asked only in a
            circle. Without it the claims' own numbers count, and who asked later is the younger.
    """
    known = list(claims)
    waits = [each for each in known if not each.holding and each.limit == 1]
    before: dict[Claim, list[str]] = {
        each: [
            other.run
            for other in known
            if other.key == each.key and (other.holding or other.place < each.place)
        ]
        for each in waits
    }
    circle = _find_circle(before, run)
    if circle is None:
        return None
    weights = []
    for each in circle:
        deploys, born = weigh(each.run) if weigh is not None else (each.deploys, 0.0)
        place = min(claim.place for claim in known if claim.run == each.run)
        weights.append((-deploys, born, place))
    number = weights.index(max(weights))
    victim, other = circle[number], circle[(number + 1) % len(circle)]
    return Deadlock(victim.run, _environment(victim.key), other.run, _environment(other.key))


def _find_circle(before: dict[Claim, list[str]], start: str) -> list[Claim] | None:
    """Return the waiting claims of a circle through ``start``, each waiting for the next."""
    of_run: dict[str, list[Claim]] = {}
    for each in before:
        of_run.setdefault(each.run, []).append(each)
    seen: set[str] = set()
    paths: list[tuple[str, list[Claim]]] = [(start, [])]
    while paths:
        run, path = paths.pop()
        for claim in of_run.get(run, ()):
            for other in before[claim]:
                if other == start:
                    return [*path, claim]
                if other not in seen:
                    seen.add(other)
                    paths.append((other, [*path, claim]))
    return None


def _environment(key: str) -> str:
    return key.rpartition("/")[2]
