"""Warns of an approval that would show nothing: its decider could not know what is approved."""

from __future__ import annotations

from gennaker.dependencies import list_expressions
from gennaker.model import StageDefinition
from gennaker.validation.findings import Findings, collect_needs

__all__ = ["check_approvals"]


def check_approvals(found: Findings) -> None:
    """Add ``approval-covers-nothing`` for each approval without a stage that it could bind."""
    approvals = [
        identifier
        for identifier, stage in found.definition.stages.items()
        if stage.uses == "approval"
    ]
    if not approvals:
        return
    needs = found.dependencies
    for identifier in approvals:
        before = collect_needs(identifier, needs)
        downstream = [
            (each, stage)
            for each, stage in found.definition.stages.items()
            if identifier in collect_needs(each, needs)
        ]
        if not any(_mentioned(stage) <= before for _each, stage in downstream):
            found.tell(
                "approval-covers-nothing",
                f"approval {identifier!r} covers nothing: no stage after it has inputs that are "
                "known when it asks",
                found.path_of(identifier),
                "render before you ask, and let the stage that changes something need the approval",
                key=True,
                severity="warning",
            )


def _mentioned(stage: StageDefinition) -> set[str]:
    """Return the stages whose outputs a stage's inputs, matrix or environment are made of."""
    return {
        each.path[0] if each.path else ""
        for path, _expression, references in list_expressions(stage)
        if path[0] in ("with", "matrix", "environment")
        for each in references
        if each.root == "stages"
    }
