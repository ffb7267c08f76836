"""Configuration, images and hooks as they are brought from other tools, on a real control plane."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.config_contract import ConfigContract
from tests.contract.hooks_contract import HooksContract
from tests.contract.ignore_contract import IgnoreContract
from tests.fixtures.control_plane import ControlPlane


class TestRealCluster(ConfigContract, HooksContract, IgnoreContract):
    """etcd, API server, controllers, scheduler and kwok nodes."""

    @pytest.fixture(name="kubeconfig")
    def find_kubeconfig(self, control_plane: ControlPlane) -> Path:
        return Path(control_plane.kubeconfig)
