"""Shell completion with the values of this project: pipelines, runs, stages, stage types.

A person waits while these are called, so they have a deadline; what is not known by then, or
cannot be read, completes to nothing.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from gennaker_engine.cli.settings import Settings

__all__ = [
    "SHELLS",
    "complete_artifacts",
    "complete_environments",
    "complete_in_time",
    "complete_parameters",
    "complete_pipelines",
    "complete_pipelines_and_runs",
    "complete_runs",
    "complete_stage_types",
    "complete_stages",
    "script_of",
]

SHELLS = ("bash", "zsh", "fish")
DEADLINE = 1.0
"""Seconds after which the values known so far are all there is."""


def script_of(cli: click.Command, shell: str, program: str) -> str:
    """Return the script that a shell evaluates to complete ``program``.

    Args:
        cli: the whole command line.
        shell: one of :data:`SHELLS`.
        program: the name it is called by.
    """
    from click.shell_completion import ShellComplete, get_completion_class

    cls = get_completion_class(shell)
    assert cls is not None, shell
    # Not cls.source(): for bash that starts a bash only to look at its version.
    return ShellComplete.source(cls(cli, {}, program, f"_{program.upper()}_COMPLETE"))


def complete_in_time(cli: click.Command, program: str) -> int:
    """Answer a shell's question for completions and return the exit code."""
    from click.shell_completion import shell_complete

    from gennaker_engine.cli.settings import Settings

    variable = f"_{program.upper()}_COMPLETE"
    instruction = os.environ[variable]
    return shell_complete(cli, {"obj": Settings()}, program, variable, instruction)


def complete_pipelines(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem] | list[str]:
    """Return the names of the project's pipelines, and files when a path has been begun."""
    from click.shell_completion import CompletionItem

    if "/" in incomplete or incomplete.startswith("."):
        return [CompletionItem(incomplete, type="file")]
    return _within_deadline(
        lambda: _list_pipelines(ctx.ensure_object(_settings_class())), incomplete
    )


def complete_runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the ids of the latest runs, and ``@last``."""
    found = _within_deadline(lambda: _list_runs(ctx.ensure_object(_settings_class())), incomplete)
    return found + (["@last"] if "@last".startswith(incomplete) else [])


def complete_pipelines_and_runs(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[Any]:
    """Return what :func:`complete_pipelines` and :func:`complete_runs` do."""
    return [
        *complete_pipelines(ctx, param, incomplete),
        *complete_runs(ctx, param, incomplete),
    ]


def complete_stages(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the stages of the run that stands before."""
    run = ctx.params.get("run")
    if not isinstance(run, str):
        return []
    settings = ctx.ensure_object(_settings_class())
    return _within_deadline(lambda: _list_stages(settings, run), incomplete)


def complete_parameters(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return ``name=`` of the parameters of the pipeline that stands before, with its choices."""
    if all(each.name != "pipeline" for each in ctx.command.params):
        return []
    # An option that still lacks its value leaves the arguments before it unparsed.
    pipeline = ctx.params.get("pipeline") or next(iter(ctx.args), None)
    if not isinstance(pipeline, str):
        return []
    settings = ctx.ensure_object(_settings_class())
    return _within_deadline(lambda: _list_parameters(settings, pipeline), incomplete)


def complete_artifacts(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the artifacts of the run that stands before."""
    run = ctx.params.get("run")
    if not isinstance(run, str):
        return []
    settings = ctx.ensure_object(_settings_class())
    return _within_deadline(lambda: _list_artifacts(settings, run), incomplete)


def complete_environments(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of the declared environments."""
    settings = ctx.ensure_object(_settings_class())
    return _within_deadline(lambda: settings.project.load_settings().environments, incomplete)


def complete_stage_types(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of the installed stage types."""
    settings = ctx.ensure_object(_settings_class())
    return _within_deadline(lambda: settings.registry.names("stages"), incomplete)


def _settings_class() -> type[Settings]:
    from gennaker_engine.cli.settings import Settings

    return Settings


def _list_pipelines(settings: Settings) -> Iterable[str]:
    from gennaker.loader import list_pipeline_names

    return list_pipeline_names(settings.project)


def _list_runs(settings: Settings) -> Iterable[str]:
    from gennaker_engine.cli.reading import read_journal
    from gennaker_engine.journal.port import RunFilter

    with read_journal(settings) as journal:
        return [row.run for row in journal.list_runs(RunFilter(limit=50))]


def _list_stages(settings: Settings, run: str) -> Iterable[str]:
    from gennaker_engine.cli.reading import read_journal
    from gennaker_engine.journal.lookup import resolve_run

    with read_journal(settings) as journal:
        row = resolve_run(journal, run)
        definition = journal.load_events(row.run)[0].data["definition"]
        return [*definition["stages"], *definition.get("finally", {})]


def _list_parameters(settings: Settings, pipeline: str) -> Iterable[str]:
    from gennaker.loader import find_pipeline

    parameters = find_pipeline(settings.project, pipeline).check().definition.parameters
    for name, declared in parameters.items():
        choices = declared.choices or ([False, True] if declared.type == "boolean" else [])
        yield from [f"{name}={_type(each)}" for each in choices] or [f"{name}="]


def _type(value: Any) -> str:
    """Return what to type for a value of a parameter."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _list_artifacts(settings: Settings, run: str) -> Iterable[str]:
    from gennaker_engine.cli.commands.artifacts import find_artifacts
    from gennaker_engine.cli.reading import load_events, read_journal
    from gennaker_engine.journal.lookup import resolve_run

    with read_journal(settings) as journal:
        events = [event for _, event in load_events(journal, resolve_run(journal, run).run)]
    return [str(each["name"]) for each in find_artifacts(events)]


def _within_deadline(ask: Callable[[], Iterable[str]], incomplete: str) -> list[str]:
    found: list[str] = []

    def work() -> None:
        try:
            found.extend(ask())
        except Exception:  # noqa: BLE001 -- completion never disturbs the person who types
            return

    # A thread, as what is slow may be a call that no signal interrupts; it dies with the process.
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(DEADLINE)
    return [each for each in list(found) if each.startswith(incomplete)]
