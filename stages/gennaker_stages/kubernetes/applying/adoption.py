"""Taking over objects that were made with ``kubectl apply`` (client-side), as kubectl itself does.

Their fields belong to the manager ``kubectl-client-side-apply``. Without this a change of one would be
a conflict, and a field that left the manifest would stay for ever. What that manager owns becomes ours
(compare ``client-go/util/csaupgrade``); the next apply then removes what is not desired, the annotation
``kubectl.kubernetes.io/last-applied-configuration`` among it, so that nobody mistakes it for the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gennaker.errors import StageError
from gennaker_stages.kubernetes.applying.fields import find_entry
from gennaker_stages.kubernetes.applying.fieldsets import remove_fields, unite
from gennaker_stages.kubernetes.applying.rules import CLIENT_SIDE
from gennaker_stages.kubernetes.client.cluster import FIELD_MANAGER, Cluster, Resource
from gennaker_stages.kubernetes.client.connection import JSON_PATCH
from gennaker_stages.kubernetes.client.problems import has_status

__all__ = ["adopt_object", "change_owners", "leave_out", "part_entries", "take_over"]

Object = Mapping[str, Any]
_TRIES = 5


def take_over(live: Object, managers: frozenset[str] = CLIENT_SIDE) -> list[Any] | None:
    """Return ``managedFields`` in which what ``managers`` own is ours; None when they own nothing."""
    theirs, kept = part_entries(live, managers)
    if not theirs:
        return None
    newest = max(theirs, key=lambda each: str(each.get("time") or ""))
    mine = find_entry({"metadata": {"managedFields": kept}}, FIELD_MANAGER)
    if mine is None:
        mine = {**newest, "manager": FIELD_MANAGER, "operation": "Apply"}
        kept.insert(0, dict(mine))
    fields = mine.get("fieldsV1") or {}
    for each in theirs:
        fields = unite(fields, each.get("fieldsV1") or {})
    for each in kept:
        if each["manager"] == FIELD_MANAGER and each["operation"] == "Apply":
            each["fieldsV1"] = fields
            break
    return kept


def leave_out(applied: Object, managers: frozenset[str] = CLIENT_SIDE) -> Object | None:
    """Return an object, as an apply without taking over makes it, without what taking over removes.

    None when it is the same: everything that ``managers`` own is desired, or somebody else's too.

    Args:
        applied: what the server answers to the apply, with its ``managedFields``.
        managers: whose objects are taken over.
    """
    theirs, kept = part_entries(applied, managers)
    gone, stays = (
        unite(*(each.get("fieldsV1") or {} for each in entries)) for entries in (theirs, kept)
    )
    left = remove_fields(applied, gone, stays)
    return None if left == applied else left


def part_entries(
    live: Object, managers: frozenset[str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the ``managedFields`` of those that are taken over, and all others."""
    entries = [dict(each) for each in live["metadata"].get("managedFields") or ()]
    theirs = [
        each
        for each in entries
        if each.get("manager") in managers
        # kubectl's apply to a server has a manager of its own; Helm's has the same for both.
        and (each.get("operation") == "Update" or each["manager"] not in CLIENT_SIDE)
        and not each.get("subresource")
    ]
    return theirs, [each for each in entries if each not in theirs]


def adopt_object(
    cluster: Cluster, resource: Resource, live: Object, managers: frozenset[str] = CLIENT_SIDE
) -> Object:
    """Make what ``managers`` own of a live object ours and return the object as it is now."""
    return change_owners(cluster, resource, live, lambda now: take_over(now, managers))


def change_owners(
    cluster: Cluster,
    resource: Resource,
    live: Object,
    make_entries: Callable[[Object], list[Any] | None],
) -> Object:
    """Write who owns which fields of a live object, none of its values, and return it as it is now.

    Args:
        cluster: where.
        resource: its kind.
        live: the object.
        make_entries: returns its ``managedFields`` as they are to be, None when they are that.
    """
    metadata = live["metadata"]
    namespace, name = metadata.get("namespace"), metadata["name"]
    for tried in range(_TRIES):
        entries = make_entries(live)
        if entries is None:
            return live
        patch = [
            {"op": "replace", "path": "/metadata/managedFields", "value": entries},
            # The server refuses the patch when the object changed since it was read.
            {
                "op": "replace",
                "path": "/metadata/resourceVersion",
                "value": live["metadata"]["resourceVersion"],
            },
        ]
        try:
            return cluster.patch(resource, namespace, name, patch, content_type=JSON_PATCH)
        except StageError as error:
            again = cluster.read(resource, namespace, name)
            if not has_status(error, 409) or again is None or tried == _TRIES - 1:
                raise
            live = again
    return live
