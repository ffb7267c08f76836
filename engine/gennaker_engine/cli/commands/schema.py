"""``gennaker schema``: what editors need to help with writing pipelines."""

from __future__ import annotations

import click

from gennaker_engine.cli.options import command
from gennaker_engine.cli.settings import Settings, pass_settings

__all__ = ["schema_command"]


@command("schema")
@click.argument(
    "kind",
    metavar="[pipeline|project]",
    type=click.Choice(["pipeline", "project"]),
    default="pipeline",
)
@pass_settings
def schema_command(settings: Settings, kind: str) -> None:
    """Print the JSON Schema of a pipeline file.

    With project: of gennaker.yaml. It is of draft 7, which editors understand, and knows the inputs of the installed stage types.
    'gennaker init' writes it where the first line of a pipeline looks for it.
    """
    from gennaker.schema import build_schema, build_settings_schema
    from gennaker_engine.cli.render.data import to_json

    build = build_schema if kind == "pipeline" else build_settings_schema
    settings.console.out(to_json(build(settings.registry)))
