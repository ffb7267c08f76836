"""``gennaker resume`` and ``cancel``: what is done to a run as a whole."""

from __future__ import annotations

import click

from gennaker_engine.cli.completion import complete_runs
from gennaker_engine.cli.options import (
    command,
    detach_option,
    no_follow_option,
    output_option,
    run_argument,
)
from gennaker_engine.cli.settings import Settings, pass_settings

__all__ = ["cancel_command", "resume_command"]


@command("resume")
@click.argument("run", metavar="[RUN]", required=False, shell_complete=complete_runs)
@detach_option
@output_option("text", "json", "yaml", "name")
@pass_settings
def resume_command(settings: Settings, *, run: str | None, detach_on_wait: bool, form: str) -> int:
    """Go on with a run that no process drives.

    Without RUN: every run that has not ended and that no process drives.
    """
    from gennaker_engine.cli.driving import Driving, drive_runs, print_run
    from gennaker_engine.cli.exit_codes import ERRORED, SUCCEEDED, code_of_run, worst_code
    from gennaker_engine.cli.reading import load_progress
    from gennaker_engine.journal.lookup import resolve_run

    journal = settings.open_engine().journal
    if run is None:
        left = _list_left(settings)
        if not left:
            settings.console.err("no run is left to go on with")
            return 0
        whole = _leave_out_damaged(settings, left)
        code = drive_runs(settings, whole, Driving(form, detach_on_wait)) if whole else SUCCEEDED
        return code if len(whole) == len(left) else worst_code([code, ERRORED])
    row = resolve_run(journal, run)
    if row.state == "ended":
        settings.console.err(f"{row.run} has ended: {row.outcome}")
        print_run(settings, row.run, form)
        progress = load_progress(journal, row.run)[1]
        return code_of_run(row.state, row.outcome, timed_out=progress.timed_out)
    return drive_runs(settings, [row.run], Driving(form, detach_on_wait))


def _list_left(settings: Settings) -> list[str]:
    """Return the runs that nobody drives, oldest first, as they may wait for one another."""
    from gennaker_engine.journal.port import RunFilter

    journal = settings.open_engine().journal
    rows = journal.list_runs(RunFilter(states=("pending", "waiting", "running"), limit=10_000))
    left = [row for row in rows if journal.find_owner(row.run) is None]
    return [row.run for row in sorted(left, key=lambda row: (row.created_at, row.number))]


def _leave_out_damaged(settings: Settings, runs: list[str]) -> list[str]:
    """Return the runs whose history can be read; of each other one it is said what is wrong."""
    from gennaker.errors import GennakerError
    from gennaker_engine.cli.render.problems import render_problems

    engine, console = settings.open_engine(), settings.console
    whole = []
    for run in runs:
        try:
            engine.load_run(run)
        except GennakerError as error:
            base = settings.project_folder
            console.err(render_problems([error.problem], console, base=base))
        else:
            whole.append(run)
    return whole


@command("cancel")
@run_argument
@no_follow_option
@output_option("text", "json", "yaml", "name")
@pass_settings
def cancel_command(settings: Settings, *, run: str, no_follow: bool, form: str) -> int:
    """Abort a run; its finally stages still run.

    A second time aborts the finally stages too. A run whose history is damaged is given up: it ends
    as errored, and what it held goes to who is next.
    """
    from gennaker.errors import GennakerError
    from gennaker_engine.cli.driving import record_and_follow
    from gennaker_engine.core.messages import Cancel
    from gennaker_engine.journal.lookup import resolve_run

    journal = settings.open_engine().journal
    lost = journal.find_run(run) is None and bool(journal.read_claims_of(run))
    name = run if lost else resolve_run(journal, run).run
    try:
        return record_and_follow(
            settings, name, Cancel(actor=settings.actor), form=form, follow=not no_follow
        )
    except GennakerError as error:
        if error.code in _DAMAGED and _give_up(settings, name):
            return 0
        raise


_DAMAGED = ("state-corrupt", "illegal-transition", "version-conflict", "run-ended")
"""What a cancel of a run is refused with whose history, row or places are not what they should be."""


def _give_up(settings: Settings, run: str) -> bool:
    """End a damaged run and what it blocks; False when there is nothing wrong with it."""
    from gennaker_engine.runtime.abandoning import abandon_run

    event = abandon_run(settings.open_engine(), run, settings.actor)
    if event is None:
        return False
    console = settings.console
    console.err(f"{run} is given up as errored: {event.reason}")
    for place in event.places:
        console.err(f"it had {place}, which goes to who is next")
    console.err("see for yourself what it left running, and what it left half deployed")
    return True
