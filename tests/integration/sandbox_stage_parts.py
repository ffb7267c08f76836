"""Where the stage types work that are held to their contract on a sandbox."""

from __future__ import annotations

from pathlib import Path

from gennaker.stage import Environment
from gennaker.testing import FakeContext, StageContract
from gennaker_stages.kubernetes.client.cluster import Cluster
from gennaker_stages.kubernetes.sandbox import Sandbox
from gennaker_stages.kubernetes.settings import KubernetesSettings

__all__ = ["SandboxStageContract"]


class SandboxStageContract(StageContract):
    """The contract of stage types in a namespace of the module's sandbox."""

    sandbox: Sandbox

    def make_context(self, folder: Path) -> FakeContext:
        """A context in a namespace of the sandbox."""
        kubeconfig = folder / "kubeconfig"
        self.sandbox.write_kubeconfig(kubeconfig)
        settings = KubernetesSettings(namespace="contract", create_namespace=True)
        cluster = Cluster(kubeconfig, None, settings, project=folder / "nowhere")
        environment = Environment("staging", "kubernetes", {"namespace": "contract"})
        return FakeContext(folder, environment=environment, connection=cluster)
