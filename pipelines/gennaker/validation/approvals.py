"""Warns of an approval that would show nothing: its decider could not know what is approved."""

from __future__ import annotations

from collections.abc import Mapping

from gennaker.dependencies import list_expressions
from gennaker.model import StageDefinition
from gennaker.validation.findings import Findings

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
        before = _collect(identifier, needs)
        downstream = [
            (each, stage)
            for each, stage in found.definition.stages.items()
            if identifier in _collect(each, needs)
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


def _collect(start: str, needs: Mapping[str, tuple[str, ...]]) -> set[str]:
    """Return all that ``start`` depends on, directly or not."""
    reached: set[str] = set()
    pending = list(needs.get(start, ()))
    while pending:
        each = pending.pop()
        if each not in reached:
            reached.add(each)
            pending.extend(needs.get(each, ()))
    return reached


def _mentioned(stage: StageDefinition) -> set[str]:
    """Return the stages whose outputs a stage's inputs, matrix or environment are made of."""
    return {
        each.path[0] if each.path else ""
        for path, _expression, references in list_expressions(stage)
        if path[0] in ("with", "matrix", "environment")
        for each in references
        if each.root == "stages"
    }
