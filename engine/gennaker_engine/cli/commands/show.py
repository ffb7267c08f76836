"""``gennaker show``: a pipeline as plain data, whatever it was written in."""

from __future__ import annotations

import click

from gennaker_engine.cli.options import command, output_option, pipeline_argument
from gennaker_engine.cli.settings import Settings, pass_settings

__all__ = ["show_command"]


@command("show")
@pipeline_argument
@output_option("yaml", "json", "python")
@click.option("--digest", "only_digest", is_flag=True, help="Print the definition's digest alone.")
@pass_settings
def show_command(settings: Settings, pipeline: str, form: str, only_digest: bool) -> None:
    """Print a pipeline as plain data.

    PIPELINE is a name, a file, or FILE:NAME. What is printed loads back to the same digest.
    """
    from gennaker.loader import find_pipeline
    from gennaker.printing import to_json, to_python, to_yaml

    definition = find_pipeline(settings.project, pipeline).check().definition
    if only_digest:
        settings.console.out(definition.digest)
    elif form == "python":
        settings.console.out(to_python(definition, settings.registry))
    else:
        settings.console.out(to_json(definition) if form == "json" else to_yaml(definition))
