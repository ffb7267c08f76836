"""``gennaker validate``: every problem of every pipeline file at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gennaker_engine.cli.exit_codes import INVALID, SUCCEEDED
from gennaker_engine.cli.options import command, output_option
from gennaker_engine.cli.settings import Settings, pass_settings

if TYPE_CHECKING:
    from gennaker.errors import Problem

__all__ = ["validate_command"]


@command("validate")
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path))
@output_option("text", "json", "github")
@pass_settings
def validate_command(settings: Settings, files: tuple[Path, ...], form: str) -> int:
    """Tell every problem of every pipeline file.

    Without FILE: the project's settings and all its pipelines. Exit code 2 when there is an error;
    warnings are told and change nothing.
    """
    from gennaker_engine.cli.render.annotations import annotate_problem
    from gennaker_engine.cli.render.problems import render_problems

    console = settings.console
    paths, problems = _examine(settings, files)
    errors = sum(problem.severity == "error" for problem in problems)
    if form == "json":
        from gennaker_engine.cli.render.data import print_data

        listed = {"files": paths, "valid": not errors, "problems": list(_to_data(problems))}
        print_data(console, form, "Validation", listed)
    elif form == "github" or console.ci == "github":
        for problem in problems:
            console.out(annotate_problem(problem))
    elif problems:
        console.out(render_problems(problems, console, data=True))
    if form == "text":
        console.err(_summarize(len(paths), errors, len(problems) - errors))
    return INVALID if errors else SUCCEEDED


def _examine(settings: Settings, files: Sequence[Path]) -> tuple[list[str], list[Problem]]:
    """Return the names of the files that were looked at, and their problems in order of place."""
    from gennaker.errors import InvalidInput
    from gennaker.pipeline_files import find_pipeline_files
    from gennaker.validation import validate_files

    project = settings.project
    try:
        paths = list(files) or find_pipeline_files(project)[0]
    except InvalidInput:
        paths = []  # why is told with the problems
    problems = validate_files(project, registry=settings.registry, files=files)
    return [project.show_path(path.absolute()) for path in paths], problems


def _to_data(problems: Iterable[Problem]) -> Iterable[dict[str, Any]]:
    for problem in problems:
        place = problem.location
        yield {
            "code": problem.code,
            "severity": problem.severity,
            "message": problem.message,
            "hint": problem.hint,
            "file": place.file if place else None,
            "line": place.line if place else None,
            "column": place.column if place else None,
        }


def _summarize(files: int, errors: int, warnings: int) -> str:
    """Return what was found in a few words: ``3 files: 1 error, 2 warnings``."""
    from gennaker_engine.cli.render.text import tell_count

    looked = tell_count(files, "file")
    if not errors and not warnings:
        return f"{looked}: no problems" if files else "no pipeline files were found"
    parts = [tell_count(errors, "error")] if errors else []
    parts += [tell_count(warnings, "warning")] if warnings else []
    return f"{looked}: {', '.join(parts)}"
