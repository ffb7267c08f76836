"""What the checks of one pipeline share: the pipeline, what is installed, and the problems found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from gennaker.dependencies import find_dependencies
from gennaker.errors import InvalidInput, Problem
from gennaker.loader import Loaded
from gennaker.model import PipelineDefinition, StageDefinition
from gennaker.plugins import Registry
from gennaker.settings import ProjectSettings
from gennaker.stage import Stage

__all__ = ["Findings", "Path", "collect_needs"]

Path = tuple[str | int, ...]


def collect_needs(start: str, needs: Mapping[str, tuple[str, ...]]) -> set[str]:
    """Return all that ``start`` depends on, directly or not."""
    reached: set[str] = set()
    pending = list(needs.get(start, ()))
    while pending:
        each = pending.pop()
        if each not in reached:
            reached.add(each)
            pending.extend(needs.get(each, ()))
    return reached


@dataclass
class Findings:
    """One pipeline under examination.

    Attributes:
        loaded: the pipeline.
        registry: what stage types there are.
        settings: the project's settings.
        problems: what has been found so far.
        unsure: whether the form of the settings has problems, so that what they have is not all known.
    """

    loaded: Loaded
    registry: Registry
    settings: ProjectSettings
    problems: list[Problem] = field(default_factory=list)
    unsure: bool = False

    @property
    def definition(self) -> PipelineDefinition:
        """The pipeline."""
        return self.loaded.definition

    @cached_property
    def unread(self) -> bool:
        """Whether the form has errors, so that empty text may stand for what could not be read."""
        return any(each.severity == "error" for each in self.loaded.problems)

    def tell(
        self,
        code: str,
        message: str,
        path: Path,
        hint: str | None = None,
        *,
        key: bool = False,
        severity: Literal["error", "warning"] = "error",
    ) -> None:
        """Add a problem of what stands at ``path``, or of its key."""
        location = self.loaded.places.at(path, key=key)
        self.problems.append(Problem(code, message, location, hint, severity))

    def path_of(self, identifier: str) -> Path:
        """Return the path of a stage in the pipeline's data."""
        section = "finally" if identifier in self.definition.finally_ else "stages"
        return (section, identifier)

    @cached_property
    def dependencies(self) -> Mapping[str, tuple[str, ...]]:
        """What each stage depends on, by id."""
        return find_dependencies(self.definition)

    @cached_property
    def stages(self) -> Mapping[str, tuple[StageDefinition, bool]]:
        """Each stage by id, and whether it belongs to ``finally``."""
        return {
            identifier: (stage, final) for identifier, stage, final in self.definition.all_stages()
        }

    @cached_property
    def types(self) -> Mapping[str, type[Stage] | InvalidInput]:
        """Each stage type used, or why it cannot be; the empty name of an unread one is left out."""
        found: dict[str, type[Stage] | InvalidInput] = {}
        for stage, _final in self.stages.values():
            if stage.uses and stage.uses not in found and "${{" not in stage.uses:
                try:
                    found[stage.uses] = self.registry.stage(stage.uses)
                except InvalidInput as error:
                    found[stage.uses] = error
        return found

    def type_of(self, stage: StageDefinition) -> type[Stage] | None:
        """Return the stage type of a stage, None when it cannot be used."""
        found = self.types.get(stage.uses)
        return None if found is None or isinstance(found, InvalidInput) else found
