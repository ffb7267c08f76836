"""``gennaker doctor`` on a real control plane: what stands between a machine and a deploy."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
import yaml

from gennaker_engine.cli.main import main
from tests.fixtures.control_plane import ControlPlane

Lines = list[tuple[str, str, str, str]]
ROLE = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: deployer, namespace: {namespace}}}
rules:
- apiGroups: ["", apps]
  resources: [configmaps, secrets, services, deployments]
  verbs: [{verbs}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: deployer, namespace: {namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: deployer}}
subjects: [{{kind: ServiceAccount, name: deployer, namespace: {namespace}}}]
"""


class Clinic:
    """A project whose environments doctor looks at."""

    def __init__(
        self, folder: Path, plane: ControlPlane, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.folder, self.plane, self._capsys = folder, plane, capsys
        self.namespace = f"doctor-{uuid.uuid4().hex[:8]}"
        self.account = f"system:serviceaccount:{self.namespace}:deployer"

    def make_namespace(self, verbs: str = "") -> None:
        """The namespace and its account, which may do so much in it."""
        plane = self.plane
        plane.run_kubectl("create", "namespace", self.namespace)
        plane.run_kubectl("create", "serviceaccount", "deployer", f"--namespace={self.namespace}")
        if verbs:
            role = ROLE.format(namespace=self.namespace, verbs=verbs)
            plane.run_kubectl("apply", "-f", "-", manifest=role)

    def write_kubeconfig(self, name: str, **user: Any) -> str:
        """A kubeconfig outside of the project with another user."""
        document = yaml.safe_load(self.plane.kubeconfig.read_text())
        document["users"][0]["user"] = user
        path = self.folder.parent / name
        path.write_text(yaml.safe_dump(document))
        return str(path)

    def ask(self, **environments: dict[str, Any]) -> tuple[int, Lines]:
        """Exit code, and the lines about environments: name, state, found, advice."""
        written = {
            name: {"kubernetes": {"namespace": self.namespace, **each}}
            for name, each in environments.items()
        }
        self.folder.mkdir(exist_ok=True)
        (self.folder / "gennaker.yaml").write_text(yaml.safe_dump({"environments": written}))
        code = main(["--project", str(self.folder), "doctor", "-o", "json"])
        items = json.loads(self._capsys.readouterr().out)["items"]
        keys = ("name", "state", "found", "advice")
        lines = [tuple(each[key] for key in keys) for each in items]
        return code, [
            (name.removeprefix("environment "), *rest)
            for name, *rest in lines
            if name.startswith("environment ")
        ]


@pytest.fixture
def clinic(
    control_plane: ControlPlane,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Clinic:
    """A project whose user's kubeconfig is the control plane's."""
    monkeypatch.setenv("KUBECONFIG", str(control_plane.kubeconfig))
    return Clinic(tmp_path / "project", control_plane, capsys)


def test_real_cluster_show(clinic):
    clinic.make_namespace("get, list, watch, create")
    token = clinic.plane.run_kubectl(
        "create", "token", "deployer", f"--namespace={clinic.namespace}"
    ).strip()
    own = clinic.write_kubeconfig("own", token=token)
    bad = clinic.write_kubeconfig("bad", token="nobody")
    anon = clinic.write_kubeconfig("anon")
    code, lines = clinic.ask(
        admin={},
        limited={"as": clinic.account},
        imp={"kubeconfig": own, "as": "jane"},
        own={"kubeconfig": own, "create_namespace": True},
        bad={"kubeconfig": bad},
        anon={"kubeconfig": anon},
        nocontext={"context": "nope"},
        missing={"namespace": "gone"},
        tomake={"namespace": "gone", "create_namespace": True},
        nofile={"kubeconfig": "nix"},
        pod={"in_cluster": True},
    )
    for l in lines:
        print(l)
    print(code)
    assert 0
