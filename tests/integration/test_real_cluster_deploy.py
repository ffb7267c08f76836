"""The deploy contract on a real control plane."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.apply_contract import ApplyContract
from tests.contract.deploy_contract import DeployContract
from tests.fixtures.control_plane import ControlPlane


class TestRealCluster(ApplyContract, DeployContract):
    """etcd, API server, controllers, scheduler and kwok nodes."""

    @pytest.fixture(name="kubeconfig")
    def find_kubeconfig(self, control_plane: ControlPlane) -> Path:
        return Path(control_plane.kubeconfig)
