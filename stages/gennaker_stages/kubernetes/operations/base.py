"""What the operations share: which object one is about, and a change that can be planned and put back.

A change is a patch. What it makes of the object the server says by a dry run, so that is planned and
recorded with what was there; putting back is the difference, and refuses what changed since.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, field_validator

from gennaker.durations import normalize_duration
from gennaker.errors import InvalidInput, PermanentError
from gennaker.records import dataclass
from gennaker.stage import (
    Artifact,
    Change,
    Context,
    Failed,
    Outcome,
    Plan,
    PlanContext,
    Stage,
    StageInputs,
    StageOutputs,
    Succeeded,
)
from gennaker_stages.kubernetes.bundle.objects import Namespace, name_of
from gennaker_stages.kubernetes.connecting import connect
from gennaker_stages.kubernetes.operations.places import (
    LATER,
    Place,
    find_place,
    plan_place,
    read_object,
    refuse_secret,
)

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.client.cluster import Cluster

__all__ = [
    "OBJECT",
    "Aim",
    "ApiVersion",
    "ChangeInputs",
    "ChangeStage",
    "ObjectInputs",
    "Operation",
    "find_patch",
    "wait_ready",
]

OPERATOR = "gennaker-operations"
"""Field manager of operations: a deploy that sets the same field meets with a conflict that names it."""
_MEDIA_TYPE = "application/vnd.gennaker.kubernetes.change+json"
OBJECT = r"^[A-Z][A-Za-z0-9]*/[a-z0-9]([-a-z0-9.:]*[a-z0-9])?$"
"""How an object is written: ``Deployment/web``."""
Object = dict[str, Any]


ApiVersion = Annotated[
    str | None,
    Field(description="apps/v1, for example; needed only where several groups have the kind"),
]
"""An input: which of the groups that have a kind is meant."""


class ObjectInputs(StageInputs):
    """Which object."""

    object: str = Field(
        pattern=OBJECT,
        description="The object: Deployment/web",
    )
    api_version: ApiVersion = None
    namespace: Namespace | None = Field(
        default=None, description="Where it is; the environment's namespace unless given"
    )


class ChangeInputs(ObjectInputs):
    """Which object, and how long it may take.

    Attributes:
        kinds: of objects that it can be done to, all when empty.
        lack: why it cannot be done to those of others.
    """

    kinds: ClassVar[tuple[str, ...]] = ()
    lack: ClassVar[str] = ""

    ready_within: Annotated[str, BeforeValidator(normalize_duration)] = Field(
        default="10m", description="How long the object may take to get ready afterwards"
    )
    wait: bool = Field(default=True, description="Whether the stage waits until it is ready")

    @field_validator("object")
    @classmethod
    def _check_kind(cls, written: str) -> str:
        if cls.kinds and written.partition("/")[0] not in cls.kinds:
            told, hint = f"{written!r} {cls.lack}", f"name one of {', '.join(cls.kinds)}"
            wrong = InvalidInput(f"object {told}", code="operation-kind", hint=hint)
            raise ValueError(f"{told}; {hint}") from wrong
        return written


@dataclass(frozen=True, slots=True)
class Aim:
    """What a patch is made for.

    Attributes:
        cluster: where.
        key: the same for every delivery of an attempt.
        after: what an earlier attempt or delivery was about to make of the object, None when none was.
    """

    cluster: Cluster
    key: str
    after: Object | None = None


class Operation(Stage):
    """Base of the stage types that do something to live objects once."""

    target = "kubernetes"

    def list_sources(self, inputs: Any) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def compare(self, inputs: Any, ctx: PlanContext) -> None:
        """Nothing: it was done once, and says nothing of what is to be there from then on."""


class ChangeStage(Operation):
    """Base of the stage types that change one object by a patch."""

    effect = "deploy"

    class Inputs(ChangeInputs):
        """Which object."""

    class Outputs(StageOutputs):
        """Whether anything was changed."""

        changed: bool = Field(description="Whether the object was otherwise before")

    def make_patch(self, inputs: Any, live: Object, aim: Aim) -> Any:
        """Return the patch; nothing is written.

        Args:
            inputs: of the stage.
            live: the object as it is.
            aim: what it is made for.
        """
        raise NotImplementedError

    def plan(self, inputs: Any, ctx: PlanContext) -> Plan:
        """Tell what the patch would change, by a dry run."""
        cluster = connect(ctx)
        place = plan_place(cluster, inputs)
        if place is None:
            return Plan(changes=[Change("change", inputs.object, LATER)])
        _refuse_secret(place)
        try:
            live = read_object(cluster, place)
        except PermanentError as error:
            if error.code != "object-missing":
                raise
            # An earlier stage may make it.
            return Plan(changes=[Change("change", inputs.object, "tried once it is there")])
        patch = self.make_patch(inputs, live, Aim(cluster, "planned"))
        changes = [_describe(live, _write(cluster, place, patch, dry_run=True))]
        return Plan(changes=changes, desired={"object": inputs.object, "patch": patch})

    def run(self, inputs: Any, ctx: Context) -> Outcome:
        """Patch the object, once in an attempt, and wait until it is ready."""
        cluster = connect(ctx)
        cluster.serve(ctx)
        place = find_place(cluster, inputs)
        _refuse_secret(place)

        def change(key: str) -> bool:
            live = read_object(cluster, place)
            patch = self.make_patch(inputs, live, Aim(cluster, key, _load_after(ctx)))
            after = _write(cluster, place, patch, dry_run=True)
            if not list_differences(live, after):
                return False
            if self.can_undo():
                ctx.record_before(_store(ctx, live, after))
            _write(cluster, place, patch)
            return True

        changed = ctx.step(f"change {inputs.object}", change)
        ctx.log(f"changed {inputs.object}" if changed else f"{inputs.object} is so already")
        return self._wait(cluster, place, inputs, ctx) or Succeeded({"changed": changed})

    def undo(self, inputs: Any, before: Artifact, ctx: Context) -> Outcome:
        """Put back what the patch changed, and wait until the object is ready."""
        cluster = connect(ctx)
        cluster.serve(ctx)
        place = find_place(cluster, inputs)
        live, patch = _find_way_back(ctx, before, read_object(cluster, place))
        if patch:
            ctx.record_before(_store(ctx, live, _merge(live, patch)))
            _write(cluster, place, patch)
        ctx.log(f"put back {inputs.object}" if patch else f"{inputs.object} is as it was")
        return self._wait(cluster, place, inputs, ctx) or Succeeded({"changed": bool(patch)})

    def plan_undo(self, inputs: Any, before: Artifact, ctx: PlanContext) -> Plan:
        """Tell which fields would be put back."""
        cluster = connect(ctx)
        live = read_object(cluster, find_place(cluster, inputs))
        try:
            live, patch = _find_way_back(ctx, before, live)
        except PermanentError as error:
            return Plan(changes=[Change("refuse", inputs.object, error.message)])
        return Plan(changes=[_describe(live, _merge(live, patch))])

    def _wait(self, cluster: Cluster, place: Place, inputs: Any, ctx: Context) -> Failed | None:
        if not inputs.wait:
            return None
        return wait_ready(cluster, [read_object(cluster, place)], inputs.ready_within, ctx)


def wait_ready(
    cluster: Cluster, bodies: Iterable[Object], within: str, ctx: Context
) -> Failed | None:
    """Wait until live objects are ready; return which are not and why, None when all are."""
    from gennaker_stages.kubernetes.health.explanation import make_failure
    from gennaker_stages.kubernetes.health.waiting import wait_until_ready

    result = wait_until_ready(cluster, bodies, ctx, within=within)
    ctx.check_cancelled()
    return make_failure(cluster, result, ctx) if result.unready else None


def _write(cluster: Cluster, place: Place, patch: Any, *, dry_run: bool = False) -> Object:
    """Send a merge patch and return the object as it is now, or as it would be.

    Raises:
        PermanentError: code ``unknown-field``, of a dry run, or why the server refuses it.
    """
    from gennaker_stages.kubernetes.client.connection import MERGE, Request

    query = [("fieldManager", OPERATOR)]
    if dry_run:  # by default the server drops a field that it does not know, and only warns
        query += [("dryRun", "All"), ("fieldValidation", "Strict")]
    path = place.resource.path(place.namespace, place.name)
    what = f"change {place.resource.kind}/{place.name}"
    try:
        return cluster.connection.request(Request("PATCH", path, what, query, patch, MERGE))
    except PermanentError as error:
        _, strict, wrong = error.message.partition("strict decoding error: ")
        if not strict:
            raise
        raise PermanentError(
            f"cannot {what}: {wrong}",
            code="unknown-field",
            hint="see what fields the kind has: 'kubectl explain'",
        ) from None  # the error quotes the whole object


def list_differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Any]:
    """Return the fields in which two states of an object differ, status aside."""
    from gennaker_stages.kubernetes.planning.difference import find_differences

    return find_differences(before, after)


def _describe(live: Object, after: Object) -> Change:
    name = name_of(live)
    differences = list_differences(live, after)
    return Change("change", name, "", differences) if differences else Change("leave", name)


def _refuse_secret(place: Place) -> None:
    refuse_secret(
        place,
        "a Secret is not changed by a patch: its values would be in the pipeline",
        hint="give its values to the input 'secrets' of kubernetes.deploy",
    )


def _store(ctx: Context, before: Object, after: Object) -> Artifact:
    from gennaker_stages.kubernetes.planning.difference import strip_object

    found = strip_object(before)
    if ctx.before is not None:  # of an earlier attempt: that is what was there
        found = _load(ctx, ctx.before)["before"]
    data = {"before": found, "after": strip_object(after)}
    content = json.dumps(data, separators=(",", ":")).encode()
    return ctx.artifacts.put(content, media_type=_MEDIA_TYPE, name="before")


def _load_after(ctx: Context) -> Object | None:
    return None if ctx.before is None else dict(_load(ctx, ctx.before)["after"])


def _load(ctx: PlanContext, record: Artifact) -> Object:
    with ctx.artifacts.open(record) as stream:
        data: Object = json.load(stream)
    return data


def _find_way_back(ctx: PlanContext, record: Artifact, live: Object) -> tuple[Object, Object]:
    """Return the object and the patch that puts it back, empty when it is as it was.

    Raises:
        PermanentError: code ``undo-refused``, naming each field that was changed since.
    """
    data = _load(ctx, record)
    before, after = data["before"], data["after"]
    moved = [
        ".".join(path)
        for path, was, became in _list_leaves(before, after, ())
        if _find(live, path) not in (was, became)
    ]
    if moved:
        raise PermanentError(
            f"{name_of(live)} cannot be put back: {', '.join(moved)} changed since",
            code="undo-refused",
            hint="settle who is to have the last word, and change it by hand",
        )
    leaves = _list_leaves(before, after, ())
    return live, _nest((path, was) for path, was, _ in leaves if _find(live, path) != was)


def find_patch(before: Object, after: Object) -> Object:
    """Return the merge patch that makes one state of an object another; pure."""
    return _nest((path, becomes) for path, _, becomes in _list_leaves(before, after, ()))


def _nest(leaves: Iterable[tuple[tuple[str, ...], Any]]) -> Object:
    patch: Object = {}
    for path, value in leaves:
        inner = patch
        for name in path[:-1]:
            inner = inner.setdefault(name, {})
        inner[path[-1]] = value
    return patch


def _list_leaves(
    before: Any, after: Any, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """Yield path, value before and value after of what differs; lists are whole, None is absence."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted({*before, *after}):
            yield from _list_leaves(before.get(name), after.get(name), (*path, name))
    elif before != after:
        yield path, before, after


def _find(body: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        body = body.get(name) if isinstance(body, Mapping) else None
    return body


def _merge(body: Any, patch: Any) -> Any:
    """Return a JSON value after a merge patch (RFC 7386)."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(body) if isinstance(body, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge(merged.get(name), value)
    return merged
