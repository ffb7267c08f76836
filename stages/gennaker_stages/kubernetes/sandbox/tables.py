"""The ``Table`` form of objects, which kubectl asks for to print them. Called by :mod:`.api`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from .resources import Resource

__all__ = ["to_table"]

Object = Mapping[str, Any]
Cell = Callable[[Object], Any]


def to_table(
    resource: Resource, objects: list[dict[str, Any]], now: float, *, metadata: Object | None = None
) -> dict[str, Any]:
    """Return a table of the objects; ``metadata`` is the list's."""
    columns = [("Name", _name), *_COLUMNS.get(resource.kind, ()), ("Age", _age(now))]
    headers = [
        {
            "name": name,
            "type": "string",
            "format": "name" if name == "Name" else "",
            "description": "",
            "priority": 0,
        }
        for name, _ in columns
    ]
    rows = [
        {"cells": [cell(obj) for _, cell in columns], "object": _partial(obj)} for obj in objects
    ]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": dict(metadata or {}),
        "columnDefinitions": headers,
        "rows": rows,
    }


def _partial(obj: Object) -> dict[str, Any]:
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": obj["metadata"],
    }


def _name(obj: Object) -> str:
    return str(obj["metadata"].get("name", ""))


def _age(now: float) -> Cell:
    def cell(obj: Object) -> str:
        made = obj["metadata"].get("creationTimestamp")
        if not made:
            return "<unknown>"
        return format_age(now - datetime.fromisoformat(made).timestamp())

    return cell


def format_age(seconds: float) -> str:
    """Return a duration as kubectl shows it (``3m20s``, ``5h``, ``12d``)."""
    left = max(0, int(seconds))
    if left < 120:
        return f"{left}s"
    minutes, rest = divmod(left, 60)
    if minutes < 10:
        return f"{minutes}m{rest}s" if rest else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    hours, rest = divmod(minutes, 60)
    if hours < 8:
        return f"{hours}h{rest}m" if rest else f"{hours}h"
    return f"{hours}h" if hours < 48 else f"{hours // 24}d"


def _at(*path: str, default: Any = 0) -> Cell:
    def cell(obj: Object) -> Any:
        found: Any = obj
        for part in path:
            found = found.get(part) if isinstance(found, Mapping) else None
        return default if found is None else found

    return cell


def _of(first: Cell, second: Cell) -> Cell:
    return lambda obj: f"{first(obj)}/{second(obj)}"


def _pod_ready(obj: Object) -> str:
    statuses = obj.get("status", {}).get("containerStatuses", [])
    ready = sum(bool(each.get("ready")) for each in statuses)
    return f"{ready}/{len(obj['spec'].get('containers') or [])}"


def _pod_status(obj: Object) -> str:
    if obj["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for each in obj.get("status", {}).get("containerStatuses", []):
        state = each.get("state", {})
        reason = (state.get("waiting") or state.get("terminated") or {}).get("reason")
        if reason:
            return str(reason)
    return str(obj.get("status", {}).get("phase", "Unknown"))


def _pod_restarts(obj: Object) -> str:
    statuses = obj.get("status", {}).get("containerStatuses", [])
    return str(sum(each.get("restartCount", 0) for each in statuses))


def _external(obj: Object) -> str:
    found = obj.get("status", {}).get("loadBalancer", {}).get("ingress", [])
    addresses = [each.get("ip") or each.get("hostname") for each in found]
    if addresses:
        return ",".join(addresses)
    return "<pending>" if obj["spec"].get("type") == "LoadBalancer" else "<none>"


def _ports(obj: Object) -> str:
    listed = []
    for port in obj["spec"].get("ports", []):
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        listed.append(f"{port['port']}{node}/{port.get('protocol', 'TCP')}")
    return ",".join(listed) or "<none>"


def _count(field: str) -> Cell:
    return lambda obj: str(len(obj.get(field) or {}))


def _job_status(obj: Object) -> str:
    for each in obj.get("status", {}).get("conditions", []):
        if each["type"] in ("Complete", "Failed") and each["status"] == "True":
            return str(each["type"])
    return "Suspended" if obj["spec"].get("suspend") else "Running"


def _node_status(obj: Object) -> str:
    conditions = obj.get("status", {}).get("conditions", [])
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return "Ready" if ready else "NotReady"


def _event_object(obj: Object) -> str:
    involved = obj.get("involvedObject", {})
    return f"{involved.get('kind', '').lower()}/{involved.get('name', '')}"


_READY = _of(_at("status", "readyReplicas"), _at("spec", "replicas"))
_COLUMNS: dict[str, tuple[tuple[str, Cell], ...]] = {
    "Pod": (("Ready", _pod_ready), ("Status", _pod_status), ("Restarts", _pod_restarts)),
    "Deployment": (
        ("Ready", _READY),
        ("Up-to-date", _at("status", "updatedReplicas")),
        ("Available", _at("status", "availableReplicas")),
    ),
    "ReplicaSet": (
        ("Desired", _at("spec", "replicas")),
        ("Current", _at("status", "replicas")),
        ("Ready", _at("status", "readyReplicas")),
    ),
    "StatefulSet": (("Ready", _READY),),
    "DaemonSet": (
        ("Desired", _at("status", "desiredNumberScheduled")),
        ("Current", _at("status", "currentNumberScheduled")),
        ("Ready", _at("status", "numberReady")),
    ),
    "Job": (
        ("Status", _job_status),
        ("Completions", _of(_at("status", "succeeded"), _at("spec", "completions"))),
    ),
    "CronJob": (("Schedule", _at("spec", "schedule")), ("Suspend", _at("spec", "suspend"))),
    "Service": (
        ("Type", _at("spec", "type")),
        ("Cluster-IP", _at("spec", "clusterIP", default="<none>")),
        ("External-IP", _external),
        ("Port(s)", _ports),
    ),
    "ConfigMap": (("Data", _count("data")),),
    "Secret": (("Type", _at("type")), ("Data", _count("data"))),
    "Namespace": (("Status", _at("status", "phase")),),
    "Node": (("Status", _node_status),),
    "PersistentVolumeClaim": (
        ("Status", _at("status", "phase")),
        ("Volume", _at("spec", "volumeName", default="")),
        ("StorageClass", _at("spec", "storageClassName", default="")),
    ),
    "Ingress": (("Class", _at("spec", "ingressClassName", default="<none>")),),
    "Event": (
        ("Type", _at("type")),
        ("Reason", _at("reason")),
        ("Object", _event_object),
        ("Message", _at("message", default="")),
    ),
}
