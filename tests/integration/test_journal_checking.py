"""The checker of journals: an honest one has no flaw, and each kind of damage is told."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gennaker_engine.cli.main import main
from gennaker_engine.core.locks import Claim
from gennaker_engine.journal.checking import check_journal, check_queues
from gennaker_engine.runtime import Engine
from tests.integration.runtime_parts import open_engine, start_run, write_project

SETTINGS = "project: shop\nenvironments:\n  staging: {place: {folder: there}}\n"
PIPELINE = """name: shop
concurrency: {group: one, limit: 1}
stages:
  steps: {uses: t.steps, with: {note: NOTE}}
  flaky: {uses: t.behave, retry: 2, with: {how: temporary}}
  poll: {uses: t.behave, with: {how: poll}}
  deploy: {uses: t.deploy, environment: staging, needs: steps, with: {say: out}}
  ask: {uses: approval, needs: deploy, with: {message: go?}}
  after: {uses: t.deploy, environment: staging, needs: ask, with: {say: done}}
"""

Damage = Callable[..., None]


@pytest.fixture(name="engine")
def make_engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine whose state has one run that waits for approval and one queued behind it."""
    write_project(tmp_path, PIPELINE.replace("NOTE", str(tmp_path / "note")), SETTINGS)
    engine = open_engine(tmp_path)
    engine.drive(start_run(engine), detach_on_wait=True)
    start_run(engine)
    yield engine
    engine.close()


@pytest.fixture(name="damage")
def make_damage(engine: Engine, tmp_path: Path) -> Damage:
    """What runs SQL on the journal behind everybody's back."""

    def run_sql(sql: str, *values: Any) -> None:
        with sqlite3.connect(tmp_path / ".gennaker" / "state.db") as connection:
            connection.execute(sql, values)
        connection.close()

    return run_sql


def find_event(engine: Engine, which: str, **fields: Any) -> tuple[int, dict[str, Any]]:
    """Return number and data of the first event of shop-1 of a type, with these fields."""
    wanted = {"type": which, **fields}
    for each in engine.journal.load_events("shop-1"):
        if wanted.items() <= each.data.items():
            return each.sequence, each.data
    raise AssertionError(f"there is no {wanted}")


def tell(engine: Engine) -> list[str]:
    """Return all flaws as text."""
    return [str(flaw) for flaw in check_journal(engine.journal)]


def test_an_honest_journal_has_no_flaw(engine):
    """Locks, groups, steps, retries, polls, approvals and deploys leave nothing to tell."""
    assert tell(engine) == []
    assert len(engine.journal.read_claims()) == 3


LOCK = "lock/shop/staging"
GROUP = "group/shop/one"
EVENTS = "run_key = 1 AND sequence"


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        (f"DELETE FROM events WHERE {EVENTS} = 3", "shop-1: event 3 is missing"),
        (
            f"DELETE FROM events WHERE {EVENTS} = (SELECT max(sequence) FROM events WHERE run_key = 1)",
            "shop-1: its row is at version",
        ),
        (
            f"UPDATE events SET data = '{{' WHERE {EVENTS} = 3",
            "shop-1: event 3 of run 'shop-1' is damaged",
        ),
        (
            f"UPDATE events SET data = replace(data, 'run.started', 'run.new') WHERE {EVENTS} = 3",
            "shop-1: event 3 of run 'shop-1' is a 'run.new' of version 1",
        ),
        (
            f"UPDATE events SET data = replace(data, 'shop-1', 'shop-9') WHERE {EVENTS} = 1",
            "shop-1: its events are those of 'shop-9'",
        ),
        (
            "UPDATE events SET data = (SELECT data FROM events WHERE run_key = 1 AND sequence = 1) "
            f"WHERE {EVENTS} = 3",
            "event 3: 'run.created' cannot happen inside a run",
        ),
        ("UPDATE runs SET state = 'ended' WHERE key = 1", "its row says state 'ended', its events"),
        ("UPDATE runs SET due = 5 WHERE key = 2", "shop-2: its row says due 5.0, its events None"),
        (f"DELETE FROM claims WHERE key = '{LOCK}'", f"shop-1: it holds '{LOCK}' without a claim"),
        (
            f"UPDATE claims SET holding = 0 WHERE key = '{LOCK}'",
            f"shop-1: it works as if it held '{LOCK}', but its claim waits",
        ),
        (
            "INSERT INTO claims SELECT 'lock/shop/other', run, 99, holding, since, slots, policy, "
            f"instance, deploys FROM claims WHERE key = '{LOCK}'",
            "shop-1: it has a claim of 'lock/shop/other', but did not ask for it",
        ),
        ("UPDATE claims SET run = 'gone-1' WHERE run = 'shop-2'", "gone-1: it has 1 claims, but"),
        (
            f"UPDATE claims SET holding = 1 WHERE key = '{GROUP}'",
            f"'{GROUP}' is held by more than its limit: shop-1, shop-2",
        ),
        ("DELETE FROM deploys", "shop-1: it deployed to 'staging', which has no last deploy"),
        (
            "UPDATE deploys SET instance = 'x'",
            "the last deploy of 'staging' is said to be 'x' of shop-1, which did not begin then",
        ),
    ],
)
def test_damage_is_told(engine, damage, sql, told):
    """Whatever of rows, events, claims or deploys is not as the others say, is said."""
    damage(sql)
    assert any(told in each for each in tell(engine)), tell(engine)


