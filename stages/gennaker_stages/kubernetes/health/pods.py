"""Which Pods belong to a workload, and which of them to its newest revision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gennaker_stages.kubernetes.health.verdict import list_maps, read_map

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.client.cluster import Cluster

__all__ = [
    "REVISION",
    "WITH_PODS",
    "collect_images",
    "find_pods",
    "find_pods_of",
    "has_pod",
    "is_of_revision",
    "write_selector",
]

Object = Mapping[str, Any]
WITH_PODS = (
    "apps/Deployment",
    "apps/StatefulSet",
    "apps/DaemonSet",
    "apps/ReplicaSet",
    "batch/Job",
    "Pod",
)
"""Kinds that run Pods of their own, as ``GROUP/Kind``."""
REVISION = "deployment.kubernetes.io/revision"
"""An annotation of Deployments and their ReplicaSets: the number of the revision."""
_FEW = 3
"""So many workloads of a namespace are asked for their Pods one by one; for more all are listed."""


def find_pods(cluster: Cluster, workload: Object) -> list[dict[str, Any]]:
    """Return the live Pods of a workload that are not on their way out."""
    metadata = workload["metadata"]
    pods = cluster.find_resource("v1", "Pod")
    if workload["kind"] == "Pod":
        pod = cluster.read(pods, metadata["namespace"], metadata["name"])
        return [pod] if pod is not None else []
    selector = write_selector(read_map(workload, "spec", "selector"))
    if not selector:
        return []
    found = cluster.list_objects(pods, metadata["namespace"], labels=selector)["items"]
    return [each for each in found if not each["metadata"].get("deletionTimestamp")]


def find_pods_of(cluster: Cluster, workloads: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the live Pods of several workloads; of many in a namespace with one request."""
    spaces: dict[str, list[dict[str, Any]]] = {}
    for each in workloads:
        spaces.setdefault(str(each["metadata"]["namespace"]), []).append(each)
    found = []
    for namespace, here in spaces.items():
        if len(here) <= _FEW:
            found += [pod for each in here for pod in find_pods(cluster, each)]
            continue
        pods = cluster.list_objects(cluster.find_resource("v1", "Pod"), namespace)["items"]
        found += [pod for pod in pods if any(has_pod(each, pod) for each in here)]
    return found


def collect_images(pods: list[dict[str, Any]]) -> set[str]:
    """Return the images in the specs of the Pods."""
    return {
        container["image"]
        for pod in pods
        for kind in ("initContainers", "containers")
        for container in pod["spec"].get(kind) or ()
    }


def has_pod(workload: Object, pod: Object) -> bool:
    """Return whether a Pod, not on its way out, is one that a workload selects."""
    metadata = pod["metadata"]
    if workload["metadata"].get("namespace") != metadata.get("namespace"):
        return False
    if workload["kind"] == "Pod":
        return bool(workload["metadata"]["name"] == metadata["name"])
    selector = read_map(workload, "spec", "selector")
    labels = read_map(metadata, "labels")
    return (
        bool(selector)
        and not metadata.get("deletionTimestamp")
        and all(labels.get(k) == v for k, v in read_map(selector, "matchLabels").items())
        and all(_fits(each, labels) for each in list_maps(selector, "matchExpressions"))
    )


def is_of_revision(workload: Object, pod: Object, sets: Mapping[tuple[str, str], Any]) -> bool:
    """Return whether a Pod is of the workload as it is now: old ones may fail, they are leaving.

    Args:
        workload: as it is.
        pod: one of its Pods.
        sets: number of the revision of each ReplicaSet, by namespace and name.
    """
    metadata = pod["metadata"]
    labels, kind = read_map(metadata, "labels"), workload["kind"]
    annotations = read_map(workload, "metadata", "annotations")
    if kind == "StatefulSet":
        newest = read_map(workload, "status").get("updateRevision")
        return newest in (None, labels.get("controller-revision-hash"))
    if kind == "DaemonSet":
        newest = annotations.get("deprecated.daemonset.template.generation")
        return newest in (None, labels.get("pod-template-generation", newest))
    owner = next((e for e in list_maps(metadata, "ownerReferences") if e.get("controller")), {})
    if kind != "Deployment" or owner.get("kind") != "ReplicaSet":
        return True
    number = sets.get((metadata["namespace"], str(owner.get("name"))))
    return number is not None and number == annotations.get(REVISION)


def _fits(rule: Object, labels: Object) -> bool:
    values = rule.get("values") or ()
    value = labels.get(rule["key"])
    return {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }[rule["operator"]]


def write_selector(selector: Object) -> str:
    """Return a selector of labels as requests have it."""
    parts = [f"{key}={value}" for key, value in read_map(selector, "matchLabels").items()]
    for each in list_maps(selector, "matchExpressions"):
        values = ",".join(each.get("values") or ())
        operators = {
            "In": f"{each['key']} in ({values})",
            "NotIn": f"{each['key']} notin ({values})",
            "Exists": each["key"],
            "DoesNotExist": f"!{each['key']}",
        }
        parts.append(operators[each["operator"]])
    return ",".join(parts)
