"""``kubernetes.delete``: live objects are deleted, waited for until they are gone, and can be put back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from gennaker.durations import normalize_duration, parse_duration
from gennaker.errors import PermanentError, StageError
from gennaker.records import dataclass
from gennaker.stage import (
    Artifact,
    Change,
    Context,
    Outcome,
    Plan,
    PlanContext,
    StageInputs,
    StageOutputs,
    Succeeded,
)
from gennaker_stages.kubernetes.bundle.objects import Namespace, name_of
from gennaker_stages.kubernetes.connecting import connect
from gennaker_stages.kubernetes.operations.base import (
    OBJECT,
    ApiVersion,
    Operation,
    wait_ready,
)
from gennaker_stages.kubernetes.operations.places import find_kind, find_namespace

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.client.cluster import Cluster, Resource
    from gennaker_stages.kubernetes.undoing.record import Record

__all__ = ["KubernetesDelete", "find_loss"]

Object = dict[str, Any]
_BACK = "it is there again"
_LOSSES = {
    "Namespace": "what was in it is not recorded",
    "CustomResourceDefinition": "the objects of its kind went with it",
    "PersistentVolumeClaim": "its data is not recorded",
    "PersistentVolume": "its data is not recorded",
    "Job": "it would run again",
    "Pod": "it would run again",
}


class KubernetesDelete(Operation):
    """Delete live objects, and wait until they are gone.

    What is not there any more is no error.
    """

    name = "kubernetes.delete"
    effect = "deploy"

    class Inputs(StageInputs):
        """Which objects."""

        objects: tuple[Annotated[str, StringConstraints(pattern=OBJECT)], ...] = Field(
            default=(), description="The objects: [Deployment/web, Service/web]"
        )
        kinds: tuple[Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z0-9]*$")], ...] = (
            Field(default=(), description="Kinds of which all objects with 'labels' go: [Pod]")
        )
        labels: str | None = Field(
            default=None,
            min_length=1,
            description="Selector of labels as kubectl has it: app=web,tier!=db; with 'kinds'",
        )
        api_version: ApiVersion = None
        namespace: Namespace | None = Field(
            default=None, description="Where they are; the environment's namespace unless given"
        )
        cascade: Literal["foreground", "background", "orphan"] = Field(
            default="foreground",
            description="What becomes of objects that they own: gone before they are, gone a little "
            "later, or left",
        )
        within: Annotated[str, BeforeValidator(normalize_duration)] = Field(
            default="2m", description="How long it may take until they are gone"
        )
        ready_within: Annotated[str, BeforeValidator(normalize_duration)] = Field(
            default="10m", description="How long they may take to get ready when they are put back"
        )

        @model_validator(mode="after")
        def _check_choice(self) -> Self:
            if bool(self.kinds) != bool(self.labels):
                raise ValueError("'kinds' and 'labels' go together: which kinds, and which of them")
            if not self.objects and not self.kinds:
                raise ValueError("give 'objects', or 'kinds' and 'labels'")
            return self

    class Outputs(StageOutputs):
        """What was deleted."""

        deleted: list[str] = Field(description="Kind/name of each object that was deleted")

    def plan(self, inputs: Inputs, ctx: PlanContext) -> Plan:
        """Tell what would be deleted, tried by dry runs, and what of it could not be put back."""
        cluster = connect(ctx)
        found = _Choice(cluster, inputs)
        changes = [_plan_one(cluster, each) for each in found.delete]
        changes += [Change("leave", name, reason) for name, reason in found.left]
        return Plan(changes=changes, desired=inputs.model_dump(mode="json"))

    def run(self, inputs: Inputs, ctx: Context) -> Outcome:
        """Record what is there, delete it, and wait until it is gone.

        Raises:
            StageError: code ``delete-stuck`` with the finalizers that are waited for.
        """
        from gennaker_stages.kubernetes.applying.removing import remove_objects
        from gennaker_stages.kubernetes.bundle.masking import is_secret
        from gennaker_stages.kubernetes.inventory.applyset import open_set_of
        from gennaker_stages.kubernetes.undoing.copies import drop_copies
        from gennaker_stages.kubernetes.undoing.recording import record_touched

        cluster = connect(ctx)
        cluster.serve(ctx)
        # What is deleted is decided once: what came since is not this attempt's.
        chosen: list[Object] = ctx.step("objects", lambda _key: self._choose(cluster, inputs, ctx))
        there = [each for each in (_read(cluster, ref) for ref in chosen) if each is not None]
        applyset = open_set_of(cluster, ctx, None)
        ours = [each for each in reversed(there) if _find_controller(each) is None]
        record_touched(cluster, ctx, applyset, [(each, each) for each in ours])
        cascade, limit = inputs.cascade.title(), parse_duration(inputs.within)
        remove_objects(cluster, ctx, chosen, "delete", propagation=cascade, limit=limit)
        if any(is_secret(each) for each in chosen):
            drop_copies(cluster, ctx, applyset)
        return Succeeded({"deleted": [name_of(each) for each in chosen]})

    def undo(self, inputs: Inputs, before: Artifact, ctx: Context) -> Outcome:
        """Make what is gone anew as it was recorded, and wait until it is ready.

        Raises:
            PermanentError: code ``undo-refused``.
        """
        from gennaker_stages.kubernetes.applying.rules import ConflictRules
        from gennaker_stages.kubernetes.undoing.survey import Survey, check_survey
        from gennaker_stages.kubernetes.undoing.undo import Undo

        cluster = connect(ctx)
        cluster.serve(ctx)
        gone = _find_gone(cluster, ctx, before)
        check_survey(Survey(refused=gone.lost))
        for body in gone.back:
            ctx.log(f"left {name_of(body)}: {_BACK}")
        undo = Undo(cluster, ctx, gone.record, ConflictRules())
        undo.look()
        for wave in undo.restore_waves():
            failed = wait_ready(cluster, wave, inputs.ready_within, ctx)
            if failed is not None:
                return failed
        undo.finish()
        return Succeeded()

    def plan_undo(self, inputs: Inputs, before: Artifact, ctx: PlanContext) -> Plan:
        """Tell what would be made anew."""
        from gennaker_stages.kubernetes.applying.rules import ConflictRules
        from gennaker_stages.kubernetes.undoing.planning import list_changes
        from gennaker_stages.kubernetes.undoing.survey import survey_objects

        cluster = connect(ctx)
        gone = _find_gone(cluster, ctx, before)
        survey = survey_objects(cluster, gone.record, ConflictRules())
        survey.refused[:0] = gone.lost
        left = [Change("leave", name_of(each), _BACK) for each in gone.back]
        return Plan(changes=[*list_changes(survey), *left], desired={"before": before.digest})

    def _choose(self, cluster: Cluster, inputs: Inputs, ctx: Context) -> list[Object]:
        found = _Choice(cluster, inputs)
        for name, reason in found.left:
            ctx.log(f"left {name}: {reason}")
        return [_refer(each) for each in found.delete]


class _Choice:
    """The live objects that the inputs name.

    Attributes:
        delete: those that go, what others need last.
        left: what stays as it is, and why.
    """

    def __init__(self, cluster: Cluster, inputs: KubernetesDelete.Inputs) -> None:
        from gennaker_stages.kubernetes.bundle.ordering import rank_of

        self._cluster = cluster
        self._inputs = inputs
        self._places = _find_places(cluster, inputs)
        self.left: list[tuple[str, str]] = []
        found = {each["metadata"]["uid"]: each for each in (*self._by_name(), *self._by_labels())}
        self.delete = sorted(found.values(), key=rank_of, reverse=True)

    def _by_name(self) -> Iterable[Object]:
        for each in self._inputs.objects:
            resource, namespace = self._places[each]
            live = self._cluster.read(resource, namespace, each.partition("/")[2])
            if live is None:
                self.left.append((each, "it is not there"))
            else:
                yield resource.complete(live)

    def _by_labels(self) -> Iterable[Object]:
        from gennaker_stages.kubernetes.inventory.prune import find_protection

        for kind in self._inputs.kinds:
            resource, namespace = self._places[kind]
            labels = self._inputs.labels or ""
            items = self._cluster.list_objects(resource, namespace, labels=labels)["items"]
            if not items:
                self.left.append((f"{kind} with {labels}", "there is none"))
            for each in items:
                body = resource.complete(each)
                mark = find_protection(body)
                if mark is None:
                    yield body
                else:
                    self.left.append((name_of(body), mark))


def _find_places(
    cluster: Cluster, inputs: KubernetesDelete.Inputs
) -> dict[str, tuple[Resource, str | None]]:
    """Return kind and namespace of each object and kind of the inputs, by how it is written.

    Raises:
        PermanentError: codes ``unknown-kind``, ``bundle-namespace`` and ``operation-kind``, with all
            that is wrong.
    """
    found, wrong = {}, []
    for each in (*inputs.objects, *inputs.kinds):
        kind, slash, _ = each.partition("/")
        what = each if slash else f"{kind} with {inputs.labels}"
        try:
            resource = find_kind(cluster, inputs.api_version, kind)
            if not slash and not resource.namespaced:
                raise PermanentError(
                    f"{kind} is a kind of the whole cluster: others have objects of it, too",
                    code="operation-kind",
                    hint=f"name each in 'objects': {kind}/NAME",
                )
            found[each] = resource, find_namespace(cluster, resource, inputs.namespace, what)
        except PermanentError as error:
            wrong.append(error)
    if len(wrong) > 1:
        told = [f"{each.message} ({each.hint})" for each in wrong[:-1]]
        last = wrong[-1]
        raise PermanentError("; ".join([*told, last.message]), code=last.code, hint=last.hint)
    if wrong:
        raise wrong[0]
    return found


def find_loss(body: Object) -> str | None:
    """Return why an object that was deleted cannot be put back, None when it can; pure."""
    return _LOSSES.get(body["kind"])


@dataclass(frozen=True, slots=True)
class _Gone:
    """What of a record is to be put back.

    Attributes:
        record: of what can be.
        lost: what cannot, with the reason.
        back: what is there again.
    """

    record: Record
    lost: list[tuple[Object, str]]
    back: list[Object]


def _find_gone(cluster: Cluster, ctx: PlanContext, before: Artifact) -> _Gone:
    from gennaker_stages.kubernetes.planning.live import read_live
    from gennaker_stages.kubernetes.undoing.record import load_record

    record = load_record(ctx.artifacts, before)
    entries = {key: each for key, each in record.entries.items() if each.existed}
    live = read_live(cluster, [each.body for each in entries.values()]).objects
    lost, back = [], []
    for key, entry in list(entries.items()):
        now = live.get(key)
        loss = find_loss(entry.body)
        if now is not None and not now["metadata"].get("deletionTimestamp"):
            back.append(entry.body)
        elif loss is not None:
            lost.append((entry.body, loss))
        else:
            continue
        del entries[key]
    return _Gone(replace(record, entries=entries), lost, back)


def _plan_one(cluster: Cluster, live: Object) -> Change:
    from gennaker_stages.kubernetes.planning.refusal import explain_refusal

    try:
        cluster.delete_object(live, dry_run=True)
    except StageError as error:
        return explain_refusal(error, live, live)
    return Change("delete", name_of(live), "; ".join(_tell(live)))


def _tell(live: Object) -> Sequence[str]:
    finalizers = ", ".join(live["metadata"].get("finalizers") or ())
    controller, loss = _find_controller(live), find_loss(live)
    told = [f"waits for {finalizers}"] if finalizers else []
    if controller is not None:
        return [*told, f"{controller} may make it anew"]
    return [*told, f"cannot be put back: {loss}"] if loss else told


def _find_controller(live: Object) -> str | None:
    """Return what keeps the object there: it is not ours to put back."""
    for each in live["metadata"].get("ownerReferences") or ():
        if each.get("controller"):
            return f"{each['kind']}/{each['name']}"
    return None


def _refer(live: Object) -> Object:
    metadata = live["metadata"]
    known = {key: metadata[key] for key in ("name", "namespace", "uid") if metadata.get(key)}
    return {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": known}


def _read(cluster: Cluster, ref: Object) -> Object | None:
    """Return the very object that is referred to, None when it is gone."""
    metadata = ref["metadata"]
    resource = cluster.find_resource(ref["apiVersion"], ref["kind"])
    live = cluster.read(resource, metadata.get("namespace"), metadata["name"])
    if live is None or live["metadata"]["uid"] != metadata["uid"]:
        return None
    return resource.complete(live)
