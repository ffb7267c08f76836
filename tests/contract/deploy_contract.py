"""What ``kubernetes.deploy`` does on any API server: the sandbox and a real control plane."""

from __future__ import annotations

from typing import Any

import pytest

from gennaker.errors import PermanentError
from gennaker.stage import Failed, Secret, Succeeded
from gennaker.testing import FakeContext
from gennaker_stages.kubernetes.client.cluster import Cluster
from gennaker_stages.kubernetes.client.connection import APPLY, Request
from gennaker_stages.kubernetes.client.problems import FieldConflict
from gennaker_stages.kubernetes.settings import KubernetesSettings
from tests.contract.deploy_parts import DeployParts

IMAGE = "registry.test/web@sha256:" + "a" * 64
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      containers:
        - {{name: web, image: "{image}"}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: web}}
data: {{greeting: "{greeting}"}}
"""
WIDGET = """\
apiVersion: example.test/v1
kind: Widget
metadata: {name: one}
spec: {size: 3}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.test}
spec:
  group: example.test
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget}
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties: {spec: {type: object, properties: {size: {type: integer}}}}
"""


class DeployContract(DeployParts):
    """Subclass it with a fixture ``kubeconfig`` that gives the path of one."""

    def write(self, *, replicas: int = 2, image: str = IMAGE, greeting: str = "hello") -> str:
        return DEPLOYMENT.format(replicas=replicas, image=image, greeting=greeting)

    def write_stuck(self) -> str:
        """A bundle whose Pods never get ready."""
        pods = "spec:\n      containers"
        return self.write().replace(pods, "spec:\n      nodeName: nowhere\n      containers")

    def test_deploys_and_reads_back_what_runs(self, context: FakeContext) -> None:
        """The namespace is made, objects are applied, and images come from the live Pods."""
        done = self.deploy(context, self.write(), secrets={"db": {"password": Secret("hunter22")}})
        assert isinstance(done, Succeeded), done
        assert done.outputs["images"] == [IMAGE]
        assert done.outputs["objects"] == ["Secret/db", "ConfigMap/web", "Deployment/web"]
        cluster: Cluster = context.connection
        secret = cluster.read(
            cluster.find_resource("v1", "Secret"), cluster.settings.namespace, "db"
        )
        assert secret is not None and secret["data"] == {"password": "aHVudGVyMjI="}
        assert "hunter22" not in context.log_text

    def test_plans_without_changing_anything(self, context: FakeContext) -> None:
        """A plan lists what would be created, changed and left; nothing of it happens."""
        namespace = context.connection.settings.namespace
        assert self.plan(context, self.write()) == {
            f"Namespace/{namespace}": ("create", "what goes into it is tried once it is there"),
            "ConfigMap/web": ("create", ""),
            "Deployment/web": ("create", ""),
        }
        self.deploy(context, self.write())
        assert {each[0] for each in self.plan(context, self.write()).values()} == {"leave"}
        planned = self.plan(context, self.write(replicas=3, greeting="hi"))
        assert planned["ConfigMap/web"] == ("change", "data.greeting: 'hello' → 'hi'")
        assert planned["Deployment/web"] == ("change", "spec.replicas: 2 → 3")
        cluster: Cluster = context.connection
        live = cluster.read(
            cluster.find_resource("v1", "ConfigMap"), cluster.settings.namespace, "web"
        )
        assert live is not None and live["data"] == {"greeting": "hello"}

    def test_a_plan_reads_no_secret(self, context: FakeContext) -> None:
        """Whatever a plan is given for a secret, it compares the keys only."""
        self.deploy(context, self.write(), secrets={"db": {"password": Secret("hunter22")}})
        planned = self.plan(context, self.write(), secrets={"db": {"password": Secret("unknown")}})
        assert planned["Secret/db"] == ("leave", "its values are compared when it is applied")
        more = {"db": {"password": Secret("unknown"), "user": Secret("unknown")}}
        planned = self.plan(context, self.write(), secrets=more)
        assert planned["Secret/db"] == (
            "change",
            "values are compared when it is applied, data.user: ABSENT → '***'",
        )

    def test_deploys_again_without_a_change(self, context: FakeContext) -> None:
        """The same bundle again changes nothing, in another attempt too."""
        first = self.deploy(context, self.write())
        cluster: Cluster = context.connection
        resource = cluster.find_resource("apps/v1", "Deployment")
        before = cluster.read(resource, cluster.settings.namespace, "web")
        context.steps.clear()
        assert self.deploy(context.redeliver(), self.write()) == first
        after = cluster.read(resource, cluster.settings.namespace, "web")
        assert before is not None and after is not None
        assert before["metadata"]["generation"] == after["metadata"]["generation"]

    def test_removes_fields_that_are_no_longer_set(self, context: FakeContext) -> None:
        """A field that leaves the manifest leaves the object."""
        bundle = "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {a: one, b: two}}"
        self.deploy(context, bundle)
        context.steps.clear()
        self.deploy(context.redeliver(), bundle.replace(", b: two", ""))
        cluster: Cluster = context.connection
        live = cluster.read(
            cluster.find_resource("v1", "ConfigMap"), cluster.settings.namespace, "c"
        )
        assert live is not None and live["data"] == {"a": "one"}

    def test_names_both_sides_of_a_conflict(self, context: FakeContext) -> None:
        """A field that another manager owns is never forced; manager and field are named."""
        self.deploy(context, self.write(replicas=2))
        cluster: Cluster = context.connection
        resource = cluster.find_resource("apps/v1", "Deployment")
        self.apply_as_other(cluster, resource, {"replicas": 5})
        context.steps.clear()
        with pytest.raises(FieldConflict, match=r'field \.spec\.replicas: conflict with "other"'):
            self.deploy(context.redeliver(), self.write(replicas=3))

    def apply_as_other(self, cluster: Cluster, resource: Any, spec: dict[str, Any]) -> None:
        """Take a field over as the manager ``other``."""
        body = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", "namespace": cluster.settings.namespace},
            "spec": spec,
        }
        query = [("fieldManager", "other"), ("force", "true")]
        path = resource.path(cluster.settings.namespace, "web")
        cluster.connection.request(Request("PATCH", path, "take over", query, body, APPLY))

    def test_says_what_is_refused(self, context: FakeContext) -> None:
        """An object the server refuses names the object and the server's reason."""
        bundle = self.write().replace("matchLabels: {app: web}", "matchLabels: {app: other}")
        with pytest.raises(PermanentError, match=r"cannot apply Deployment/web: .*selector"):
            self.deploy(context, bundle)

    def test_defines_kinds_before_their_objects(self, context: FakeContext) -> None:
        """A definition is applied and established before the objects it makes known."""
        done = self.deploy(context, WIDGET)
        assert isinstance(done, Succeeded), done
        assert done.outputs["objects"] == [
            "CustomResourceDefinition/widgets.example.test",
            "Widget/one",
        ]

    def test_needs_a_known_kind(self, context: FakeContext) -> None:
        """A kind nobody knows is named before anything is applied."""
        bundle = "{apiVersion: nobody.test/v1, kind: Thing, metadata: {name: x}}"
        with pytest.raises(
            PermanentError, match=r"unknown-kind: Thing/x: the cluster does not know kind 'Thing'"
        ):
            self.deploy(context, bundle)

    def test_needs_its_namespace(self, context: FakeContext) -> None:
        """A missing namespace that is not to be made is named, with what to do."""
        cluster: Cluster = context.connection
        cluster.settings = KubernetesSettings(namespace="not-there")
        with pytest.raises(PermanentError) as caught:
            self.deploy(context, self.write())
        assert str(caught.value) == (
            "namespace-missing: there is no namespace 'not-there' in the cluster, into which "
            "ConfigMap/web and 1 more would go (nothing was applied); "
            "create it, or set 'create_namespace: true' in the environment"
        )
        assert context.before is None  # it has changed nothing, and nothing is to be put back

    def test_waits_no_longer_than_told(self, context: FakeContext) -> None:
        """A workload that does not get ready in time fails, and says how far it is."""
        bundle = self.write_stuck()
        done = self.deploy(context, bundle, ready_within="1s")
        assert isinstance(done, Failed)
        assert done.code == "rollout-timeout"
        assert done.reason.startswith("not ready within 1s: Deployment/web: ")

    def test_a_value_of_the_wrong_type_is_permanent(self, context: FakeContext) -> None:
        """A value of another type than the kind has is told before anything is applied."""
        bundle = "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {a: yes}}"
        told = "ConfigMap/c: data.a must be text, not true; put it into quotes"
        with pytest.raises(PermanentError, match=told):
            self.deploy(context, bundle)
