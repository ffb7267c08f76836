"""The plan contract on a real control plane, and what only one can refuse: admission, quotas."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gennaker.errors import PermanentError, StageError, TemporaryError
from gennaker.testing import FakeContext
from gennaker_stages.kubernetes.client.cluster import Cluster
from gennaker_stages.kubernetes.settings import KubernetesSettings
from tests.contract.plan_contract import CONFIG, PlanContract
from tests.fixtures.admission_webhook import AdmissionWebhook, run_webhook
from tests.fixtures.control_plane import ControlPlane

POD = """\
---
apiVersion: v1
kind: Pod
metadata: {name: pod}
spec:
  containers:
    - {name: web, image: "r.test/web:1", resources: {requests: {memory: 2Gi}, limits: {memory: 2Gi}}}
"""
SECRET = (
    "---\n{apiVersion: v1, kind: Secret, metadata: {name: db}, stringData: {p: kanarienvogel}}\n"
)
SERVICE = (
    "---\n{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [{port: 80}]}}\n"
)
Install = Callable[..., None]


class TestRealClusterPlan(PlanContract):
    """etcd, API server, controllers, scheduler and kwok nodes."""

    @pytest.fixture(name="kubeconfig")
    def find_kubeconfig(self, control_plane: ControlPlane) -> Path:
        return Path(control_plane.kubeconfig)

    @pytest.fixture(name="webhook")
    def serve_webhook(self, control_plane: ControlPlane) -> Iterator[AdmissionWebhook]:
        with run_webhook(control_plane.certificates) as webhook:
            yield webhook

    @pytest.fixture(name="install")
    def install_webhook(self, context: FakeContext, webhook: AdmissionWebhook) -> Iterator[Install]:
        """Have the API server ask the webhook about the test's namespace, and wait until it does."""
        cluster: Cluster = context.connection
        namespace = cluster.settings.namespace
        made: list[tuple[str, str]] = []

        def install(*, mutating: bool = False) -> None:
            self.write_as(context, "tests", self.make_namespace(namespace, {}))
            body = webhook.write_configuration(namespace, mutating=mutating)
            self.write_as(context, "tests", body)
            made.append((body["kind"], body["metadata"]["name"]))
            answer, webhook.answer = webhook.answer, lambda _body: {"allowed": False}
            deadline = time.monotonic() + 20
            while self.plan(context, CONFIG.format("probe", "1"))["ConfigMap/probe"][0] != "refuse":
                assert time.monotonic() < deadline
                time.sleep(0.05)
            webhook.answer = answer

        yield install
        for kind, name in made:
            resource = cluster.find_resource("admissionregistration.k8s.io/v1", kind)
            cluster.delete(resource, None, name)

    def make_namespace(self, name: str, labels: dict[str, str]) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": labels, "namespace": None},
        }

    def refuse(self, context: FakeContext, bundle: str, name: str) -> str:
        """Why an object would be refused; the deploy must say the same."""
        action, told = self.plan(context, bundle)[name]
        assert action == "refuse", told
        with pytest.raises(StageError) as caught:
            self.deploy(context, bundle)
        said = told.partition(": ")[2]
        assert said[:60] in caught.value.message
        return told

    def test_what_a_pod_needs_may_come_with_it(self, context: FakeContext) -> None:
        """A server refuses a Pod whose account is not there yet; the deploy makes that first."""
        self.deploy(context, CONFIG.format("kept", "1"))
        pod = POD.replace("spec:\n", "spec:\n  serviceAccountName: sa\n")
        account = "---\n{apiVersion: v1, kind: ServiceAccount, metadata: {name: sa}}\n"
        told = "tried once ServiceAccount/sa is there"
        assert self.plan(context, pod + account)["Pod/pod"] == ("create", told)
        action, told = self.plan(context, pod)["Pod/pod"]
        assert (action, 'serviceaccount "sa" not found' in told) == ("refuse", True)

    def test_what_the_account_may_not_is_refused(
        self, context: FakeContext, kubeconfig: Path, tmp_path: Path
    ) -> None:
        """A prune and the inventory are tried: the run would err when it has applied some or all."""
        both = CONFIG.format("kept", "1") + CONFIG.format("gone", "1")
        self.deploy(context, both)
        namespace = context.connection.settings.namespace
        account = f"system:serviceaccount:{namespace}:deployer"
        api = "rbac.authorization.k8s.io"
        named = {"apiVersion": f"{api}/v1", "metadata": {"name": "deployer"}}
        may = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "patch"]}
        self.write_as(context, "tests", {**named, "kind": "Role", "rules": [may]})
        role = {"apiGroup": api, "kind": "Role", "name": "deployer"}
        user = {"apiGroup": api, "kind": "User", "name": account}
        binding = {**named, "kind": "RoleBinding", "roleRef": role, "subjects": [user]}
        self.write_as(context, "tests", binding)
        settings = KubernetesSettings.model_validate({"namespace": namespace, "as": account})
        limited = Cluster(kubeconfig, None, settings, project=tmp_path / "nowhere")
        configs = limited.find_resource("v1", "ConfigMap")
        deadline = time.monotonic() + 8
        while True:  # until the server has seen the binding
            try:
                limited.read(configs, namespace, "kept")
                break
            except PermanentError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        context.connection = limited
        action, told = self.plan(context, CONFIG.format("kept", "1"), prune=True)["ConfigMap/gone"]
        assert action == "refuse"
        assert told.startswith(
            'cluster-forbidden: cannot delete ConfigMap/gone: configmaps "gone" is'
        )
        assert f'User "{account}" cannot delete resource "configmaps"' in told
        action, told = self.plan(context, both, set="other")["ConfigMap/gennaker.other"]
        assert action == "refuse"
        assert told.startswith("the deploy's inventory: cluster-forbidden: ")
        assert f'User "{account}" cannot create resource "configmaps"' in told

    @pytest.mark.faults
    def test_checklist_44_an_admission_webhook_that_denies(
        self, context: FakeContext, webhook: AdmissionWebhook, install: Install
    ) -> None:
        """The webhook and its reason are told before anything is applied; a secret is masked."""
        webhook.answer = lambda body: {
            "allowed": False,
            "status": {"message": f"no: {body.get('data') or body.get('stringData')}"},
        }
        install()
        denied = 'admission webhook "policy.example.test" denied the request: no: '
        told = self.refuse(context, CONFIG.format("c", "1"), "ConfigMap/c")
        assert told.startswith(f"an admission webhook denies it: {denied}")
        told = self.plan(context, SECRET)["Secret/db"][1]
        assert denied in told
        assert "kanarienvogel" not in told
        assert "a2FuYXJpZW52b2dlbA" not in told

    @pytest.mark.faults
    def test_checklist_44_an_admission_webhook_that_mutates(
        self, context: FakeContext, webhook: AdmissionWebhook, install: Install
    ) -> None:
        """What a webhook makes of an object is in the plan; a field it sets again is no change."""
        patch = {"op": "add", "path": "/data/injected", "value": "yes"}
        webhook.answer = lambda body: (
            webhook.make_patch(patch) if "data" in body else {"allowed": True}
        )
        install(mutating=True)
        self.deploy(context, CONFIG.format("c", "1"))
        assert self.plan(context, CONFIG.format("c", "1")) == {"ConfigMap/c": ("leave", "")}
        planned = self.plan(context, CONFIG.format("c", "2"))
        assert planned["ConfigMap/c"] == ("change", "data.x: '1' → '2'")
        patch["value"] = "no"
        planned = self.plan(context, CONFIG.format("c", "2"))
        assert planned["ConfigMap/c"] == (
            "change",
            "data.injected: 'yes' → 'no', data.x: '1' → '2'",
        )

    @pytest.mark.faults
    def test_checklist_44_an_admission_webhook_that_times_out(
        self, context: FakeContext, webhook: AdmissionWebhook, install: Install
    ) -> None:
        """A webhook that does not answer is named by plan and deploy, and not waited for for ever."""
        install()
        self.deploy(context, CONFIG.format("c", "1"))
        webhook.seconds = 3
        started = time.monotonic()
        changed = CONFIG.format("c", "2")
        action, told = self.plan(context, changed)["ConfigMap/c"]
        assert action == "refuse"
        assert told.startswith("an admission webhook does not answer: ")
        assert 'failed calling webhook "policy.example.test"' in told
        said = r'cannot apply ConfigMap/c: .*failed calling webhook "policy.*\(1 failed\)'
        with pytest.raises(TemporaryError, match=said):
            self.redeploy(context, changed)
        assert time.monotonic() - started < 60

    @pytest.mark.faults
    def test_checklist_45_a_quota_that_is_used_up(self, context: FakeContext) -> None:
        """The quota, what it would take and what is left are told by the plan."""
        namespace = context.connection.settings.namespace
        self.write_as(context, "tests", self.make_namespace(namespace, {}))
        quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}}
        self.write_as(context, "tests", {**quota, "spec": {"hard": {"count/services": "0"}}})
        self.wait_for_quota(context)
        told = self.refuse(context, SERVICE, "Service/web")
        assert told == (
            'a quota refuses it: services "web" is forbidden: exceeded quota: small, requested: '
            "count/services=1, used: count/services=0, limited: count/services=0"
        )

    def wait_for_quota(self, context: FakeContext) -> None:
        """Wait until the controller has counted what there is."""
        deadline = time.monotonic() + 30
        while not (self.read(context, "v1", "ResourceQuota", "small").get("status") or {}).get(
            "used"
        ):
            assert time.monotonic() < deadline
            time.sleep(0.05)

    @pytest.mark.faults
    def test_checklist_45_a_limit_range(self, context: FakeContext) -> None:
        """A Pod above the most that a namespace allows is refused with the limit."""
        namespace = context.connection.settings.namespace
        self.write_as(context, "tests", self.make_namespace(namespace, {}))
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        self.write_as(context, "tests", account)
        limits = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small"}}
        limit = {"type": "Container", "max": {"memory": "1Gi"}}
        self.write_as(context, "tests", {**limits, "spec": {"limits": [limit]}})
        told = self.refuse(context, POD, "Pod/pod")
        assert told.startswith("a limit range refuses it: ")
        assert "memory" in told

    @pytest.mark.faults
    def test_checklist_45_pod_security(self, context: FakeContext) -> None:
        """A Pod that the namespace's security level does not allow is refused with each reason."""
        namespace = context.connection.settings.namespace
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.write_as(context, "tests", self.make_namespace(namespace, labels))
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        self.write_as(context, "tests", account)
        told = self.refuse(context, POD, "Pod/pod")
        assert told.startswith("Pod security refuses it: ")
        assert "allowPrivilegeEscalation != false" in told
