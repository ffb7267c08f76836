"""Whether a workload is rolled out, from its own status; pure.

The rules follow ``kubectl rollout status`` (kubectl/pkg/polymorphichelpers/rollout_status.go) and,
for Jobs and Pods, kstatus (cli-utils/pkg/kstatus/status/core.go).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["WORKLOADS", "Rollout", "check_rollout"]

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rollout:
    """How far a workload is; ``message`` says what is missing, in words for people."""

    state: Literal["ready", "progressing", "failed"]
    message: str = ""


READY = Rollout("ready")


def check_rollout(body: Object) -> Rollout:
    """Return how far an object is rolled out; a kind without a rollout is ready."""
    check = WORKLOADS.get(str(body.get("kind")))
    if check is None:
        return READY
    metadata, status = body.get("metadata") or {}, body.get("status") or {}
    if metadata.get("deletionTimestamp"):
        return Rollout("progressing", "is being deleted")
    observed = status.get("observedGeneration")
    if body["kind"] not in ("Job", "Pod") and (observed or 0) < metadata.get("generation", 0):
        return Rollout("progressing", "the controller has not seen the change yet")
    return check(body.get("spec") or {}, status)


def _check_deployment(spec: Object, status: Object) -> Rollout:
    progressing = _condition(status, "Progressing")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return Rollout("failed", str(progressing.get("message") or "progress deadline exceeded"))
    wanted = spec.get("replicas", 1)
    updated = status.get("updatedReplicas", 0)
    available = status.get("availableReplicas", 0)
    if updated < wanted:
        return Rollout("progressing", f"{updated} of {wanted} new replicas are updated")
    if status.get("replicas", 0) > updated:
        left = status.get("replicas", 0) - updated
        return Rollout("progressing", f"{left} old replicas are still there")
    if available < updated:
        return Rollout("progressing", f"{available} of {updated} updated replicas are available")
    return READY


def _check_stateful_set(spec: Object, status: Object) -> Rollout:
    wanted = spec.get("replicas", 1)
    ready = status.get("readyReplicas", 0)
    strategy = spec.get("updateStrategy") or {}
    if ready < wanted:
        return Rollout("progressing", f"{ready} of {wanted} replicas are ready")
    if strategy.get("type") == "OnDelete":
        return READY
    partition = (strategy.get("rollingUpdate") or {}).get("partition", 0)
    updated = status.get("updatedReplicas", 0)
    if partition:
        if updated < wanted - partition:
            return Rollout("progressing", f"{updated} of {wanted - partition} replicas are updated")
    elif status.get("updateRevision") != status.get("currentRevision"):
        return Rollout("progressing", f"{updated} of {wanted} replicas are updated")
    return READY


def _check_daemon_set(spec: Object, status: Object) -> Rollout:
    wanted = status.get("desiredNumberScheduled", 0)
    updated = status.get("updatedNumberScheduled", 0)
    available = status.get("numberAvailable", 0)
    on_delete = (spec.get("updateStrategy") or {}).get("type") == "OnDelete"
    if updated < wanted and not on_delete:
        return Rollout("progressing", f"{updated} of {wanted} pods are updated")
    if available < wanted:
        return Rollout("progressing", f"{available} of {wanted} pods are available")
    return READY


def _check_replica_set(spec: Object, status: Object) -> Rollout:
    failure = _condition(status, "ReplicaFailure")
    if failure.get("status") == "True":
        return Rollout("failed", str(failure.get("message")))
    wanted, available = spec.get("replicas", 1), status.get("availableReplicas", 0)
    if available < wanted:
        return Rollout("progressing", f"{available} of {wanted} replicas are available")
    return READY


def _check_job(spec: Object, status: Object) -> Rollout:
    failed = _condition(status, "Failed")
    if failed.get("status") == "True":
        return Rollout("failed", str(failed.get("message") or failed.get("reason")))
    if _condition(status, "Complete").get("status") == "True":
        return READY
    if spec.get("suspend"):
        return READY
    done, wanted = status.get("succeeded", 0), spec.get("completions") or 1
    return Rollout("progressing", f"{done} of {wanted} completions")


def _check_pod(_spec: Object, status: Object) -> Rollout:
    phase = status.get("phase")
    if phase == "Succeeded" or _condition(status, "Ready").get("status") == "True":
        return READY
    if phase == "Failed":
        return Rollout("failed", str(status.get("message") or status.get("reason") or "it failed"))
    return Rollout("progressing", f"is {phase or 'Pending'}")


def _condition(status: Object, kind: str) -> Object:
    for each in status.get("conditions") or ():
        if each.get("type") == kind:
            found: Object = each
            return found
    return {}


WORKLOADS = {
    "Deployment": _check_deployment,
    "StatefulSet": _check_stateful_set,
    "DaemonSet": _check_daemon_set,
    "ReplicaSet": _check_replica_set,
    "Job": _check_job,
    "Pod": _check_pod,
}
"""Kinds that are waited for, to the rule that says when they are done."""
