"""The contract of jobs on a real control plane."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.jobs_contract import JobsContract
from tests.fixtures.control_plane import ControlPlane


class TestRealClusterJobs(JobsContract):
    """etcd, API server, controllers, scheduler and kwok nodes."""

    @pytest.fixture(name="kubeconfig")
    def find_kubeconfig(self, control_plane: ControlPlane) -> Path:
        return Path(control_plane.kubeconfig)
