"""What an environment ignores, and the namespace it makes, on any API server."""

from __future__ import annotations

from typing import Any

from gennaker.stage import Succeeded
from gennaker.testing import FakeContext
from gennaker_stages.kubernetes.client.cluster import Cluster
from gennaker_stages.kubernetes.client.connection import Request
from gennaker_stages.kubernetes.settings import KubernetesSettings
from tests.contract.deploy_parts import DeployParts

WEB = """\
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: {0}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec: {{containers: [{{name: web, image: "{1}"}}]}}
---
{{apiVersion: v1, kind: ConfigMap, metadata: {{name: web}}, data: {{a: "1", b: "1"}}}}
"""


class IgnoreContract(DeployParts):
    """Subclass it with a fixture ``kubeconfig`` that gives the path of one."""

    def set(self, context: FakeContext, **settings: Any) -> None:
        """Give the environment other settings."""
        cluster: Cluster = context.connection
        old = cluster.settings.model_dump(by_alias=True)
        cluster.settings = KubernetesSettings.model_validate({**old, **settings})

    def edit(self, context: FakeContext, api_version: str, kind: str, body: Any) -> None:
        """Change the object ``web`` as a person does with ``kubectl edit``."""
        cluster: Cluster = context.connection
        path = cluster.find_resource(api_version, kind).path(cluster.settings.namespace, "web")
        query = [("fieldManager", "kubectl-edit")]
        merge = "application/merge-patch+json"
        cluster.connection.request(Request("PATCH", path, "edit", query, body, merge))

    def test_ignored_fields_are_left_alone(self, context: FakeContext) -> None:
        """Neither the plan nor the deploy sees them once the object is there, by path and by manager."""
        ignore = [
            {"kind": "Deployment", "paths": ["spec.replicas"]},
            {"kind": "ConfigMap", "name": "web", "managers": ["kubectl-edit"]},
        ]
        self.set(context, ignore=ignore)
        self.deploy(context, WEB.format(2, "r.test/web:1"))
        assert self.read(context, "apps/v1", "Deployment", "web")["spec"]["replicas"] == 2
        self.edit(context, "apps/v1", "Deployment", {"spec": {"replicas": 3}})
        self.edit(context, "v1", "ConfigMap", {"data": {"a": "edited"}})
        planned = self.plan(context, WEB.format(2, "r.test/web:1"))
        assert set(planned.values()) == {("leave", "")}
        planned = self.plan(context, WEB.format(4, "r.test/web:2"))
        assert planned["Deployment/web"][1].startswith("spec.template.spec.containers[web].image:")
        done = self.redeploy(context, WEB.format(4, "r.test/web:2").replace('b: "1"', 'b: "2"'))
        assert isinstance(done, Succeeded), done
        live = self.read(context, "apps/v1", "Deployment", "web")
        assert live["spec"]["replicas"] == 3
        assert live["spec"]["template"]["spec"]["containers"][0]["image"] == "r.test/web:2"
        assert self.read(context, "v1", "ConfigMap", "web")["data"] == {"a": "edited", "b": "2"}

    def test_a_field_that_nobody_else_has_keeps_its_value(self, context: FakeContext) -> None:
        """Another value in the bundle does not reset it, and does not remove it either."""
        self.set(context, ignore=[{"paths": ["spec.replicas", "data.a"]}])
        self.deploy(context, WEB.format(2, "r.test/web:1"))
        self.redeploy(context, WEB.format(1, "r.test/web:1").replace('a: "1"', 'a: "9"'))
        assert self.read(context, "apps/v1", "Deployment", "web")["spec"]["replicas"] == 2
        assert self.read(context, "v1", "ConfigMap", "web")["data"] == {"a": "1", "b": "1"}

    def test_the_namespace_gets_its_labels(self, context: FakeContext) -> None:
        """It is made with them, and one that is there is given them; a plan tells."""
        cluster: Cluster = context.connection
        namespace = cluster.settings.namespace
        resource = cluster.find_resource("v1", "Namespace")
        config = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}"

        def read() -> dict[str, str]:
            live = cluster.read(resource, None, namespace)
            assert live is not None
            kept = {**live["metadata"]["labels"], **live["metadata"].get("annotations", {})}
            return {key: kept[key] for key in ("team", "note", "tier") if key in kept}

        marks = {"labels": {"team": "shop"}, "annotations": {"note": "made"}}
        self.set(context, create_namespace=marks)
        self.deploy(context, config)
        assert read() == {"team": "shop", "note": "made"}
        assert list(self.plan(context, config)) == ["ConfigMap/a"]
        self.set(context, create_namespace={"labels": {"team": "shop", "tier": "web"}})
        assert self.plan(context, config)[f"Namespace/{namespace}"] == (
            "change",
            "metadata.annotations: {'note': 'made'} → ABSENT, metadata.labels.tier: ABSENT → 'web'",
        )
        self.redeploy(context, config)
        assert read() == {"team": "shop", "tier": "web"}
