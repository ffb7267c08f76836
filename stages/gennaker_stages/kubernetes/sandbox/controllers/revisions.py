"""ControllerRevisions: the Pod templates that a StatefulSet or a DaemonSet has had, for ``rollout undo``."""

from __future__ import annotations

from ..decode import clone
from .base import MANAGER, Controller, Object, owner_reference

__all__ = ["keep_revision"]

_STORAGE = "controllerrevisions.apps"
_LIMIT = 10


def keep_revision(controller: Controller, owner: Object, name: str, labels: Object) -> None:
    """Keep the template that a workload has now as its newest revision, and not too many old ones.

    Args:
        controller: whose.
        owner: the workload.
        name: of the revision, which follows from the template.
        labels: added to those of the template.
    """
    kept = sorted(controller.children(owner, _STORAGE), key=lambda each: int(each["revision"]))
    newest = int(kept[-1]["revision"]) if kept else 0
    known = next((each for each in kept if each["metadata"]["name"] == name), None)
    if known is None:
        template = clone(owner["spec"]["template"])
        metadata = {
            "name": name,
            "namespace": owner["metadata"]["namespace"],
            "labels": {**template["metadata"].get("labels", {}), **labels},
            "ownerReferences": [owner_reference(owner)],
        }
        controller.create(
            _STORAGE,
            {
                "apiVersion": "apps/v1",
                "kind": "ControllerRevision",
                "metadata": metadata,
                "data": {"spec": {"template": {**template, "$patch": "replace"}}},
                "revision": newest + 1,
            },
        )
    elif int(known["revision"]) < newest:
        # A template that comes back is not kept twice: it becomes the newest one.
        resource = controller.resource(_STORAGE)
        controller.operations.write_fields(resource, known, {"revision": newest + 1}, MANAGER)
    limit = owner["spec"].get("revisionHistoryLimit", _LIMIT)
    old = [each for each in kept if each["metadata"]["name"] != name]
    for each in old[: max(0, len(old) - limit)]:
        controller.delete(_STORAGE, each)
