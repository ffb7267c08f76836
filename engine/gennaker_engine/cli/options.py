"""Options and arguments that several commands share, with the completion of their values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from gennaker_engine.cli.app import Command
from gennaker_engine.cli.completion import (
    complete_parameters,
    complete_pipelines,
    complete_runs,
    complete_stages,
)

__all__ = [
    "command",
    "detach_option",
    "no_follow_option",
    "output_option",
    "parameter_option",
    "pipeline_argument",
    "run_argument",
    "split_pairs",
    "stage_argument",
]

F = TypeVar("F", bound=Callable[..., Any])


def command(name: str) -> Callable[[Callable[..., Any]], Command]:
    """Make a function the command ``name``; its help is the function's docstring."""
    return click.command(name, cls=Command)


def output_option(*forms: str, default: str | None = None) -> Callable[[F], F]:
    """Add ``-o FORM``; without a default the first form is it.

    Args:
        forms: the names that can be asked for.
        default: the one that is used when nothing is asked for.
    """
    return click.option(
        "-o",
        "--output",
        "form",
        type=click.Choice(forms),
        default=default or forms[0],
        show_default=True,
        help="Form of what is printed on stdout.",
    )


pipeline_argument = click.argument(
    "pipeline", metavar="PIPELINE", shell_complete=complete_pipelines
)
"""A pipeline by its name, a file, or ``FILE:NAME``."""

run_argument = click.argument("run", metavar="RUN", shell_complete=complete_runs)
"""A run: ``shop-42``, a unique prefix, or ``@last``."""

stage_argument = click.argument("stage", metavar="STAGE", shell_complete=complete_stages)
"""A stage of the run that stands before it."""

parameter_option = click.option(
    "-p",
    "--parameter",
    "parameters",
    metavar="NAME=VALUE",
    multiple=True,
    shell_complete=complete_parameters,
    help="Give a value; may be repeated.",
)
"""``-p name=value``, repeated; the values arrive as texts."""


detach_option = click.option(
    "--detach-on-wait", is_flag=True, help="Leave when the run only waits; exit code 6."
)
"""``--detach-on-wait``, for what drives a run in this process."""

no_follow_option = click.option(
    "--no-follow", is_flag=True, help="Record it only, and say how to go on."
)
"""``--no-follow``, for what takes a run over that no process drives."""


def split_pairs(pairs: tuple[str, ...]) -> dict[str, str]:
    """Return ``name=value`` texts as a dict; the last one of a name wins.

    Raises:
        click.UsageError: a text without ``=``.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{pair!r} is not NAME=VALUE", click.get_current_context())
        found[name] = value
    return found
