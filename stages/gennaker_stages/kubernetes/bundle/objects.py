"""A bundle's objects: read, checked, put into the namespace and into a sound order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gennaker.errors import InvalidInput, PermanentError
from gennaker.yamltext import MANIFEST_LIMITS, compose_all

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.client.cluster import Cluster

__all__ = ["name_of", "place_objects", "read_bundle", "sort_objects"]

Object = dict[str, Any]

# What others refer to comes first; a kind that is not listed (custom ones) comes last, after the
# definition that makes it known. The order is Helm's, with namespaces and definitions in front.
_ORDER = (
    "Namespace CustomResourceDefinition PriorityClass NetworkPolicy ResourceQuota LimitRange "
    "PodDisruptionBudget ServiceAccount Secret ConfigMap StorageClass PersistentVolume "
    "PersistentVolumeClaim ClusterRole ClusterRoleBinding Role RoleBinding Service DaemonSet Pod "
    "ReplicationController ReplicaSet Deployment HorizontalPodAutoscaler StatefulSet Job CronJob "
    "IngressClass Ingress APIService MutatingWebhookConfiguration ValidatingWebhookConfiguration"
)
_RANK = {kind: index for index, kind in enumerate(_ORDER.split())}


def name_of(body: Mapping[str, Any]) -> str:
    """Return ``Kind/name``, how people speak of an object."""
    return f"{body.get('kind')}/{(body.get('metadata') or {}).get('name')}"


def read_bundle(content: bytes, shown: str) -> list[Object]:
    """Return the objects of a multi-document YAML, lists flattened, in the order written.

    Raises:
        PermanentError: code ``bundle`` with every object that is none, and every duplicate.
    """
    try:
        documents = compose_all(content, file=shown, schema="1.1", limits=MANIFEST_LIMITS)
    except InvalidInput as error:
        raise PermanentError(
            f"the bundle is not YAML: {error.problems[0]}", code="bundle"
        ) from error
    found: list[Object] = []
    faults: list[str] = []
    for number, document in enumerate(documents, 1):
        for body in _flatten(document.data):
            fault = _find_fault(body)
            if fault is not None:
                faults.append(f"object {number} {fault}")
            else:
                found.append(body)
    seen: set[tuple[Any, ...]] = set()
    for body in found:
        metadata = body["metadata"]
        key = (body["apiVersion"], body["kind"], metadata.get("namespace"), metadata["name"])
        if key in seen:
            faults.append(f"{name_of(body)} is there twice")
        seen.add(key)
    if faults:
        raise PermanentError(f"the bundle is wrong: {'; '.join(faults)}", code="bundle")
    return found


def place_objects(objects: Iterable[Object], cluster: Cluster, namespace: str) -> list[Object]:
    """Return copies with the namespace put in where a namespaced object has none.

    A kind that a definition in the same bundle makes known is looked up when it is applied.
    """
    made_here = {
        (f"{each['spec'].get('group')}", (each["spec"].get("names") or {}).get("kind")): each
        for each in objects
        if each["kind"] == "CustomResourceDefinition" and isinstance(each.get("spec"), dict)
    }
    placed = []
    for body in objects:
        group = body["apiVersion"].rpartition("/")[0]
        definition = made_here.get((group, body["kind"]))
        if definition is not None:
            namespaced = definition["spec"].get("scope") == "Namespaced"
        else:
            namespaced = cluster.find_resource(body["apiVersion"], body["kind"]).namespaced
        metadata = dict(body["metadata"])
        if namespaced:
            metadata.setdefault("namespace", namespace)
        elif "namespace" in metadata:
            raise PermanentError(
                f"{name_of(body)} has a namespace, but its kind belongs to the whole cluster",
                code="bundle",
            )
        placed.append({**body, "metadata": metadata})
    return placed


def sort_objects(objects: Iterable[Object]) -> list[Object]:
    """Return the objects so that what others refer to comes first; ties stay as written."""
    return sorted(objects, key=lambda each: _RANK.get(each["kind"], len(_RANK)))


def _flatten(data: Any) -> Iterator[Any]:
    if (
        isinstance(data, dict)
        and data.get("kind") == "List"
        and isinstance(data.get("items"), list)
    ):
        for each in data["items"]:
            yield from _flatten(each)
    else:
        yield data


def _find_fault(body: Any) -> str | None:
    if not isinstance(body, dict):
        return "is not a mapping"
    for key in ("apiVersion", "kind"):
        if not isinstance(body.get(key), str) or not body[key]:
            return f"has no {key}"
    metadata = body.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        return f"({body['kind']}) has no metadata.name"
    return None
