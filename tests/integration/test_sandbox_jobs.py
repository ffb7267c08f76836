"""The contract of jobs on the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gennaker_stages.kubernetes.sandbox import Sandbox
from tests.contract.jobs_contract import JobsContract


@pytest.fixture(name="sandbox", scope="module")
def start_sandbox() -> Iterator[Sandbox]:
    """One sandbox for the module; every test has a namespace of its own."""
    with Sandbox() as sandbox:
        yield sandbox


class TestSandboxJobs(JobsContract):
    """What holds on the real control plane holds here."""

    @pytest.fixture(name="kubeconfig")
    def write_kubeconfig(self, sandbox: Sandbox, tmp_path: Path) -> Path:
        path = tmp_path / "kubeconfig"
        sandbox.write_kubeconfig(path)
        return path
