"""``gennaker doctor`` on a real control plane: what stands between a machine and a deploy."""

from __future__ import annotations

import base64
import json
import socket
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest
import yaml

from gennaker_engine.cli.main import main
from gennaker_engine.environments import checking
from gennaker_stages.kubernetes.checking.access import NEWEST
from tests.fixtures.control_plane import ControlPlane
from tests.unit.test_kubernetes_checking import CERTIFICATE, KEY

Row = tuple[str, str, str, str]
DEPLOYER = """\
apiVersion: v1
kind: Namespace
metadata: {{name: {namespace}}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: deployer, namespace: {namespace}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: deployer, namespace: {namespace}}}
rules:
- apiGroups: ["", apps]
  resources: [configmaps, secrets, services, deployments]
  verbs: [get, list, watch, create]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: deployer, namespace: {namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: deployer}}
subjects: [{{kind: ServiceAccount, name: deployer, namespace: {namespace}}}]
"""
INVENTORY = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: gennaker.shop.web.deploy
  namespace: {namespace}
  labels: {{applyset.kubernetes.io/id: applyset-x-v1}}
  annotations:
    applyset.kubernetes.io/tooling: gennaker/v0
    applyset.kubernetes.io/contains-group-kinds: CustomResourceDefinition.apiextensions.k8s.io,Service
"""


class Clinic:
    """A project whose environments doctor looks at.

    Attributes:
        folder: the project's.
        namespace: one with the service account ``deployer``, which may read and create some kinds.
        account: who that is.
    """

    def __init__(
        self, folder: Path, plane: ControlPlane, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.folder, self.plane, self._capsys = folder, plane, capsys
        self.namespace = f"doctor-{uuid.uuid4().hex[:8]}"
        self.account = f"system:serviceaccount:{self.namespace}:deployer"
        self.apply(DEPLOYER)

    def apply(self, manifest: str) -> None:
        """Apply a manifest for the namespace."""
        text = manifest.format(namespace=self.namespace)
        self.plane.run_kubectl("apply", "-f", "-", manifest=text)

    def write_kubeconfig(self, name: str, user: dict[str, Any], **cluster: Any) -> str:
        """The control plane's kubeconfig with another user, outside of the project."""
        document = yaml.safe_load(self.plane.kubeconfig.read_text())
        document["users"][0]["user"] = user
        document["clusters"][0]["cluster"] |= cluster
        path = self.folder.parent / name
        path.write_text(yaml.safe_dump(document))
        return str(path)

    def ask(self, **environments: dict[str, Any]) -> tuple[int, dict[str, list[Row]]]:
        """The exit code, and by environment: what was looked at, state, what was found, advice."""
        written = {
            name: {"kubernetes": {"namespace": self.namespace, **each}}
            for name, each in environments.items()
        }
        self.folder.mkdir(exist_ok=True)
        (self.folder / "gennaker.yaml").write_text(yaml.safe_dump({"environments": written}))
        code = main(["--project", str(self.folder), "doctor", "-o", "json"])
        said = self._capsys.readouterr()
        assert said.err == ""
        found: dict[str, list[Row]] = {name: [] for name in environments}
        for each in json.loads(said.out)["items"]:
            what, _, name = each["name"].partition(" ")
            if what == "environment":
                name, _, part = name.partition(", ")
                found[name].append((part, each["state"], each["found"], each["advice"]))
        return code, found


def is_open(link: socket.socket) -> bool:
    """Whether the other end has not given up: it has said something, and then waits."""
    link.settimeout(60)
    assert link.recv(1 << 16)
    link.settimeout(0)
    try:
        return link.recv(1 << 16) != b""
    except BlockingIOError:
        return True


