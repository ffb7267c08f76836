"""How a deploy waits on a real control plane, whose controllers write what is waited for."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from gennaker.stage import Failed, Succeeded
from gennaker.testing import FakeContext
from gennaker_stages.kubernetes.client.cluster import Cluster
from gennaker_stages.kubernetes.health.assessment import check_health
from gennaker_stages.kubernetes.health.custom import HealthRule
from tests.contract.health_contract import ONE, HealthContract, write_workload
from tests.fixtures.control_plane import TOKEN, ControlPlane
from tests.fixtures.fault_proxy import Fault, FaultProxy, Passed, run_proxy

WAITING = "gennaker_stages.kubernetes.health.waiting"
QUOTA = (
    "---\n{apiVersion: v1, kind: ResourceQuota, metadata: {name: none}, spec: {hard: {pods: 0}}}\n"
)


@pytest.fixture(name="proxy", scope="module")
def make_proxy(control_plane: ControlPlane) -> Iterator[FaultProxy]:
    """One proxy for the module; every test says what it does."""
    with run_proxy(control_plane.url, control_plane.certificates / "apiserver.crt") as proxy:
        yield proxy


class TestRealClusterHealth(HealthContract):
    """etcd, API server, controllers, scheduler and kwok nodes, seen through a proxy."""

    @pytest.fixture(name="kubeconfig")
    def write_kubeconfig(self, proxy: FaultProxy, tmp_path: Path) -> Path:
        proxy.choose = lambda _passed: None
        proxy.passed.clear()
        return proxy.write_kubeconfig(tmp_path / "kubeconfig", {"token": TOKEN})

    @pytest.mark.parametrize(
        "kind", ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"]
    )
    def test_workloads_get_ready(self, context: FakeContext, kind: str) -> None:
        """What the controllers write of each kind is understood."""
        done = self.deploy(context, write_workload(kind), ready_within="60s")
        assert isinstance(done, Succeeded), done
        assert done.outputs["images"] == ["r.test/web:1"]

    @pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "Job"])
    def test_a_quota_fails_early_when_told_so(
        self, context: FakeContext, monkeypatch: pytest.MonkeyPatch, kind: str
    ) -> None:
        """That no Pod can be made is told with the quota's name, by a condition or by an event."""
        monkeypatch.setattr(f"{WAITING}.EARLY_SECONDS", 0.5)
        assert isinstance(self.deploy(context, QUOTA), Succeeded)
        status = None
        while not (status or {}).get("hard"):  # it holds once its controller has counted
            status = self.read(context, "v1", "ResourceQuota", "none").get("status")
        started = time.monotonic()
        bundle = QUOTA + write_workload(kind)
        done = self.redeploy(context, bundle, ready_within="60s", fail_early=True)
        assert isinstance(done, Failed), done
        assert f"{kind}/web: " in done.reason
        assert "FailedCreate: " in done.reason and "exceeded quota: none" in done.reason
        assert time.monotonic() - started < 30

    def test_checklist_49_a_progress_deadline_ends_the_wait(
        self, context: FakeContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What the Deployment itself says of its time counts; no flag is needed."""
        monkeypatch.setattr(f"{WAITING}.SETTLE_SECONDS", 0.2)
        bundle = write_workload(spec=", progressDeadlineSeconds: 1", pod=", nodeName: nowhere")
        done = self.deploy(context, bundle, ready_within="60s")
        assert isinstance(done, Failed), done
        assert done.code == "rollout-failed"
        assert "has timed out progressing" in done.reason

    def test_a_job_that_fails_ends_the_wait(
        self, context: FakeContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With the reason of its condition."""
        monkeypatch.setattr(f"{WAITING}.SETTLE_SECONDS", 0.2)
        pod = ", nodeName: nowhere, terminationGracePeriodSeconds: 0"
        bundle = write_workload("Job", spec=", activeDeadlineSeconds: 1", pod=pod)
        done = self.deploy(context, bundle, ready_within="60s")
        assert isinstance(done, Failed), done
        assert "Job/web: DeadlineExceeded: Job was active longer" in done.reason

    def test_a_job_that_is_cleaned_away_has_ended_well(self, context: FakeContext) -> None:
        """``ttlSecondsAfterFinished: 0`` may delete it before anybody saw that it was complete."""
        bundle = write_workload("Job", spec=", ttlSecondsAfterFinished: 0")
        done = self.deploy(context, bundle, ready_within="60s")
        assert isinstance(done, Succeeded), done

    def test_checklist_49_a_crash_loop_is_told_with_its_exit_code(
        self, context: FakeContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What a kubelet writes of a container that crashes fails the deploy early."""
        monkeypatch.setattr(f"{WAITING}.EARLY_SECONDS", 0.5)
        text = "back-off 40s restarting failed container=web"
        waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": text}}
        ended = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
        container = {"name": "web", "image": "r.test/web:1", "imageID": "", "ready": False}
        container |= {"restartCount": 4, "state": waiting, "lastState": ended}

        def crash() -> None:
            cluster: Cluster = context.connection
            resource, namespace = cluster.find_resource("v1", "Pod"), cluster.settings.namespace
            while not (pods := cluster.list_objects(resource, namespace)["items"]):
                time.sleep(0.05)
            status = {"phase": "Running", "containerStatuses": [container]}
            self.set_status(context, ("v1", "Pod", pods[0]["metadata"]["name"]), status)

        with self.when_told(context, "Deployment/web: ", crash):
            done = self.deploy(
                context,
                write_workload(pod=", nodeName: nowhere"),
                ready_within="60s",
                fail_early=True,
            )
        assert isinstance(done, Failed), done
        assert f"container web: CrashLoopBackOff: {text}" in done.reason
        assert "(last exit code 137, OOMKilled)" in done.reason

    def test_an_address_is_waited_for_unless_a_rule_says_otherwise(
        self, context: FakeContext
    ) -> None:
        """A load balancer gets its address from the cluster; an Ingress here never gets one."""
        ports = "ports: [{port: 80}]"
        bundle = (
            "---\n{apiVersion: v1, kind: Service, metadata: {name: web}, "
            f"spec: {{type: LoadBalancer, {ports}}}}}\n"
            "---\n{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web}, spec: "
            "{defaultBackend: {service: {name: web, port: {number: 80}}}}}\n"
        )
        cluster: Cluster = context.connection
        rules = {"networking.k8s.io/Ingress": HealthRule(ready="true")}
        cluster.settings = cluster.settings.model_copy(update={"health": rules})
        status = {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}}
        give = lambda: self.set_status(context, ("v1", "Service", "web"), status)  # noqa: E731
        with self.when_told(context, "Service/web: has no address yet", give):
            assert isinstance(self.deploy(context, bundle, ready_within="60s"), Succeeded)

    def test_what_the_controllers_write_is_judged(self, context: FakeContext) -> None:
        """Kinds whose add-ons this cluster lacks have the verdicts that they should."""
        parts = [
            "{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: web}, spec: "
            "{minAvailable: 1, selector: {matchLabels: {app: web}}}}",
            "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: web}, spec: "
            "{storageClassName: none, accessModes: [ReadWriteOnce], "
            "resources: {requests: {storage: 1Gi}}}}",
        ]
        bundle = write_workload() + "".join(f"---\n{each}\n" for each in parts)
        assert isinstance(self.deploy(context, bundle, wait=False), Succeeded)
        expected = {
            ("apps/v1", "Deployment"): "ready",
            ("policy/v1", "PodDisruptionBudget"): "ready",
            ("v1", "PersistentVolumeClaim"): "progressing",
        }
        self.expect_states(context, expected)

    @pytest.mark.nightly
    def test_an_autoscaler_without_metrics_is_degraded(self, context: FakeContext) -> None:
        """Its controller looks every 15 seconds."""
        bundle = write_workload() + (
            "---\n{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: "
            "{name: web}, spec: {maxReplicas: 2, scaleTargetRef: "
            "{apiVersion: apps/v1, kind: Deployment, name: web}}}\n"
        )
        assert isinstance(self.deploy(context, bundle, wait=False), Succeeded)
        expected = {("autoscaling/v2", "HorizontalPodAutoscaler"): "degraded"}
        self.expect_states(context, expected)

    def expect_states(self, context: FakeContext, expected: dict[tuple[str, str], str]) -> None:
        """Wait until the objects named ``web`` are in these states."""
        until = time.monotonic() + 60
        found: dict[tuple[str, str], str] = {}
        while found != expected and time.monotonic() < until:
            found = {key: check_health(self.read(context, *key, "web")).state for key in expected}
            time.sleep(0.2)
        assert found == expected

    def test_one_watch_for_each_kind_and_no_other_request(
        self, context: FakeContext, proxy: FaultProxy
    ) -> None:
        """Three kinds are listed once and watched once each; then nothing is asked until all are ready."""
        self.define_gadgets(context)
        two = write_workload(spec=", replicas: 2").replace("name: web}\n", "name: other}\n")
        bundle = ONE + two + write_workload() + write_workload("StatefulSet")
        proxy.passed.clear()
        assert isinstance(self.deploy(context, bundle, ready_within="60s"), Succeeded)
        last = max(
            place for place, each in enumerate(proxy.passed) if each.method in ("PATCH", "PUT")
        )
        asked = Counter(
            ("watch" if "watch=true" in each.path else "list", find_kind(each))
            for each in proxy.passed[last + 1 :]
            # Once it is over, the images that run are read, and copies of what was there dropped.
            if find_kind(each) not in ("pods", "secrets")
        )
        kinds = ("deployments", "statefulsets", "gadgets")
        assert asked == {(how, kind): 1 for how in ("list", "watch") for kind in kinds}

    @pytest.mark.faults
    def test_checklist_40_a_watch_that_breaks_off_is_followed_on(
        self, gadget: FakeContext, proxy: FaultProxy
    ) -> None:
        """Broken off, too old (410), refused: the wait goes on and misses nothing."""
        too_old = b'{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old"}}\n'
        proxy.fail_once(
            lambda passed: "watch=true" in passed.path,
            Fault(cut=1),
            Fault(200, body=too_old),
            Fault(503),
            Fault(drop="before"),
        )

        def finish() -> None:
            ticks = 0
            while len([each for each in proxy.passed if "watch=true" in each.path]) < 5:
                ticks += 1
                self.set_gadget(gadget, "Ready=False", ticks=ticks)
                time.sleep(0.1)
            self.set_gadget(gadget, "Ready=True")

        with self.when_told(gadget, "Gadget/one: Test", finish):
            assert isinstance(self.deploy(gadget, ONE, ready_within="60s"), Succeeded)

    @pytest.mark.faults
    def test_checklist_49_a_wait_never_goes_past_its_time(
        self, gadget: FakeContext, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A server that no longer answers is not waited for; what was last seen is told."""
        monkeypatch.setattr("gennaker_stages.kubernetes.health.explanation.EXPLAIN_SECONDS", 0.5)

        def hang() -> None:
            proxy.choose = lambda _passed: Fault(hang=5.0)

        with self.when_told(gadget, "Gadget/one: Test", hang):
            started = time.monotonic()
            done = self.deploy(gadget, ONE, ready_within="2s")
        assert isinstance(done, Failed), done
        assert done.reason == "not ready within 2s: Gadget/one: Test"
        assert time.monotonic() - started < 2 + 0.5 + 10

    def test_who_may_not_look_at_pods_may_deploy(
        self, context: FakeContext, proxy: FaultProxy
    ) -> None:
        """``fail_early`` sees less then, and says so."""
        forbidden = b'{"kind": "Status", "code": 403, "message": "pods is forbidden"}'
        over: list[bool] = []

        def choose(passed: Passed) -> Fault | None:
            is_look = passed.method == "GET" and find_kind(passed) in ("pods", "events")
            return Fault(403, body=forbidden) if is_look and not over else None

        proxy.choose = choose
        allow = lambda: over.append(True)  # noqa: E731
        with self.when_told(context, "what goes wrong is not seen early: ", allow):
            bundle = write_workload()
            done = self.deploy(context, bundle, ready_within="60s", fail_early=True)
        assert isinstance(done, Succeeded), done


def find_kind(passed: Passed) -> str:
    """The plural of the kind that a request is about."""
    parts = passed.path.partition("?")[0].strip("/").split("/")
    place = parts.index("namespaces") + 2 if "namespaces" in parts else len(parts) - 1
    return parts[place] if place < len(parts) else parts[-1]
