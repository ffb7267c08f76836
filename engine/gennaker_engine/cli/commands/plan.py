"""``gennaker plan``: what a run would do, found without doing any of it."""

from __future__ import annotations

from pathlib import Path

import click

from gennaker_engine.cli.commands.run import (
    load_checked,
    params_file_option,
    read_parameters,
)
from gennaker_engine.cli.exit_codes import ERRORED, FAILED, SUCCEEDED
from gennaker_engine.cli.options import command, output_option, parameter_option, pipeline_argument
from gennaker_engine.cli.settings import Settings, pass_settings

__all__ = ["plan_command"]


@command("plan")
@pipeline_argument
@parameter_option
@params_file_option
@click.option("--sandbox", is_flag=True, help="Plan against the embedded sandbox clusters.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 when something would change.")
@output_option("text", "json", "markdown", "html")
@pass_settings
def plan_command(
    settings: Settings,
    *,
    pipeline: str,
    parameters: tuple[str, ...],
    params_file: Path | None,
    sandbox: bool,
    exit_code: bool,
    form: str,
) -> int:
    """Tell what a run would do, without doing it.

    What would run, be skipped, be built and change. Its digest can be given to 'gennaker run --plan',
    which then refuses when the plan is another. A stage is planned for at most 60 seconds, and no
    longer than its timeout. Exit code 7 when a stage cannot be planned, 1 when something would be
    refused; a warning, of a secret that is not set say, changes neither.
    """
    from gennaker_engine.cli.render.data import to_json
    from gennaker_engine.cli.render.plan import render_markdown, render_plan
    from gennaker_engine.cli.render.plan_html import render_html

    loaded = load_checked(settings, pipeline)
    values = read_parameters(loaded, parameters, params_file)
    plan = settings.open_engine().plan(loaded, values, sandbox=sandbox)
    data, console = plan.to_data(), settings.console
    if form == "json":
        console.out(to_json(data))
    elif form == "markdown":
        console.out("\n".join(render_markdown(data)))
    elif form == "html":
        console.out("\n".join(render_html(data)))
    else:
        console.out("\n".join(render_plan(data, paint=console.paint)))
    if any(stage.action == "error" for stage in plan.stages):
        return ERRORED
    if plan.would_fail:
        return FAILED
    return FAILED if exit_code and plan.would_change else SUCCEEDED
