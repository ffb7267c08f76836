"""Whether the events of one run are a history that a run can have had: pure, called by ``checking``.

``evolve`` refuses moves that are in no table. This says what the tables do not: that numbers follow
one another, that nothing is recorded twice, that what is counted was there to be counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from gennaker.errors import GennakerError
from gennaker_engine.core import events as e
from gennaker_engine.core.run import Run
from gennaker_engine.core.state import RunState
from gennaker_engine.core.view import describe_row
from gennaker_engine.journal.decoding import decode_stored
from gennaker_engine.journal.errors import StateError
from gennaker_engine.journal.port import Claim, RunRow, StoredEvent

__all__ = ["check_history", "is_given_up"]

Rule = Callable[[RunState, Any], "str | None"]

_CONTRADICTIONS = (AssertionError, AttributeError, LookupError, TypeError, ValueError)
"""What a history that contradicts itself raises besides errors of our own."""


def check_history(
    row: RunRow, stored: Sequence[StoredEvent], claims: Sequence[Claim]
) -> tuple[Run | None, list[str]]:
    """Return the run that its events describe, None when they do not, and what is wrong, in words.

    Args:
        row: its projection.
        stored: all its events.
        claims: all its claims, of locks and groups.
    """
    if is_given_up(stored):
        told = [f"it was given up, but has a claim of {each.key!r}" for each in claims]
        return None, told + ([] if row.state == "ended" else ["it was given up, but has not ended"])
    numbers = [each.sequence for each in stored]
    if numbers != list(range(1, row.version + 1)):
        return None, [_tell_gap(numbers, row.version)]
    folded, flaws = _fold_events(stored, row.run)
    if folded is not None:
        flaws += _compare_row(row, folded)
        flaws += _compare_claims(claims, folded)
    return folded, flaws


def is_given_up(stored: Sequence[StoredEvent]) -> bool:
    """Return whether somebody ended the run because its history cannot be read."""
    last = stored[-1].data if stored else None
    return isinstance(last, dict) and last.get("type") == e.RunAbandoned.type


def _fold_events(stored: Sequence[StoredEvent], run: str) -> tuple[Run | None, list[str]]:
    flaws: list[str] = []
    folded: Run | None = None
    for each in stored:
        number = each.sequence
        try:
            (event,) = decode_stored([each], run)
            if folded is None:
                folded = Run.replay([event])
                continue
            rule = _RULES.get(type(event))
            told = rule(folded.facts, event) if rule is not None else None
            if told is not None:
                flaws.append(f"event {number}, {event.type}: {told}")
            folded.evolve(event)
        except StateError as error:
            return None, [*flaws, error.message]
        except GennakerError as error:
            return None, [*flaws, f"event {number}: {error.message}"]
        except _CONTRADICTIONS as error:
            said = f"event {number} contradicts those before ({type(error).__name__}: {error})"
            return None, [*flaws, said]
    if folded is not None and folded.id != run:
        flaws.append(f"its events are those of {folded.id!r}")
    return folded, flaws


def _tell_gap(numbers: list[int], version: int) -> str:
    for place, number in enumerate(numbers, 1):
        if number != place:
            return f"event {place} is missing"
    return f"its row is at version {version}, its events at {len(numbers)}"


def _compare_row(row: RunRow, run: Run) -> Iterator[str]:
    """Yield each field of the projected row that is not what the events say."""
    kept = asdict(row)
    for name, value in describe_row(run).items():
        if kept[name] != value:
            yield f"its row says {name} {kept[name]!r}, its events {value!r}"


def _compare_claims(claims: Sequence[Claim], run: Run) -> Iterator[str]:
    """Yield where the claims of a run are not what its events say it asked for and got."""
    wanted = _list_wanted(run)
    for claim in claims:
        held = wanted.pop(claim.key, None)
        if held is None:
            why = "has ended" if run.state == "ended" else "did not ask for it"
            yield f"it has a claim of {claim.key!r}, but {why}"
        elif held and not claim.holding:
            yield f"it works as if it held {claim.key!r}, but its claim waits"
    for key, held in wanted.items():
        yield f"it {'holds' if held else 'waits for'} {key!r} without a claim"


def _list_wanted(run: Run) -> dict[str, bool]:
    """Return the key of each claim a run must have, and whether it was told that it holds it."""
    created, facts = run.created, run.facts
    if run.state == "ended":
        return {}
    wanted = {
        f"lock/{created.scope}/{name}": lock.state == "held" for name, lock in facts.locks.items()
    }
    if created.concurrency is not None:
        wanted[f"group/{created.scope}/{created.concurrency['group']}"] = facts.phase != "queued"
    return wanted


# Rules ------------------------------------------------------------------------------------------
# Each gets the run before the event, and returns what is wrong with the event then.


def _check_start(run: RunState, event: e.AttemptStarted) -> str | None:
    instance = run.instances[event.instance]
    again = instance.state == "running"
    follows = (instance.attempt, instance.delivery + 1) if again else (instance.attempt + 1, 1)
    if (event.attempt, event.delivery) != follows:
        return _tell_numbers(event.instance, (event.attempt, event.delivery), follows)
    if instance.effect == "deploy" and instance.environment is not None:
        name = instance.environment["name"]
        lock = run.locks.get(name)
        if lock is None or lock.state != "held":
            return f"{event.instance!r} deploys to {name!r} without its lock"
    return None


def _check_resume(run: RunState, event: e.AttemptResumed) -> str | None:
    instance = run.instances[event.instance]
    follows = (instance.attempt, instance.delivery + 1)
    if (event.attempt, event.delivery) != follows:
        return _tell_numbers(event.instance, (event.attempt, event.delivery), follows)
    return None


def _tell_numbers(name: str, got: tuple[int, int], follows: tuple[int, int]) -> str:
    return (
        f"{name!r} goes on with attempt {got[0]}, delivery {got[1]}; "
        f"attempt {follows[0]}, delivery {follows[1]} would follow"
    )


def _check_attempt(run: RunState, event: Any) -> str | None:
    """Hold that what an attempt tells is of the one that is going on."""
    attempt = run.instances[event.instance].attempt
    if event.attempt != attempt:
        return f"{event.instance!r} is at attempt {attempt}, this is of {event.attempt}"
    return None


def _check_work(run: RunState, event: Any) -> str | None:
    """Hold that something which only a delivery does is of one that is going on."""
    state = run.instances[event.instance].state
    if state not in ("running", "stopping"):
        return f"{event.instance!r} is {state}"
    return _check_attempt(run, event)


def _check_step(run: RunState, event: e.StepCompleted) -> str | None:
    if event.name in run.instances[event.instance].steps:
        return f"step {event.name!r} of {event.instance!r} is committed twice in one attempt"
    return _check_work(run, event)


def _check_entered(run: RunState, event: e.GuardEntered) -> str | None:
    if (event.kind, event.name) in run.instances[event.instance].guards:
        return f"{event.kind} {event.name!r} is there already"
    return _check_work(run, event)


def _check_left(run: RunState, event: e.GuardLeft) -> str | None:
    # What is gone is gone, however late it is told.
    attempt = run.instances[event.instance].guards.get((event.kind, event.name))
    if attempt != event.attempt:
        return f"{event.kind} {event.name!r} is not there"
    return None


def _check_decision(run: RunState, event: e.ApprovalDecided) -> str | None:
    gate = run.gates[event.gate]
    if event.digest != gate.digest:
        return f"{event.actor!r} decided on something else than {event.gate!r} asks"
    approved = event.decision == "approve" and any(
        each["actor"] == event.actor and each["decision"] == "approve" for each in gate.decisions
    )
    return f"{event.actor!r} approves {event.gate!r} twice" if approved else None


def _check_close(run: RunState, event: e.ApprovalClosed) -> str | None:
    gate = run.gates[event.gate]
    people = {each["actor"] for each in gate.decisions if each["decision"] == "approve"}
    if event.result == "approved" and len(people) < gate.required:
        return f"{event.gate!r} is approved by {len(people)} people, not {gate.required}"
    return None


def _check_park(run: RunState, _event: e.RunParked) -> str | None:
    return None if run.driven else "nobody drives it"


_RULES: dict[type[e.Event], Rule] = {
    e.RunParked: _check_park,
    e.ApprovalDecided: _check_decision,
    e.ApprovalClosed: _check_close,
    e.AttemptStarted: _check_start,
    e.AttemptResumed: _check_resume,
    e.AttemptWaiting: _check_work,
    e.AttemptStopping: _check_work,
    e.AttemptEnded: _check_attempt,
    e.StepCompleted: _check_step,
    e.BeforeRecorded: _check_work,
    e.GuardEntered: _check_entered,
    e.GuardLeft: _check_left,
}
