"""The command table: every command by name, imported only when it is called.

``gennaker --help`` and completion of command names read this table alone. A command lives in
``commands/`` as a click command; :class:`Command` gives each the global options, so that they may
stand before or after the command's name.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import click

from gennaker.records import dataclass
from gennaker_engine.cli.settings import Settings

__all__ = ["COMMANDS", "Command", "CommandEntry", "CommandTable", "app"]


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """One row of the table: ``module`` has an attribute ``NAME_command``."""

    name: str
    module: str
    summary: str
    section: str


_WRITE, _RUN, _LOOK, _DECIDE, _KEEP, _HELP = (
    "Write a pipeline",
    "Run it",
    "Look at runs",
    "Decide",
    "Keep house",
    "Help and set-up",
)

COMMANDS: dict[str, CommandEntry] = {
    name: CommandEntry(name, module, summary, section)
    for section, rows in {
        _WRITE: (
            ("init", "init", "Write gennaker.yaml and a first pipeline that runs."),
            ("validate", "validate", "Tell every problem of every pipeline file."),
            ("show", "show", "Print a pipeline as plain data."),
            ("graph", "graph", "Draw the DAG of a pipeline or of a run."),
            ("plan", "plan", "Tell what a run would do, without doing it."),
        ),
        _RUN: (
            ("run", "run", "Start a run and follow it."),
            ("resume", "follow", "Go on with a run that no process drives."),
            ("retry", "retry", "Start a new run that reuses what succeeded."),
            ("rollback", "rollback", "Put back what a run changed, as a run of its own."),
            ("cancel", "follow", "Abort a run; its finally stages still run."),
        ),
        _DECIDE: (
            ("approve", "decide", "Approve what a run waits for."),
            ("reject", "decide", "Reject what a run waits for."),
        ),
        _LOOK: (
            ("runs", "runs", "List runs, newest first."),
            ("status", "status", "Show one run and what it waits for."),
            (
                "environments",
                "environments",
                "Tell what is deployed where, since when and by whom.",
            ),
            ("history", "environments", "List the deploys of an environment, newest first."),
            (
                "diff",
                "environments",
                "Tell what has moved in an environment since its last deploys.",
            ),
            ("blame", "blame", "Tell who set the fields of what is live."),
            ("logs", "logs", "Print what the stages of a run wrote."),
            ("events", "events", "Print a run's journal as an audit trail."),
            ("artifacts", "artifacts", "List or fetch what a run made."),
        ),
        _KEEP: (
            ("gc", "gc", "Remove old runs and what only they need."),
            ("sandbox", "sandbox", "Start, stop or show the sandbox of this state folder."),
        ),
        _HELP: (
            ("stages", "stages", "List the stage types, or describe one."),
            ("plugins", "plugins", "List every plugin found, also the broken ones."),
            ("schema", "schema", "Print the JSON Schema of a pipeline file."),
            ("doctor", "doctor", "Tell what is missing or wrong here, and what to do."),
            ("completion", "completion", "Print the completion script of a shell."),
            ("version", "version", "Print the version."),
            ("help", "help", "Show the help of a command, or of a topic."),
        ),
    }.items()
    for name, module, summary in rows
}
"""Command name to its row, in the order of the help."""


def _global_options() -> list[click.Parameter]:
    def keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        source = ctx.get_parameter_source(param.name or "")
        if source is not None and source.name != "DEFAULT":
            setattr(ctx.ensure_object(Settings), _FIELDS[param.name or ""], value)

    return [
        click.Option(
            ["--project"],
            type=click.Path(path_type=Path, file_okay=False, exists=True),
            metavar="DIR",
            expose_value=False,
            callback=keep,
            help="Project folder; the default is searched from the current one upwards.",
        ),
        click.Option(
            ["--state"],
            metavar="URL",
            envvar="GENNAKER_STATE",
            expose_value=False,
            callback=keep,
            help="Where runs are kept (sqlite:///FILE or postgresql://…); also GENNAKER_STATE.",
        ),
        click.Option(
            ["--color"],
            type=click.Choice(["auto", "always", "never"]),
            expose_value=False,
            callback=keep,
            help="When to colour; NO_COLOR and CLICOLOR_FORCE are honoured.",
        ),
        click.Option(
            ["--debug"],
            is_flag=True,
            default=False,
            expose_value=False,
            callback=keep,
            help="Show the traceback of an unexpected error.",
        ),
    ]


_FIELDS = {"project": "project_folder", "state": "state", "color": "color", "debug": "debug"}


class Command(click.Command):
    """A click command that also takes the global options, told in a section of their own."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        own = {name for each in self.params for name in each.opts}
        self.shared = [each for each in _global_options() if not own & set(each.opts)]

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the command's own parameters, the global ones after them."""
        own = super().get_params(ctx)
        return own[:-1] + self.shared + own[-1:] if own else self.shared

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's options, then one line that names the global ones."""
        own = [p for p in self.get_params(ctx) if p not in self.shared]
        own = [p for p in own if isinstance(p, click.Option)]
        rows = [row for row in (p.get_help_record(ctx) for p in own) if row is not None]
        with formatter.section("Options"):
            formatter.write_dl(rows)
        names = "  ".join(p.opts[0] for p in self.shared)
        with formatter.section("Global options (see gennaker --help)"):
            formatter.write_text(names)


class CommandTable(click.Group):
    """The group of all commands; importing one is left until it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command, None when there is no such name."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module = import_module(f"gennaker_engine.cli.commands.{entry.module}")
        command: click.Command = getattr(module, f"{entry.name}_command")
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Complete command names from the table; click's own would import every command."""
        from click.shell_completion import CompletionItem

        found = [
            CompletionItem(entry.name, help=entry.summary)
            for entry in COMMANDS.values()
            if entry.name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table by section."""
        width = max(map(len, COMMANDS))
        sections: dict[str, list[tuple[str, str]]] = {}
        for entry in COMMANDS.values():
            sections.setdefault(entry.section, []).append((entry.name.ljust(width), entry.summary))
        for section, rows in sections.items():
            with formatter.section(section):
                formatter.write_dl(rows)


def _print_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from gennaker._version import __version__

        click.echo(f"gennaker {__version__}")
        ctx.exit()


app = CommandTable(
    name="gennaker",
    help="Pipeline-as-code continuous delivery: build, render, deploy, approve and promote.",
    epilog="Exit codes: gennaker help exit-codes. Begin with: gennaker init",
    no_args_is_help=True,
    subcommand_metavar="COMMAND [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_print_version,
            help="Print the version and exit.",
        ),
        *_global_options(),
    ],
)
"""The whole command line; :func:`gennaker_engine.cli.main.main` calls it."""
