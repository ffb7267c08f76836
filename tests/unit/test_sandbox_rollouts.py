"""The sandbox's simulated controllers on virtual time: rollouts, faults, Jobs, garbage."""

from __future__ import annotations

from typing import Any

import pytest

from gennaker_stages.kubernetes.sandbox import VirtualClock
from gennaker_stages.kubernetes.sandbox.cluster import Cluster
from gennaker_stages.kubernetes.sandbox.controllers import FAULTS
from gennaker_stages.kubernetes.sandbox.controllers.faults import Fault
from gennaker_stages.kubernetes.sandbox.operations import WriteOptions
from gennaker_stages.kubernetes.sandbox.problems import ApiProblem

Object = dict[str, Any]
APPS = "apps/v1"


class World:
    """A cluster and its clock."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.cluster = Cluster(clock=self.clock)
        self.clock.advance(1)

    def apply(self, kind: str, spec: Object, name: str = "web", api_version: str = APPS) -> Object:
        """Apply an object into the default namespace."""
        resource = self.cluster.registry.find_kind(api_version, kind)
        assert resource is not None
        body = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": spec}
        options = WriteOptions(manager="test", force=True)
        namespace = "default" if resource.namespaced else ""
        return self.cluster.operations.apply(resource, namespace, name, body, options)[0]

    def delete(self, storage: str, name: str = "web", **wishes: Any) -> None:
        """Delete an object of the default namespace."""
        resource = self.cluster.registry.find_storage(storage)
        assert resource is not None
        namespace = "default" if resource.namespaced else ""
        self.cluster.operations.delete(resource, namespace, name, wishes)

    def get(self, storage: str, name: str = "web") -> Object:
        """Return an object of the default namespace."""
        found = self.cluster.store.get(storage, "default", name)
        assert found is not None
        return found

    def list(self, storage: str) -> list[Object]:
        """Return all objects of a kind in the default namespace."""
        return self.cluster.store.list(storage, "default")

    def reasons(self, kind: str = "Warning") -> set[str]:
        """Return the reasons of the events of a type."""
        return {event["reason"] for event in self.list("events") if event["type"] == kind}


@pytest.fixture
def world() -> World:
    """A fresh cluster at virtual second one."""
    return World()


def workload(
    image: str = "i:1", *, replicas: int | None = 2, annotations: Any = None, **spec: Any
) -> Object:
    """The spec of a workload."""
    metadata: Object = {"labels": {"app": "web"}}
    if annotations:
        metadata["annotations"] = annotations
    template = {"metadata": metadata, "spec": {"containers": [{"name": "web", "image": image}]}}
    found = {"selector": {"matchLabels": {"app": "web"}}, "template": template, **spec}
    if replicas is not None:
        found["replicas"] = replicas
    return found


def fault(name: str, **more: str) -> Object:
    """The annotation that asks for a fault."""
    return {
        "sandbox.gennaker.dev/fault": name,
        **{f"sandbox.gennaker.dev/{k}": v for k, v in more.items()},
    }


def conditions(obj: Object) -> dict[str, tuple[str, str]]:
    """Type → status and reason."""
    return {each["type"]: (each["status"], each["reason"]) for each in obj["status"]["conditions"]}


def states(world: World) -> list[Object]:
    """Return the state of each pod's container."""
    return [pod["status"]["containerStatuses"][0] for pod in world.list("pods")]


def test_nothing_happens_before_its_time(world: World) -> None:
    """An applied Deployment has no status until the clock moves."""
    made = world.apply("Deployment", workload())
    assert made["status"] == {}
    assert world.list("pods") == []


def test_deployment_becomes_available_within_a_second(world: World) -> None:
    """Status, conditions and pods are as after a real rollout."""
    world.apply("Deployment", workload())
    world.clock.advance(1)
    status = world.get("deployments.apps")["status"]
    assert {key: value for key, value in status.items() if key != "conditions"} == {
        "observedGeneration": 1,
        "replicas": 2,
        "updatedReplicas": 2,
        "readyReplicas": 2,
        "availableReplicas": 2,
    }
    assert conditions(world.get("deployments.apps")) == {
        "Available": ("True", "MinimumReplicasAvailable"),
        "Progressing": ("True", "NewReplicaSetAvailable"),
    }
    assert [pod["status"]["phase"] for pod in world.list("pods")] == ["Running", "Running"]


def test_rolling_update_stays_within_its_bounds(world: World) -> None:
    """Never fewer available nor more pods than the strategy allows, and the old set stays as history."""
    strategy = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    world.apply("Deployment", workload(replicas=3, strategy=strategy))
    world.clock.advance(1)
    world.apply("Deployment", workload("i:2", replicas=3, strategy=strategy))
    seen = []
    for _ in range(60):
        world.clock.advance(0.05)
        live = [p for p in world.list("pods") if not p["metadata"].get("deletionTimestamp")]
        ready = sum(p["status"].get("containerStatuses", [{}])[0].get("ready", False) for p in live)
        seen.append((len(live), ready))
    images = [pod["spec"]["containers"][0]["image"] for pod in world.list("pods")]
    assert max(pods for pods, _ in seen) == 4
    assert min(ready for _, ready in seen) == 3
    assert images == ["i:2"] * 3
    assert sorted(each["spec"]["replicas"] for each in world.list("replicasets.apps")) == [0, 3]


