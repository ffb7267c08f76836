"""A live object by what people call it: ``deploy/web``, ``Deployment/web``, ``widgets.example.test/one``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gennaker.errors import InvalidInput
from gennaker.fields import ThingMissing
from gennaker.suggestions import suggest

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.client.cluster import Cluster, Resource

__all__ = ["find_object"]


def find_object(cluster: Cluster, kind: str, name: str) -> dict[str, Any]:
    """Return a live object.

    Args:
        cluster: where.
        kind: kind, plural or short name, in any case; ``.GROUP`` may follow.
        name: its name, in the environment's namespace; ``NAMESPACE/NAME`` for another.

    Raises:
        InvalidInput: code ``unknown-kind``.
        ThingMissing: there is none of that name.
        StageError: when the cluster cannot be asked.
    """
    resource = _find_kind(cluster, kind)
    namespace, slash, last = name.rpartition("/")
    place = (namespace if slash else cluster.settings.namespace) if resource.namespaced else None
    found = cluster.read(resource, place, last)
    if found is not None:
        return found
    page = next(cluster.list_pages(resource, place))
    names = [each["metadata"]["name"] for each in page["items"]]
    where = f" in namespace {place!r}" if place else ""
    raise ThingMissing(
        f"there is no {resource.kind} {last!r}{where}",
        f"{resource.kind}/{last}",
        hint=suggest(last, names),
    )


def _find_kind(cluster: Cluster, kind: str) -> Resource:
    wanted, _, group = kind.lower().partition(".")
    known = []
    for each in _list_resources(cluster):
        names = {each.kind.lower(), each.plural, *each.short_names}
        if wanted in names and group in ("", each.group):
            return each
        known.append(each.kind)
    raise InvalidInput(
        f"the cluster does not know kind {kind!r}", code="unknown-kind", hint=suggest(kind, known)
    )


def _list_resources(cluster: Cluster) -> Iterator[Resource]:
    """Yield what can be read, the core's kinds first, of each group the preferred version first."""
    for version in cluster.discovery.api_versions():
        for each in cluster.discovery.kinds(version).values():
            if {"get", "list"} <= each.verbs:
                yield each
