"""``gennaker events``: a run's journal as an audit trail, in words for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gennaker_engine.cli.exit_codes import ERRORED, SUCCEEDED
from gennaker_engine.cli.options import command, output_option, run_argument
from gennaker_engine.cli.settings import Settings, pass_settings

if TYPE_CHECKING:
    from gennaker_engine.core.events import Event
    from gennaker_engine.journal.port import StoredEvent

__all__ = ["events_command"]


@command("events")
@run_argument
@output_option("table", "json", "yaml", "name")
@pass_settings
def events_command(settings: Settings, run: str, form: str) -> int:
    """Print a run's journal as an audit trail.

    One line an event in words; with -o json or yaml the events as they are stored. Of a damaged
    journal all that can be read is shown; the exit code is 7 then.
    """
    from gennaker_engine.cli.reading import read_journal
    from gennaker_engine.journal.lookup import resolve_run

    console = settings.console
    with read_journal(settings) as journal:
        row = resolve_run(journal, run)
        stored = journal.load_events(row.run)
    entries = [_read(each, row.run) for each in stored]
    if form in ("json", "yaml"):
        from gennaker_engine.cli.render.data import print_data

        items = [
            {
                "sequence": each.sequence,
                **(each.data if event is not None else {"damaged": each.data}),
            }
            for each, (event, _) in zip(stored, entries, strict=True)
        ]
        print_data(console, form, "EventList", {"run": row.run, "items": items})
    elif form == "name":
        console.out("\n".join(event.type if event else "damaged" for event, _ in entries))
    else:
        from gennaker_engine.cli.render.text import tell_time

        size = len(str(len(stored)))
        for each, (event, told) in zip(stored, entries, strict=True):
            at = tell_time(event.at) if event else "-" * len("2026-01-01T00:00:00Z")
            console.out(f"{console.paint(f'{at}  {each.sequence:>{size}}', 'dim')}  {told}")
    return _tell_damage(settings, row.run, stored)


def _tell_damage(settings: Settings, run: str, stored: Sequence[StoredEvent]) -> int:
    """Say on stderr what cannot be read, and return the exit code."""
    from gennaker_engine.cli.render.problems import render_problems
    from gennaker_engine.journal.decoding import decode_stored
    from gennaker_engine.journal.errors import StateError

    try:
        decode_stored(stored, run)
    except StateError as error:
        settings.console.err(render_problems([error.problem], settings.console))
        return ERRORED
    return SUCCEEDED


def _read(stored: StoredEvent, run: str) -> tuple[Event | None, str]:
    """Return an event and what it says in words; of a damaged one, what is wrong."""
    from gennaker_engine.cli.render.wording import tell_event
    from gennaker_engine.journal.decoding import decode_stored
    from gennaker_engine.journal.errors import StateError

    try:
        (event,) = decode_stored([stored], run)
    except StateError as error:
        return None, f"{error.message}; {error.hint}"
    return event, tell_event(event)
