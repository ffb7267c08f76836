"""What the server would make of an object by an apply, also of one that is taken over; nothing is changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gennaker.errors import StageError
from gennaker_stages.kubernetes.applying.adoption import leave_out
from gennaker_stages.kubernetes.applying.choices import find_choice
from gennaker_stages.kubernetes.applying.conflicts import Applied, apply_object
from gennaker_stages.kubernetes.client.problems import has_status

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.applying.rules import ConflictRules
    from gennaker_stages.kubernetes.client.cluster import Cluster, Resource

__all__ = ["try_apply"]

Object = Mapping[str, Any]
# Not allowed, changed meanwhile, not valid: an apply may well be taken.
_REFUSED = (403, 409, 422)
_SET_METADATA: Mapping[str, Any] = {
    "labels": {},
    "annotations": {},
    "finalizers": [],
    "ownerReferences": [],
}


def try_apply(
    cluster: Cluster, resource: Resource, body: Object, rules: ConflictRules, *, live: Object | None
) -> tuple[Applied, Object]:
    """Return the answer to a dry run, and the object as it would be.

    The two differ where it is taken over (:mod:`~gennaker_stages.kubernetes.applying.adoption`): the
    dry run does not know yet that what others own is ours, and leaves what is not desired.

    Args:
        cluster: where.
        resource: its kind.
        body: what is desired.
        rules: what is done about fields of other managers, and whose objects are taken over.
        live: the object as it is, None when it is not there.

    Raises:
        StageError: the server refuses.
    """
    found = apply_object(cluster, resource, body, rules, live=live, dry_run=True)
    left = leave_out(found.body, rules.adopted) if live is not None else None
    if left is None or live is None:
        return found, found.body
    try:
        tried = cluster.try_patch(resource, live, _replace_parts(live, left))
    except StageError as error:
        if not any(has_status(error, each) for each in _REFUSED):
            raise
        return found, left  # only an apply may do it: without the defaults of the server
    return found, _keep_choice(tried, found, body, live)


def _replace_parts(live: Object, wanted: Object) -> list[dict[str, Any]]:
    """Return the operations that make a live object the wanted one, but for what a server keeps."""
    kept = ("apiVersion", "kind", "metadata", "status")
    parts = [
        {"op": "add", "path": f"/{name}", "value": part}
        for name, part in wanted.items()
        if name not in kept
    ]
    parts += [
        {"op": "remove", "path": f"/{name}"}
        for name in live
        if name not in kept and name not in wanted
    ]
    metadata = wanted["metadata"]
    return [
        *parts,
        *(
            {"op": "add", "path": f"/metadata/{name}", "value": metadata.get(name) or nothing}
            for name, nothing in _SET_METADATA.items()
            if name in metadata or name in live["metadata"]
        ),
    ]


def _keep_choice(tried: Object, found: Applied, body: Object, live: Object | None) -> Object:
    """Return the object with a choice that no dry run may be told; see :mod:`..applying.choices`."""
    choice = find_choice(body, live)
    if choice is None:
        return tried
    return {**tried, "spec": {**tried["spec"], choice: found.body["spec"][choice]}}
