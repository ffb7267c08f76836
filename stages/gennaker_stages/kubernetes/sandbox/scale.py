"""The ``scale`` subresource: an ``autoscaling/v1`` Scale as a view of a workload. Called by :mod:`.api`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .patches import apply_json_patch, merge_patch
from .problems import Cause, invalid
from .resources import Resource

__all__ = ["change", "describe"]

Object = dict[str, Any]


def describe(resource: Resource, obj: Mapping[str, Any]) -> Object:
    """Return the Scale of a workload."""
    labels = (obj["spec"].get("selector") or {}).get("matchLabels") or {}
    selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    metadata = {key: obj["metadata"][key] for key in kept if key in obj["metadata"]}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": _drop_zero({"replicas": obj["spec"].get("replicas", 0)}),
        "status": {"replicas": obj.get("status", {}).get("replicas", 0), "selector": selector},
    }


def _drop_zero(values: Object) -> Object:
    return {key: value for key, value in values.items() if value}


def change(
    resource: Resource, live: Mapping[str, Any], body: Any, form: str
) -> Callable[[Object], Object]:
    """Return what a PUT or patch (``json``, ``merge``, ``strategic``) of the Scale does to it."""
    before = describe(resource, live)
    if form == "put":
        wanted = body
    elif form == "json":
        wanted = apply_json_patch(before, body)
    else:
        wanted = merge_patch(before, body)
    replicas = (wanted.get("spec") or {}).get("replicas", 0)
    if not isinstance(replicas, int) or replicas < 0:
        text = "must be greater than or equal to 0"
        name = live["metadata"]["name"]
        raise invalid("Scale", "autoscaling", name, [Cause.wrong("spec.replicas", replicas, text)])

    def function(obj: Object) -> Object:
        obj["spec"]["replicas"] = replicas
        return obj

    return function