def test_recreate_ends_the_old_pods_first(world: World) -> None:
    """No old and new pod live at the same time."""
    strategy = {"type": "Recreate"}
    world.apply("Deployment", workload(strategy=strategy))
    world.clock.advance(1)
    world.apply("Deployment", workload("i:2", strategy=strategy))
    for _ in range(40):
        world.clock.advance(0.05)
        assert len({pod["spec"]["containers"][0]["image"] for pod in world.list("pods")}) <= 1
    assert {pod["spec"]["containers"][0]["image"] for pod in world.list("pods")} == {"i:2"}


def test_image_pull_error_is_told_as_the_kubelet_tells_it(world: World) -> None:
    """Waiting with reason and message, events, and no readiness."""
    world.apply("Deployment", workload(annotations=fault("image-pull-error"), replicas=1))
    world.clock.advance(0.5)
    first = states(world)[0]["state"]["waiting"]
    world.clock.advance(2)
    second = states(world)[0]["state"]["waiting"]
    assert first["reason"] == "ErrImagePull"
    assert second["reason"] == "ImagePullBackOff"
    assert second["message"].startswith('Back-off pulling image "i:1"')
    assert "Failed" in world.reasons()
    assert "BackOff" in world.reasons("Normal")
    assert conditions(world.get("deployments.apps"))["Available"][0] == "False"


def test_crash_loop_backs_off_and_counts(world: World) -> None:
    """CrashLoopBackOff with the last exit code 1; restarts come at growing distances."""
    world.apply("Deployment", workload(annotations=fault("crash-loop"), replicas=1))
    world.clock.advance(2)
    early = states(world)[0]
    world.clock.advance(60)
    late = states(world)[0]
    assert early["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert early["lastState"]["terminated"]["exitCode"] == 1
    assert (early["restartCount"], late["restartCount"]) == (2, 4)
    assert "BackOff" in world.reasons()


def test_never_ready_runs_into_the_progress_deadline(world: World) -> None:
    """A rollout that does not progress says so when its deadline passes, not before."""
    spec = workload(annotations=fault("never-ready"), progressDeadlineSeconds=30)
    world.apply("Deployment", spec)
    world.clock.advance(29)
    before = conditions(world.get("deployments.apps"))["Progressing"]
    world.clock.advance(3)
    after = conditions(world.get("deployments.apps"))["Progressing"]
    assert before[0] == "True"
    assert after == ("False", "ProgressDeadlineExceeded")
    assert "Unhealthy" in world.reasons()


@pytest.mark.parametrize(("more", "seconds"), [({}, 10.0), ({"delay": "3s"}, 3.0)])
def test_slow_takes_its_time(world: World, more: dict[str, str], seconds: float) -> None:
    """Ten seconds, unless the annotation says how long."""
    world.apply("Deployment", workload(annotations=fault("slow", **more)))
    world.clock.advance(seconds - 0.5)
    before = world.get("deployments.apps")["status"].get("availableReplicas", 0)
    world.clock.advance(1.5)
    assert (before, world.get("deployments.apps")["status"]["availableReplicas"]) == (0, 2)


def test_injected_fault_meets_the_pods_of_one_deployment(world: World) -> None:
    """Faults need no annotation, and end when they are cleared."""
    world.cluster.faults.inject(Fault("crash-loop"), kind="Deployment", name="web")
    world.apply("Deployment", workload(replicas=1))
    world.apply("Deployment", workload(replicas=1), name="other")
    world.clock.advance(2)
    broken = world.get("deployments.apps")["status"].get("availableReplicas", 0)
    fine = world.get("deployments.apps", "other")["status"]["availableReplicas"]
    world.cluster.faults.clear()
    world.clock.advance(30)
    assert (broken, fine) == (0, 1)
    assert world.get("deployments.apps")["status"]["availableReplicas"] == 1


def test_unknown_fault_is_refused(world: World) -> None:
    """The message lists the faults there are."""
    with pytest.raises(ValueError, match=f"no fault 'fire'; there are {', '.join(FAULTS)}"):
        world.cluster.faults.inject(Fault("fire"), kind="Pod")


def test_stateful_set_starts_in_order_and_updates_backwards(world: World) -> None:
    """One pod after the other, each with its claim; an update begins at the last."""
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    spec = workload(serviceName="web", volumeClaimTemplates=[claim])
    world.apply("StatefulSet", spec)
    world.clock.advance(0.1)
    first = [pod["metadata"]["name"] for pod in world.list("pods")]
    world.clock.advance(2)
    world.apply(
        "StatefulSet", {**workload("i:2", serviceName="web"), "volumeClaimTemplates": [claim]}
    )
    world.clock.advance(0.25)
    gone = world.get("pods", "web-0")["spec"]["containers"][0]["image"]
    world.clock.advance(3)
    status = world.get("statefulsets.apps")["status"]
    assert first == ["web-0"]
    assert gone == "i:1"
    assert status["readyReplicas"] == status["updatedReplicas"] == 2
    assert status["currentRevision"] == status["updateRevision"]
    assert [each["status"]["phase"] for each in world.list("persistentvolumeclaims")] == [
        "Bound"
    ] * 2


def test_daemon_set_runs_on_the_node(world: World) -> None:
    """One pod for the one node; a new template replaces it."""
    world.apply("DaemonSet", workload(replicas=None))
    world.clock.advance(1)
    world.apply("DaemonSet", workload("i:2", replicas=None))
    world.clock.advance(2)
    status = world.get("daemonsets.apps")["status"]
    assert status["desiredNumberScheduled"] == status["numberReady"] == 1
    assert status["updatedNumberScheduled"] == status["numberAvailable"] == 1


def job(annotations: Any = None, **spec: Any) -> Object:
    """The spec of a Job."""
    pod = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}
    template = {"metadata": {"annotations": annotations or {}}, "spec": pod}
    return {"template": template, **spec}


