"""Copies of Secrets, kept in the cluster beside them: their values are in no artifact and no journal.

Who may read the Secret may read its copy, and nobody else. Only the last deploy of an environment can be
put back, so the copies of earlier ones go when a later one has succeeded.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from gennaker.errors import PermanentError
from gennaker_stages.kubernetes.bundle.objects import Object

if TYPE_CHECKING:
    from gennaker.stage import Context
    from gennaker_stages.kubernetes.client.cluster import Cluster
    from gennaker_stages.kubernetes.inventory.applyset import ApplySet

__all__ = ["COPY_LABEL", "drop_copies", "keep_copy", "read_copy"]

COPY_LABEL = "gennaker.dev/before"
"""Its value is the id of the set that the copied Secret belongs to."""
_OF = "gennaker.dev/copy-of"
_BY = "gennaker.dev/kept-by"


def keep_copy(cluster: Cluster, ctx: Context, applyset: ApplySet, live: Object) -> str:
    """Copy a Secret in its namespace and return the name of the copy; the same one again each time."""
    namespace, name = live["metadata"]["namespace"], live["metadata"]["name"]
    by = _name_keeper(ctx)
    mark = hashlib.sha256(f"{applyset.id} {by} {name}".encode()).hexdigest()[:20]
    copy = f"gennaker.before.{mark}"
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": copy,
            "namespace": namespace,
            "labels": {COPY_LABEL: applyset.id},
            "annotations": {_OF: name, _BY: by},
        },
        "data": live.get("data") or {},
    }
    cluster.apply(cluster.find_resource("v1", "Secret"), body, force=True)
    return copy


def read_copy(cluster: Cluster, namespace: str, copy: str) -> dict[str, Any] | None:
    """Return the values of a Secret that was copied; None when the copy is gone."""
    live = cluster.read(cluster.find_resource("v1", "Secret"), namespace, copy)
    return None if live is None else dict(live.get("data") or {})


def drop_copies(cluster: Cluster, ctx: Context, applyset: ApplySet) -> None:
    """Delete the copies that earlier deploys of the set kept; those of this stage stay."""
    resource = cluster.find_resource("v1", "Secret")
    for namespace in (applyset.namespace, *sorted(applyset.namespaces)):
        try:
            found = cluster.list_objects(resource, namespace, labels=f"{COPY_LABEL}={applyset.id}")[
                "items"
            ]
        except PermanentError as error:
            if error.code != "cluster-forbidden":
                raise
            ctx.log(f"old copies of Secrets stay: {error.message}")
            continue
        for each in found:
            metadata = each["metadata"]
            if (metadata.get("annotations") or {}).get(_BY) != _name_keeper(ctx):
                cluster.delete(resource, namespace, metadata["name"], uid=metadata["uid"])


def _name_keeper(ctx: Context) -> str:
    return f"{ctx.run.id}/{ctx.instance}"
