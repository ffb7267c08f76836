"""The health of what runs: Deployments, sets, Pods and Jobs; each from its own object. Pure.

The rules are those of Argo CD (gitops-engine/pkg/health) and of kstatus (cli-utils/pkg/kstatus/status):
ready is what both call so, degraded and failed what either calls bad. ``docs/spec/kubernetes.md`` has
the table, and where the two cannot both be followed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gennaker_stages.kubernetes.health.verdict import (
    READY,
    Health,
    find_condition,
    is_true,
    list_maps,
    read_count,
    read_map,
    tell_condition,
)

__all__ = ["HOOKS", "WORKLOAD_RULES", "find_trouble", "list_containers"]

Object = Mapping[str, Any]
NO_DEADLINE = (1 << 31) - 1
"""With this ``progressDeadlineSeconds`` a Deployment is never said to progress."""
IGNORE_RESTART_POLICY = "argocd.argoproj.io/ignore-restart-policy"
HOOKS = ("argocd.argoproj.io/hook", "helm.sh/hook")


def _missing(count: int, wanted: int, what: str) -> Health:
    return Health("progressing", f"{count} of {wanted} {what}")


def _check_deployment(body: Object) -> Health:
    spec, status = read_map(body, "spec"), read_map(body, "status")
    progressing = find_condition(status, "Progressing")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return Health("failed", str(progressing.get("message") or "progress deadline exceeded"))
    wanted = read_count(spec, "replicas", 1)
    there = read_count(status, "replicas")
    updated = read_count(status, "updatedReplicas")
    available = read_count(status, "availableReplicas")
    ready = read_count(status, "readyReplicas")
    if updated < wanted:
        return _missing(updated, wanted, "new replicas are updated")
    if there > updated:
        return Health("progressing", f"{there - updated} old replicas are still there")
    if there > wanted:
        return Health("progressing", f"{there - wanted} replicas too many are still there")
    if available < updated:
        return _missing(available, updated, "updated replicas are available")
    if ready < wanted:
        return _missing(ready, wanted, "replicas are ready")
    deadline = read_count(spec, "progressDeadlineSeconds", NO_DEADLINE)
    if deadline != NO_DEADLINE and progressing.get("reason") != "NewReplicaSetAvailable":
        return Health("progressing", "its new ReplicaSet is not available yet")
    if not is_true(status, "Available"):
        return Health("progressing", "it is not available yet")
    return READY


def _check_stateful_set(body: Object) -> Health:
    spec, status = read_map(body, "spec"), read_map(body, "status")
    wanted, ready = read_count(spec, "replicas", 1), read_count(status, "readyReplicas")
    if ready < wanted:
        return _missing(ready, wanted, "replicas are ready")
    strategy = read_map(spec, "updateStrategy")
    if strategy.get("type") == "OnDelete":
        return READY
    there, updated = read_count(status, "replicas"), read_count(status, "updatedReplicas")
    if there != wanted:
        return _missing(there, wanted, "replicas are there")
    partition = read_count(read_map(strategy, "rollingUpdate"), "partition", -1)
    if partition >= 0:
        goal = max(wanted - partition, 0)
        return READY if updated >= goal else _missing(updated, goal, "replicas are updated")
    current = read_count(status, "currentReplicas")
    if current < wanted or status.get("updateRevision") != status.get("currentRevision"):
        return _missing(updated, wanted, "replicas are updated")
    return READY


def _check_daemon_set(body: Object) -> Health:
    spec, status = read_map(body, "spec"), read_map(body, "status")
    if read_map(spec, "updateStrategy").get("type") == "OnDelete":
        return READY
    wanted = read_count(status, "desiredNumberScheduled", -1)
    if wanted < 0:
        return Health("progressing", "it is not known yet on how many nodes it is to run")
    for name, what in (
        ("currentNumberScheduled", "pods are there"),
        ("updatedNumberScheduled", "pods are updated"),
        ("numberAvailable", "pods are available"),
        ("numberReady", "pods are ready"),
    ):
        if read_count(status, name) < wanted:
            return _missing(read_count(status, name), wanted, what)
    return READY


def _check_replica_set(body: Object) -> Health:
    spec, status = read_map(body, "spec"), read_map(body, "status")
    if is_true(status, "ReplicaFailure"):
        return Health("degraded", tell_condition(find_condition(status, "ReplicaFailure")))
    wanted = read_count(spec, "replicas", 1)
    for name, what in (
        ("fullyLabeledReplicas", "replicas have its labels"),
        ("availableReplicas", "replicas are available"),
        ("readyReplicas", "replicas are ready"),
    ):
        if read_count(status, name) < wanted:
            return _missing(read_count(status, name), wanted, what)
    surplus = read_count(status, "replicas") - wanted
    if surplus > 0:
        return Health("progressing", f"{surplus} replicas too many are still there")
    return READY


def _check_job(body: Object) -> Health:
    spec, status = read_map(body, "spec"), read_map(body, "status")
    if is_true(status, "Failed"):
        return Health("failed", tell_condition(find_condition(status, "Failed"), "it failed"))
    if is_true(status, "Complete"):
        return READY
    if is_true(status, "Suspended") and spec.get("suspend"):
        return Health("suspended", "is suspended")
    goal = read_count(spec, "completions", read_count(spec, "parallelism", 1))
    return _missing(read_count(status, "succeeded"), goal, "completions")


def _check_cron_job(body: Object) -> Health:
    suspended = read_map(body, "spec").get("suspend")
    return Health("suspended", "is suspended") if suspended else READY


def _check_pod(body: Object) -> Health:
    status = read_map(body, "status")
    phase = status.get("phase")
    if phase == "Succeeded":
        return READY
    if phase == "Failed":
        return Health("failed", _tell_end(status))
    trouble, stays = find_trouble(body), _stays(body)
    # What does its work and ends may yet get its image; a hook must not be given up for that.
    if trouble and (stays or "CrashLoopBackOff" in trouble):
        return Health("degraded", trouble)
    if phase == "Running":
        return _check_running(status) if stays else Health("progressing", "has not ended yet")
    scheduled = find_condition(status, "PodScheduled")
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
        return Health("degraded", tell_condition(scheduled))
    return Health("progressing", f"is {phase or 'Pending'}")


def _check_running(status: Object) -> Health:
    if is_true(status, "Ready"):
        return READY
    for each in list_containers(status):
        ended = read_map(each, "lastState", "terminated")
        if ended:
            code, name = ended.get("exitCode"), each.get("name")
            return Health("degraded", f"container {name} ended with exit code {code}")
    return Health("progressing", "runs but is not ready")


def _stays(pod: Object) -> bool:
    """Whether a Pod is to run on: not one that does its work and ends."""
    annotations = read_map(pod, "metadata", "annotations")
    if read_map(pod, "spec").get("restartPolicy", "Always") == "Always":
        return True
    is_hook = any(name in annotations for name in HOOKS)
    return annotations.get(IGNORE_RESTART_POLICY) == "true" and not is_hook


def list_containers(status: Object) -> Iterator[Object]:
    """Yield the states of a Pod's containers, those that run first of all first."""
    for name in ("initContainerStatuses", "containerStatuses"):
        yield from list_maps(status, name)


