"""``gennaker runs``: the runs of this state, from their projected rows; no journal is folded."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from gennaker_engine.cli.completion import complete_pipelines
from gennaker_engine.cli.options import command, output_option
from gennaker_engine.cli.settings import Settings, pass_settings

if TYPE_CHECKING:
    from gennaker_engine.journal.port import RunRow

__all__ = ["runs_command"]

_STATES = ("pending", "waiting", "running", "ended")
_OUTCOMES = ("succeeded", "failed", "errored", "aborted")
_TONES = {
    "succeeded": "green",
    "failed": "red",
    "errored": "magenta",
    "aborted": "yellow",
    "waiting": "yellow",
    "running": "cyan",
}


def _split_states(
    ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    """Keep the states; a URL, which has a colon, is the global option of the same name."""
    for value in values:
        if ":" in value:
            ctx.ensure_object(Settings).state = value
        elif value not in _STATES:
            raise click.BadParameter(f"{value!r} is none of {', '.join(_STATES)}")
    return tuple(value for value in values if ":" not in value)


@command("runs")
@click.option(
    "--pipeline", metavar="NAME", help="Of this pipeline only.", shell_complete=complete_pipelines
)
@click.option(
    "--state",
    "states",
    metavar="STATE|URL",
    multiple=True,
    callback=_split_states,
    help=f"In this state ({', '.join(_STATES)}); may be repeated. A URL: where runs are kept.",
)
@click.option(
    "--outcome",
    "outcomes",
    type=click.Choice(_OUTCOMES),
    multiple=True,
    help="With this outcome; may be repeated.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=50,
    show_default=True,
    help="How many at most.",
)
@output_option("table", "json", "yaml", "name")
@pass_settings
def runs_command(
    settings: Settings,
    *,
    pipeline: str | None,
    states: tuple[str, ...],
    outcomes: tuple[str, ...],
    limit: int,
    form: str,
) -> None:
    """List runs, newest first."""
    from gennaker_engine.cli.reading import has_state, read_journal
    from gennaker_engine.cli.render.data import Listing, print_listing
    from gennaker_engine.cli.render.text import clean, tell_ago, tell_span
    from gennaker_engine.journal.port import RunFilter

    console, now = settings.console, time.time()
    rows: list[RunRow] = []
    if has_state(settings):
        with read_journal(settings) as journal:
            rows = journal.list_runs(RunFilter(pipeline, states, outcomes, limit))
    by_id = {row.run: row for row in rows}

    def cells(item: Mapping[str, Any]) -> Sequence[str]:
        row = by_id[item["id"]]
        word = row.outcome or (f"waiting: {row.waiting}" if row.waiting else row.state)
        begun = row.started_at
        span = tell_span((row.ended_at or now) - begun) if begun is not None else ""
        tone = _TONES.get(row.outcome or row.state)
        state = console.paint(word, *([tone] if tone else []))
        return row.run, state, tell_ago(row.created_at, now), span, row.actor, clean(row.title)

    print_listing(
        console,
        form,
        Listing(
            kind="Run",
            items=[describe_row(row) for row in rows],
            name=lambda item: str(item["id"]),
            header=("run", "state", "created", "took", "by", "title"),
            row=cells,
            empty="no such run; without filters: 'gennaker runs'"
            if pipeline or states or outcomes
            else "no runs; start one with 'gennaker run PIPELINE'",
        ),
    )


def describe_row(row: RunRow) -> dict[str, Any]:
    """Return a row of the list as data; the keys are those of a run's JSON."""
    from gennaker_engine.cli.render.text import tell_time

    return {
        "id": row.run,
        "pipeline": row.pipeline,
        "number": row.number,
        "title": row.title,
        "actor": row.actor,
        "state": row.state,
        "outcome": row.outcome,
        "waiting": row.waiting,
        "sandbox": row.sandbox,
        "retry_of": row.retry_of,
        "created_at": tell_time(row.created_at),
        "started_at": tell_time(row.started_at) or None,
        "ended_at": tell_time(row.ended_at) or None,
    }
