"""``gennaker rollback``: put back what a run changed, or bring an environment back to a run."""

from __future__ import annotations

import click

from gennaker_engine.cli.completion import complete_runs
from gennaker_engine.cli.exit_codes import ERRORED, SUCCEEDED
from gennaker_engine.cli.options import command, detach_option, no_follow_option, output_option
from gennaker_engine.cli.settings import Settings, pass_settings

__all__ = ["rollback_command"]


@command("rollback")
@click.argument("run", metavar="[RUN]", required=False, shell_complete=complete_runs)
@click.option(
    "--environment", metavar="NAME", help="Only what was changed there; with --to: where."
)
@click.option("--to", "to", metavar="RUN", help="Deploy again what this run deployed there.")
@click.option("--dry-run", is_flag=True, help="Tell what it would do, without doing it.")
@detach_option
@no_follow_option
@output_option("text", "json", "yaml", "name")
@pass_settings
def rollback_command(
    settings: Settings,
    *,
    run: str | None,
    environment: str | None,
    to: str | None,
    dry_run: bool,
    detach_on_wait: bool,
    no_follow: bool,
    form: str,
) -> int:
    """Put back what a run changed, as a run of its own.

    RUN's deploys recorded what was there before; it is put back, the latest first. With
    --environment NAME --to RUN the environment is brought to what that run deployed. Approvals of
    environments are asked as for any deploy.
    """
    from gennaker_engine.cli.commands.environments import check_environment
    from gennaker_engine.cli.driving import Driving, drive_runs, print_run
    from gennaker_engine.journal.lookup import resolve_run

    ctx = click.get_current_context()
    if (run is None) == (to is None):
        raise click.UsageError("name a RUN, or --environment NAME --to RUN", ctx)
    if to is not None and environment is None:
        raise click.UsageError("--to needs --environment NAME", ctx)
    if to is not None:
        check_environment(settings, environment or "")
    engine = settings.open_engine()
    row = resolve_run(engine.journal, run or to or "")
    rollback = engine.find_rollback(row.run, environment=environment, again=to is not None)
    for told in rollback.left:
        settings.console.err(f"stays as it is: {told}")
    if dry_run:
        return _tell(settings, rollback, form)
    new = engine.create_rollback(rollback, actor=settings.actor)
    if no_follow:
        settings.console.err(f"{new} is created; start it with: gennaker resume {new}")
        print_run(settings, new, form)
        return SUCCEEDED
    return drive_runs(settings, [new], Driving(form, detach_on_wait, new=True))


def _tell(settings: Settings, rollback: object, form: str) -> int:
    from gennaker_engine.cli.render.data import to_json, to_yaml
    from gennaker_engine.cli.render.plan import render_plan

    plan = settings.open_engine().plan_rollback(rollback)  # type: ignore[arg-type]
    data, console = plan.to_data(), settings.console
    if form == "json":
        console.out(to_json(data))
    elif form == "yaml":
        console.out(to_yaml(data))
    else:
        console.out("\n".join(render_plan(data, paint=console.paint)))
    return ERRORED if any(stage.action == "error" for stage in plan.stages) else SUCCEEDED
