"""What shows early that a workload will not get ready, and of which Pods it counts."""

from __future__ import annotations

from typing import Any

import pytest

from gennaker_stages.kubernetes.health.early import EarlySigns

Map = dict[str, Any]
REVISION = "deployment.kubernetes.io/revision"
GENERATION = "deprecated.daemonset.template.generation"


def make_workload(kind: str, annotations: Map | None = None, **status: Any) -> Map:
    metadata = {"name": "web", "namespace": "n", "uid": "w", "annotations": annotations or {}}
    selector = {"matchLabels": {"app": "web"}}
    return {"kind": kind, "metadata": metadata, "spec": {"selector": selector}, "status": status}


def make_pod(owner: str = "", reason: str = "CrashLoopBackOff", **labels: str) -> Map:
    metadata: Map = {"name": "web-1", "namespace": "n", "labels": {"app": "web", **labels}}
    if owner:
        metadata["ownerReferences"] = [{"kind": "ReplicaSet", "name": owner, "controller": True}]
    container = {"name": "main", "state": {"waiting": {"reason": reason}}}
    return {"kind": "Pod", "metadata": metadata, "status": {"containerStatuses": [container]}}


def find(workload: Map, *seen: Map) -> str:
    signs = EarlySigns()
    for each in seen:
        signs.take("ADDED", each)
    return signs.find_trouble(workload)


def make_set(name: str, number: str) -> Map:
    metadata = {"name": name, "namespace": "n", "annotations": {REVISION: number}}
    return {"kind": "ReplicaSet", "metadata": metadata}


TOLD = "pod web-1, container main: CrashLoopBackOff"
DEPLOYMENT = make_workload("Deployment", {REVISION: "2"})
DAEMON = make_workload("DaemonSet", {GENERATION: "3"})
STATEFUL = make_workload("StatefulSet", updateRevision="web-b")


@pytest.mark.parametrize(
    ("workload", "seen", "told"),
    [
        (DEPLOYMENT, [make_set("new", "2"), make_pod("new")], TOLD),
        (DEPLOYMENT, [make_set("old", "1"), make_pod("old")], ""),
        (DEPLOYMENT, [make_pod("unseen")], ""),
        (STATEFUL, [make_pod(**{"controller-revision-hash": "web-b"})], TOLD),
        (STATEFUL, [make_pod(**{"controller-revision-hash": "web-a"})], ""),
        (make_workload("StatefulSet"), [make_pod()], TOLD),
        (DAEMON, [make_pod(**{"pod-template-generation": "3"})], TOLD),
        (DAEMON, [make_pod(**{"pod-template-generation": "2"})], ""),
        (make_workload("Job"), [make_pod()], TOLD),
        (make_workload("Job"), [make_pod(reason="ContainerCreating")], ""),
        (make_workload("Job"), [make_pod(app="other")], ""),
    ],
)
def test_only_pods_of_the_newest_revision_count(workload: Map, seen: list[Map], told: str) -> None:
    """Old Pods may fail: they are leaving."""
    assert find(workload, *seen) == told


def test_trouble_passes() -> None:
    """A Pod that runs again, or is gone, is in no trouble any more."""
    for event, pod in (("MODIFIED", make_pod(reason="")), ("DELETED", make_pod())):
        signs = EarlySigns()
        assert signs.take("ADDED", make_pod())
        assert signs.take(event, pod)
        assert signs.find_trouble(make_workload("Job")) == ""
        assert not signs.take(event, pod)


def test_what_cannot_be_made_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a condition, or by an event of the last minute about this very object."""
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "R", "message": "m"}
    assert find(make_workload("Deployment", conditions=[condition])) == "R: m"
    metadata = {"name": "e", "namespace": "n"}
    event = {"kind": "Event", "metadata": metadata, "reason": "FailedCreate", "message": "quota"}
    about = {**event, "involvedObject": {"uid": "w"}}
    assert find(make_workload("Job"), about) == "FailedCreate: quota"
    assert find(make_workload("Job"), {**event, "involvedObject": {"uid": "other"}}) == ""
    monkeypatch.setattr("gennaker_stages.kubernetes.health.early.FRESH_SECONDS", 0.0)
    assert find(make_workload("Job"), about) == ""
