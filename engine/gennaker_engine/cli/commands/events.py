"""``gennaker events``: a run's journal as an audit trail, in words for people."""

from __future__ import annotations

from gennaker_engine.cli.options import command, output_option, run_argument
from gennaker_engine.cli.settings import Settings, pass_settings

__all__ = ["events_command"]


@command("events")
@run_argument
@output_option("table", "json", "yaml", "name")
@pass_settings
def events_command(settings: Settings, run: str, form: str) -> None:
    """Print a run's journal as an audit trail.

    One line an event in words; with -o json or yaml the events as they are stored.
    """
    from gennaker_engine.cli.reading import load_events, read_journal
    from gennaker_engine.cli.render.text import tell_time
    from gennaker_engine.journal.lookup import resolve_run

    console = settings.console
    with read_journal(settings) as journal:
        row = resolve_run(journal, run)
        if form in ("json", "yaml"):
            from gennaker_engine.cli.render.data import print_data

            stored = journal.load_events(row.run)
            items = [{"sequence": each.sequence, **each.data} for each in stored]
            print_data(console, form, "EventList", {"run": row.run, "items": items})
            return
        events = load_events(journal, row.run)
    if form == "name":
        console.out("\n".join(event.type for _, event in events))
        return
    from gennaker_engine.cli.render.wording import tell_event

    size = len(str(events[-1][0]))
    for sequence, event in events:
        head = console.paint(f"{tell_time(event.at)}  {sequence:>{size}}", "dim")
        console.out(f"{head}  {tell_event(event)}")
