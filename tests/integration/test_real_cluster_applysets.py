"""The inventory is one that kubectl understands."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from gennaker.testing import FakeContext
from gennaker_stages.kubernetes.client.cluster import Cluster
from tests.contract.deploy_parts import DeployParts
from tests.fixtures.control_plane import ControlPlane

TWO = """\
{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {x: "1"}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: b}, data: {x: "1"}}
"""


class TestWithKubectl(DeployParts):
    """A deploy of ours, then kubectl with the same set."""

    @pytest.fixture(name="kubeconfig")
    def find_kubeconfig(self, control_plane: ControlPlane) -> Path:
        return Path(control_plane.kubeconfig)

    def apply(self, control_plane: ControlPlane, namespace: str) -> tuple[int, str]:
        """``kubectl apply --prune`` of the first object alone, with our parent."""
        done = subprocess.run(
            [
                str(control_plane.kubectl),
                f"--kubeconfig={control_plane.kubeconfig}",
                f"--namespace={namespace}",
                *["apply", "--server-side", "--force-conflicts", "--prune"],
                "--applyset=configmaps/gennaker.shop",
                "--filename=-",
            ],
            input=TWO.partition("---")[0],
            env={**os.environ, "KUBECTL_APPLYSET": "true"},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def test_real_cluster_checklist_48_kubectl_knows_the_inventory(
        self, context: FakeContext, control_plane: ControlPlane
    ) -> None:
        """kubectl refuses our set as another tool's, and prunes with it once it is said to be its own."""
        self.deploy(context, TWO, set="shop")
        cluster: Cluster = context.connection
        namespace = cluster.settings.namespace
        code, told = self.apply(control_plane, namespace)
        assert code != 0 and "gennaker" in told
        annotations = {"applyset.kubernetes.io/tooling": "kubectl/v1.36.0"}
        cluster.patch(
            cluster.find_resource("v1", "ConfigMap"),
            namespace,
            "gennaker.shop",
            {"metadata": {"annotations": annotations}},
        )
        code, told = self.apply(control_plane, namespace)
        assert code == 0, told
        assert self.read(context, "v1", "ConfigMap", "a") is not None
        assert self.read(context, "v1", "ConfigMap", "b") is None
