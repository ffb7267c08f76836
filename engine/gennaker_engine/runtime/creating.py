"""New runs: what one is pinned to when it is created."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gennaker.canonical import canonical_json
from gennaker.errors import ExpressionError, InvalidInput
from gennaker.expressions import Scope, compile_template
from gennaker.loader import Loaded
from gennaker.model import PipelineDefinition
from gennaker.records import dataclass
from gennaker_engine.core.events import RunCreated
from gennaker_engine.core.scope import format_moment
from gennaker_engine.runtime.world import lock_scope

__all__ = ["Pinned", "Start", "list_globs", "list_uses", "pin_run"]

_MAX_TITLE = 200

Json = Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How a run is started.

    Attributes:
        actor: who starts it.
        sandbox: whether it acts on the sandbox.
        plan: digest of the plan that was agreed to.
        approved: approvals decided before seeing.
    """

    actor: str
    sandbox: bool = False
    plan: str | None = None
    approved: tuple[str, ...] = ()

    def check(self, definition: PipelineDefinition) -> None:
        """Raise InvalidInput when it does not fit the pipeline."""
        if self.approved and not (self.sandbox or self.plan):
            raise InvalidInput(
                "an approval before seeing needs --sandbox or --plan DIGEST",
                code="approve-unseen",
                hint="'gennaker plan' prints the digest",
            )
        known = {name for name, _, _ in definition.all_stages()}
        for name in self.approved:
            if name not in known:
                raise InvalidInput(
                    f"pipeline {definition.name!r} has no stage {name!r} to approve",
                    code="unknown-stage",
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """What is found out before a run gets its number."""

    project: str
    loaded: Loaded
    parameters: Mapping[str, Json]
    source: Mapping[str, Json]
    git: Mapping[str, Json]
    files: Mapping[str, str]


def pin_run(pinned: Pinned, start: Start, *, number: int, now: float) -> RunCreated:
    """Return the first event of a new run.

    Raises:
        ExpressionError: the title or the concurrency group cannot be evaluated.
    """
    definition = pinned.loaded.definition
    run_id = f"{definition.name}-{number}"
    trigger = {"kind": "manual"}
    scope = Scope(
        values={
            "params": pinned.parameters,
            "git": pinned.git,
            "trigger": trigger,
            "run": {
                "id": run_id,
                "number": number,
                "pipeline": definition.name,
                "title": definition.name,
                "actor": start.actor,
                "started_at": format_moment(now),
            },
        },
        files=pinned.files,
    )
    group = None
    if definition.concurrency is not None:
        wanted = definition.concurrency
        name = _evaluate(wanted.group, scope, "concurrency.group")
        group = {"group": name, "limit": wanted.limit, "policy": wanted.policy}
    title = definition.name
    if definition.title is not None:
        title = " ".join(_evaluate(definition.title, scope, "title").split())[:_MAX_TITLE]
    return RunCreated(
        at=now,
        run=run_id,
        pipeline=definition.name,
        number=number,
        title=title,
        actor=start.actor,
        definition=definition.to_data(),
        digest=definition.digest,
        functions=dict(definition.functions),
        file=pinned.loaded.file,
        parameters=dict(pinned.parameters),
        source=dict(pinned.source),
        git=dict(pinned.git),
        files=dict(pinned.files),
        trigger=trigger,
        scope=lock_scope(pinned.project, start.sandbox),
        sandbox=start.sandbox,
        concurrency=group,
        approved=start.approved,
        plan=start.plan,
    )


def list_globs(definition: PipelineDefinition) -> list[str]:
    """Return the globs of every ``hash_files`` in a pipeline, sorted."""
    from gennaker.dependencies import list_expressions

    found: set[str] = set()
    for _name, stage, _final in definition.all_stages():
        for _path, compiled, _references in list_expressions(stage):
            found.update(compiled.hash_globs)
    texts = [definition.title, definition.concurrency and definition.concurrency.group]
    for text in texts:
        if text:
            found.update(compile_template(text).hash_globs)
    return sorted(found)


def list_uses(definition: Mapping[str, Json]) -> set[str]:
    """Return the stage types a stored definition uses."""
    return {
        stage["uses"]
        for section in ("stages", "finally")
        for stage in definition.get(section, {}).values()
    }


def _evaluate(text: str, scope: Scope, where: str) -> str:
    try:
        value = compile_template(text).evaluate(scope)
    except ExpressionError as error:
        raise InvalidInput(
            f"{where} cannot be evaluated: {error.message}", code=error.code, hint=error.hint
        ) from error
    return value if isinstance(value, str) else canonical_json(value)
