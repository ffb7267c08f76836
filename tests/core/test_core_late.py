"""Late and repeated messages and events: whatever comes after the fact changes nothing.

The messages and events are those that there are: a new type is tested here as soon as it is written.
"""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

import pytest

from gennaker.errors import NotAllowed
from gennaker_engine.core import messages as m
from gennaker_engine.core.events import EVENT_TYPES, Event
from gennaker_engine.core.transitions import IllegalTransition
from tests.core.bench import Bench

MESSAGES = [
    each
    for each in vars(m).values()
    if isinstance(each, type) and issubclass(each, m.Message) and each is not m.Message
]
REPORTS = [each for each in MESSAGES if {"attempt", "delivery"} <= set(each.__dataclass_fields__)]
EVENTS = sorted(EVENT_TYPES.values(), key=lambda each: each.type)
VALUES = {
    "instance": "a",
    "stage": "a",
    "attempt": 1,
    "delivery": 1,
    "environment": "staging",
    "on": {"kind": "timer", "at": 1.0},
    "decision": "approve",
    "entered": True,
    "at": 1000.0,
}
"""What fields are filled with; others by their type."""
BY_TYPE = {"str": "x", "int": 1, "float": 1.0, "bool": True, "tuple": (), "Mapping": {}}


def make(cls: type[Any], **given: Any) -> Any:
    """Return one of this class with something in each field that has no default."""
    values: dict[str, Any] = {}
    for each in fields(cls):
        if each.name in VALUES:
            values[each.name] = VALUES[each.name]
        elif each.default is MISSING and each.default_factory is MISSING:
            kind = str(each.type).partition("[")[0].partition(" |")[0]
            values[each.name] = BY_TYPE.get(kind, "x")
    return cls(**{**values, **{name: v for name, v in given.items() if name in values}})


def end_runs() -> dict[str, Bench]:
    """Return a run that ended in each way there is."""
    stages = {"stages": {"a": {"uses": "deploy", "environment": "staging"}}}
    group = {"group": "g", "limit": 1, "policy": "queue"}
    ended = {name: Bench.start(stages) for name in ("succeeded", "failed", "errored", "aborted")}
    ended["succeeded"].succeed("a")
    ended["failed"].fail("a")
    ended["errored"].error("a")
    ended["aborted"].cancel()
    ended["aborted"].stop("a")
    ended["never started"] = Bench.start(stages, concurrency=group)
    ended["never started"].cancel()
    return ended


@pytest.mark.parametrize("how", ["succeeded", "failed", "errored", "aborted", "never started"])
@pytest.mark.parametrize("kind", MESSAGES, ids=lambda each: each.__name__)
def test_late_message_for_an_ended_run_changes_nothing(kind: type[m.Message], how: str) -> None:
    """Every message, a minute after the run ended in every way: no event, no command, still ended."""
    bench = end_runs()[how]
    assert bench.run.state == "ended"
    before = list(bench.events)
    bench.now += 60
    message = make(kind)
    if kind is m.Decide:
        with pytest.raises(NotAllowed, match="run-ended: run 'shop-1' has ended"):
            bench.tell(message)
    else:
        reaction = bench.tell(message)
        assert (reaction.events, reaction.commands) == ((), ())
        assert reaction.refused == "run 'shop-1' has ended"
    assert bench.run.state == "ended"
    assert bench.events == before
    bench.check_replay()


@pytest.mark.parametrize("kind", EVENTS, ids=lambda each: each.type)
def test_late_event_after_the_end_is_no_history(kind: type[Event]) -> None:
    """No event follows the end of a run, whoever wrote it: the journal is refused as damaged."""
    for bench in end_runs().values():
        with pytest.raises(IllegalTransition, match=r"has ended; '.*' cannot follow"):
            bench.run.evolve(make(kind))
        bench.check_replay()


def redelivered() -> Bench:
    """Return a run whose stage is in the third delivery of its second attempt."""
    bench = Bench.start({"stages": {"a": {"uses": "work", "retry": 3}, "b": {"uses": "work"}}})
    bench.fail("a")
    bench.pass_time(60)
    for number in (2, 3):
        bench.tell(m.Adopt(f"process {number}", "local:ann", died=True))
    assert (bench.instance("a").attempt, bench.instance("a").delivery) == (2, 3)
    return bench


@pytest.mark.parametrize("kind", REPORTS, ids=lambda each: each.__name__)
def test_late_report_of_another_delivery_changes_nothing(kind: type[m.Message]) -> None:
    """What an earlier attempt or delivery says, or one that never was, is refused by its numbers."""
    bench = redelivered()
    before = list(bench.events)
    for attempt, delivery in ((1, 1), (1, 3), (2, 1), (2, 2), (2, 4), (3, 1)):
        reaction = bench.tell(make(kind, attempt=attempt, delivery=delivery))
        assert (reaction.events, reaction.commands) == ((), ())
        assert f"this is of {attempt}, {delivery}" in str(reaction.refused)
    assert bench.events == before
    bench.check_replay()


@pytest.mark.parametrize("kind", REPORTS, ids=lambda each: each.__name__)
def test_late_copy_of_a_report_changes_nothing(kind: type[m.Message]) -> None:
    """The same report a second time, at once or a minute later, is refused."""
    bench = redelivered()
    report = make(kind, attempt=2, delivery=3)
    if kind is m.ReportStopped:
        bench.cancel()
    first = bench.tell(report)
    assert first.refused is None
    assert first.events
    for seconds in (0, 60):
        bench.now += seconds
        again = bench.tell(report)
        if kind is m.RecordBefore:  # each delivery says it once more: it replaces what is the same
            assert bench.instance("a").before == report.artifact
            continue
        assert again.events == ()
        assert again.refused
    bench.check_replay()


@pytest.mark.parametrize("kind", REPORTS, ids=lambda each: each.__name__)
def test_late_report_to_a_parked_run_changes_nothing(kind: type[m.Message]) -> None:
    """Nobody drives the run: a delivery of the process that let go has nothing to say any more."""
    bench = redelivered()
    bench.tell(m.Park("SIGTERM"))
    reaction = bench.tell(make(kind, attempt=2, delivery=3))
    assert (reaction.events, reaction.refused) == ((), "run 'shop-1' is parked")


def test_late_grants_and_cancels_change_nothing() -> None:
    """A lock, a place, a plan that come twice, a third cancel: refused with the reason."""
    bench = Bench.start({"stages": {"a": {"uses": "deploy", "environment": "staging"}}})
    for message in (
        m.GrantLock("staging"),
        m.GrantLock("production"),
        m.RefuseLock("staging", "shop-2", "production"),
        m.GrantGroup(),
        m.SubjectPlanned("a/1", {}),
    ):
        reaction = bench.tell(message)
        assert (reaction.events, reaction.commands) == ((), ())
        assert reaction.refused
    bench.cancel()
    bench.cancel()
    assert bench.cancel().refused == "run 'shop-1' is already being cancelled, 'finally' too"
