"""``gennaker retry``: a new run of an ended one, which takes over what succeeded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gennaker_engine.cli.options import (
    command,
    detach_option,
    no_follow_option,
    output_option,
    parameter_option,
    run_argument,
    split_pairs,
)
from gennaker_engine.cli.settings import Settings, pass_settings

if TYPE_CHECKING:
    from gennaker.loader import Loaded
    from gennaker_engine.core.events import RunCreated
    from gennaker_engine.runtime.retrying import Retry

__all__ = ["retry_command"]

CURRENT = "current"


@command("retry")
@run_argument
@click.option(
    "--definition",
    type=click.Choice(["same", CURRENT]),
    default="same",
    show_default=True,
    help="The run's own definition and source, or those of now.",
)
@parameter_option
@click.option("--dry-run", is_flag=True, help="Tell what would be reused; start nothing.")
@detach_option
@no_follow_option
@output_option("text", "json", "yaml", "name")
@pass_settings
def retry_command(
    settings: Settings,
    *,
    run: str,
    definition: str,
    parameters: tuple[str, ...],
    dry_run: bool,
    detach_on_wait: bool,
    no_follow: bool,
    form: str,
) -> int:
    """Start a new run that reuses what succeeded.

    It has the same definition, parameters and source; approvals and finally stages run again. With
    '--definition current' it has the definition and source of now, and reuses a stage only while
    its type, inputs, environment and what it read of the source are the same; -p gives it other
    parameters. What is reused, and why the rest runs, is told first.
    """
    from gennaker_engine.cli.driving import Driving, drive_runs, print_run
    from gennaker_engine.cli.render.retry import render_retry

    if parameters and definition != CURRENT:
        raise click.UsageError(
            "a retry with the same definition has the same parameters; -p needs --definition current",
            click.get_current_context(),
        )
    engine, console = settings.open_engine(), settings.console
    row = engine.resolve_run(run)
    old = engine.load_run(row.run).created
    current = _load_current(settings, old) if definition == CURRENT else None
    retry = engine.plan_retry(
        row.run, actor=settings.actor, current=current, parameters=split_pairs(parameters)
    )
    if dry_run:
        _print_retry(settings, retry, form)
        return 0
    console.err("\n".join(render_retry(retry, paint=console.paint)))
    new = engine.create_retry(retry, actor=settings.actor)
    if no_follow:
        console.err(f"{new} is created; start it with: gennaker resume {new}")
        print_run(settings, new, form)
        return 0
    return drive_runs(settings, [new], Driving(form, detach_on_wait, new=True))


def _load_current(settings: Settings, created: RunCreated) -> Loaded:
    """Return the run's pipeline as it is now, by its name or, when it is none of the project's, its file.

    Raises:
        InvalidInput: there is none, or it has problems.
    """
    from gennaker.errors import InvalidInput
    from gennaker_engine.cli.commands.run import load_checked

    try:
        return load_checked(settings, created.pipeline)
    except InvalidInput as error:
        file = settings.project.root / (created.file or "")
        if error.code != "unknown-pipeline" or not file.is_file():
            raise
        return load_checked(settings, f"{file}:{created.pipeline}")


def _print_retry(settings: Settings, retry: Retry, form: str) -> None:
    from gennaker_engine.cli.render.data import to_json, to_yaml
    from gennaker_engine.cli.render.retry import describe_retry, render_retry

    console = settings.console
    if form == "name":
        names = [each.stage for each in retry.verdicts if each.taken is None]
        console.out("\n".join(names))
    elif form == "text":
        console.out("\n".join(render_retry(retry, paint=console.paint)))
    else:
        data = describe_retry(retry)
        console.out(to_yaml(data) if form == "yaml" else to_json(data))
