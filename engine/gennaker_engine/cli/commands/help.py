"""``gennaker help``: the help of a command, or of a topic that belongs to none."""

from __future__ import annotations

import click

from gennaker_engine.cli.app import COMMANDS, app
from gennaker_engine.cli.exit_codes import EXIT_CODES
from gennaker_engine.cli.options import command
from gennaker_engine.cli.settings import Settings, pass_settings

__all__ = ["help_command", "tell_exit_codes"]

_TOPICS = ("exit-codes",)


def _complete_topics(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in (*_TOPICS, *COMMANDS) if name.startswith(incomplete)]


@command("help")
@click.argument("topic", metavar="[COMMAND|TOPIC]", required=False, shell_complete=_complete_topics)
@click.pass_context
@pass_settings
def help_command(settings: Settings, ctx: click.Context, topic: str | None) -> None:
    """Show the help of a command, or of a topic.

    The one topic is exit-codes.
    """
    if topic == "exit-codes":
        settings.console.out(tell_exit_codes())
        return
    root = ctx.find_root()
    if topic is None:
        settings.console.out(root.get_help())
        return
    found = app.get_command(root, topic)
    if found is None:
        ctx.fail(f"there is no help on {topic!r}; topics: {', '.join(_TOPICS)}")
    with click.Context(found, info_name=topic, parent=root) as inner:
        settings.console.out(found.get_help(inner))


def tell_exit_codes() -> str:
    """Return the table of exit codes, one line each."""
    return "\n".join(f"{code:>4}  {meaning}" for code, meaning in EXIT_CODES.items())
