"""Reading runs from the journal without an engine: what the commands that only look need.

Opening the journal alone keeps ``runs``, ``events`` or ``logs`` quick: no stage, no plugin and no
runtime is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gennaker.errors import InvalidInput

if TYPE_CHECKING:
    from gennaker_engine.cli.render.progress import Progress
    from gennaker_engine.cli.settings import Settings
    from gennaker_engine.core.events import Event, RunCreated
    from gennaker_engine.journal.port import Journal

__all__ = [
    "has_state",
    "load_events",
    "load_progress",
    "load_view",
    "read_journal",
]


@contextmanager
def read_journal(settings: Settings) -> Iterator[Journal]:
    """Open the journal of the project's state for the block; looking makes and needs no writable one.

    Raises:
        InvalidInput: code ``unknown-run`` when nothing has run here.
    """
    from gennaker_engine.journal.opening import open_journal

    if not has_state(settings):
        raise _no_run()
    journal = open_journal(settings.state_url, project=settings.project.root, reading=True)
    try:
        yield journal
    finally:
        journal.close()


def has_state(settings: Settings) -> bool:
    """Return whether there is a state to look at; one behind a server is taken to be there."""
    scheme, _, path = settings.state_url.partition(":///")
    return scheme != "sqlite" or not path or Path(path).exists()


def _no_run() -> InvalidInput:
    return InvalidInput(
        "there is no run yet", code="unknown-run", hint="start one with 'gennaker run PIPELINE'"
    )


def load_events(journal: Journal, run: str, *, after: int = 0) -> list[tuple[int, Event]]:
    """Return the run's events with their numbers, those above ``after``."""
    from gennaker_engine.journal.decoding import decode_stored

    stored = journal.load_events(run, after=after)
    events = decode_stored(stored, run)
    return [(each.sequence, event) for each, event in zip(stored, events, strict=True)]


def load_progress(journal: Journal, run: str) -> tuple[RunCreated, Progress]:
    """Return a run's first event and what it looks like after all of them."""
    from gennaker_engine.cli.render.progress import Progress
    from gennaker_engine.core.events import RunCreated

    events = [event for _, event in load_events(journal, run)]
    created = events[0]
    assert isinstance(created, RunCreated)  # the first event of every run
    return created, Progress.of(events)


def load_view(journal: Journal, run: str) -> dict[str, Any]:
    """Return a run as versioned JSON data, with who holds what it waits for.

    ``holder`` is ``{run, since}`` of the run that holds the lock, or a place in the group.
    """
    from gennaker_engine.core.scope import format_moment
    from gennaker_engine.core.view import describe_run
    from gennaker_engine.journal.decoding import replay_stored

    folded = replay_stored(journal.load_events(run), run)
    view = describe_run(folded)
    scope = folded.facts.created.scope
    for wait in view["waiting"]:
        if wait["on"] not in ("lock", "queue"):
            continue
        key = (
            f"lock/{scope}/{wait['environment']}"
            if wait["on"] == "lock"
            else f"group/{scope}/{wait['group']}"
        )
        for claim in journal.read_claims(key):
            if claim.key == key and claim.holding and claim.run != run:
                wait["holder"] = {"run": claim.run, "since": format_moment(claim.since)}
                break
    return view
