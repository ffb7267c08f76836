"""The health of what does not run itself: addresses, volumes, definitions, autoscalers. Pure.

Sources as in :mod:`gennaker_stages.kubernetes.health.workloads`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gennaker_stages.kubernetes.health.verdict import (
    READY,
    Health,
    find_condition,
    list_maps,
    read_map,
    tell_condition,
)

__all__ = ["RESOURCE_RULES"]

Object = Mapping[str, Any]
HPA_CONDITIONS = "autoscaling.alpha.kubernetes.io/conditions"
"""Where version 1 of an autoscaler, which has no conditions, keeps them as JSON."""
HPA_BROKEN = {
    "AbleToScale": ("FailedGetScale", "FailedUpdateScale"),
    "ScalingActive": (
        "FailedGetResourceMetric",
        "FailedGetObjectMetric",
        "FailedGetPodsMetric",
        "FailedGetExternalMetric",
        "FailedComputeMetricsReplicas",
        "InvalidSelector",
    ),
}


def _check_address(body: Object) -> Health:
    ingress = list_maps(read_map(body, "status", "loadBalancer"), "ingress")
    return READY if any(True for _ in ingress) else Health("progressing", "has no address yet")


def _check_service(body: Object) -> Health:
    spec = read_map(body, "spec")
    if spec.get("type") != "LoadBalancer":
        return READY
    if not spec.get("clusterIP"):
        return Health("progressing", "has no cluster IP yet")
    return _check_address(body)


def _check_claim(body: Object) -> Health:
    phase = read_map(body, "status").get("phase")
    if phase == "Lost":
        return Health("failed", "its volume is lost")
    return READY if phase == "Bound" else Health("progressing", f"is {phase or 'Pending'}")


def _check_autoscaler(body: Object) -> Health:
    status: Object = read_map(body, "status")
    if body.get("apiVersion") == "autoscaling/v1":
        text = read_map(body, "metadata", "annotations").get(HPA_CONDITIONS)
        try:
            status = {"conditions": json.loads(str(text)) if text else []}
        except ValueError:
            return Health("progressing", f"its annotation {HPA_CONDITIONS!r} is no JSON")
    conditions = list(list_maps(status, "conditions"))
    for each in conditions:
        if each.get("reason") in HPA_BROKEN.get(str(each.get("type")), ()):
            return Health("degraded", tell_condition(each))
    for each in conditions:
        if each.get("type") in ("AbleToScale", "ScalingLimited") and each.get("status") == "True":
            return READY
    return Health("progressing", "does not scale yet")


def _check_api_service(body: Object) -> Health:
    available = find_condition(read_map(body, "status"), "Available")
    if available.get("status") == "True":
        return READY
    return Health("progressing", tell_condition(available, "is not available yet"))


def _check_definition(body: Object) -> Health:
    status = read_map(body, "status")
    names = find_condition(status, "NamesAccepted")
    if names.get("status") == "False":
        return Health("failed", tell_condition(names))
    established = find_condition(status, "Established")
    if established.get("status") == "True":
        return READY
    if established.get("status") == "False" and established.get("reason") != "Installing":
        return Health("failed", tell_condition(established))
    return Health("progressing", "is not established yet")


def _check_workflow(body: Object) -> Health:
    status = read_map(body, "status")
    phase = status.get("phase")
    if phase == "Succeeded":
        return READY
    said = tell_condition({"reason": phase, "message": status.get("message")})
    return Health("failed" if phase in ("Failed", "Error") else "progressing", said or "is Pending")


RESOURCE_RULES = {
    "Service": _check_service,
    "PersistentVolumeClaim": _check_claim,
    "networking.k8s.io/Ingress": _check_address,
    "extensions/Ingress": _check_address,
    "autoscaling/HorizontalPodAutoscaler": _check_autoscaler,
    "apiregistration.k8s.io/APIService": _check_api_service,
    "apiextensions.k8s.io/CustomResourceDefinition": _check_definition,
    "argoproj.io/Workflow": _check_workflow,
}
"""``GROUP/Kind`` to its rule."""