@pytest.fixture
def clinic(
    control_plane: ControlPlane,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Clinic:
    """A project whose user's kubeconfig is the control plane's."""
    monkeypatch.setenv("KUBECONFIG", str(control_plane.kubeconfig))
    monkeypatch.setattr(checking, "SECONDS", 60.0)  # however busy the machine is
    return Clinic(tmp_path / "project", control_plane, capsys)


def test_real_cluster_doctor_tells_who_may_what(clinic: Clinic) -> None:
    """An administrator everything; whom an environment acts as, what its role says, by what needs it."""
    code, found = clinic.ask(admin={}, account={"as": clinic.account})
    assert code == 1
    namespace = repr(clinic.namespace)
    version = "v{}.{}.".format(*NEWEST)
    (context, server, *rest) = found["admin"]
    assert context == ("context", "ok", f"'tests' of {clinic.plane.kubeconfig}", "")
    assert server[:2] == ("server", "ok")
    assert server[2].startswith(f"{clinic.plane.url}, Kubernetes {version}")
    assert rest == [
        ("identity", "ok", "'tests' of system:masters, system:authenticated", ""),
        ("namespace", "ok", f"{namespace} is there", ""),
        ("rights", "ok", "may do everything", ""),
    ]
    groups = f"system:serviceaccounts, system:serviceaccounts:{clinic.namespace}"
    assert [row[:3] for row in found["account"][2:]] == [
        ("identity", "ok", f"acts as {clinic.account!r} of {groups}, system:authenticated"),
        ("namespace", "ok", f"{namespace}, which we may not look at"),
        (
            "rights",
            "wrong",
            f"may not patch configmaps, secrets, services, deployments.apps in {namespace}",
        ),
        (
            "rights",
            "missing",
            f"may not delete configmaps, secrets, services, deployments.apps in {namespace}",
        ),
        ("rights", "missing", f"may not list pods, events; get pods/log in {namespace}"),
    ]


def test_real_cluster_doctor_asks_about_what_is_deployed(clinic: Clinic) -> None:
    """The kinds of the deploys so far, definitions in the whole cluster; and the namespace to be made."""
    clinic.apply(INVENTORY)
    _, found = clinic.ask(account={"as": clinic.account, "create_namespace": True})
    wrong = [row[2] for row in found["account"] if row[1] == "wrong"]
    verbs = "get, list, watch, create, patch"
    assert wrong == [
        f"may not patch configmaps, services in {clinic.namespace!r}",
        f"may not {verbs} customresourcedefinitions.apiextensions.k8s.io; "
        "get, create, patch namespaces in the whole cluster",
    ]


def test_real_cluster_doctor_tells_why_it_is_not_let_in(clinic: Clinic) -> None:
    """Wrong credentials, none, an old certificate, and somebody whom it may not act as."""
    token = clinic.plane.run_kubectl(
        "create", "token", "deployer", f"--namespace={clinic.namespace}"
    )
    old = {
        "client-certificate-data": base64.b64encode(CERTIFICATE.encode()).decode(),
        "client-key-data": base64.b64encode(KEY.encode()).decode(),
    }
    code, found = clinic.ask(
        stranger={"kubeconfig": clinic.write_kubeconfig("stranger", {"token": "of-nobody-here"})},
        nobody={"kubeconfig": clinic.write_kubeconfig("nobody", {})},
        old={"kubeconfig": clinic.write_kubeconfig("old", old)},
        actor={
            "kubeconfig": clinic.write_kubeconfig("actor", {"token": token.strip()}),
            "as": "system:serviceaccount:kube-system:default",
        },
        elsewhere={"context": "elsewhere"},
    )
    assert code == 1
    told = {name: rows[-1] for name, rows in found.items()}
    assert {name: row[:2] for name, row in told.items()} == {
        "stranger": ("identity", "wrong"),
        "nobody": ("identity", "wrong"),
        "old": ("identity", "wrong"),
        "actor": ("identity", "wrong"),
        "elsewhere": ("context", "missing"),
    }
    assert told["stranger"][2:] == (
        "cannot ask who we are: Unauthorized",
        "renew the credentials of the context",
    )
    assert found["stranger"][1] == ("server", "ok", f"{clinic.plane.url} answers", "")
    assert 'User "system:anonymous" cannot create' in told["nobody"][2]
    assert told["nobody"][3] == "the context has no credentials: look at its user in the kubeconfig"
    assert told["old"][2].endswith(": the client certificate ended at 2020-01-02 00:00 UTC")
    assert f'User "{clinic.account}" cannot impersonate' in told["actor"][2]
    assert told["actor"][3] == (
        "allow it to impersonate, or correct 'as' and 'as_groups' in gennaker.yaml"
    )
    assert told["elsewhere"][2] == "the kubeconfig has no context 'elsewhere'; it has: tests"
    assert token.strip() not in str(found)


def test_real_cluster_doctor_asks_all_at_once(clinic: Clinic) -> None:
    """Every cluster is asked before the first has answered; those that hang up are told, the rest in full."""
    names = [f"e{number}" for number in range(6)]
    still_open: list[bool] = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(60)

        def hang_up_once_all_are_there() -> None:
            links = [listener.accept()[0] for _ in names]
            listener.close()
            for link in links:
                still_open.append(is_open(link))
                link.close()

        server = f"https://127.0.0.1:{listener.getsockname()[1]}"
        path = clinic.write_kubeconfig("silent", {"token": "a-token"}, server=server)
        thread = threading.Thread(target=hang_up_once_all_are_there)
        thread.start()
        code, found = clinic.ask(here={}, **{name: {"kubeconfig": path} for name in names})
        thread.join()
    assert code == 1
    assert still_open == [True] * len(names)
    assert [row[1] for row in found["here"]] == ["ok"] * 5
    for name in names:
        assert found[name][0][1] == "ok"
        _, state, told, advice = found[name][1]
        assert state == "wrong"
        assert f"the cluster at {server} does not answer (" in told
        assert advice == "look whether it runs and whether the context is the right one"
