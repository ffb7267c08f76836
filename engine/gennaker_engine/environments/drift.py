"""What has moved in an environment since the last deploys.

A deploy's own stage type says it, from the inputs that the deploy had: what it takes to have things
again as they were deployed is what has moved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gennaker.errors import GennakerError
from gennaker.records import dataclass
from gennaker.stage import Change, PlanContext, Stage
from gennaker.target import Target
from gennaker_engine.environments.asking import ask_stage
from gennaker_engine.environments.deployed import Deployed, find_standing
from gennaker_engine.runtime.engine import Engine

__all__ = ["StageDrift", "find_drift"]

Json = Any
_TOUCHES = frozenset({"create", "change", "replace", "delete", "prune", "refuse"})


@dataclass(frozen=True, slots=True)
class StageDrift:
    """How live state and the last deploy of one stage differ.

    Attributes:
        deployed: that deploy; the last that stands, when there is one.
        changes: what deploying the same again would change, ``{action, what, detail, fields}`` each.
        unseen: why there is nothing to compare.
        looks: whether its type looks at what is there; one that does a thing once does not.
        error: why it cannot be said.
    """

    deployed: Deployed
    changes: tuple[Mapping[str, Json], ...] = ()
    unseen: str | None = None
    looks: bool = True
    error: str | None = None

    def to_data(self) -> dict[str, Json]:
        """Return it as JSON data."""
        row = self.deployed.row
        data: dict[str, Json] = {"stage": self.deployed.stage, "run": row.run}
        if self.error is not None:
            return {**data, "error": self.error}
        if self.unseen is not None:
            data["reason"] = self.unseen
        changes = [dict(each) for each in self.changes]
        return {**data, "compared": self.unseen is None, "changes": changes}


def find_drift(engine: Engine, environment: str, *, sandbox: bool) -> list[StageDrift]:
    """Return the drift of each stage that is deployed in an environment."""
    found = []
    targets: dict[str, Target] = {}
    for last, standing in find_standing(engine, sandbox=sandbox, environment=environment):
        if standing is None:
            told = f"{_tell_last(last)}, and none of the last deploys stands before it"
            found.append(StageDrift(last, unseen=told))
        else:
            found.append(_compare(engine, standing, targets))
    return found


def _tell_last(last: Deployed) -> str:
    if not last.is_undo:
        return f"{last.row.run} changed nothing"
    fate = last.fate.removeprefix("which ")
    return f"{last.row.run} {fate}" if fate else f"put back by {last.row.run}"


def _compare(engine: Engine, deployed: Deployed, targets: dict[str, Target]) -> StageDrift:
    def compare(kind: Stage, inputs: Any, ctx: PlanContext) -> Sequence[Change] | None:
        return kind.compare(inputs, ctx)

    try:
        changes = ask_stage(engine, deployed, compare, targets=targets)
    except GennakerError as error:
        return StageDrift(deployed, error=str(error))
    # A plan that only says what would be run has not looked at anything.
    if changes is None or (changes and all(each.action == "run" for each in changes)):
        return StageDrift(deployed, unseen="its type does not look at what is there", looks=False)
    moved = tuple(each.to_data() for each in changes if each.action in _TOUCHES)
    return StageDrift(deployed, moved)
