"""``gennaker completion SHELL``: the script that teaches a shell to complete."""

from __future__ import annotations

import click

from gennaker_engine.cli.app import app
from gennaker_engine.cli.completion import SHELLS, script_of
from gennaker_engine.cli.options import command
from gennaker_engine.cli.settings import Settings, pass_settings

__all__ = ["completion_command"]


@command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@pass_settings
def completion_command(settings: Settings, shell: str) -> None:
    """Print the completion script of a shell.

    bash: put  eval "$(gennaker completion bash)"  into ~/.bashrc.
    zsh: put  eval "$(gennaker completion zsh)"  into ~/.zshrc.
    fish: gennaker completion fish > ~/.config/fish/completions/gennaker.fish
    """
    settings.console.out(script_of(app, shell, "gennaker"))
