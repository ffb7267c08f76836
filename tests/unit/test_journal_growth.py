"""A journal that has grown stays quick: what is asked of it while runs go on is found by an index."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gennaker_engine.journal.queries import load_queries
from gennaker_engine.journal.sqlite import SqliteJournal

QUERIES = load_queries("sqlite_queries.sql")
TABLES = "runs|events|claims|counters|deploys|removals"
# Those that read a whole table, with the reason.
WHOLE = {
    "list_runs": "from the newest key on, and it ends after the first 50",
    "select_summaries": "only gc, which looks at every run",
    "select_deploys": "one row an environment",
    "select_removals": "one row a gc",
}
# Pieces that are put into others.
PIECES = {name for name in QUERIES if not re.fullmatch(r"(?!where_)\w+", name)}


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    """An empty journal: what SQLite plans does not depend on what is in it."""
    journal = SqliteJournal(tmp_path / "state.db", tmp_path / "owners")
    yield journal
    journal.close()


def explain(journal: SqliteJournal, query: str) -> list[str]:
    """Return the steps of SQLite's plan for a query."""
    values = dict.fromkeys(re.findall(r":(\w+)", query), "[]")
    given = [None] * query.count("?") or values
    rows = journal._writer.execute(f"EXPLAIN QUERY PLAN {query}", given)
    return [row[3] for row in rows]


@pytest.mark.parametrize("name", sorted(QUERIES.keys() - PIECES))
def test_every_query_uses_an_index(journal: SqliteJournal, name: str) -> None:
    """No step scans a table, but for the queries that say why they do."""
    steps = explain(journal, QUERIES[name].format(conditions="1"))
    slow = [step for step in steps if re.match(rf"SCAN ({TABLES})\b", step)]
    if name in WHOLE:
        assert slow != [], f"{name} needs no exception any more"
    else:
        assert slow == []
