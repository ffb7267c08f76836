"""``gennaker events``: a run's journal as an audit trail, in words for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gennaker_engine.cli.exit_codes import ERRORED, SUCCEEDED
from gennaker_engine.cli.options import command, output_option, run_argument
from gennaker_engine.cli.settings import Settings, pass_settings

if TYPE_CHECKING:
    from gennaker_engine.core.events import Event
    from gennaker_engine.journal.errors import StateError
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
    from gennaker_engine.journal.errors import StateError
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
                **({"damaged": each.data} if isinstance(found, StateError) else each.data),
            }
            for each, found in zip(stored, entries, strict=True)
        ]
        print_data(console, form, "EventList", {"run": row.run, "items": items})
    elif form == "name":
        names = ("damaged" if isinstance(each, StateError) else each.type for each in entries)
        console.out("\n".join(names))
    else:
        size = len(str(len(stored)))
        for each, found in zip(stored, entries, strict=True):
            at, told = _tell(found)
            console.out(f"{console.paint(f'{at}  {each.sequence:>{size}}', 'dim')}  {told}")
    damage = next((each for each in entries if isinstance(each, StateError)), None)
    if damage is None:
        return SUCCEEDED
    from gennaker_engine.cli.render.problems import render_problems

    console.err(render_problems([damage.problem], console))
    return ERRORED


def _read(stored: StoredEvent, run: str) -> Event | StateError:
    """Return an event; of a damaged one, what is wrong."""
    from gennaker_engine.journal.decoding import decode_stored
    from gennaker_engine.journal.errors import StateError

    try:
        (event,) = decode_stored([stored], run)
    except StateError as error:
        return error
    return event


def _tell(found: Event | StateError) -> tuple[str, str]:
    """Return when an event was and what it says in words; of a damaged one, what is wrong."""
    from gennaker_engine.cli.render.text import tell_time
    from gennaker_engine.cli.render.wording import tell_event
    from gennaker_engine.journal.errors import StateError

    if isinstance(found, StateError):
        return "-" * len("2026-01-01T00:00:00Z"), f"{found.message}; {found.hint}"
    return tell_time(found.at), tell_event(found)
