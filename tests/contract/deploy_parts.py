"""What tests of ``kubernetes.deploy`` on any API server need: a namespace, deploys, looks at objects."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gennaker.stage import Change, Environment
from gennaker.testing import FakeContext
from gennaker_stages.kubernetes.client.cluster import Cluster
from gennaker_stages.kubernetes.client.connection import APPLY, Request
from gennaker_stages.kubernetes.deploy_stage import KubernetesDeploy
from gennaker_stages.kubernetes.settings import KubernetesSettings

__all__ = ["DeployParts"]


class DeployParts:
    """What tests of deploys need; subclass it with a fixture ``kubeconfig`` that gives the path of one."""

    @pytest.fixture(name="cluster")
    def connect(self, kubeconfig: Path, tmp_path: Path) -> Iterator[Cluster]:
        settings = KubernetesSettings(namespace=f"t-{uuid.uuid4().hex[:10]}", create_namespace=True)
        yield Cluster(kubeconfig, None, settings, project=tmp_path / "nowhere")

    @pytest.fixture(name="context")
    def make_context(self, cluster: Cluster, tmp_path: Path) -> FakeContext:
        settings = {"namespace": cluster.settings.namespace}
        environment = Environment("staging", target="kubernetes", settings=settings)
        return FakeContext(tmp_path, environment=environment, connection=cluster)

    def deploy(self, context: FakeContext, bundle: str, **inputs: Any) -> Any:
        artifact = context.artifacts.put(bundle.encode())
        return KubernetesDeploy().run(KubernetesDeploy.Inputs(bundle=artifact, **inputs), context)

    def plan(self, context: FakeContext, bundle: str, **inputs: Any) -> dict[str, tuple[str, str]]:
        artifact = context.artifacts.put(bundle.encode())
        found = KubernetesDeploy().plan(KubernetesDeploy.Inputs(bundle=artifact, **inputs), context)
        return {each.what: (each.action, self.tell(each)) for each in found.changes}

    def tell(self, change: Change) -> str:
        """A change's detail and its fields in one line; those of what is created left out."""
        fields = change.fields if change.action != "create" else ()
        told = [f"{each.path}: {each.before!r} → {each.after!r}" for each in fields]
        return ", ".join(filter(None, [change.detail, *told]))

    def redeploy(self, context: FakeContext, bundle: str, **inputs: Any) -> Any:
        """Deploy in another run: nothing is remembered but what the cluster has."""
        context.steps.clear()
        return self.deploy(context.redeliver(), bundle, **inputs)

    def read(self, context: FakeContext, api_version: str, kind: str, name: str) -> Any:
        """The live object of the environment, None when there is none."""
        cluster: Cluster = context.connection
        resource = cluster.find_resource(api_version, kind)
        return cluster.read(resource, cluster.settings.namespace, name)

    def write_as(
        self, context: FakeContext, manager: str, body: dict[str, Any], *, force: bool = True
    ) -> dict[str, Any]:
        """Server-side apply as another manager."""
        cluster: Cluster = context.connection
        namespace = cluster.settings.namespace
        body = {**body, "metadata": {"namespace": namespace, **body["metadata"]}}
        path = cluster.find_resource(body["apiVersion"], body["kind"]).path(
            body["metadata"]["namespace"], body["metadata"]["name"]
        )
        query = [("fieldManager", manager), ("force", str(force).lower())]
        return cluster.connection.request(Request("PATCH", path, "write", query, body, APPLY))
