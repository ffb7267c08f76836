"""``gennaker run``: start a run of a pipeline and follow it to its end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gennaker_engine.cli.options import (
    command,
    detach_option,
    output_option,
    parameter_option,
    pipeline_argument,
    split_pairs,
)
from gennaker_engine.cli.settings import Settings, pass_settings

if TYPE_CHECKING:
    from gennaker.loader import Loaded

__all__ = ["load_checked", "params_file_option", "read_parameters", "run_command"]


params_file_option = click.option(
    "--params-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="A YAML or JSON mapping of values; -p wins.",
)
"""``--params-file FILE``, beside ``-p``."""


@command("run")
@pipeline_argument
@parameter_option
@params_file_option
@detach_option
@click.option(
    "--approve",
    "approved",
    metavar="STAGE",
    multiple=True,
    help="Decide this approval before seeing it; only with --sandbox or --plan.",
)
@click.option("--sandbox", is_flag=True, help="Deploy to the embedded sandbox clusters.")
@click.option("--plan", metavar="DIGEST", help="Refuse when the plan is not this one.")
@output_option("text", "json", "yaml", "name")
@pass_settings
def run_command(
    settings: Settings,
    *,
    pipeline: str,
    parameters: tuple[str, ...],
    params_file: Path | None,
    detach_on_wait: bool,
    approved: tuple[str, ...],
    sandbox: bool,
    plan: str | None,
    form: str,
) -> int:
    """Start a run and follow it.

    PIPELINE is a name, a file, or FILE:NAME. Ctrl-C aborts the run (its finally stages still run);
    a second one, or SIGTERM, parks it, so that 'gennaker resume' goes on.
    """
    if approved and not (sandbox or plan):
        raise click.UsageError(
            "--approve decides before anybody has seen what it covers; it needs --sandbox or --plan DIGEST",
            click.get_current_context(),
        )
    from gennaker_engine.cli.driving import Driving, drive_runs

    loaded = load_checked(settings, pipeline)
    values = read_parameters(loaded, parameters, params_file)
    engine = settings.open_engine()
    run = engine.create_run(
        loaded, values, actor=settings.actor, sandbox=sandbox, plan=plan, approved=approved
    )
    return drive_runs(settings, [run], Driving(form, detach_on_wait, new=True))


def load_checked(settings: Settings, pipeline: str) -> Loaded:
    """Return a pipeline that is valid; its warnings are told.

    Raises:
        InvalidInput: with every problem.
    """
    from gennaker.loader import find_pipeline
    from gennaker.validation import check_pipeline
    from gennaker_engine.cli.render.problems import render_problems

    loaded = find_pipeline(settings.project, pipeline)
    warnings = check_pipeline(loaded, registry=settings.registry, project=settings.project)
    if warnings:
        settings.console.err(render_problems(warnings, settings.console))
    return loaded


def read_parameters(loaded: Loaded, pairs: tuple[str, ...], file: Path | None) -> dict[str, Any]:
    """Return the values of ``-p`` and ``--params-file``; only the text of ``-p`` is converted later.

    Raises:
        InvalidInput: the file cannot be read, is no mapping, or has a value of another type than
            is declared (``"3"`` for an integer).
    """
    values = _read_file(file) if file is not None else {}
    _refuse_text(loaded, values)
    return values | split_pairs(pairs)


def _refuse_text(loaded: Loaded, values: dict[str, Any]) -> None:
    from gennaker.errors import InvalidInput, Problem

    declared = loaded.definition.parameters
    problems = [
        Problem(
            "parameter",
            f"parameter {name!r} must be {_ARTICLES[declared[name].type]}, not {value!r}",
            hint="write it without quotes in the file",
        )
        for name, value in values.items()
        if name in declared and declared[name].type != "string" and isinstance(value, str)
    ]
    if problems:
        raise InvalidInput.of(problems)


_ARTICLES = {"integer": "an integer", "number": "a number", "boolean": "true or false"}


def _read_file(file: Path) -> dict[str, Any]:
    from gennaker.errors import InvalidInput, Location, Problem
    from gennaker.yamltext import compose

    try:
        text = file.read_bytes()
    except OSError as error:
        raise InvalidInput(
            f"cannot read {str(file)!r}: {error.strerror}", code="unreadable-file"
        ) from error
    problems: list[Problem] = []
    data = compose(text, file=str(file), problems=problems).data
    if problems:
        raise InvalidInput.of(problems)
    if not isinstance(data, dict):
        raise InvalidInput(
            "a file of parameters is a mapping of names to values",
            code="wrong-type",
            location=Location(str(file)),
        )
    return data
