"""Where the object of an operation lives: its kind as people write it, its namespace, itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gennaker.errors import PermanentError
from gennaker.records import dataclass
from gennaker.suggestions import find_nearest, suggest

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.client.cluster import Cluster, Resource
    from gennaker_stages.kubernetes.operations.base import ObjectInputs

__all__ = [
    "LATER",
    "Place",
    "find_kind",
    "find_namespace",
    "find_place",
    "plan_place",
    "read_object",
    "refuse_secret",
]

LATER = "the cluster does not know its kind yet"
"""What a plan says of an object whose kind an earlier stage may define."""
Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object lives."""

    resource: Resource
    namespace: str | None
    name: str


def find_place(cluster: Cluster, inputs: ObjectInputs) -> Place:
    """Return where the object of an operation lives.

    Raises:
        PermanentError: codes ``unknown-kind`` and ``bundle-namespace``.
    """
    kind, _, name = inputs.object.partition("/")
    resource = find_kind(cluster, inputs.api_version, kind)
    return Place(resource, find_namespace(cluster, resource, inputs.namespace, inputs.object), name)


def plan_place(cluster: Cluster, inputs: ObjectInputs) -> Place | None:
    """Return where the object would be looked for; None when an earlier stage may define its kind.

    Raises:
        PermanentError: as :func:`find_place`; of a kind that is probably misspelt, too.
    """
    try:
        return find_place(cluster, inputs)
    except PermanentError as error:
        if error.code != "unknown-kind" or not _may_be_defined(cluster, inputs):
            raise
    return None


def _may_be_defined(cluster: Cluster, inputs: ObjectInputs) -> bool:
    """Whether a kind that the cluster does not know looks like one that it may be taught."""
    kind, version = inputs.object.partition("/")[0], inputs.api_version
    if version is None:
        return find_nearest(kind, cluster.discovery.kind_names()) is None
    # The groups of Kubernetes' own kinds have no dot, or are its own.
    group = version.rpartition("/")[0]
    is_own = "." not in group or group.endswith(".k8s.io")
    return not is_own and find_nearest(kind, cluster.discovery.kinds(version)) is None


def find_namespace(
    cluster: Cluster, resource: Resource, namespace: str | None, what: str
) -> str | None:
    """Return the namespace of an operation on ``what``; None for kinds that have none.

    Args:
        cluster: whose environment's namespaces are allowed.
        resource: the kind.
        namespace: the one that was asked for; the environment's unless given.
        what: the object or objects in words.

    Raises:
        PermanentError: code ``bundle-namespace``.
    """
    settings = cluster.settings
    namespace = namespace or settings.namespace
    allowed = {settings.namespace, *settings.namespaces}
    if resource.namespaced and namespace not in allowed and "*" not in allowed:
        raise PermanentError(
            f"{what} is in namespace {namespace!r}, the environment is {settings.namespace!r}",
            code="bundle-namespace",
            hint=f"allow it in the environment: 'namespaces: [{namespace}]'",
        )
    return namespace if resource.namespaced else None


def read_object(cluster: Cluster, place: Place) -> Object:
    """Return the live object.

    Raises:
        PermanentError: code ``object-missing``.
    """
    live = cluster.read(place.resource, place.namespace, place.name)
    if live is None:
        where = f" in namespace {place.namespace!r}" if place.namespace else ""
        raise PermanentError(
            f"there is no {place.resource.kind}/{place.name}{where}",
            code="object-missing",
            hint="look whether it was deployed, and whether the environment is the right one",
        )
    return place.resource.complete(live)


def refuse_secret(place: Place, told: str, *, hint: str) -> None:
    """Refuse a Secret, whether it is there or not.

    Raises:
        PermanentError: code ``secret-object``.
    """
    if (place.resource.api_version, place.resource.kind) == ("v1", "Secret"):
        raise PermanentError(told, code="secret-object", hint=hint)


def find_kind(cluster: Cluster, api_version: str | None, kind: str) -> Resource:
    """Return the kind; of several groups that have it the core, then ``apps``.

    Raises:
        PermanentError: code ``unknown-kind``.
    """
    if api_version is not None:
        return cluster.find_resource(api_version, kind)
    found: dict[str, Resource] = {}
    known: set[str] = set()
    for version in cluster.discovery.api_versions():
        kinds = cluster.discovery.kinds(version)
        known.update(kinds)
        resource = kinds.get(kind)
        if resource is not None:
            found.setdefault(resource.group, resource)
    if "" in found or "apps" in found or len(found) == 1:
        return found.get("") or found.get("apps") or next(iter(found.values()))
    if not found:
        raise PermanentError(
            f"the cluster does not know kind {kind!r}",
            code="unknown-kind",
            hint=suggest(kind, known, otherwise="kinds are written as in manifests: Deployment"),
        )
    versions = ", ".join(sorted(each.api_version for each in found.values()))
    raise PermanentError(
        f"several groups have kind {kind!r}: {versions}",
        code="unknown-kind",
        hint="say which with 'api_version'",
    )
