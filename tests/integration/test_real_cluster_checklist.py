"""What may go wrong between Gennaker and a cluster, on a real control plane behind a proxy with faults."""

from __future__ import annotations

import stat
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from gennaker.errors import PermanentError, StageError
from gennaker.stage import Succeeded
from gennaker.testing import FakeContext
from gennaker_stages.kubernetes.applying.deploy import Deploy
from gennaker_stages.kubernetes.client.cluster import Cluster
from gennaker_stages.kubernetes.client.problems import FieldConflict
from gennaker_stages.kubernetes.client.watching import Follower
from gennaker_stages.kubernetes.settings import KubernetesSettings
from tests.contract.deploy_parts import DeployParts
from tests.fixtures.control_plane import TOKEN, ControlPlane
from tests.fixtures.fault_proxy import Fault, FaultProxy, Passed, run_proxy

pytestmark = pytest.mark.faults
CONFIG = "---\n{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {0}}}, data: {{x: '{1}'}}}}\n"
WEB = """\
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "r.test/web:1"}]}
"""
JOB = """\
---
apiVersion: batch/v1
kind: Job
metadata: {name: job}
spec:
  template:
    spec: {restartPolicy: Never, containers: [{name: job, image: "r.test/job:1"}]}
"""


def is_write(passed: Passed) -> bool:
    """Whether a request changes an object of the bundle."""
    return passed.method == "PATCH" and "/configmaps/c" in passed.path


@pytest.fixture(name="proxy", scope="module")
def make_proxy(control_plane: ControlPlane) -> Iterator[FaultProxy]:
    """One proxy for the module; every test says what it does."""
    with run_proxy(control_plane.url, control_plane.certificates / "apiserver.crt") as proxy:
        yield proxy


