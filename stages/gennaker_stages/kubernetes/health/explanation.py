"""Why a workload does not get ready: the container, its reason, the event; in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gennaker_stages.kubernetes.bundle.objects import name_of

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.client.cluster import Cluster

__all__ = ["collect_images", "explain_workload", "find_pods", "find_pods_of"]

Object = Mapping[str, Any]
_FEW = 3
"""So many workloads of a namespace are asked for their Pods one by one; for more all are listed."""


def find_pods(cluster: Cluster, workload: Object) -> list[dict[str, Any]]:
    """Return the live Pods of a workload that are not on their way out."""
    metadata = workload["metadata"]
    pods = cluster.find_resource("v1", "Pod")
    if workload["kind"] == "Pod":
        pod = cluster.read(pods, metadata["namespace"], metadata["name"])
        return [pod] if pod is not None else []
    selector = _write_selector((workload.get("spec") or {}).get("selector") or {})
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
        found += [pod for pod in pods if any(_has_pod(each, pod) for each in here)]
    return found


def collect_images(pods: list[dict[str, Any]]) -> set[str]:
    """Return the images in the specs of the Pods."""
    return {
        container["image"]
        for pod in pods
        for kind in ("initContainers", "containers")
        for container in pod["spec"].get(kind) or ()
    }


def explain_workload(cluster: Cluster, workload: Object) -> list[str]:
    """Return the reasons why a workload is not ready, most telling first; empty when none is seen."""
    reasons = list(_find_conditions(workload))
    for pod in find_pods(cluster, workload)[:20]:
        found = list(_find_containers(pod))
        if found or not _is_ready(pod):
            found = found or [f"pod {pod['metadata']['name']} is {_phase(pod)}"]
            reasons += found
            reasons += _find_events(cluster, pod)
    if not reasons:
        reasons += _find_events(cluster, workload)
    return list(dict.fromkeys(reasons))[:8]


def _find_conditions(workload: Object) -> Iterator[str]:
    for each in (workload.get("status") or {}).get("conditions") or ():
        if each.get("type") == "ReplicaFailure" and each.get("status") == "True":
            yield f"{each.get('reason')}: {each.get('message')}"


def _find_containers(pod: Object) -> Iterator[str]:
    status = pod.get("status") or {}
    for kind in ("initContainerStatuses", "containerStatuses"):
        for each in status.get(kind) or ():
            where = f"pod {pod['metadata']['name']}, container {each['name']}"
            waiting = (each.get("state") or {}).get("waiting") or {}
            ended = (each.get("state") or {}).get("terminated") or {}
            before = (each.get("lastState") or {}).get("terminated") or {}
            if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
                text = f"{where}: {waiting['reason']}"
                if waiting.get("message"):
                    text += f": {waiting['message']}"
                if before:
                    text += f" (last exit code {before.get('exitCode')}, {before.get('reason')})"
                yield text
            elif ended and ended.get("exitCode"):
                yield f"{where}: ended with exit code {ended['exitCode']} ({ended.get('reason')})"
            elif (each.get("state") or {}).get("running") and not each.get("ready"):
                yield f"{where}: runs but is not ready"
    for each in status.get("conditions") or ():
        if each.get("type") == "PodScheduled" and each.get("status") == "False":
            yield f"pod {pod['metadata']['name']}: {each.get('reason')}: {each.get('message')}"


def _find_events(cluster: Cluster, body: Object) -> list[str]:
    metadata = body["metadata"]
    fields = f"involvedObject.name={metadata['name']}"
    if metadata.get("uid"):
        fields += f",involvedObject.uid={metadata['uid']}"
    events = cluster.find_resource("v1", "Event")
    found = cluster.list_objects(events, metadata.get("namespace"), fields=fields)["items"]
    warnings = [each for each in found if each.get("type") == "Warning"]
    warnings.sort(key=lambda each: str(each.get("lastTimestamp") or each.get("eventTime") or ""))
    return [
        f"event of {name_of({**body, 'kind': body.get('kind') or 'Pod'})}: "
        f"{each.get('reason')}: {str(each.get('message')).strip()}"
        for each in warnings[-2:]
    ]


def _has_pod(workload: Object, pod: Object) -> bool:
    metadata = pod["metadata"]
    if workload["kind"] == "Pod":
        return bool(workload["metadata"]["name"] == metadata["name"])
    selector = (workload.get("spec") or {}).get("selector") or {}
    labels = metadata.get("labels") or {}
    return (
        bool(selector)
        and not metadata.get("deletionTimestamp")
        and all(labels.get(k) == v for k, v in (selector.get("matchLabels") or {}).items())
        and all(_fits(each, labels) for each in selector.get("matchExpressions") or ())
    )


def _fits(rule: Object, labels: Object) -> bool:
    values = rule.get("values") or ()
    value = labels.get(rule["key"])
    return {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }[rule["operator"]]


def _is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)


def _phase(pod: Object) -> str:
    return str((pod.get("status") or {}).get("phase") or "Pending")


def _write_selector(selector: Object) -> str:
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for each in selector.get("matchExpressions") or ():
        values = ",".join(each.get("values") or ())
        operators = {
            "In": f"{each['key']} in ({values})",
            "NotIn": f"{each['key']} notin ({values})",
            "Exists": each["key"],
            "DoesNotExist": f"!{each['key']}",
        }
        parts.append(operators[each["operator"]])
    return ",".join(parts)
