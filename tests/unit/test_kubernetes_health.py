"""How an object is, by the built-in rules: the facts of Argo CD's and kstatus' rules, case by case."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gennaker.testing import FakeContext
from gennaker_stages.kubernetes.health.assessment import RULES, check_health, is_waited_for, kind_of
from gennaker_stages.kubernetes.health.waiting import find_limit, find_time

Map = dict[str, Any]
Case = tuple[str, Map, Map, str, str]
SEEN = {"observedGeneration": 1}


def condition(kind: str, status: str = "True", reason: str = "", message: str = "") -> Map:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def make(kind: str, spec: Map, status: Map, metadata: Map | None = None) -> Map:
    """An object of ``GROUP/VERSION/Kind``."""
    api_version, _, name = kind.rpartition("/")
    body = {"apiVersion": api_version, "kind": name, "spec": spec, "status": status}
    return {**body, "metadata": {"name": "x", "generation": 1, **(metadata or {})}}


DEPLOYMENT, STATEFUL, DAEMON = "apps/v1/Deployment", "apps/v1/StatefulSet", "apps/v1/DaemonSet"
REPLICA, JOB, POD = "apps/v1/ReplicaSet", "batch/v1/Job", "v1/Pod"
AVAILABLE = [
    condition("Progressing", reason="NewReplicaSetAvailable"),
    condition("Available"),
]
ROLLED = {
    **SEEN,
    "replicas": 2,
    "updatedReplicas": 2,
    "availableReplicas": 2,
    "readyReplicas": 2,
    "conditions": AVAILABLE,
}
TWO = {"replicas": 2, "progressDeadlineSeconds": 600}
DEPLOYMENTS: list[Case] = [
    (DEPLOYMENT, TWO, {}, "progressing", "has not seen the change"),
    (DEPLOYMENT, TWO, ROLLED, "ready", ""),
    (DEPLOYMENT, {"paused": True}, {}, "suspended", "is paused"),
    (DEPLOYMENT, TWO, {**ROLLED, "updatedReplicas": 1}, "progressing", "1 of 2 new"),
    (DEPLOYMENT, TWO, {**ROLLED, "replicas": 3}, "progressing", "1 old replicas"),
    (
        DEPLOYMENT,
        TWO,
        {**ROLLED, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3},
        "progressing",
        "1 replicas too many",
    ),
    (DEPLOYMENT, TWO, {**ROLLED, "availableReplicas": 1}, "progressing", "1 of 2 updated"),
    (DEPLOYMENT, TWO, {**ROLLED, "readyReplicas": 1}, "progressing", "1 of 2 replicas are ready"),
    (DEPLOYMENT, TWO, {**ROLLED, "conditions": AVAILABLE[1:]}, "progressing", "new ReplicaSet"),
    (DEPLOYMENT, {"replicas": 2}, {**ROLLED, "conditions": AVAILABLE[1:]}, "ready", ""),
    (
        DEPLOYMENT,
        {"replicas": 2, "progressDeadlineSeconds": (1 << 31) - 1},
        {**ROLLED, "conditions": AVAILABLE[1:]},
        "ready",
        "",
    ),
    (DEPLOYMENT, TWO, {**ROLLED, "conditions": AVAILABLE[:1]}, "progressing", "not available"),
    (DEPLOYMENT, {"replicas": 0}, {**SEEN, "conditions": AVAILABLE}, "ready", ""),
    (
        DEPLOYMENT,
        TWO,
        {**SEEN, "conditions": [condition("Progressing", "False", "ProgressDeadlineExceeded")]},
        "failed",
        "progress deadline exceeded",
    ),
]
SET = {
    **SEEN,
    "replicas": 3,
    "readyReplicas": 3,
    "currentReplicas": 3,
    "updatedReplicas": 3,
    "currentRevision": "a",
    "updateRevision": "a",
}
THREE = {"replicas": 3}
PARTITION = {
    **THREE,
    "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}},
}
BEHIND = {**SET, "updatedReplicas": 1, "updateRevision": "b"}
SETS: list[Case] = [
    (STATEFUL, THREE, {}, "progressing", "has not seen the change"),
    (STATEFUL, THREE, SET, "ready", ""),
    (STATEFUL, THREE, {**SET, "readyReplicas": 2}, "progressing", "2 of 3 replicas are ready"),
    (STATEFUL, THREE, {**SET, "replicas": 4}, "progressing", "4 of 3 replicas are there"),
    (STATEFUL, THREE, {**SET, "currentReplicas": 2}, "progressing", "replicas are updated"),
    (STATEFUL, THREE, BEHIND, "progressing", "1 of 3 replicas are updated"),
    (STATEFUL, PARTITION, BEHIND, "ready", ""),
    (STATEFUL, PARTITION, {**BEHIND, "updatedReplicas": 0}, "progressing", "0 of 1 replicas"),
    (STATEFUL, {**THREE, "updateStrategy": {"type": "OnDelete"}}, BEHIND, "ready", ""),
    (
        STATEFUL,
        {**THREE, "updateStrategy": {"type": "OnDelete"}},
        {**BEHIND, "readyReplicas": 1},
        "progressing",
        "1 of 3 replicas are ready",
    ),
]
NODES = {
    **SEEN,
    "desiredNumberScheduled": 2,
    "currentNumberScheduled": 2,
    "updatedNumberScheduled": 2,
    "numberAvailable": 2,
    "numberReady": 2,
}
DAEMONS: list[Case] = [
    (DAEMON, {}, {}, "progressing", "has not seen the change"),
    (DAEMON, {}, NODES, "ready", ""),
    (DAEMON, {}, SEEN, "progressing", "on how many nodes"),
    (DAEMON, {}, {**NODES, "currentNumberScheduled": 1}, "progressing", "1 of 2 pods are there"),
    (DAEMON, {}, {**NODES, "updatedNumberScheduled": 1}, "progressing", "1 of 2 pods are updated"),
    (DAEMON, {}, {**NODES, "numberAvailable": 0}, "progressing", "0 of 2 pods are available"),
    (DAEMON, {}, {**NODES, "numberReady": 1}, "progressing", "1 of 2 pods are ready"),
    (
        DAEMON,
        {"updateStrategy": {"type": "OnDelete"}},
        {**NODES, "updatedNumberScheduled": 0},
        "ready",
        "",
    ),
]
REPLICAS = {
    **SEEN,
    "replicas": 2,
    "readyReplicas": 2,
    "availableReplicas": 2,
    "fullyLabeledReplicas": 2,
}
REPLICA_SETS: list[Case] = [
    (REPLICA, TWO, {}, "progressing", "has not seen the change"),
    (REPLICA, TWO, REPLICAS, "ready", ""),
    (REPLICA, TWO, {**REPLICAS, "fullyLabeledReplicas": 1}, "progressing", "1 of 2 replicas have"),
    (REPLICA, TWO, {**REPLICAS, "availableReplicas": 1}, "progressing", "1 of 2 replicas are a"),
    (REPLICA, TWO, {**REPLICAS, "readyReplicas": 1}, "progressing", "1 of 2 replicas are ready"),
    (REPLICA, TWO, {**REPLICAS, "replicas": 3}, "progressing", "1 replicas too many"),
    (
        REPLICA,
        TWO,
        {**SEEN, "conditions": [condition("ReplicaFailure", "True", "FailedCreate", "quota")]},
        "degraded",
        "FailedCreate: quota",
    ),
]
JOBS: list[Case] = [
    (JOB, {}, {}, "progressing", "0 of 1 completions"),
    (JOB, {"completions": 3}, {"succeeded": 1, "active": 1}, "progressing", "1 of 3 completions"),
    (JOB, {"parallelism": 2}, {}, "progressing", "0 of 2 completions"),
    (JOB, {}, {"conditions": [condition("Complete")]}, "ready", ""),
    (JOB, {}, {"conditions": [condition("Complete", "False")]}, "progressing", "0 of 1"),
    (JOB, {}, {"conditions": [condition("Failed", reason="Backoff")]}, "failed", "Backoff"),
    (JOB, {"suspend": True}, {"conditions": [condition("Suspended")]}, "suspended", "is suspended"),
    (JOB, {"suspend": True}, {}, "progressing", ""),
    (JOB, {}, {"conditions": [condition("Suspended", "False")]}, "progressing", "0 of 1"),
    ("batch/v1/CronJob", {}, {}, "ready", ""),
    ("batch/v1/CronJob", {"suspend": True}, {}, "suspended", "is suspended"),
]
ALWAYS, NEVER, ON_FAILURE = ({"restartPolicy": each} for each in ("Always", "Never", "OnFailure"))


def container(state: Map, last: Map | None = None) -> Map:
    return {"name": "web", "state": state, "lastState": last or {}}


def waiting(reason: str, phase: str = "Pending", message: str = "") -> Map:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"phase": phase, "containerStatuses": [container(state)]}


ENDED = {"terminated": {"exitCode": 3, "reason": "Error"}}
PODS: list[Case] = [
    (POD, ALWAYS, {}, "progressing", "is Pending"),
    (POD, ALWAYS, {"phase": "Pending"}, "progressing", "is Pending"),
    (POD, ALWAYS, {"phase": "Running", "conditions": [condition("Ready")]}, "ready", ""),
    (POD, {}, {"phase": "Running", "conditions": [condition("Ready")]}, "ready", ""),
    (POD, ALWAYS, {"phase": "Running"}, "progressing", "runs but is not ready"),
    (POD, NEVER, {"phase": "Running", "conditions": [condition("Ready")]}, "progressing", "ended"),
    (POD, NEVER, {"phase": "Succeeded"}, "ready", ""),
    (POD, ALWAYS, {"phase": "Failed", "reason": "Evicted"}, "failed", "Evicted"),
    (POD, NEVER, {"phase": "Failed", "containerStatuses": [container(ENDED)]}, "failed", "code 3"),
    (POD, NEVER, {"phase": "Failed"}, "failed", "it failed"),
    (POD, ALWAYS, waiting("ImagePullBackOff"), "degraded", "container web: ImagePullBackOff"),
    (POD, ALWAYS, waiting("ErrImagePull", message="no"), "degraded", "ErrImagePull: no"),
    (POD, ALWAYS, waiting("CreateContainerConfigError"), "degraded", "CreateContainerConfigError"),
    (POD, ALWAYS, waiting("CrashLoopBackOff", "Running"), "degraded", "CrashLoopBackOff"),
    (POD, ON_FAILURE, waiting("CrashLoopBackOff", "Running"), "degraded", "CrashLoopBackOff"),
    (POD, ON_FAILURE, waiting("ImagePullBackOff"), "progressing", "is Pending"),
    (POD, ALWAYS, waiting("ContainerCreating"), "progressing", "is Pending"),
    (
        POD,
        ALWAYS,
        {"phase": "Running", "containerStatuses": [container({"running": {}}, ENDED)]},
        "degraded",
        "container web ended with exit code 3",
    ),
    (
        POD,
        ALWAYS,
        {
            "phase": "Pending",
            "conditions": [condition("PodScheduled", "False", "Unschedulable", "0/2 nodes")],
        },
        "degraded",
        "Unschedulable: 0/2 nodes",
    ),
    (
        POD,
        ALWAYS,
        {
            "phase": "Pending",
            "initContainerStatuses": [container({"waiting": {"reason": "ErrImagePull"}})],
        },
        "degraded",
        "ErrImagePull",
    ),
]
BALANCED = {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}
SERVICE, CLAIM, INGRESS = "v1/Service", "v1/PersistentVolumeClaim", "networking.k8s.io/v1/Ingress"
HPA, HPA1 = (f"autoscaling/{v}/HorizontalPodAutoscaler" for v in ("v2", "v1"))
BALANCER = {"type": "LoadBalancer", "clusterIP": "10.96.0.1"}
DEFINITION = "apiextensions.k8s.io/v1/CustomResourceDefinition"
API_SERVICE, BUDGET = "apiregistration.k8s.io/v1/APIService", "policy/v1/PodDisruptionBudget"
WORKFLOW = "argoproj.io/v1alpha1/Workflow"


def having(*conditions: Map, **more: Any) -> Map:
    return {"conditions": list(conditions), **more}


OTHERS: list[Case] = [
    (SERVICE, {"type": "ClusterIP"}, {}, "ready", ""),
    (SERVICE, {}, {}, "ready", ""),
    (SERVICE, BALANCER, {}, "progressing", "has no address yet"),
    (SERVICE, BALANCER, {"loadBalancer": {"ingress": []}}, "progressing", "has no address yet"),
    (SERVICE, BALANCER, BALANCED, "ready", ""),
    (SERVICE, {"type": "LoadBalancer"}, BALANCED, "progressing", "no cluster IP"),
    (INGRESS, {}, {}, "progressing", "has no address yet"),
    (INGRESS, {}, BALANCED, "ready", ""),
    ("extensions/v1beta1/Ingress", {}, {"loadBalancer": {}}, "progressing", "no address"),
    ("extensions/v1beta1/Ingress", {}, BALANCED, "ready", ""),
    (CLAIM, {}, {}, "progressing", "is Pending"),
    (CLAIM, {}, {"phase": "Bound"}, "ready", ""),
    (CLAIM, {}, {"phase": "Lost"}, "failed", "its volume is lost"),
    (HPA, {}, {}, "progressing", "does not scale yet"),
    (HPA, {}, having(condition("AbleToScale")), "ready", ""),
    (HPA, {}, having(condition("ScalingLimited")), "ready", ""),
    (HPA, {}, having(condition("AbleToScale", "False", "Other")), "progressing", "not scale"),
    *[
        (
            HPA,
            {},
            having(condition("AbleToScale"), condition(kind, "False", reason)),
            "degraded",
            reason,
        )
        for kind, reason in (
            ("AbleToScale", "FailedGetScale"),
            ("AbleToScale", "FailedUpdateScale"),
            ("ScalingActive", "FailedGetResourceMetric"),
            ("ScalingActive", "FailedGetObjectMetric"),
            ("ScalingActive", "FailedGetPodsMetric"),
            ("ScalingActive", "FailedGetExternalMetric"),
            ("ScalingActive", "FailedComputeMetricsReplicas"),
            ("ScalingActive", "InvalidSelector"),
        )
    ],
    (HPA1, {}, {}, "progressing", "does not scale yet"),
    (API_SERVICE, {}, {}, "progressing", "is not available yet"),
    (API_SERVICE, {}, having(condition("Available")), "ready", ""),
    (
        API_SERVICE,
        {},
        having(condition("Available", "False", "Gone", "no")),
        "progressing",
        "Gone: no",
    ),
    (BUDGET, {}, {}, "ready", ""),
    (BUDGET, {}, {"observedGeneration": 0}, "progressing", "has not seen the change"),
    (BUDGET, {}, SEEN, "ready", ""),
    (DEFINITION, {}, {}, "progressing", "is not established yet"),
    (DEFINITION, {}, having(condition("Established")), "ready", ""),
    (DEFINITION, {}, having(condition("Established", "False", "Installing")), "progressing", ""),
    (DEFINITION, {}, having(condition("Established", "False", "NotAccepted")), "failed", "NotAcc"),
    (DEFINITION, {}, having(condition("NamesAccepted", "False", "Conflict")), "failed", "Conflict"),
    (WORKFLOW, {}, {}, "progressing", "is Pending"),
    (WORKFLOW, {}, {"phase": "Running", "message": "a step"}, "progressing", "Running: a step"),
    (WORKFLOW, {}, {"phase": "Succeeded"}, "ready", ""),
    (WORKFLOW, {}, {"phase": "Error", "message": "no"}, "failed", "Error: no"),
    ("v1/ConfigMap", {}, {}, "ready", ""),
    ("v1/Secret", {}, {}, "ready", ""),
]
WIDGET = "example.test/v1/Widget"
CUSTOM: list[Case] = [
    (WIDGET, {}, {}, "ready", ""),
    (WIDGET, {}, having(condition("Ready")), "ready", ""),
    (
        WIDGET,
        {},
        having(condition("Ready", "False", "Making", "a part")),
        "progressing",
        "Making: a",
    ),
    (WIDGET, {}, having(condition("Ready", "Unknown")), "progressing", "is not ready"),
    (WIDGET, {}, having(condition("Synced", "False")), "ready", ""),
    (
        WIDGET,
        {},
        having(condition("Reconciling", reason="Busy"), condition("Ready")),
        "progressing",
        "Busy",
    ),
    (
        WIDGET,
        {},
        having(condition("Stalled", reason="Wrong", message="spec")),
        "failed",
        "Wrong: spec",
    ),
    (WIDGET, {}, having(condition("Stalled", "False"), condition("Ready")), "ready", ""),
    (WIDGET, {}, having(condition("Ready"), observedGeneration=0), "progressing", "has not seen"),
    (WIDGET, {}, having(condition("Ready"), observedGeneration=1), "ready", ""),
]
TABLES = [DEPLOYMENTS, SETS, DAEMONS, REPLICA_SETS, JOBS, PODS, OTHERS, CUSTOM]


@pytest.mark.parametrize(
    ("kind", "spec", "status", "state", "said"), [case for table in TABLES for case in table]
)
def test_built_in_rules(kind: str, spec: Map, status: Map, state: str, said: str) -> None:
    """Each kind is judged as Argo CD and kstatus judge it, and says what is missing."""
    found = check_health(make(kind, spec, status))
    assert (state, True) == (found.state, said in found.message), found


def test_every_rule_has_cases() -> None:
    """No kind with a rule is left out of the tables, and each is seen ready and not ready."""
    seen: dict[str, set[str]] = {}
    for kind, spec, status, state, _ in [case for table in TABLES for case in table]:
        seen.setdefault(kind_of(make(kind, spec, status)), set()).add(state)
    assert set(RULES) <= set(seen)
    assert [kind for kind in RULES if len(seen[kind]) < 2] == []


@pytest.mark.parametrize("kind", [DEPLOYMENT, STATEFUL, DAEMON, REPLICA, BUDGET, WIDGET])
def test_checklist_49_an_old_status_is_not_believed(kind: str) -> None:
    """A status of the generation before the change never counts as ready."""
    good = {**ROLLED, **SET, **NODES, **REPLICAS, "conditions": [*AVAILABLE, condition("Ready")]}
    good["observedGeneration"] = 1
    body = make(kind, {"replicas": 2}, good, {"generation": 2})
    assert check_health(body).message == "the controller has not seen the change yet"


@pytest.mark.parametrize("kind", [DEPLOYMENT, POD, CLAIM, WIDGET, "v1/ConfigMap"])
def test_what_is_being_deleted_is_not_ready(kind: str) -> None:
    """Whatever its status says, an object on its way out does not count."""
    body = make(kind, {"paused": True}, {**ROLLED, "phase": "Succeeded"})
    body["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert check_health(body).message == "is being deleted"


def test_autoscaler_of_version_1_has_its_conditions_in_an_annotation() -> None:
    """They are read from there; a text that is no JSON is told and waited for."""
    name = "autoscaling.alpha.kubernetes.io/conditions"

    def check(text: str) -> tuple[str, str]:
        found = check_health(make(HPA1, {}, {}, {"annotations": {name: text}}))
        return found.state, found.message

    assert check(json.dumps([condition("AbleToScale")]))[0] == "ready"
    broken = [condition("ScalingActive", "False", "FailedGetResourceMetric")]
    assert check(json.dumps(broken)) == ("degraded", "FailedGetResourceMetric")
    assert check("{")[1] == f"its annotation {name!r} is no JSON"
    assert check('{"not": "a list"}')[1] == "does not scale yet"


def test_a_pod_that_ends_may_be_told_to_stay() -> None:
    """Argo CD's annotation makes a Pod that would end one that stays, but for hooks."""
    note = {"argocd.argoproj.io/ignore-restart-policy": "true"}
    status = {"phase": "Running", "conditions": [condition("Ready")]}
    assert check_health(make(POD, NEVER, status, {"annotations": note})).state == "ready"
    hook = {**note, "argocd.argoproj.io/hook": "PreSync"}
    assert check_health(make(POD, NEVER, status, {"annotations": hook})).state == "progressing"


