"""When a workload is rolled out, from its own status."""

from __future__ import annotations

from typing import Any

import pytest

from gennaker_stages.kubernetes.health.readiness import check_rollout


def workload(
    kind: str, status: dict[str, Any], spec: dict[str, Any] | None = None, generation: int = 1
) -> dict[str, Any]:
    metadata = {"name": "x", "generation": generation}
    return {"kind": kind, "metadata": metadata, "spec": spec or {}, "status": status}


SEEN = {"observedGeneration": 1}
CASES: list[tuple[str, dict[str, Any], dict[str, Any], str, str]] = [
    ("Deployment", {}, {"replicas": 1}, "progressing", "has not seen the change"),
    (
        "Deployment",
        {**SEEN, "replicas": 2, "updatedReplicas": 1},
        {"replicas": 2},
        "progressing",
        "1 of 2 new",
    ),
    (
        "Deployment",
        {**SEEN, "replicas": 3, "updatedReplicas": 2},
        {"replicas": 2},
        "progressing",
        "1 old replicas",
    ),
    (
        "Deployment",
        {**SEEN, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 1},
        {"replicas": 2},
        "progressing",
        "1 of 2 updated replicas are available",
    ),
    (
        "Deployment",
        {**SEEN, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1},
        {},
        "ready",
        "",
    ),
    (
        "Deployment",
        {
            **SEEN,
            "conditions": [
                {"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "too late"}
            ],
        },
        {},
        "failed",
        "too late",
    ),
    ("Deployment", {**SEEN}, {"replicas": 0}, "ready", ""),
    ("StatefulSet", {**SEEN, "readyReplicas": 0}, {}, "progressing", "0 of 1 replicas are ready"),
    (
        "StatefulSet",
        {**SEEN, "readyReplicas": 1, "currentRevision": "a", "updateRevision": "b"},
        {},
        "progressing",
        "0 of 1 replicas are updated",
    ),
    (
        "StatefulSet",
        {
            **SEEN,
            "readyReplicas": 3,
            "updatedReplicas": 1,
            "currentRevision": "a",
            "updateRevision": "b",
        },
        {"replicas": 3, "updateStrategy": {"rollingUpdate": {"partition": 2}}},
        "ready",
        "",
    ),
    (
        "StatefulSet",
        {**SEEN, "readyReplicas": 1},
        {"updateStrategy": {"type": "OnDelete"}},
        "ready",
        "",
    ),
    (
        "DaemonSet",
        {**SEEN, "desiredNumberScheduled": 2, "updatedNumberScheduled": 1},
        {},
        "progressing",
        "1 of 2 pods are updated",
    ),
    (
        "DaemonSet",
        {**SEEN, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2},
        {},
        "ready",
        "",
    ),
    ("Job", {"conditions": [{"type": "Complete", "status": "True"}]}, {}, "ready", ""),
    (
        "Job",
        {"conditions": [{"type": "Failed", "status": "True", "message": "backoff"}]},
        {},
        "failed",
        "backoff",
    ),
    ("Job", {"succeeded": 1}, {"completions": 3}, "progressing", "1 of 3 completions"),
    ("Pod", {"phase": "Pending"}, {}, "progressing", "is Pending"),
    (
        "Pod",
        {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
        {},
        "ready",
        "",
    ),
    ("Pod", {"phase": "Failed", "reason": "Evicted"}, {}, "failed", "Evicted"),
    (
        "ReplicaSet",
        {**SEEN, "conditions": [{"type": "ReplicaFailure", "status": "True", "message": "quota"}]},
        {},
        "failed",
        "quota",
    ),
    ("ConfigMap", {}, {}, "ready", ""),
]


@pytest.mark.parametrize(("kind", "status", "spec", "state", "said"), CASES)
def test_rollout(
    kind: str, status: dict[str, Any], spec: dict[str, Any], state: str, said: str
) -> None:
    """Each kind is judged as kubectl's rollout status judges it, and says what is missing."""
    found = check_rollout(workload(kind, status, spec))
    assert (state, True) == (found.state, said in found.message), found


def test_an_old_status_is_not_believed() -> None:
    """A status of the generation before the change never counts as ready."""
    body = workload(
        "Deployment",
        {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1},
        generation=2,
    )
    assert check_rollout(body).state == "progressing"


def test_a_deleted_workload_is_not_ready() -> None:
    """What is being deleted does not count."""
    body = workload(
        "Deployment", {**SEEN, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
    )
    body["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert check_rollout(body).message == "is being deleted"
