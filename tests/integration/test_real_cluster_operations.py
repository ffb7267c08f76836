"""The contract of operations on a real control plane."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.operations_contract import OperationsContract
from tests.fixtures.control_plane import ControlPlane


class TestRealClusterOperations(OperationsContract):
    """etcd, API server, controllers, scheduler and kwok nodes."""

    @pytest.fixture(name="kubeconfig")
    def find_kubeconfig(self, control_plane: ControlPlane) -> Path:
        return Path(control_plane.kubeconfig)
