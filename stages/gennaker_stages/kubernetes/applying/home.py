"""The environment's namespace, made when it is missing, and others, which have to be there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gennaker.errors import PermanentError, StageError
from gennaker.stage import Change
from gennaker_stages.kubernetes.bundle.objects import Object, name_of
from gennaker_stages.kubernetes.client.cluster import FIELD_MANAGER
from gennaker_stages.kubernetes.planning.difference import find_differences
from gennaker_stages.kubernetes.planning.refusal import explain_refusal
from gennaker_stages.kubernetes.planning.unchanged import is_unchanged

if TYPE_CHECKING:
    from gennaker.stage import Context
    from gennaker_stages.kubernetes.client.cluster import Cluster
    from gennaker_stages.kubernetes.settings import KubernetesSettings

__all__ = [
    "Home",
    "check_namespaces",
    "describe_home",
    "find_home",
    "has_namespace",
    "plan_home",
    "write_home",
]

Home = tuple[Object, Object | None]
"""The environment's namespace as it is to be, and as it is, None when it is not there."""


def describe_home(settings: KubernetesSettings, objects: Iterable[Object]) -> Object | None:
    """Return the namespace that a deploy makes; None when it makes none or the bundle has it; pure."""
    name, wanted = settings.namespace, settings.create_namespace
    if not wanted or any(
        each["kind"] == "Namespace" and each["metadata"]["name"] == name for each in objects
    ):
        return None
    marks = {} if wanted is True else wanted.model_dump(exclude_defaults=True)
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, **marks}}


def plan_home(cluster: Cluster, objects: Iterable[Object]) -> list[Change]:
    """Return what would change of a namespace that is there; one that is not is planned with the objects."""
    body = describe_home(cluster.settings, objects)
    if body is None or not _has_marks(body):
        return []
    resource = cluster.find_resource("v1", "Namespace")
    live = cluster.read(resource, None, body["metadata"]["name"])
    if live is None or is_unchanged(live, body, FIELD_MANAGER):
        return []
    try:
        found = cluster.apply(resource, body, dry_run=True)
    except StageError as error:
        return [explain_refusal(error, body, live)]
    differences = find_differences(live, found)
    return [Change("change", name_of(body), "", differences)] if differences else []


def find_home(cluster: Cluster, objects: Iterable[Object]) -> Home | None:
    """Return the namespace as it is to be and as it is, None when there is nothing to write."""
    body = describe_home(cluster.settings, objects)
    if body is None:
        return None
    live = cluster.read(cluster.find_resource("v1", "Namespace"), None, body["metadata"]["name"])
    if live is not None and (not _has_marks(body) or is_unchanged(live, body, FIELD_MANAGER)):
        return None
    return body, live


def check_namespaces(cluster: Cluster, objects: Iterable[Object], *, first: bool) -> None:
    """Refuse objects for namespaces that nobody makes, before any other is applied.

    Args:
        cluster: where.
        objects: all that will be applied.
        first: whether nothing tells that the environment's own namespace is there.

    Raises:
        PermanentError: code ``namespace-missing``.
    """
    held = list(objects)
    made = {each["metadata"]["name"] for each in held if each["kind"] == "Namespace"}
    own = cluster.settings.namespace
    if not first or cluster.settings.create_namespace:
        made.add(own)
    places: dict[str, list[str]] = {}
    for each in held:
        places.setdefault(each["metadata"].get("namespace") or "", []).append(name_of(each))
    for name in sorted(places.keys() - made - {""}):
        if not has_namespace(cluster, name):
            more = f" and {len(places[name]) - 1} more" if len(places[name]) > 1 else ""
            raise PermanentError(
                f"there is no namespace {name!r} in the cluster, into which {places[name][0]}{more} "
                "would go (nothing was applied)",
                code="namespace-missing",
                hint="create it, or set 'create_namespace: true' in the environment"
                if name == own
                else "create it, put it into the bundle, or let the manifests leave it out",
            )


def has_namespace(cluster: Cluster, name: str) -> bool:
    """Return whether there is a namespace; one that may not be looked at is taken to be there."""
    try:
        return cluster.read(cluster.find_resource("v1", "Namespace"), None, name) is not None
    except PermanentError:
        return True  # whoever writes into it is told


def write_home(cluster: Cluster, ctx: Context, home: Home | None) -> None:
    """Make the namespace, or give it the labels and annotations it is to have.

    Raises:
        FieldConflict: another manager has given it other ones.
    """
    if home is not None:
        body, live = home
        cluster.apply(cluster.find_resource("v1", "Namespace"), body)
        ctx.log(f"{'created' if live is None else 'changed'} {name_of(body)}")


def _has_marks(body: Object) -> bool:
    return len(body["metadata"]) > 1
