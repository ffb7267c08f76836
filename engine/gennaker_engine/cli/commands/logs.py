"""``gennaker logs``: what the stages of a run wrote, all of it or as it comes."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click

from gennaker_engine.cli.completion import complete_stages
from gennaker_engine.cli.options import command, run_argument
from gennaker_engine.cli.settings import Settings, pass_settings

if TYPE_CHECKING:
    from gennaker_engine.cli.render.progress import Progress
    from gennaker_engine.journal.port import Journal
    from gennaker_engine.storage.logs import LogLine, LogStore

__all__ = ["logs_command"]

_POLL = 0.2
"""Seconds between two looks at the files while following."""


@command("logs")
@run_argument
@click.argument("stage", metavar="[STAGE]", required=False, shell_complete=complete_stages)
@click.option("-f", "--follow", is_flag=True, help="Go on until the run, or the stage, has ended.")
@click.option("--attempt", type=click.IntRange(1), help="Of this attempt only.")
@click.option("--since", metavar="DURATION|TIME", help="Not older: 5m, or 2026-11-23T12:00:00Z.")
@click.option("--timestamps", is_flag=True, help="Begin each line with its time.")
@pass_settings
def logs_command(
    settings: Settings,
    *,
    run: str,
    stage: str | None,
    follow: bool,
    attempt: int | None,
    since: str | None,
    timestamps: bool,
) -> None:
    """Print what the stages of a run wrote.

    STAGE is a stage, or one instance of its matrix: test or test[0].
    """
    from gennaker_engine.cli.reading import load_progress, read_journal
    from gennaker_engine.journal.lookup import resolve_run
    from gennaker_engine.storage.logs import LogStore

    begin = read_since(since, time.time()) if since is not None else None
    store = LogStore(settings.state_folder.logs)
    with read_journal(settings) as journal:
        row = resolve_run(journal, run)
        progress = load_progress(journal, row.run)[1]
        if stage is not None:
            check_stage(progress, stage)
        show = _make_printer(
            settings, many=stage is None or _is_matrix(progress, stage), timestamps=timestamps
        )
        if follow:
            _follow(journal, store, (row.run, stage, attempt, begin), show)
        else:
            show(store.read(row.run, stage=stage, attempt=attempt, since=begin))


def read_since(text: str, now: float) -> float:
    """Return the moment that ``5m`` (ago) or an RFC 3339 time means, in seconds.

    Raises:
        InvalidInput: code ``since``.
    """
    from datetime import datetime

    from gennaker.durations import parse_duration
    from gennaker.errors import InvalidInput

    if re.match(r"\d{4}-", text):
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise InvalidInput(
                f"{text!r} is not a time", code="since", hint="write '2026-11-23T12:00:00Z'"
            ) from None
        return moment.astimezone().timestamp()
    return now - parse_duration(text)


def check_stage(progress: Progress, stage: str) -> None:
    """Refuse a stage or instance that the run does not have.

    Raises:
        InvalidInput: code ``unknown-stage``.
    """
    from gennaker.errors import InvalidInput
    from gennaker.suggestions import suggest

    known = set(progress.steps)
    for step in progress.steps.values():
        known.update(step.instances)
    if stage not in known:
        raise InvalidInput(
            f"run {progress.run!r} has no stage {stage!r}",
            code="unknown-stage",
            hint=suggest(stage, progress.steps),
        )


def _is_matrix(progress: Progress, stage: str) -> bool:
    step = progress.steps.get(stage)
    return step is not None and bool(step.instances)


def _make_printer(
    settings: Settings, *, many: bool, timestamps: bool
) -> Callable[[Iterable[LogLine]], None]:
    from gennaker_engine.cli.render.text import clean, tell_time

    console = settings.console
    terminal = console.out_is_terminal

    def show(lines: Iterable[LogLine]) -> None:
        for line in lines:
            parts = []
            if timestamps:
                parts.append(console.paint(tell_time(line.at), "dim"))
            if many:
                parts.append(console.paint(f"{line.instance} |", "dim"))
            # A terminal is not to be steered by what a stage wrote; a file gets it as it was.
            parts.append(clean(line.text) if terminal else line.text)
            console.out(" ".join(parts))
        console.stdout.flush()

    return show


def _follow(
    journal: Journal,
    store: LogStore,
    which: tuple[str, str | None, int | None, float | None],
    show: Callable[[Iterable[LogLine]], None],
) -> None:
    """Print new lines until the run has ended; what it wrote last is not lost."""
    run, stage, attempt, begin = which
    cursor = store.cursor(run, stage=stage, attempt=attempt)
    while True:
        row = journal.find_run(run)
        ended = row is None or row.state == "ended" or _has_ended(journal, run, stage)
        show(line for line in cursor.poll() if begin is None or line.at >= begin)
        if ended:
            return
        time.sleep(_POLL)


def _has_ended(journal: Journal, run: str, stage: str | None) -> bool:
    if stage is None:
        return False
    from gennaker_engine.cli.reading import load_progress

    progress = load_progress(journal, run)[1]
    return progress.find(stage).state == "ended"