ODD: list[Any] = [None, 7, "text", True, [], {}, [None], ["x"], [{}], {"conditions": "x"}, -1, 1e9]


@pytest.mark.parametrize("kind", [*RULES, "example.test/Widget"])
def test_checklist_50_a_malformed_object_crashes_nothing(kind: str) -> None:
    """Whatever stands in annotations, spec and status, there is a verdict."""
    group, _, name = kind.rpartition("/")
    names = ["conditions", "loadBalancer", "containerStatuses", "initContainerStatuses", "phase"]
    names += ["message", "observedGeneration", "replicas", "desiredNumberScheduled", "succeeded"]
    items = [
        {"type": 1, "status": []},
        {"state": "x"},
        {"state": {"waiting": {"reason": 3}}},
        {"lastState": {"terminated": {"exitCode": "x"}}, "name": None},
        {"type": "Ready", "status": None, "reason": [], "message": {}},
    ]
    for odd in [*ODD, items]:
        for status in (odd, dict.fromkeys(names, odd), {"conditions": odd, "phase": "Running"}):
            for spec in (odd, {"updateStrategy": odd, "replicas": odd, "type": "LoadBalancer"}):
                for notes in (odd, {"autoscaling.alpha.kubernetes.io/conditions": odd}):
                    body = {
                        "apiVersion": f"{group}/v1" if group else "v1",
                        "kind": name,
                        "metadata": {"name": "x", "generation": odd, "annotations": notes},
                        "spec": spec,
                        "status": status,
                    }
                    found = check_health(body)
                    assert isinstance(found.message, str)


