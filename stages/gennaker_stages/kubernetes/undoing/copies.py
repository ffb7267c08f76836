"""Copies of Secrets, kept in the cluster beside them: their values are in no artifact and no journal.

Who may read the Secret may read its copy, and nobody else. Deploys are put back from the last one on, so
when one has succeeded the copies of the last :data:`KEPT` of a set stay, and older ones go.
"""

from __future__ import annotations

import hashlib
import re
from itertools import chain
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
KEPT = 10
"""Of how many deploys; as many releases as Helm keeps."""
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
    """Delete the copies that earlier deploys of the set kept, but for those of the last ones."""
    resource = cluster.find_resource("v1", "Secret")
    copies: dict[str, list[Object]] = {}
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
            keeper = (each["metadata"].get("annotations") or {}).get(_BY, "")
            copies.setdefault(keeper, []).append(each)
    copies.pop(_name_keeper(ctx), None)
    oldest_last = sorted(copies.values(), key=_find_age, reverse=True)
    for each in chain.from_iterable(oldest_last[KEPT - 1 :]):
        metadata = each["metadata"]
        cluster.delete(resource, metadata["namespace"], metadata["name"], uid=metadata["uid"])


def _find_age(copies: list[Object]) -> tuple[str, int]:
    """Return what orders deploys by when they kept their copies; servers tell whole seconds."""
    last = max(copies, key=lambda each: str(each["metadata"]["creationTimestamp"]))["metadata"]
    number = re.search(r"([0-9]+)/", (last.get("annotations") or {}).get(_BY, ""))
    return last["creationTimestamp"], int(number[1]) if number else 0


def _name_keeper(ctx: Context) -> str:
    return f"{ctx.run.id}/{ctx.instance}"
