"""The health of any object, from its own status alone; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gennaker_stages.kubernetes.bundle.objects import group_of
from gennaker_stages.kubernetes.health.custom import HealthRules, judge
from gennaker_stages.kubernetes.health.resources import RESOURCE_RULES
from gennaker_stages.kubernetes.health.verdict import (
    READY,
    Health,
    find_condition,
    is_true,
    read_count,
    read_map,
    tell_condition,
)
from gennaker_stages.kubernetes.health.workloads import WORKLOAD_RULES

__all__ = ["check_health", "is_behind", "is_waited_for", "kind_of"]

Object = Mapping[str, Any]
RULES = {**WORKLOAD_RULES, **RESOURCE_RULES}
REPORTING = ("apps/Deployment", "apps/StatefulSet", "apps/DaemonSet", "apps/ReplicaSet")
"""Kinds whose controllers always say which generation they have seen."""
BUILT_IN = frozenset(
    [
        "",
        "apps",
        "autoscaling",
        "batch",
        "policy",
        "extensions",
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "apiregistration.k8s.io",
        "authentication.k8s.io",
        "authorization.k8s.io",
        "certificates.k8s.io",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "events.k8s.io",
        "flowcontrol.apiserver.k8s.io",
        "networking.k8s.io",
        "node.k8s.io",
        "rbac.authorization.k8s.io",
        "resource.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
        "storagemigration.k8s.io",
    ]
)
"""API groups of Kubernetes itself: their kinds without a rule are ready once they are there."""
AT_ONCE = ("batch/CronJob", "apiextensions.k8s.io/CustomResourceDefinition")
"""Kinds with a rule that nobody waits for: never unready, and established before it is used."""


def kind_of(body: Object) -> str:
    """Return ``GROUP/Kind``, or ``Kind`` of the core: whatever version it is written in."""
    group, kind = group_of(str(body.get("apiVersion") or "")), str(body.get("kind"))
    return f"{group}/{kind}" if group else kind


def check_health(body: Object, rules: HealthRules | None = None) -> Health:
    """Return how an object is.

    In this order: it is being deleted; it is paused; its controller has not seen its last change; a
    rule of the project; the conditions Reconciling and Stalled; the rule of its kind; the condition
    Ready. What none of them speaks of is ready.

    Args:
        body: as the server has it; its status may be anything.
        rules: the project's own, by :func:`kind_of`.
    """
    kind = kind_of(body)
    if read_map(body, "metadata").get("deletionTimestamp"):
        return Health("progressing", "is being deleted")
    own = (rules or {}).get(kind)
    if own is None and kind == "apps/Deployment" and read_map(body, "spec").get("paused"):
        return Health("suspended", "is paused")
    if is_behind(body):
        return Health("progressing", "the controller has not seen the change yet")
    if own is not None:
        return judge(own, body)
    return _check_generic(body) or _check_kind(kind, body)


def is_waited_for(body: Object, rules: HealthRules | None = None) -> bool:
    """Return whether objects of this kind get ready some time after they were applied.

    Args:
        body: as it was applied.
        rules: the project's own, by :func:`kind_of`.
    """
    kind = kind_of(body)
    if kind in (rules or {}):
        return True
    if kind == "Service":
        return read_map(body, "spec").get("type") == "LoadBalancer"
    if kind in RULES or kind == "policy/PodDisruptionBudget":
        return kind not in AT_ONCE
    return group_of(str(body.get("apiVersion") or "")) not in BUILT_IN


def is_behind(body: Object) -> bool:
    """Return whether an object's controller has not seen its last change, so that its status is old."""
    generation = read_count(read_map(body, "metadata"), "generation")
    # Zero is what a controller has seen that has not reported at all.
    silent = 0 if kind_of(body) in REPORTING else generation
    return read_count(read_map(body, "status"), "observedGeneration", silent) < generation


def _check_generic(body: Object) -> Health | None:
    status = read_map(body, "status")
    if is_true(status, "Reconciling"):
        return Health("progressing", tell_condition(find_condition(status, "Reconciling")))
    if is_true(status, "Stalled"):
        return Health("failed", tell_condition(find_condition(status, "Stalled"), "is stalled"))
    return None


def _check_kind(kind: str, body: Object) -> Health:
    rule = RULES.get(kind)
    if rule is not None:
        return rule(body)
    ready = find_condition(read_map(body, "status"), "Ready")
    if ready.get("status") in ("False", "Unknown"):
        return Health("progressing", tell_condition(ready, "is not ready"))
    return READY