class TestBehindProxy(DeployParts):
    """Deploys whose requests meet with faults."""

    @pytest.fixture(name="kubeconfig")
    def write_kubeconfig(self, proxy: FaultProxy, tmp_path: Path) -> Path:
        proxy.choose = lambda _passed: None
        proxy.passed.clear()
        return proxy.write_kubeconfig(tmp_path / "kubeconfig", {"token": TOKEN})

    @pytest.mark.parametrize(
        "faults",
        [
            pytest.param([Fault(429, headers={"Retry-After": "1"})], id="429"),
            pytest.param([Fault(500), Fault(500)], id="500"),
            pytest.param([Fault(503), Fault(503), Fault(503)], id="503"),
            pytest.param([Fault(409)], id="409"),
            pytest.param([Fault(drop="before"), Fault(drop="after")], id="broken"),
        ],
    )
    def test_real_cluster_checklist_40_a_deploy_gets_through(
        self,
        context: FakeContext,
        proxy: FaultProxy,
        faults: list[Fault],
        control_plane: ControlPlane,
    ) -> None:
        """Whatever happens to a write that may happen twice, it is there once, and the log tells."""
        proxy.fail_once(is_write, *faults)
        assert isinstance(self.deploy(context, CONFIG.format("c", "1")), Succeeded)
        writes = [each for each in proxy.passed if is_write(each)]
        assert len(writes) == len(faults) + 1
        live = self.read(context, "v1", "ConfigMap", "c")
        assert live["data"] == {"x": "1"}
        assert "trying again" in context.log_text

    @pytest.mark.parametrize(
        "fault",
        [
            pytest.param(Fault(hang=30.0), id="hang"),
            pytest.param(Fault(hang=30.0, cut=20), id="half-open"),
        ],
    )
    def test_real_cluster_checklist_40_a_server_that_hangs_is_left(
        self,
        context: FakeContext,
        proxy: FaultProxy,
        fault: Fault,
        monkeypatch: pytest.MonkeyPatch,
        control_plane: ControlPlane,
    ) -> None:
        """A request without an answer, or with half of one, is given up after its timeout and sent again."""
        proxy.fail_once(is_write, fault)
        started = time.monotonic()
        send = context.connection.connection._send

        def send_soon(client: Any, request: Any, token: Any) -> Any:
            return send(client, replace(request, read=0.5) if is_ours(request) else request, token)

        def is_ours(request: Any) -> bool:
            return is_write(Passed(request.method, request.path, {}))

        monkeypatch.setattr(context.connection.connection, "_send", send_soon)
        assert isinstance(self.deploy(context, CONFIG.format("c", "1")), Succeeded)
        assert time.monotonic() - started < 10
        assert "does not answer (Read timed out" in context.log_text
        assert "trying again" in context.log_text

    def test_real_cluster_checklist_40_a_dropped_watch_goes_on(
        self,
        context: FakeContext,
        proxy: FaultProxy,
        monkeypatch: pytest.MonkeyPatch,
        control_plane: ControlPlane,
    ) -> None:
        """A watch that breaks off, falls silent or is too old misses nothing and tells nothing twice."""
        monkeypatch.setattr("gennaker_stages.kubernetes.client.watching.SILENCE_SECONDS", 0.7)
        self.deploy(context, CONFIG.format("c", "1"))
        cluster: Cluster = context.connection
        resource, namespace = cluster.find_resource("v1", "ConfigMap"), cluster.settings.namespace
        too_old = b'{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old"}}\n'
        proxy.fail_once(
            lambda passed: "watch=true" in passed.path,
            Fault(cut=1),
            Fault(cut=1, hang=30.0),
            Fault(200, body=too_old),
        )
        follower = Follower(cluster, resource, namespace, fields="metadata.name=c")
        seen: list[str] = []
        for kind, body in follower:
            value = (body.get("data") or {}).get("x")
            seen.append(f"{kind} {value}" if value else kind)
            if kind == "LISTED" or (kind == "MODIFIED" and value != "5"):
                following = str(len([each for each in seen if each.startswith("MOD")]) + 2)
                cluster.patch(resource, namespace, "c", {"data": {"x": following}})
            if value == "5":
                follower.stop()
        assert seen[:2] == ["ADDED 1", "LISTED"]
        assert seen[-1] == "MODIFIED 5"
        assert len([each for each in proxy.passed if "watch=true" in each.path]) >= 4

    def test_real_cluster_checklist_41_a_token_that_expires_is_renewed(
        self, context: FakeContext, proxy: FaultProxy, tmp_path: Path, control_plane: ControlPlane
    ) -> None:
        """In the middle of a deploy the command of the kubeconfig is run again, and the rest applied."""
        program = tmp_path / "credentials"
        program.write_text(
            f"#!{sys.executable}\n"
            "import json, pathlib, sys\n"
            "runs = pathlib.Path(__file__).with_name('runs')\n"
            "runs.write_text((runs.read_text() if runs.exists() else '') + 'x')\n"
            f"token = '{TOKEN}' if len(runs.read_text()) > 1 else 'expires'\n"
            "print(json.dumps({'apiVersion': 'client.authentication.k8s.io/v1',"
            " 'kind': 'ExecCredential', 'status': {'token': token}}))\n"
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        command = {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": str(program),
            "interactiveMode": "Never",
        }
        path = proxy.write_kubeconfig(tmp_path / "exec", {"exec": command})
        settings = KubernetesSettings(
            namespace=context.connection.settings.namespace, create_namespace=True
        )
        context.connection = Cluster(path, None, settings, project=tmp_path / "project")
        bundle = "".join(CONFIG.format(f"c{number}", "1") for number in range(20))
        assert isinstance(self.deploy(context, bundle), Succeeded)
        assert (tmp_path / "runs").read_text() == "xx"
        assert self.read(context, "v1", "ConfigMap", "c19") is not None

    @pytest.mark.parametrize(
        ("bundle", "before", "after", "said"),
        [
            pytest.param(WEB, "app: web", "app: other", "Deployment/web: .*selector", id="web"),
            pytest.param(JOB, "job:1", "job:2", "Job/job: .*template", id="job"),
        ],
    )
    def test_real_cluster_checklist_43_an_immutable_field_is_named(
        self,
        context: FakeContext,
        bundle: str,
        before: str,
        after: str,
        said: str,
        control_plane: ControlPlane,
    ) -> None:
        """What cannot be changed is told with object, field and reason; the rest is recorded."""
        self.deploy(context, bundle)
        told = rf"cannot apply {said}.*field is immutable.*1 fail"
        with pytest.raises(PermanentError, match=told):
            self.redeploy(context, bundle.replace(before, after))

    def test_real_cluster_checklist_46_a_namespace_that_goes_is_told(
        self, context: FakeContext, control_plane: ControlPlane
    ) -> None:
        """Nothing can be made in it any more: said at once, in the plan and by the deploy."""
        self.deploy(context, CONFIG.format("c", "1"))
        cluster: Cluster = context.connection
        maps, namespace = cluster.find_resource("v1", "ConfigMap"), cluster.settings.namespace
        held = {"metadata": {"finalizers": ["example.test/never"]}}
        cluster.patch(maps, namespace, "c", held)
        cluster.delete(cluster.find_resource("v1", "Namespace"), None, namespace)
        bundle = CONFIG.format("c", "1") + CONFIG.format("d", "1")
        told = f"create new content in namespace {namespace} because it is being terminated"
        action, reason = self.plan(context, bundle)["ConfigMap/d"]
        assert (action, told in reason) == ("refuse", True), reason
        assert reason.endswith("; run it again once it is gone; its status says what holds it")
        started = time.monotonic()
        with pytest.raises(StageError, match=f"cannot apply ConfigMap/d: .*{told}"):
            self.redeploy(context, bundle)
        assert time.monotonic() - started < 10
        cluster.patch(maps, namespace, "c", {"metadata": {"finalizers": None}})

    def test_real_cluster_checklist_47_an_edit_after_the_look_is_not_overwritten(
        self, context: FakeContext, monkeypatch: pytest.MonkeyPatch, control_plane: ControlPlane
    ) -> None:
        """An object edited between the look and the write is a conflict, one deleted is made anew."""
        bundle = CONFIG.format("c", "1") + CONFIG.format("d", "1")
        self.deploy(context, bundle)
        cluster: Cluster = context.connection
        resource, namespace = cluster.find_resource("v1", "ConfigMap"), cluster.settings.namespace
        look = Deploy.look

        def look_then_edit(deploy: Deploy, *what: Any) -> None:
            look(deploy, *what)
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}
            self.write_as(context, "someone", {**body, "data": {"x": "edited"}})
            cluster.delete(resource, namespace, "d")

        monkeypatch.setattr(Deploy, "look", look_then_edit)
        with pytest.raises(FieldConflict, match=r'\.data\.x: conflict with "someone"'):
            self.redeploy(context, bundle.replace("x: '1'", "x: '2'"))
        live = self.read(context, "v1", "ConfigMap", "c")
        assert live["data"] == {"x": "edited"}
        monkeypatch.setattr(Deploy, "look", look)
        assert isinstance(self.redeploy(context, bundle, conflicts="take"), Succeeded)
        assert self.read(context, "v1", "ConfigMap", "d")["data"] == {"x": "1"}