def test_job_completes(world: World) -> None:
    """Its pods succeed one after the other as parallelism says."""
    world.apply("Job", job(completions=3), api_version="batch/v1")
    world.clock.advance(3)
    found = world.get("jobs.batch")
    assert found["status"]["succeeded"] == 3
    assert conditions(found)["Complete"] == ("True", "CompletionsReached")
    assert "completionTime" in found["status"]


def test_job_fails_past_its_backoff_limit(world: World) -> None:
    """Crashing pods make the Job fail with the real reason."""
    world.apply("Job", job(fault("crash-loop"), backoffLimit=2), api_version="batch/v1")
    world.clock.advance(5)
    found = world.get("jobs.batch")
    assert found["status"]["failed"] == 3
    assert conditions(found)["Failed"] == ("True", "BackoffLimitExceeded")


def test_deleted_owner_takes_its_dependents(world: World) -> None:
    """ReplicaSets and pods go after their Deployment; orphans stay."""
    world.apply("Deployment", workload())
    world.apply("Deployment", workload(), name="kept")
    world.clock.advance(1)
    world.delete("deployments.apps")
    world.delete("deployments.apps", "kept", propagationPolicy="Orphan")
    world.clock.advance(1)
    assert world.list("deployments.apps") == []
    assert len(world.list("replicasets.apps")) == 1
    assert len(world.list("pods")) == 2


def test_finalizer_holds_an_object(world: World) -> None:
    """It is marked, stays, and goes when the last finalizer does."""
    resource = world.cluster.registry.find_kind("v1", "ConfigMap")
    assert resource is not None
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c", "finalizers": ["a.b/c"]},
    }
    world.cluster.operations.create(resource, "default", body, WriteOptions())
    world.delete("configmaps", "c")
    marked = world.get("configmaps", "c")
    patch = {"metadata": {"finalizers": None}}
    world.cluster.operations.patch(
        resource, "default", "c", patch, form="merge", options=WriteOptions()
    )
    assert "deletionTimestamp" in marked["metadata"]
    assert world.list("configmaps") == []


def test_load_balancer_gets_an_address(world: World) -> None:
    """A cluster address at once, one outside a moment later."""
    spec = {"type": "LoadBalancer", "ports": [{"port": 80}]}
    made = world.apply("Service", spec, api_version="v1")
    world.clock.advance(1)
    ingress = world.get("services")["status"]["loadBalancer"]["ingress"][0]
    assert made["spec"]["clusterIP"].startswith("10.96.")
    assert ingress["ip"].startswith("203.0.113.")


def test_new_kind_is_served_once_established(world: World) -> None:
    """A definition's kind can be written after a moment, and goes with the definition."""
    schema = {"type": "object", "properties": {"spec": {"type": "object"}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    spec = {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget"},
        "versions": [version],
    }
    world.apply("CustomResourceDefinition", spec, "widgets.example.com", "apiextensions.k8s.io/v1")
    early = world.cluster.registry.find_kind("example.com/v1", "Widget")
    world.clock.advance(1)
    world.apply("Widget", {}, "w", "example.com/v1")
    world.delete("customresourcedefinitions.apiextensions.k8s.io", "widgets.example.com")
    assert early is None
    assert world.list("widgets.example.com") == []
    assert world.cluster.registry.find_kind("example.com/v1", "Widget") is None


def test_terminating_namespace_takes_nothing(world: World) -> None:
    """It goes when it is empty; until then creating in it is forbidden."""
    world.apply("Namespace", {}, "team", "v1")
    world.clock.advance(1)
    world.delete("namespaces", "team")
    resource = world.cluster.registry.find_kind("v1", "ConfigMap")
    assert resource is not None
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}
    with pytest.raises(ApiProblem, match="because it is being terminated"):
        world.cluster.operations.create(resource, "team", body, WriteOptions())
    world.clock.advance(1)
    assert world.cluster.store.get("namespaces", "", "team") is None
