"""The undo contract on the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gennaker.stage import Failed, Succeeded
from gennaker.testing import FakeContext
from gennaker_stages.kubernetes.deploy_stage import KubernetesDeploy
from gennaker_stages.kubernetes.sandbox import Sandbox
from tests.contract.health_contract import write_workload
from tests.contract.undo_contract import EMPTY, UndoContract


@pytest.fixture(name="sandbox", scope="module")
def start_sandbox() -> Iterator[Sandbox]:
    """One sandbox for the module; every test has a namespace of its own."""
    with Sandbox() as sandbox:
        yield sandbox


class TestSandboxUndo(UndoContract):
    """What holds on the real control plane holds here."""

    @pytest.fixture(name="kubeconfig")
    def write_kubeconfig(self, sandbox: Sandbox, tmp_path: Path) -> Path:
        path = tmp_path / "kubeconfig"
        sandbox.write_kubeconfig(path)
        return path

    def test_checklist_52_an_old_image_that_is_gone_is_told(self, context: FakeContext) -> None:
        """Nobody knows before the Pods start: then the undo fails with what the registry says."""
        good = write_workload()
        labels = "metadata: {labels: {app: web}"
        note = "annotations: {sandbox.gennaker.dev/fault: image-pull-error}"
        gone = good.replace(labels, f"metadata: {{labels: {{app: web}}, {note}")
        assert gone != good
        assert isinstance(self.deploy(self.start(context), gone, wait=False), Succeeded)
        second = self.start(context)
        assert isinstance(self.deploy(second, good), Succeeded)
        assert second.before is not None
        inputs = KubernetesDeploy.Inputs(bundle=EMPTY, ready_within="2s")
        done = KubernetesDeploy().undo(inputs, second.before, self.start(context))
        assert isinstance(done, Failed)
        assert done.code == "rollout-timeout"
        assert done.reason.startswith("not ready within 2s: Deployment/web: ")
        assert "ImagePull" in done.reason and "not found" in done.reason