def test_what_is_waited_for() -> None:
    """What a controller makes ready, and custom kinds; nothing that is ready once it is there."""

    def is_waited(kind: str, **spec: Any) -> bool:
        return is_waited_for(make(kind, spec, {}))

    waited = (DEPLOYMENT, STATEFUL, DAEMON, REPLICA, JOB, POD, CLAIM, INGRESS, HPA, BUDGET, WIDGET)
    assert all(is_waited(kind) for kind in waited)
    for kind in ("v1/ConfigMap", "rbac.authorization.k8s.io/v1/Role", "batch/v1/CronJob", SERVICE):
        assert not is_waited(kind)
    assert is_waited(SERVICE, type="LoadBalancer")


def test_a_wait_leaves_time_to_tell_why_it_was_too_short(tmp_path: Path) -> None:
    """As long as it may take where the attempt has the time; else nearly all that is left."""
    assert find_limit("10s", FakeContext(tmp_path, timeout=60)) == (10.0, "10s")
    seconds, words = find_limit("10m", FakeContext(tmp_path, timeout=60))
    assert 50 < seconds <= 55  # five seconds are kept
    assert words == f"{seconds:.0f}s, which the stage's timeout leaves"
    assert 6 < find_time(FakeContext(tmp_path, timeout=8)) <= 7  # an eighth
