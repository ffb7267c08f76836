"""The contract of operations on the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gennaker.stage import Failed
from gennaker.testing import FakeContext
from gennaker_stages.kubernetes.operations.changes import KubernetesPatch
from gennaker_stages.kubernetes.operations.looks import KubernetesWait
from gennaker_stages.kubernetes.sandbox import Sandbox
from tests.contract.apply_contract import MIXED
from tests.contract.operations_contract import OperationsContract


@pytest.fixture(name="sandbox", scope="module")
def start_sandbox() -> Iterator[Sandbox]:
    """One sandbox for the module; every test has a namespace of its own."""
    with Sandbox() as sandbox:
        yield sandbox


class TestSandboxOperations(OperationsContract):
    """What holds on the real control plane holds here."""

    @pytest.fixture(name="kubeconfig")
    def write_kubeconfig(self, sandbox: Sandbox, tmp_path: Path) -> Path:
        path = tmp_path / "kubeconfig"
        sandbox.write_kubeconfig(path)
        return path

    def test_explains_a_rollout_that_does_not_end(self, context: FakeContext) -> None:
        """Container, exit code, last log lines and event, in the words of a deploy; the log has all."""
        self.deploy(context, MIXED)
        marks = {"sandbox.gennaker.dev/fault": "crash-loop"}
        patch = {"spec": {"template": {"metadata": {"annotations": marks}}}}
        patching = self.start(context)
        done = self.operate(KubernetesPatch, patching, patch=patch, ready_within="2s")
        waited = self.operate(KubernetesWait, self.start(context), within="1s")
        for outcome, late in ((done, "2s"), (waited, "1s")):
            assert isinstance(outcome, Failed)
            assert outcome.code == "rollout-timeout"
            assert outcome.reason.startswith(f"not ready within {late}: Deployment/web: ")
            for part in (
                "container web: CrashLoopBackOff: ",
                "(last exit code 1, Error); last log lines: ",
                "simulated crash: exit status 1",
                "; event of Pod/web-",
            ):
                assert part in outcome.reason
        assert "Deployment/web: last log lines: " in patching.log_text
