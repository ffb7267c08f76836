"""The deploy contract on the sandbox, and what only a sandbox can show: faults of containers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gennaker.stage import Failed
from gennaker.testing import FakeContext
from gennaker_stages.kubernetes.sandbox import Sandbox
from tests.contract.apply_contract import ApplyContract
from tests.contract.deploy_contract import DeployContract


@pytest.fixture(name="sandbox", scope="module")
def start_sandbox() -> Iterator[Sandbox]:
    """One sandbox for the module; every test has a namespace of its own."""
    with Sandbox() as sandbox:
        yield sandbox


class TestSandbox(ApplyContract, DeployContract):
    """The sandbox passes what the real control plane passes."""

    @pytest.fixture(name="kubeconfig")
    def write_kubeconfig(self, sandbox: Sandbox, tmp_path: Path) -> Path:
        path = tmp_path / "kubeconfig"
        sandbox.write_kubeconfig(path)
        return path

    def write_stuck(self) -> str:
        """The sandbox schedules every Pod, so a fault keeps it from getting ready."""
        return self.write_fault("never-ready")

    def write_fault(self, fault: str) -> str:
        """The bundle with a fault injected into its Pods."""
        annotation = f"annotations: {{sandbox.gennaker.dev/fault: {fault}}}, labels: {{app: web}}"
        return self.write().replace("{labels: {app: web}}", f"{{{annotation}}}")

    @pytest.mark.parametrize(
        ("fault", "said"),
        [
            ("image-pull-error", "container web: ImagePullBackOff"),
            ("crash-loop", "container web: CrashLoopBackOff"),
            ("never-ready", "container web: runs but is not ready"),
        ],
    )
    def test_a_fault_is_explained(self, context: FakeContext, fault: str, said: str) -> None:
        """The container, its reason and the event are told, not only that time is up."""
        bundle = self.write_fault(fault)
        done = self.deploy(context, bundle, ready_within="2s")
        assert isinstance(done, Failed)
        assert "Deployment/web" in done.reason
        assert said in done.reason
        if fault != "never-ready":
            assert "event of Pod/web-" in done.reason
