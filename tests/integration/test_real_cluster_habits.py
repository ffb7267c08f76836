"""Configuration, images and hooks as they are brought from other tools, on a real control plane."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gennaker.stage import Succeeded
from gennaker.testing import FakeContext
from tests.contract.adoption_contract import AdoptionContract
from tests.contract.config_contract import ConfigContract
from tests.contract.hooks_contract import HooksContract
from tests.contract.ignore_contract import IgnoreContract
from tests.fixtures.control_plane import ControlPlane


class TestRealCluster(AdoptionContract, ConfigContract, HooksContract, IgnoreContract):
    """etcd, API server, controllers, scheduler and kwok nodes."""

    @pytest.fixture(name="kubeconfig")
    def find_kubeconfig(self, control_plane: ControlPlane) -> Path:
        return Path(control_plane.kubeconfig)

    def test_what_helm_installed_is_taken_over(
        self, context: FakeContext, control_plane: ControlPlane, helm_binary: Path, tmp_path: Path
    ) -> None:
        """A release that the real Helm made and upgraded becomes ours, its record stays Helm's."""
        chart = tmp_path / "chart"
        (chart / "templates").mkdir(parents=True)
        (chart / "Chart.yaml").write_text("{apiVersion: v2, name: web, version: 1.0.0}")
        (chart / "templates" / "web.yaml").write_text(
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: web}, data: {a: '1', b: '1'}}"
        )
        namespace = context.connection.settings.namespace
        command = [str(helm_binary), "upgrade", "--install", "web", str(chart)]
        for _ in range(2):
            subprocess.run(
                [*command, "--namespace", namespace, "--create-namespace"],
                env={"KUBECONFIG": str(control_plane.kubeconfig), "HOME": str(tmp_path)},
                check=True,
                capture_output=True,
                timeout=60,
            )
        bundle = "{apiVersion: v1, kind: ConfigMap, metadata: {name: web}, data: {a: '2'}}"
        planned = self.plan(context, bundle, adopt="helm/web")
        assert planned["Secret/sh.helm.release.v1.web.v2"][0] == "leave"
        assert isinstance(self.deploy(context, bundle, adopt="helm/web"), Succeeded)
        live = self.read(context, "v1", "ConfigMap", "web")
        assert live["data"] == {"a": "2"}
        assert "annotations" not in live["metadata"]
        assert {each["manager"] for each in live["metadata"]["managedFields"]} == {"gennaker"}
