"""Questions about environments, on a real control plane."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.contract.questions_contract import QuestionsContract
from tests.fixtures.control_plane import ControlPlane


class TestRealClusterQuestions(QuestionsContract):
    """etcd, API server, controllers, scheduler and kwok nodes."""

    @pytest.fixture(name="kubeconfig")
    def copy_kubeconfig(self, control_plane: ControlPlane, tmp_path: Path) -> Path:
        return Path(shutil.copy(control_plane.kubeconfig, tmp_path / "kubeconfig"))
