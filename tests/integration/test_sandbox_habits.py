"""Configuration, images and hooks as they are brought from other tools, on the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gennaker_stages.kubernetes.sandbox import Sandbox
from tests.contract.adoption_contract import AdoptionContract
from tests.contract.config_contract import ConfigContract
from tests.contract.hooks_contract import HooksContract
from tests.contract.ignore_contract import IgnoreContract


@pytest.fixture(name="sandbox", scope="module")
def start_sandbox() -> Iterator[Sandbox]:
    """One sandbox for the module; every test has a namespace of its own."""
    with Sandbox() as sandbox:
        yield sandbox


class TestSandbox(AdoptionContract, ConfigContract, HooksContract, IgnoreContract):
    """The sandbox passes what the real control plane passes."""

    @pytest.fixture(name="kubeconfig")
    def write_kubeconfig(self, sandbox: Sandbox, tmp_path: Path) -> Path:
        path = tmp_path / "kubeconfig"
        sandbox.write_kubeconfig(path)
        return path
