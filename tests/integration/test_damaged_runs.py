"""Runs whose history is damaged: they can be given up, and block nobody for ever."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from gennaker_engine.cli.main import main
from gennaker_engine.journal.checking import check_journal
from gennaker_engine.runtime import Engine
from gennaker_engine.runtime.abandoning import abandon_run
from tests.integration.runtime_parts import open_engine, start_run, write_project

SETTINGS = "project: shop\nenvironments:\n  staging: {place: {folder: there}}\n"
PIPELINE = """name: shop
stages:
  deploy: {uses: t.deploy, environment: staging}
  ask: {uses: approval, needs: deploy}
  again: {uses: t.deploy, environment: staging, needs: ask}
"""


@pytest.fixture(name="engine")
def make_engine(tmp_path: Path) -> Iterator[Engine]:
    """A state in which shop-1 holds staging while it asks, and shop-2 waits for it."""
    engine = open_engine(write_project(tmp_path, PIPELINE, SETTINGS))
    for _ in range(2):
        engine.drive(start_run(engine), detach_on_wait=True)
    assert [claim.holding for claim in engine.journal.read_claims()] == [True, False]
    yield engine
    engine.close()


def call(root: Path, *words: str) -> int:
    """Run the command line in the project."""
    return main(["--project", str(root), *words])


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        (
            "UPDATE events SET data = '{' WHERE run_key = 1 AND sequence = 4",
            "event 4 of run 'shop-1'",
        ),
        ("DELETE FROM events WHERE run_key = 1 AND sequence = 4", "event 4 is missing"),
        ("DELETE FROM events WHERE run_key = 1", "its events at 0"),
        ("DELETE FROM events WHERE run_key = 1 AND sequence > 6", "its row is at version"),
        ("UPDATE runs SET version = 3 WHERE key = 1", "its row is at version 3, its events at"),
        (
            "UPDATE events SET data = replace(data, 'attempt.started', 'attempt.ended') "
            "WHERE run_key = 1",
            "has not the fields of its type",
        ),
        (
            "UPDATE events SET data = CAST(replace(data, '}', x'ff7d') AS TEXT) "
            "WHERE run_key = 1 AND sequence = 4",
            "event 4 of run 'shop-1'",
        ),
        ("DELETE FROM runs WHERE key = 1", "the row of run 'shop-1' is lost"),
    ],
)
def test_a_damaged_run_is_given_up_by_cancel(engine, tmp_path, capsys, sql, told):
    """It ends as errored, says who gave it up and when, and the environment goes to who is next."""
    with sqlite3.connect(tmp_path / ".gennaker" / "state.db") as connection:
        connection.execute(sql)
    connection.close()
    assert check_journal(engine.journal) != []
    assert call(tmp_path, "cancel", "shop-1") == 0
    said = capsys.readouterr().err
    assert "shop-1 is given up as errored: " in said
    assert told in said
    assert "it had lock/shop/staging, which goes to who is next\n" in said
    row = engine.journal.find_run("shop-1")
    assert (row.state, row.outcome, row.waiting) == ("ended", "errored", "")
    last = engine.journal.load_events("shop-1")[-1].data
    assert (last["type"], last["places"]) == ("run.abandoned", ["lock/shop/staging"])
    assert last["actor"].startswith("local:")
    call(tmp_path, "events", "shop-1")
    assert "gave the run up: " in capsys.readouterr().out
    assert check_journal(engine.journal) == []
    run = engine.drive("shop-2", detach_on_wait=True)
    assert run.facts.locks["staging"].state == "held"


def test_a_row_that_is_not_utf_8_concerns_its_run_alone(engine, tmp_path, capsys):
    """A title with a broken byte is shown as such in the list; no other run is concerned."""
    with sqlite3.connect(tmp_path / ".gennaker" / "state.db") as connection:
        connection.execute("UPDATE runs SET title = CAST(x'61ff62' AS TEXT) WHERE key = 1")
    connection.close()
    assert call(tmp_path, "runs") == 0
    said = capsys.readouterr().out
    assert r"not UTF-8: a\xffb" in said
    assert "shop-2" in said
    assert call(tmp_path, "cancel", "shop-2", "--no-follow") == 0


def test_a_whole_run_is_not_given_up(engine, tmp_path):
    """Only what is damaged is: a run that is driven or whole is left to cancel."""
    assert abandon_run(engine, "shop-1", "local:bob") is None
    assert engine.journal.find_run("shop-1").state == "waiting"
    assert call(tmp_path, "cancel", "shop-1", "--no-follow") == 0
    assert engine.load_events("shop-1")[-1][1].type == "run.abort_requested"


def test_a_place_that_an_ended_run_kept_is_given_back(engine, tmp_path, capsys):
    """The history of an ended run stays as it is, only its claim goes."""
    engine.journal._writer.execute("UPDATE claims SET run = 'shop-3' WHERE holding")
    write_project(tmp_path, "name: shop\nstages:\n  a: {uses: t.echo}\n", SETTINGS)
    assert engine.drive(start_run(engine)).outcome == "succeeded"
    before = engine.journal.load_events("shop-3")
    assert call(tmp_path, "cancel", "shop-3") == 0
    assert "it had lock/shop/staging, which goes to who is next" in capsys.readouterr().err
    assert engine.journal.load_events("shop-3") == before
    assert [claim.run for claim in engine.journal.read_claims()] == ["shop-2"]
    assert call(tmp_path, "cancel", "shop-3") == 4
