"""``gennaker init``: a project that runs, to begin from; what exists is left as it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from gennaker_engine.cli.options import command
from gennaker_engine.cli.settings import Settings, pass_settings

__all__ = ["init_command"]

SETTINGS = """\
# yaml-language-server: $schema=.gennaker/schema/gennaker-v1.json
# $schema: .gennaker/schema/gennaker-v1.json
# Settings of this project; every key is optional.
project: {name}
pipelines: [pipelines]

# Where stages act. Name the target of each environment, and ask before it changes:
# environments:
#   production:
#     kubernetes: {{context: production, namespace: {name}}}
#     approval: {{approvers: ["group:release"]}}
# groups:
#   release: ["local:*"]
"""

PIPELINE = """\
# yaml-language-server: $schema=../.gennaker/schema/pipeline-v1.json
# $schema: ../.gennaker/schema/pipeline-v1.json
name: hello
title: "Hello ${{ params.who }}"
parameters:
  who: {default: world}
stages:
  greet:
    uses: shell
    with:
      env: {WHO: "${{ params.who }}"}
      outputs: [greeting]
      run: |
        echo "greeting=hello $WHO" >> "$GENNAKER_OUTPUT"
  print:
    uses: shell
    with:
      env: {GREETING: "${{ stages.greet.outputs.greeting }}"}
      run: echo "$GREETING"
"""


@command("init")
@click.argument(
    "folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path, file_okay=False)
)
@pass_settings
def init_command(settings: Settings, folder: Path | None) -> None:
    """Write gennaker.yaml and a first pipeline that runs.

    Into DIR, the current folder by default. Nothing that exists is overwritten; in a fresh clone it
    writes the editor schema that the pipelines' first lines name.
    """
    root = folder or settings.project_folder or Path()
    console = settings.console
    for path, text in _files(settings, root):
        derived = ".gennaker" in path.parts
        if path.exists() and not derived:
            console.err(f"kept {path}")
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        console.err(f"wrote {path}")
    where = "" if root.resolve() == Path.cwd() else f"--project {root} "
    console.err(f"run it with: gennaker {where}run hello")


def _files(settings: Settings, root: Path) -> Iterator[tuple[Path, str]]:
    from gennaker.schema import build_schema, build_settings_schema
    from gennaker_engine.cli.render.data import to_json
    from gennaker_engine.storage.folder import StateFolder

    root.mkdir(parents=True, exist_ok=True)
    yield root / "gennaker.yaml", SETTINGS.format(name=_name_project(root))
    yield root / "pipelines" / "hello.yaml", PIPELINE
    state = StateFolder(root)
    state.ensure()
    for name, schema in (
        ("pipeline-v1.json", build_schema(settings.registry)),
        ("gennaker-v1.json", build_settings_schema(settings.registry)),
    ):
        yield state.folder / "schema" / name, to_json(schema) + "\n"


def _name_project(root: Path) -> str:
    """Return a name for the project: the folder's, made of what a name may have."""
    words = re.findall(r"[a-z0-9]+", root.resolve().name.lower())
    name = "-".join(words).lstrip("0123456789-")[:63].rstrip("-")
    return name or "project"
