"""``gennaker version``: what is installed, for a bug report."""

from __future__ import annotations

from gennaker_engine.cli.options import command, output_option
from gennaker_engine.cli.settings import Settings, pass_settings

__all__ = ["version_command"]


@command("version")
@output_option("text", "json", "yaml")
@pass_settings
def version_command(settings: Settings, form: str) -> None:
    """Print the version."""
    from gennaker._version import __version__

    if form == "text":
        settings.console.out(f"gennaker {__version__}")
        return
    import platform

    from gennaker_engine.cli.render.data import print_data

    facts = {
        "version": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    print_data(settings.console, form, "Version", facts)
