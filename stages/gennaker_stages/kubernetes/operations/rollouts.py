"""``kubernetes.rollout_undo``: a workload goes back to a Pod template that it had before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import Field

from gennaker.errors import PermanentError
from gennaker.records import dataclass
from gennaker.stage import Plan, PlanContext
from gennaker_stages.kubernetes.bundle.objects import name_of
from gennaker_stages.kubernetes.health.pods import REVISION, write_selector
from gennaker_stages.kubernetes.operations.base import Aim, ChangeInputs, ChangeStage, find_patch
from gennaker_stages.kubernetes.operations.changes import ROLLED

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.client.cluster import Cluster

__all__ = ["KubernetesRolloutUndo"]

CAUSE = "kubernetes.io/change-cause"
"""What people say a revision is for; it goes with the template, as in kubectl."""
HASH = "pod-template-hash"
Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Revision:
    """A Pod template that a workload has, or had.

    Attributes:
        number: the newest has the highest.
        template: as the workload would have it.
        cause: what it was for; None when nobody said.
    """

    number: int
    template: Object
    cause: str | None


class KubernetesRolloutUndo(ChangeStage):
    """Give a workload the Pod template of an earlier revision, and wait until it is ready."""

    name = "kubernetes.rollout_undo"

    class Inputs(ChangeInputs):
        """Which workload, and how far back."""

        kinds = ROLLED
        lack = "has no revisions"
        to_revision: int | None = Field(
            default=None,
            ge=1,
            description="The revision, as 'kubectl rollout history' counts; the one before the "
            "newest unless given",
        )

    def make_patch(self, inputs: Inputs, live: Object, aim: Aim) -> Any:
        """Return what makes the template that of the revision.

        What an earlier delivery or attempt chose is kept to: once it was written, it is the newest
        revision, and the one before it that which is to be left.

        Raises:
            PermanentError: codes ``rollout-paused`` and ``revision-missing``.
        """
        if live["spec"].get("paused"):
            raise PermanentError(
                f"{name_of(live)} is paused, so that its Pods would stay as they are",
                code="rollout-paused",
                hint="take 'spec.paused' out first, by kubernetes.patch for example",
            )
        if aim.after is not None:
            template, cause = aim.after["spec"]["template"], _read_cause(aim.after)
        else:
            chosen = choose_revision(live, list_revisions(aim.cluster, live), inputs.to_revision)
            template, cause = chosen.template, chosen.cause
        patch = find_patch({"spec": live["spec"]}, {"spec": {**live["spec"], "template": template}})
        if cause != _read_cause(live):
            patch["metadata"] = {"annotations": {CAUSE: cause}}
        return patch

    def plan(self, inputs: Inputs, ctx: PlanContext) -> Plan:
        """Tell what would change; which revision it is follows from what is live, so it is not bound."""
        desired = {"object": inputs.object, "to_revision": inputs.to_revision}
        return replace(super().plan(inputs, ctx), desired=desired)


def list_revisions(cluster: Cluster, live: Object) -> list[Revision]:
    """Return the revisions that a workload keeps, the newest last.

    Those of a Deployment are its ReplicaSets, those of the others ControllerRevisions.
    """
    kind = "ReplicaSet" if live["kind"] == "Deployment" else "ControllerRevision"
    resource = cluster.find_resource("apps/v1", kind)
    selector = write_selector(live["spec"].get("selector") or {})
    found = cluster.list_objects(resource, live["metadata"]["namespace"], labels=selector)["items"]
    uid = live["metadata"]["uid"]
    revisions = [
        _read_set(each) if kind == "ReplicaSet" else _read_revision(each)
        for each in found
        if any(
            owner.get("controller") and owner.get("uid") == uid
            for owner in each["metadata"].get("ownerReferences") or ()
        )
    ]
    return sorted(revisions, key=lambda each: each.number)


def choose_revision(live: Object, revisions: list[Revision], number: int | None) -> Revision:
    """Return the revision of a number, the one before the newest when None; pure.

    Raises:
        PermanentError: code ``revision-missing``.
    """
    if number is None and len(revisions) > 1:
        return revisions[-2]
    found = next((each for each in revisions if each.number == number), None)
    if found is not None:
        return found
    wanted = "earlier revision" if number is None else f"revision {number}"
    there = ", ".join(str(each.number) for each in revisions) or "none"
    raise PermanentError(
        f"{name_of(live)} has no {wanted}; it keeps {there}",
        code="revision-missing",
        hint="deploy what it is to be; 'revisionHistoryLimit' says how many are kept",
    )


def _read_set(body: Object) -> Revision:
    template = body["spec"]["template"]
    metadata = dict(template.get("metadata") or {})
    metadata["labels"] = {
        name: value for name, value in (metadata.get("labels") or {}).items() if name != HASH
    }
    annotations = body["metadata"].get("annotations") or {}
    number = str(annotations.get(REVISION) or "0")
    return Revision(
        int(number) if number.isdigit() else 0,
        {**template, "metadata": metadata},
        _read_cause(body),
    )


def _read_revision(body: Object) -> Revision:
    template = dict(body["data"]["spec"]["template"])
    template.pop("$patch", None)  # how a strategic merge patch takes it as a whole
    return Revision(int(body["revision"]), template, _read_cause(body))


def _read_cause(body: Mapping[str, Any]) -> str | None:
    found = ((body.get("metadata") or {}).get("annotations") or {}).get(CAUSE)
    return None if found is None else str(found)
