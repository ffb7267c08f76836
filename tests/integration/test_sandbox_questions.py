"""Questions about environments, on the sandbox."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gennaker_stages.kubernetes.sandbox import Sandbox
from tests.contract.questions_contract import QuestionsContract
from tests.contract.questions_parts import Desk


@pytest.fixture(name="sandbox", scope="module")
def start_sandbox() -> Iterator[Sandbox]:
    """One sandbox for the module; every test has namespaces of its own."""
    with Sandbox() as sandbox:
        yield sandbox


class TestSandboxQuestions(QuestionsContract):
    """The sandbox answers as the real control plane does."""

    @pytest.fixture(name="kubeconfig")
    def write_kubeconfig(self, sandbox: Sandbox, tmp_path: Path) -> Path:
        path = tmp_path / "kubeconfig"
        sandbox.write_kubeconfig(path)
        return path

    def test_what_became_of_a_deploy_is_told(self, desk: Desk) -> None:
        """A field that a deploy wrote before it errored is said to be of one that errored."""
        desk.run()
        late = {"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": 0}]}}
        late["metadata"] = {"name": "late", "annotations": {"gennaker.dev/wave": "1"}}
        desk.write("chart/templates/late.yaml", json.dumps(late))
        desk.type("run", "web", "-p", "greeting=bye", code=7)
        (row,) = desk.type("blame", "staging", "cm/web", "data.greeting").splitlines()[1:]
        assert " web-2 (errored) " in row
        assert desk.type("diff", "staging", code=1).startswith(
            "staging  deployed by web-2, which errored\n"
        )
        told = "unknown-thing: Service/late is not there; web-2, which errored, was to deploy it; "
        assert desk.type("blame", "staging", "svc/late", code=2).startswith(told)

    def test_what_a_rollback_leaves_is_told(self, desk: Desk) -> None:
        """A script that changed an environment is named before anything is put back."""
        desk.write("both/c.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}")
        desk.write(
            "pipelines/both.yaml",
            "name: both\nstages:\n  load: {uses: manifests.load, with: {files: [both]}}\n"
            "  put: {uses: kubernetes.deploy, environment: staging, "
            "with: {bundle: '${{ stages.load.outputs.bundle }}'}}\n"
            "  note: {uses: shell, environment: staging, with: {run: 'true'}}\n",
        )
        desk.type("run", "both")
        text = desk.type("rollback", "both-1")
        told = "stays as it is: 'note' recorded nothing of what was there before\n"
        assert text.startswith(f"{told}both-2 created: Roll back both-1\n")
        assert "put | removed ConfigMap/c\n" in text
