"""``gennaker graph``: the DAG of a pipeline, or of a run with its outcomes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from gennaker_engine.cli.completion import complete_pipelines_and_runs
from gennaker_engine.cli.options import command, output_option
from gennaker_engine.cli.settings import Settings, pass_settings

if TYPE_CHECKING:
    from gennaker.drawing import GraphFormat
    from gennaker.model import PipelineDefinition
    from gennaker_engine.cli.render.console import Palette

__all__ = ["graph_command"]

_RUN = re.compile(r"@last|.+-\d+")


@command("graph")
@click.argument("subject", metavar="PIPELINE|RUN", shell_complete=complete_pipelines_and_runs)
@output_option("text", "mermaid", "dot", "svg", "json")
@pass_settings
def graph_command(settings: Settings, subject: str, form: GraphFormat) -> None:
    """Draw the DAG of a pipeline or of a run.

    A run's stages carry their outcomes; of a run that has ended the critical path is told.
    """
    from gennaker.drawing import render_graph

    if _RUN.fullmatch(subject):
        definition, states, seconds = _read_run(settings, subject)
        drawn = render_graph(definition, form, states=states, seconds=seconds)
        if form == "text":
            drawn = _color(drawn, settings.console.paint)
        settings.console.out(drawn)
        return
    from gennaker.loader import find_pipeline

    loaded = find_pipeline(settings.project, subject).check()
    settings.console.out(render_graph(loaded.definition, form))


def _color(drawn: str, paint: Palette) -> str:
    """Colour each line by the state that it ends with."""
    from gennaker_engine.cli.render.tree import TONES

    lines = []
    for line in drawn.split("\n"):
        head, space, state = line.rpartition("  ")
        lines.append(f"{head}{space}{paint(state, *TONES[state])}" if state in TONES else line)
    return "\n".join(lines)


def _read_run(
    settings: Settings, run: str
) -> tuple[PipelineDefinition, dict[str, str], dict[str, float]]:
    from gennaker.model import PipelineDefinition
    from gennaker_engine.cli.reading import load_progress, read_journal
    from gennaker_engine.journal.lookup import resolve_run

    with read_journal(settings) as journal:
        row = resolve_run(journal, run)
        created, progress = load_progress(journal, row.run)
    states = {
        name: step.outcome or step.state
        for name, step in progress.steps.items()
        if step.state != "pending"
    }
    seconds: dict[str, float] = {}
    if progress.outcome is not None:
        for name, step in progress.steps.items():
            if step.started_at is not None and step.ended_at is not None:
                stage = name.partition("[")[0]
                took = step.ended_at - step.started_at
                seconds[stage] = max(seconds.get(stage, 0.0), took)
    return PipelineDefinition.model_validate(dict(created.definition)), states, seconds
