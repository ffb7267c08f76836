"""Reading runs from the journal without an engine: what the commands that only look need.

Opening the journal alone keeps ``runs``, ``events`` or ``logs`` quick: no stage, no plugin and no
runtime is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gennaker.errors import InvalidInput

if TYPE_CHECKING:
    from gennaker_engine.cli.render.progress import Progress
    from gennaker_engine.cli.settings import Settings
    from gennaker_engine.core.events import Event, RunCreated
    from gennaker_engine.journal.port import Journal, RunRow

__all__ = ["has_state", "load_events", "load_progress", "read_journal", "resolve_run"]


@contextmanager
def read_journal(settings: Settings) -> Iterator[Journal]:
    """Open the journal of the project's state for the block; looking makes no state.

    Raises:
        InvalidInput: code ``unknown-run`` when nothing has run here.
    """
    from gennaker_engine.journal.opening import open_journal

    if not has_state(settings):
        raise _no_run()
    url = settings.project.state_url(settings.state)
    journal = open_journal(url, project=settings.project.root)
    try:
        yield journal
    finally:
        journal.close()


def has_state(settings: Settings) -> bool:
    """Return whether there is a state to look at; one behind a server is taken to be there."""
    scheme, _, path = settings.project.state_url(settings.state).partition(":///")
    return scheme != "sqlite" or not path or Path(path).exists()


def _no_run() -> InvalidInput:
    return InvalidInput(
        "there is no run yet", code="unknown-run", hint="start one with 'gennaker run PIPELINE'"
    )


def resolve_run(journal: Journal, reference: str) -> RunRow:
    """Return the run that ``shop-42``, a unique prefix, or ``@last`` names.

    Raises:
        InvalidInput: code ``unknown-run`` or ``ambiguous-run``, naming what there is.
    """
    from gennaker_engine.journal.port import RunFilter

    if reference == "@last":
        newest = journal.list_runs(RunFilter(limit=1))
        if not newest:
            raise _no_run()
        return newest[0]
    exact = journal.find_run(reference)
    if exact is not None:
        return exact
    found = journal.find_runs_by_prefix(reference, limit=10) if reference else []
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(row.run for row in found[:5]) + (", …" if len(found) > 5 else "")
        raise InvalidInput(
            f"{reference!r} is the beginning of several runs: {names}",
            code="ambiguous-run",
            hint="write more of it",
        )
    from gennaker.suggestions import suggest

    recent = [row.run for row in journal.list_runs(RunFilter(limit=50))]
    raise InvalidInput(
        f"there is no run {reference!r}",
        code="unknown-run",
        hint=suggest(reference, recent, otherwise="'gennaker runs' lists them"),
    )


def load_events(journal: Journal, run: str, *, after: int = 0) -> list[tuple[int, Event]]:
    """Return the run's events with their numbers, those above ``after``."""
    from gennaker_engine.core.events import decode_event

    return [
        (stored.sequence, decode_event(stored.data))
        for stored in journal.load_events(run, after=after)
    ]


def load_progress(journal: Journal, run: str) -> tuple[RunCreated, Progress]:
    """Return a run's first event and what it looks like after all of them."""
    from gennaker_engine.cli.render.progress import Progress
    from gennaker_engine.core.events import RunCreated

    events = [event for _, event in load_events(journal, run)]
    created = events[0]
    assert isinstance(created, RunCreated)  # the first event of every run
    return created, Progress.of(events)