def find_trouble(pod: Object) -> str:
    """Return which containers of a Pod wait because something went wrong; empty for none."""
    found = []
    for each in list_containers(read_map(pod, "status")):
        waiting = read_map(each, "state", "waiting")
        reason = str(waiting.get("reason") or "")
        if reason.startswith("Err") or reason.endswith(("Error", "BackOff")):
            found.append(f"container {each.get('name')}: {tell_condition(waiting)}")
    return "; ".join(found)


def _tell_end(status: Object) -> str:
    if status.get("message") or status.get("reason"):
        return tell_condition(status)
    for each in list_containers(status):
        ended = read_map(each, "state", "terminated")
        if ended.get("exitCode") or ended.get("reason") == "OOMKilled":
            text = f"container {each.get('name')} ended with exit code {ended.get('exitCode')}"
            return f"{text} ({ended['reason']})" if ended.get("reason") else text
    return "it failed"


WORKLOAD_RULES = {
    "apps/Deployment": _check_deployment,
    "apps/StatefulSet": _check_stateful_set,
    "apps/DaemonSet": _check_daemon_set,
    "apps/ReplicaSet": _check_replica_set,
    "batch/Job": _check_job,
    "batch/CronJob": _check_cron_job,
    "Pod": _check_pod,
}
"""``GROUP/Kind`` to its rule."""
