"""What has moved in an environment since the last deploys.

A deploy's own stage type says it, from the inputs that the deploy had: what it takes to have things
again as they were deployed is what has moved.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gennaker.errors import GennakerError
from gennaker.records import dataclass
from gennaker_engine.environments.asking import ask_stage
from gennaker_engine.environments.deployed import Deployed, has_changed, list_current, list_standing
from gennaker_engine.runtime.engine import Engine

__all__ = ["StageDrift", "find_drift", "find_standing"]

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
    for last, standing in find_standing(engine, environment, sandbox=sandbox):
        if standing is None:
            gone = "put back by {}" if last.is_undo else "{} changed nothing"
            told = f"{gone.format(last.row.run)}, and none of the last deploys stands before it"
            found.append(StageDrift(last, unseen=told))
        else:
            found.append(_compare(engine, standing))
    return found


def find_standing(
    engine: Engine, environment: str, *, sandbox: bool
) -> Iterator[tuple[Deployed, Deployed | None]]:
    """Yield each stage's last deploy in an environment, and the last one that stands.

    That is one that was not put back and that did not end before it changed anything; None when
    there is none of what is looked at.
    """
    earlier: list[Deployed] | None = None
    for last in list_current(engine, sandbox=sandbox):
        if last.row.environment != environment:
            continue
        if not last.is_undo and has_changed(engine, last):
            yield last, last
            continue
        if earlier is None:
            earlier = list_standing(engine, environment, sandbox=sandbox)
        key = (last.row.pipeline, last.stage)
        yield last, next((each for each in earlier if (each.row.pipeline, each.stage) == key), None)


def _compare(engine: Engine, deployed: Deployed) -> StageDrift:
    try:
        changes = ask_stage(engine, deployed, lambda kind, inputs, ctx: kind.compare(inputs, ctx))
    except GennakerError as error:
        return StageDrift(deployed, error=str(error))
    # A plan that only says what would be run has not looked at anything.
    if changes is None or (changes and all(each.action == "run" for each in changes)):
        return StageDrift(deployed, unseen="its type does not look at what is there", looks=False)
    moved = tuple(each.to_data() for each in changes if each.action in _TOUCHES)
    return StageDrift(deployed, moved)
