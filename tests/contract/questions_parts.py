"""A project with two environments on one API server, for tests of questions about environments."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gennaker_stages.kubernetes.client.cluster import Cluster
from gennaker_stages.kubernetes.client.connection import APPLY, Request
from gennaker_stages.kubernetes.settings import KubernetesSettings
from tests.fixtures.typed_project import TypedProject

__all__ = ["IMAGE", "Desk", "QuestionsParts"]

IMAGE = "r.test/web@sha256:" + "a" * 64
TEMPLATE = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - {name: web, image: {{ .Values.image }}, args: [--port, "80"], env: [{name: A, value: "1"}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: web}
data: {greeting: {{ .Values.greeting }}, url: "http://web.{{ .Values.namespace }}.svc"}
---
apiVersion: v1
kind: Secret
metadata: {name: web}
stringData: {password: kanarienvogel-{{ .Values.greeting }}}
"""
STAGES = """\
  render-{0}:
    uses: helm.template
    environment: {0}
    with:
      chart: chart
      set:
        image: "${{{{ params.image }}}}"
        greeting: "${{{{ params.greeting }}}}"
        namespace: "${{{{ environment.namespace }}}}"
        replicas: "${{{{ environment.variables.replicas }}}}"
  {0}:
    uses: kubernetes.deploy
    environment: {0}
    if: params.where == "{0}"
    with: {{bundle: "${{{{ stages['render-{0}'].outputs.bundle }}}}", ready_within: 60s}}
"""


class Desk(TypedProject):
    """Types commands in a project, and changes behind its back what they deployed."""

    def __init__(self, folder: Path, kubeconfig: Path, capsys: pytest.CaptureFixture[str]) -> None:
        super().__init__(folder, capsys)
        self.kubeconfig = kubeconfig
        self.name = f"t-{uuid.uuid4().hex[:10]}"
        kubernetes = {"kubeconfig": str(kubeconfig), "create_namespace": True}
        environments: dict[str, Any] = {
            where: {
                "kubernetes": {**kubernetes, "namespace": self.namespace(where)},
                "variables": {"replicas": replicas},
            }
            for where, replicas in (("staging", 1), ("production", 2))
        }
        environments["production"]["approval"] = {"approvers": ["local:*"], "required": 1}
        self.write(
            "gennaker.yaml", yaml.safe_dump({"project": "web", "environments": environments})
        )
        self.write("chart/Chart.yaml", "{apiVersion: v2, name: web, version: 1.0.0}")
        self.write("chart/templates/web.yaml", TEMPLATE)
        parameters = f"{{where: {{default: staging}}, greeting: {{default: hello}}, image: {{default: '{IMAGE}'}}}}"
        stages = "".join(STAGES.format(each) for each in environments)
        text = f"name: web\nparameters: {parameters}\nstages:\n{stages}"
        self.write("pipelines/web.yaml", text)

    def namespace(self, where: str) -> str:
        """The namespace of an environment."""
        return f"{self.name}-{where}"

    def type(self, *words: str, code: int = 0) -> str:
        """What a command prints on both streams; never a secret."""
        text = super().type(*words, code=code)
        assert "kanarienvogel" not in text
        assert "a2FuYXJpZW52b2dlb" not in text
        return text

    def ask(self, *words: str, code: int = 0) -> Any:
        """The JSON that a command prints."""
        return json.loads(self.type(*words, "-o", "json", code=code))

    def run(self, where: str = "staging", **parameters: str) -> None:
        """Deploy to an environment; what asks for approval is approved."""
        given = [f"-p{name}={value}" for name, value in {**parameters, "where": where}.items()]
        if where == "staging":
            self.type("run", "web", *given)
            return
        plan = json.loads(self.type("plan", "web", *given, "-o", "json"))["digest"]
        self.type("run", "web", *given, "--plan", plan, "--approve", where)

    def connect(self, where: str) -> Cluster:
        settings = KubernetesSettings(namespace=self.namespace(where))
        return Cluster(self.kubeconfig, None, settings, project=self.folder)

    def patch(self, where: str, kind: str, name: str, body: Any, *, by: str) -> Any:
        """Change a live object as another manager does."""
        cluster = self.connect(where)
        version = "apps/v1" if kind == "Deployment" else "v1"
        path = cluster.find_resource(version, kind).path(self.namespace(where), name)
        content = "application/strategic-merge-patch+json"
        return cluster.connection.request(
            Request("PATCH", path, "patch", [("fieldManager", by)], body, content)
        )

    def apply(self, where: str, body: dict[str, Any], *, by: str = "tests") -> Any:
        """Apply an object as another manager does."""
        cluster = self.connect(where)
        resource = cluster.find_resource(body["apiVersion"], body["kind"])
        path = resource.path(self.namespace(where), body["metadata"]["name"])
        query = [("fieldManager", by), ("force", "true")]
        return cluster.connection.request(Request("PATCH", path, "apply", query, body, APPLY))

    def delete(self, where: str, kind: str, name: str) -> None:
        cluster = self.connect(where)
        cluster.delete(cluster.find_resource("v1", kind), self.namespace(where), name)


class QuestionsParts:
    """Subclass it with a fixture ``kubeconfig`` that gives the path of one."""

    @pytest.fixture(name="desk")
    def make_desk(
        self, kubeconfig: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> Iterator[Desk]:
        """A project; its namespaces go with the server."""
        yield Desk(tmp_path / "project", kubeconfig, capsys)
