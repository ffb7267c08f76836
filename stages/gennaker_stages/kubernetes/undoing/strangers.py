"""What would go with a namespace or a definition that is removed, though no deploy of ours made it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from gennaker.errors import StageError
from gennaker_stages.kubernetes.applying.fields import find_entry
from gennaker_stages.kubernetes.bundle.objects import Object, key_of, name_of
from gennaker_stages.kubernetes.client.cluster import FIELD_MANAGER
from gennaker_stages.kubernetes.client.parallel import work_in_parallel
from gennaker_stages.kubernetes.client.problems import has_status
from gennaker_stages.kubernetes.health.workloads import HOOKS
from gennaker_stages.kubernetes.inventory.applyset import ID_LABEL
from gennaker_stages.kubernetes.undoing.copies import COPY_LABEL

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.client.cluster import Cluster, Resource

__all__ = ["find_strangers"]

# What the cluster itself puts into a namespace, and what follows from other objects.
_OF_THE_CLUSTER = frozenset(
    {("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt")},
)
_FOLLOWING = frozenset({"Endpoints", "EndpointSlice", "Event", "Lease", "PodMetrics"})


def find_strangers(
    cluster: Cluster, body: Object, going: Collection[tuple[str, str, str, str]]
) -> list[str]:
    """Return what else is in a namespace, or is of a kind that a definition makes; by name.

    Args:
        cluster: where.
        body: a live object that is to be removed; of any other kind nothing depends on it.
        going: what is removed anyway.
    """
    if body["kind"] == "Namespace" and body["apiVersion"] == "v1":
        inside = body["metadata"]["name"]
        places = [(each, inside) for each in _list_resources(cluster) if each.namespaced]
    elif body["kind"] == "CustomResourceDefinition":
        spec = body["spec"]
        resource = cluster.discovery.find_kind(spec["group"], spec["names"]["kind"])
        places = [] if resource is None else [(resource, None)]
    else:
        return []

    def read(place: tuple[Resource, str | None]) -> list[str]:
        return [name_of(each) for each in _list_objects(cluster, *place) if _counts(each, going)]

    return sorted(name for names in work_in_parallel(read, places) for name in names)


def _list_resources(cluster: Cluster) -> Iterator[Resource]:
    """Yield every kind that can be listed, once."""
    seen = set()
    for version in cluster.discovery.api_versions():
        for kind, resource in cluster.discovery.kinds(version).items():
            if (resource.group, kind) not in seen and "list" in resource.verbs:
                seen.add((resource.group, kind))
                yield resource


def _list_objects(
    cluster: Cluster, resource: Resource, namespace: str | None
) -> Iterator[dict[str, Any]]:
    if resource.kind in _FOLLOWING:
        return
    try:
        found = cluster.list_objects(resource, namespace)["items"]
    except StageError as error:
        if has_status(error, 404) or has_status(error, 405):
            return
        raise
    for each in found:
        yield resource.complete(each)


def _counts(body: dict[str, Any], going: Collection[tuple[str, str, str, str]]) -> bool:
    metadata = body["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    ours = COPY_LABEL in labels or (
        str(metadata["name"]).startswith("gennaker.") and ID_LABEL in labels
    )
    hook = any(each in annotations for each in HOOKS) and find_entry(body, FIELD_MANAGER)
    return not (
        ours
        or hook
        or metadata.get("ownerReferences")
        or metadata.get("deletionTimestamp")
        or (body["kind"], metadata["name"]) in _OF_THE_CLUSTER
        or key_of(body) in going
    )
