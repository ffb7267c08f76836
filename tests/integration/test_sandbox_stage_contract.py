"""The contract for stage types, run on ``kubernetes.deploy`` with a sandbox."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from gennaker.testing import FakeContext
from gennaker_stages.kubernetes.deploy_stage import KubernetesDeploy
from gennaker_stages.kubernetes.sandbox import Sandbox
from tests.integration.sandbox_stage_parts import SandboxStageContract

CONFIG = "{apiVersion: v1, kind: ConfigMap, metadata: {name: web}, data: {greeting: hello}}"
STUCK = """\
apiVersion: v1
kind: Pod
metadata: {name: stuck, annotations: {sandbox.gennaker.dev/fault: never-ready}}
spec: {containers: [{name: web, image: "r.test/web:1"}]}
"""


@pytest.fixture(name="sandbox", scope="module", autouse=True)
def start_sandbox() -> Iterator[Sandbox]:
    """One sandbox for the module."""
    with Sandbox() as sandbox:
        TestKubernetesDeploy.sandbox = sandbox
        yield sandbox


class TestKubernetesDeploy(SandboxStageContract):
    """It deploys twice with one key, plans without a trace, and stops when told."""

    stage = KubernetesDeploy

    @pytest.fixture(autouse=True)
    def store_bundles(self, tmp_path: Path) -> None:
        """The inputs name artifacts, so these have to be there."""
        type(self).inputs = {"bundle": self.store(tmp_path, CONFIG)}
        type(self).long_inputs = {"bundle": self.store(tmp_path, STUCK)}

    def store(self, folder: Path, bundle: str) -> Mapping[str, Any]:
        """Put a bundle where the context of the test will look."""
        artifact = FakeContext(folder).artifacts.put(bundle.encode())
        return artifact.model_dump()
