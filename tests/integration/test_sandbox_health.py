"""How a deploy waits on the sandbox, whose containers fail as they are told to."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gennaker.stage import Failed, Succeeded
from gennaker.testing import FakeContext
from gennaker_stages.kubernetes.sandbox import Sandbox
from tests.contract.health_contract import HealthContract, write_workload

WAITING = "gennaker_stages.kubernetes.health.waiting"


@pytest.fixture(name="sandbox", scope="module")
def start_sandbox() -> Iterator[Sandbox]:
    """One sandbox for the module; every test has a namespace of its own."""
    with Sandbox() as sandbox:
        yield sandbox


def write_fault(fault: str, kind: str = "Deployment") -> str:
    """A workload whose containers fail."""
    note = f"annotations: {{sandbox.gennaker.dev/fault: {fault}}}, labels: {{app: web}}"
    return write_workload(kind).replace(
        "template: {metadata: {labels: {app: web}}", f"template: {{metadata: {{{note}}}"
    )


class TestSandboxHealth(HealthContract):
    """The sandbox passes what the real control plane passes."""

    @pytest.fixture(name="kubeconfig")
    def write_kubeconfig(self, sandbox: Sandbox, tmp_path: Path) -> Path:
        path = tmp_path / "kubeconfig"
        sandbox.write_kubeconfig(path)
        return path

    @pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
    def test_checklist_49_a_crash_loop_fails_early_when_told_so(
        self, context: FakeContext, monkeypatch: pytest.MonkeyPatch, kind: str
    ) -> None:
        """Container, exit code, the last lines of its log and the event are told."""
        monkeypatch.setattr(f"{WAITING}.EARLY_SECONDS", 0.5)
        done = self.deploy(
            context, write_fault("crash-loop", kind), ready_within="60s", fail_early=True
        )
        assert isinstance(done, Failed)
        assert done.code == "rollout-failed"
        assert done.reason.startswith(f"not ready: {kind}/web: ")
        assert "container web: CrashLoopBackOff: back-off 10s" in done.reason
        assert "(last exit code 1, Error)" in context.log_text
        last = "simulated container web of image r.test/web:1 ⏎ simulated crash: exit status 1"
        assert f"last log lines: {last}" in context.log_text
        assert "BackOff: Back-off restarting failed container web" in context.log_text

    def test_an_image_that_cannot_be_pulled_fails_early_when_told_so(
        self, context: FakeContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The registry's answer is told."""
        monkeypatch.setattr(f"{WAITING}.EARLY_SECONDS", 0.5)
        bundle = write_fault("image-pull-error")
        done = self.deploy(context, bundle, ready_within="60s", fail_early=True)
        assert isinstance(done, Failed)
        assert "ImagePull" in done.reason and "r.test/web:1: not found" in done.reason

    def test_checklist_49_a_crash_loop_is_waited_for_by_default(
        self, context: FakeContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It may yet pass: the wait ends when its time is up, and then tells the same."""
        monkeypatch.setattr(f"{WAITING}.EARLY_SECONDS", 0.1)
        done = self.deploy(context, write_fault("crash-loop"), ready_within="2s")
        assert isinstance(done, Failed)
        assert done.code == "rollout-timeout"
        assert "CrashLoopBackOff" in done.reason and "last log lines: " in done.reason

    def test_checklist_49_what_is_slow_does_not_fail_early(
        self, context: FakeContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A container that runs without being ready is in no trouble; its time is ``ready_within``."""
        monkeypatch.setattr(f"{WAITING}.EARLY_SECONDS", 0.1)
        started = time.monotonic()
        bundle = write_fault("never-ready")
        done = self.deploy(context, bundle, ready_within="2s", fail_early=True)
        assert isinstance(done, Failed)
        assert done.code == "rollout-timeout"
        assert time.monotonic() - started >= 2
        assert "container web: runs but is not ready" in done.reason

    def test_old_pods_do_not_fail_a_new_version(
        self, context: FakeContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """While a deploy mends what crashes, the crashes of the version before do not count."""
        self.deploy(context, write_fault("crash-loop"), ready_within="1s")
        monkeypatch.setattr(f"{WAITING}.EARLY_SECONDS", 0.0)
        done = self.redeploy(context, write_fault("none"), ready_within="60s", fail_early=True)
        assert isinstance(done, Succeeded), done

    def test_secrets_are_masked_in_what_is_told(self, context: FakeContext) -> None:
        """A log line with a secret of the run, or of a Secret of the bundle, is told without it."""
        context.secrets = ["simulated crash"]
        context.__post_init__()
        secret = (
            "---\n{apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {a: of image}}\n"
        )
        done = self.deploy(context, secret + write_fault("crash-loop"), ready_within="1s")
        assert isinstance(done, Failed)
        assert "simulated container web *** r.test/web:1 ⏎ ***: exit status 1" in done.reason
        told = done.reason + context.log_text
        assert "simulated crash" not in told and "of image" not in told

    def test_addresses_and_autoscalers_come_by_themselves(self, context: FakeContext) -> None:
        """The sandbox gives what a cluster's add-ons give, so that nobody waits in vain."""
        parts = [
            "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web}, spec: "
            "{defaultBackend: {service: {name: web, port: {number: 80}}}}}",
            "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: "
            "{type: LoadBalancer, ports: [{port: 80}]}}",
            "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: web}, spec: "
            "{accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}",
            "{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: web}, "
            "spec: {maxReplicas: 2, scaleTargetRef: "
            "{apiVersion: apps/v1, kind: Deployment, name: web}}}",
        ]
        bundle = write_workload() + "".join(f"---\n{each}\n" for each in parts)
        done = self.deploy(context, bundle, ready_within="20s")
        assert isinstance(done, Succeeded), done
