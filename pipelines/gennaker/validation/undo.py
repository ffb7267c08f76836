"""What ``on_failure: undo`` may name: stages before the one that fails, which can put back."""

from __future__ import annotations

from gennaker.model import StageDefinition
from gennaker.suggestions import suggest
from gennaker.validation.findings import Findings, Path, collect_needs

__all__ = ["check_undo"]


def check_undo(found: Findings) -> None:
    """Add every problem of what stages want put back when they fail."""
    for identifier, (stage, final) in found.stages.items():
        path = (*found.path_of(identifier), "on_failure")
        names = stage.list_undone(identifier)
        if names and final:
            found.tell(
                "undo",
                f"stage {identifier!r} of 'finally' cannot have anything put back",
                path,
                "undo in the stages before; 'finally' runs after them",
            )
            continue
        for index, name in enumerate(names):
            where = path if stage.on_failure == "undo" else (*path, "undo", index)
            _check_name(found, identifier, name, where)


def _check_name(found: Findings, identifier: str, name: str, path: Path) -> None:
    stages = found.definition.stages
    if "${{" in name:
        found.tell("expression-misplaced", "'on_failure' takes no expressions", path)
        return
    if name not in stages:
        found.tell(
            "unknown-stage",
            f"stage {identifier!r} wants {name!r} put back, which is no stage outside 'finally'",
            path,
            suggest(name, list(stages)),
        )
        return
    if name != identifier and name not in collect_needs(identifier, found.dependencies):
        found.tell(
            "undo",
            f"stage {identifier!r} wants {name!r} put back, which it does not depend on",
            path,
            f"let {identifier!r} need {name!r}, directly or through others",
        )
    _check_type(found, stages[name], name, path)


def _check_type(found: Findings, stage: StageDefinition, name: str, path: Path) -> None:
    kind = found.type_of(stage)
    if kind is not None and not kind.can_undo():
        found.tell(
            "undo",
            f"stage {name!r} cannot be put back: {stage.uses!r} does not say how",
            path,
            "name stages whose type can, such as 'kubernetes.deploy'",
        )