def test_real_cluster_checklist_39_a_kubeconfig_of_the_project_runs_nothing(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    """A kubeconfig with a command works from outside of the project, and from inside runs nothing."""
    ran = tmp_path / "ran"
    program = tmp_path / "credentials"
    program.write_text(
        f"#!/bin/sh\ntouch {ran}\n"
        'echo \'{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", '
        f'"status": {{"token": "{TOKEN}"}}}}\'\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    text = control_plane.kubeconfig.read_text()
    command = (
        "{exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, "
        f"command: {program}}}}}"
    )
    document = yaml.safe_load(text)
    document["users"][0]["user"] = yaml.safe_load(command)
    inside, outside = tmp_path / "project" / "kubeconfig", tmp_path / "kubeconfig"
    inside.parent.mkdir()
    for path in (inside, outside):
        path.write_text(yaml.safe_dump(document))
    with pytest.raises(PermanentError, match="has 'exec', which is refused"):
        Cluster(inside, None, KubernetesSettings(), project=inside.parent).connection.prepare()
    assert not ran.exists()
    cluster = Cluster(outside, None, KubernetesSettings(), project=inside.parent)
    assert cluster.read(cluster.find_resource("v1", "Namespace"), None, "default") is not None
    assert ran.exists()


def test_real_cluster_acts_as_a_service_account(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    """With 'as' a deploy may do what that account may, and no more."""
    account = "system:serviceaccount:default:deployer"
    settings = KubernetesSettings.model_validate({"as": account})
    cluster = Cluster(control_plane.kubeconfig, None, settings, project=tmp_path)
    resource = cluster.find_resource("v1", "ConfigMap")
    with pytest.raises(PermanentError, match=f'cluster-forbidden: .*User "{account}" cannot get'):
        cluster.read(resource, "default", "x")
    admin = KubernetesSettings.model_validate({"as": account, "as_groups": ["system:masters"]})
    cluster = Cluster(control_plane.kubeconfig, None, admin, project=tmp_path)
    assert cluster.read(resource, "default", "x") is None
