"""The live objects of a bundle, read with few requests: a list for each kind and namespace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gennaker.errors import PermanentError, StageError
from gennaker_stages.kubernetes.bundle.objects import Object, key_of
from gennaker_stages.kubernetes.bundle.versions import list_used
from gennaker_stages.kubernetes.client.parallel import work_in_parallel

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.client.cluster import Cluster, Resource

__all__ = ["Live", "read_live"]

Key = tuple[str, str, str, str]
_FEW = 3
"""Below this many objects of a kind in a namespace each is read by itself."""
_CROWD = 20
"""A list is left when the namespace has this many times more objects of the kind than are wanted."""


@dataclass(slots=True)
class Live:
    """What was read.

    Attributes:
        objects: by key; None for one that is not there.
        unknown: keys of those whose kind the cluster does not know yet.
        errors: why an object could not be read, by key.
    """

    objects: dict[Key, dict[str, Any] | None] = field(default_factory=dict)
    unknown: set[Key] = field(default_factory=set)
    errors: dict[Key, StageError] = field(default_factory=dict)

    def list_used(self) -> frozenset[tuple[str, str, str]]:
        """Return kind, namespace and name of each ConfigMap and Secret that the objects refer to."""
        return frozenset(list_used(each for each in self.objects.values() if each is not None))


def read_live(cluster: Cluster, objects: Iterable[Object]) -> Live:
    """Read what is live of each of the objects.

    Args:
        cluster: where.
        objects: placed, with namespaces.

    Raises:
        StageError: when the cluster cannot be reached.
    """
    live = Live()
    groups: dict[tuple[Resource, str], list[Object]] = {}
    for each in objects:
        try:
            resource = cluster.find_resource(each["apiVersion"], each["kind"])
        except PermanentError as error:
            if error.code != "unknown-kind":
                raise
            live.unknown.add(key_of(each))
            continue
        groups.setdefault((resource, each["metadata"].get("namespace") or ""), []).append(each)

    def read(group: tuple[tuple[Resource, str], list[Object]]) -> None:
        _read_group(cluster, group[0], group[1], live)

    work_in_parallel(read, list(groups.items()))
    return live


def _read_group(
    cluster: Cluster, where: tuple[Resource, str], objects: list[Object], live: Live
) -> None:
    """Read the objects of one kind in one namespace, by a list when there are many."""
    resource, namespace = where
    wanted = {each["metadata"]["name"]: key_of(each) for each in objects}
    if len(wanted) > _FEW:
        try:
            _read_list(cluster, resource, namespace, wanted, live)
        except PermanentError as error:
            if error.code != "cluster-forbidden":
                raise
    # All that the list did not settle, because there was none or it was left.
    for name, key in wanted.items():
        if key not in live.objects:
            try:
                live.objects[key] = cluster.read(resource, namespace or None, name)
            except PermanentError as error:
                live.errors[key] = error


def _read_list(
    cluster: Cluster, resource: Resource, namespace: str, wanted: Mapping[str, Key], live: Live
) -> None:
    """Keep the wanted ones of a list; those that are not in a whole list are not there."""
    head = {"apiVersion": resource.api_version, "kind": resource.kind}
    for page in cluster.list_pages(resource, namespace or None):
        for each in page["items"]:
            key = wanted.get(each["metadata"]["name"])
            if key is not None:
                live.objects[key] = {**head, **each}
        if page["metadata"].get("remainingItemCount", 0) > _CROWD * len(wanted):
            return
    for key in wanted.values():
        live.objects.setdefault(key, None)
