"""Kept histories: the files of ``tests/data/histories``, written once and read for ever.

A file holds one state: its runs with every event as stored, what the row says after each event, and
what ``status -o json`` says at the end; and the claims that are held then.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gennaker_engine.cli.reading import load_view
from gennaker_engine.core.run import Run
from gennaker_engine.core.view import describe_row
from gennaker_engine.journal.decoding import decode_stored
from gennaker_engine.journal.port import Claim, Journal, RunFilter, RunRow, StoredEvent

__all__ = [
    "FOLDER",
    "History",
    "KeptRun",
    "fold",
    "from_data",
    "list_names",
    "load",
    "read",
    "save",
    "tell_row",
    "to_data",
]

FOLDER = Path(__file__).parents[1] / "data" / "histories"
_ALL = 1_000_000

Json = Any


@dataclass(frozen=True)
class KeptRun:
    """One run.

    Attributes:
        events: as stored, in order.
        rows: after each event state, outcome, what is waited for, and when time changes something.
        row: the projection at the end.
        view: what ``status -o json`` says at the end.
    """

    events: Sequence[dict[str, Json]]
    rows: Sequence[Sequence[Json]]
    row: dict[str, Json]
    view: dict[str, Json]

    @property
    def name(self) -> str:
        """Its id."""
        return str(self.row["run"])


@dataclass(frozen=True)
class History:
    """One state: ``about`` says in a line what is in it."""

    about: str
    runs: Sequence[KeptRun]
    claims: Sequence[Claim]

    def write(self, journal: Journal) -> None:
        """Put it into a journal, as those who had it did."""
        for run in self.runs:
            with journal.transaction() as transaction:
                transaction.append(RunRow(**run.row), 0, run.events)
        for claim in self.claims:
            with journal.transaction() as transaction:
                transaction.write_claim(claim)


def read(journal: Journal, about: str) -> History:
    """Return everything that a journal holds."""
    rows = sorted(journal.list_runs(RunFilter(limit=_ALL)), key=lambda row: row.number)
    return History(about, [_read_run(journal, row) for row in rows], journal.read_claims())


def _read_run(journal: Journal, row: RunRow) -> KeptRun:
    stored = journal.load_events(row.run)
    return KeptRun(
        events=[each.data for each in stored],
        rows=[tell_row(run) for run in fold(stored, row.run)],
        row=asdict(row),
        view=load_view(journal, row.run),
    )


def fold(stored: Sequence[StoredEvent], run: str) -> Iterator[Run]:
    """Yield the run after each of its events; it is one object that changes."""
    events = decode_stored(stored, run)
    folded = Run.replay(events[:1])
    yield folded
    for event in events[1:]:
        folded.evolve(event)
        yield folded


def tell_row(run: Run) -> list[Json]:
    """Return what of a run's row an event may change."""
    row = describe_row(run)
    return [row[name] for name in ("state", "outcome", "waiting", "due")]


def list_names() -> list[str]:
    """Return the names of all kept histories."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def load(name: str) -> History:
    """Return a kept history."""
    return from_data(json.loads((FOLDER / f"{name}.json").read_text("utf-8")))


def from_data(data: dict[str, Json]) -> History:
    """Return the history that :func:`to_data` made this of."""
    claims = [Claim(**each) for each in data["claims"]]
    return History(data["about"], [KeptRun(**each) for each in data["runs"]], claims)


def to_data(history: History) -> dict[str, Json]:
    """Return it as JSON data."""
    return asdict(history)


def save(name: str, history: History) -> Path:
    """Keep a history, an event or a fact a line, and return its file.

    Raises:
        FileExistsError: it is there; what an earlier release wrote is never written again.
    """
    path = FOLDER / f"{name}.json"
    FOLDER.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8") as stream:
        stream.write(_format(to_data(history), depth=4) + "\n")
    return path


def _format(value: Json, *, depth: int, indent: str = "") -> str:
    """Return JSON with a line for each thing down to a depth, compact below."""
    if depth and value and isinstance(value, dict | list):
        inner = indent + " "
        if isinstance(value, dict):
            parts = [
                f"{json.dumps(key)}: {_format(each, depth=depth - 1, indent=inner)}"
                for key, each in value.items()
            ]
        else:
            parts = [_format(each, depth=depth - 1, indent=inner) for each in value]
        first, last = "{}" if isinstance(value, dict) else "[]"
        lines = f",\n{inner}".join(parts)
        return f"{first}\n{inner}{lines}\n{indent}{last}"
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
