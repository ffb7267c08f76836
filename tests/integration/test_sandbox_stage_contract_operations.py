"""The contract for stage types, run on the operations with a sandbox."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from gennaker_stages.kubernetes.deploy_stage import KubernetesDeploy
from gennaker_stages.kubernetes.operations.changes import (
    KubernetesPatch,
    KubernetesRestart,
    KubernetesScale,
)
from gennaker_stages.kubernetes.operations.job import KubernetesRunJob
from gennaker_stages.kubernetes.operations.looks import KubernetesRead, KubernetesWait
from gennaker_stages.kubernetes.operations.removal import KubernetesDelete
from gennaker_stages.kubernetes.operations.rollouts import KubernetesRolloutUndo
from gennaker_stages.kubernetes.sandbox import Sandbox
from tests.contract.apply_contract import MIXED
from tests.contract.jobs_contract import NEVER
from tests.integration.sandbox_stage_parts import SandboxStageContract

WEB = {"object": "Deployment/web"}


@pytest.fixture(name="sandbox", scope="module", autouse=True)
def start_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One sandbox for the module, with a Deployment of two revisions."""
    with Sandbox() as sandbox:
        SandboxStageContract.sandbox = sandbox
        folder = tmp_path_factory.mktemp("deploy")
        context = SandboxStageContract().make_context(folder)
        bundle = context.artifacts.put(MIXED.encode())
        KubernetesDeploy().run(KubernetesDeploy.Inputs(bundle=bundle), context)
        patch = {"spec": {"template": {"metadata": {"annotations": {"revision": "second"}}}}}
        second = SandboxStageContract().make_context(tmp_path_factory.mktemp("second"))
        KubernetesPatch().run(KubernetesPatch.Inputs(**WEB, patch=patch), second)
        yield sandbox


class TestKubernetesPatch(SandboxStageContract):
    """A label, again and again."""

    stage = KubernetesPatch
    inputs = {**WEB, "patch": {"metadata": {"labels": {"team": "blue"}}}}


class TestKubernetesScale(SandboxStageContract):
    """To two replicas."""

    stage = KubernetesScale
    inputs = {**WEB, "replicas": 2}


class TestKubernetesRestart(SandboxStageContract):
    """Once in an attempt."""

    stage = KubernetesRestart
    inputs = WEB


class TestKubernetesRolloutUndo(SandboxStageContract):
    """Once in an attempt; what it went back to is what it keeps to."""

    stage = KubernetesRolloutUndo
    inputs = WEB


class TestKubernetesDelete(SandboxStageContract):
    """What is there the first time; the second delivery tells the same."""

    stage = KubernetesDelete
    inputs: ClassVar[Mapping[str, Any]] = {"objects": ["ConfigMap/web", "ConfigMap/no"]}
    long_inputs: ClassVar[Mapping[str, Any]] = {"objects": ["ConfigMap/held"]}

    @pytest.fixture(autouse=True)
    def make_held(self, tmp_path: Path) -> None:
        """Something that does not go: it has a finalizer."""
        cluster = self.make_context(tmp_path).connection
        metadata = {"name": "held", "namespace": "contract", "finalizers": ["acme.test/hold"]}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
        cluster.apply(cluster.find_resource("v1", "ConfigMap"), body)


class TestKubernetesRunJob(SandboxStageContract):
    """One that ends at once, and one that never does."""

    stage = KubernetesRunJob
    inputs: ClassVar[Mapping[str, Any]] = {"image": "r.test/work:1", "command": "true"}
    long_inputs: ClassVar[Mapping[str, Any]] = {"manifest": NEVER}


class TestKubernetesWait(SandboxStageContract):
    """For a condition; and for what never comes, until told to stop."""

    stage = KubernetesWait
    inputs = {**WEB, "condition": "Available"}
    long_inputs = {**WEB, "until": "spec.replicas == 99"}


class TestKubernetesRead(SandboxStageContract):
    """A value and the images."""

    stage = KubernetesRead
    inputs = {**WEB, "values": {"app": "metadata.labels.app"}}