@pytest.mark.parametrize(
    ("which", "changes", "told"),
    [
        (
            {"which": "attempt.started", "instance": "flaky", "attempt": 2},
            {"attempt": 3},
            "attempt.started: 'flaky' goes on with attempt 3, delivery 1; attempt 2, delivery 1 would",
        ),
        (
            {"which": "attempt.resumed", "instance": "poll"},
            {"delivery": 7},
            "attempt.resumed: 'poll' goes on with attempt 1, delivery 7; attempt 1, delivery 2 would",
        ),
        (
            {"which": "step.completed", "name": "step-1"},
            {"name": "step-0"},
            "step.completed: step 'step-0' of 'steps' is committed twice in one attempt",
        ),
        (
            {"which": "step.completed", "name": "step-1"},
            {"attempt": 4},
            "step.completed: 'steps' is at attempt 1, this is of 4",
        ),
        (
            {"which": "attempt.ended", "instance": "flaky"},
            {"instance": "steps", "retry_at": None},
            "instance 'steps' is 'ended' and takes no 'finish'",
        ),
        (
            {"which": "lock.acquired"},
            {"environment": "other"},
            "lock 'other' is 'free' and takes no 'acquire'",
        ),
    ],
)
def test_a_history_no_run_can_have_is_told(engine, damage, which, changes, told):
    """Numbers follow one another, a step is committed once, moves are in the tables."""
    number, data = find_event(engine, **which)
    text = json.dumps({**data, **changes})
    damage(f"UPDATE events SET data = ? WHERE {EVENTS} = ?", text, number)
    assert any(told in each for each in tell(engine)), tell(engine)


def test_an_approval_is_counted_once(engine, damage):
    """One person who approved twice, or too few people, are told."""
    from gennaker_engine.core.messages import Decide

    engine.send("shop-1", Decide("ask", "approve", "local:bob"))
    assert tell(engine) == []
    number, data = find_event(engine, "approval.requested")
    text = json.dumps({**data, "required": 2})
    damage(f"UPDATE events SET data = ? WHERE {EVENTS} = ?", text, number)
    assert any("'ask/1' is approved by 1 people, not 2" in each for each in tell(engine))


def test_nothing_follows_the_end(engine, damage):
    """A finished run never changes: an event after its end is told, and a claim it has."""
    from gennaker_engine.core.messages import Decide

    engine.send("shop-1", Decide("ask", "approve", "local:bob"))
    assert engine.drive("shop-1").outcome == "succeeded"
    assert engine.drive("shop-2", detach_on_wait=True).state == "waiting"
    assert tell(engine) == []
    damage("UPDATE claims SET run = 'shop-1' WHERE key = ?", GROUP)
    assert f"shop-1: it has a claim of '{GROUP}', but has ended" in tell(engine)
    row = engine.journal.find_run("shop-1")
    event = {"type": "run.adopted", "v": 1, "at": 1.0, "owner": "x", "actor": "y"}
    damage("INSERT INTO events VALUES (1, ?, ?)", row.version + 1, json.dumps(event))
    damage("UPDATE runs SET version = version + 1 WHERE key = 1")
    told = f"event {row.version + 1}: run 'shop-1' has ended; 'run.adopted' cannot follow"
    assert any(told in each for each in tell(engine))


def test_queues_are_checked():
    """A place that comes free is granted, a place is one run's alone."""

    def claim(run: str, place: int, *, holding: bool, limit: int = 1) -> Claim:
        return Claim("lock/shop/a", run, place, holding, 1.0, limit)

    holds, waits = claim("a-1", 1, holding=True), claim("a-2", 2, holding=False)
    assert list(check_queues([holds, waits], lambda _run: True)) == []
    assert list(check_queues([waits], lambda _run: True)) == [
        "'lock/shop/a' is free, but a-2 waits for it"
    ]
    assert list(check_queues([waits], lambda _run: False)) == []
    twice = [holds, claim("a-2", 1, holding=False)]
    assert list(check_queues(twice, lambda _run: True)) == ["a-1 and a-2 have one place, 1"]


def test_doctor_tells_what_is_wrong_in_the_journal(engine, damage, tmp_path, capsys):
    """One line a flaw, with what to do; exit code 1. A whole journal is said to be whole."""
    words = ["--project", str(tmp_path), "doctor"]
    main(words)
    assert "ok       journal: events, rows, locks and deploys agree" in capsys.readouterr().out
    damage(f"UPDATE events SET data = '{{' WHERE {EVENTS} = 3")
    assert main(words) == 1
    said = capsys.readouterr().out
    assert "wrong    journal: shop-1: event 3 of run 'shop-1' is damaged\n" in said
    assert (
        "restore the state from a copy, or end what it holds with 'gennaker cancel shop-1'" in said
    )


def test_events_shows_what_can_be_read_of_a_damaged_run(engine, damage, tmp_path, capsys):
    """Damaged events stand at their place in every form, and the exit code is 7."""
    words = ["--project", str(tmp_path), "events", "shop-1"]
    assert main(words) == 0
    damage(f"UPDATE events SET data = '{{' WHERE {EVENTS} = 3")
    capsys.readouterr()
    assert main(words) == 7
    lines = capsys.readouterr().out.splitlines()
    assert "event 3 of run 'shop-1' is damaged; restore the state from a copy" in lines[2]
    assert "local:ann created shop-1" in lines[0]
    assert main([*words, "-o", "name"]) == 7
    assert capsys.readouterr().out.splitlines()[1:3] == ["run.queued", "damaged"]
    assert main([*words, "-o", "json"]) == 7
    assert json.loads(capsys.readouterr().out)["items"][2] == {"sequence": 3, "damaged": "{"}
