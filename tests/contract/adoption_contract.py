"""Taking over a live release of Helm's on any API server: the sandbox and a real control plane."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest

from gennaker.errors import PermanentError
from gennaker.stage import Succeeded
from gennaker.testing import FakeContext
from gennaker_stages.kubernetes.client.cluster import Cluster
from gennaker_stages.kubernetes.client.connection import Request
from gennaker_stages.kubernetes.deploy_stage import KubernetesDeploy
from tests.contract.deploy_parts import DeployParts

MAP = (
    "{apiVersion: v1, kind: ConfigMap, metadata: {name: NAME, labels: {app: web}}, data: {a: '1'}}"
)
BUNDLE = "{apiVersion: v1, kind: ConfigMap, metadata: {name: web}, data: {a: '2'}}"


class AdoptionContract(DeployParts):
    """Subclass it with a fixture ``kubeconfig`` that gives the path of one."""

    def make(self, context: FakeContext, body: dict[str, Any]) -> None:
        """Create an object as the field manager ``helm``, as Helm 3 does."""
        cluster: Cluster = context.connection
        path = cluster.find_resource(body["apiVersion"], body["kind"]).path(
            cluster.settings.namespace
        )
        query = [("fieldManager", "helm")]
        cluster.connection.request(
            Request("POST", path, "make", query, body, "application/json", repeatable=False)
        )

    def install(self, context: FakeContext, release: str, *names: str) -> None:
        """What Helm leaves of a release with these ConfigMaps: objects with marks, and its record."""
        cluster: Cluster = context.connection
        namespace = cluster.settings.namespace
        if cluster.read(cluster.find_resource("v1", "Namespace"), None, namespace) is None:
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
            cluster.apply(cluster.find_resource("v1", "Namespace"), body)
        for name in names:
            marks = {
                "meta.helm.sh/release-name": release,
                "meta.helm.sh/release-namespace": namespace,
            }
            labels = {"app": "web", "app.kubernetes.io/managed-by": "Helm"}
            metadata = {"name": name, "labels": labels, "annotations": marks}
            data = {"a": "1", "b": "1"}
            self.make(
                context,
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data},
            )
        manifest = "---\n".join(f"{MAP.replace('NAME', each)}\n" for each in names)
        content = gzip.compress(json.dumps({"name": release, "manifest": manifest}).encode())
        for version in (1, 2):
            self.make(
                context,
                {
                    "apiVersion": "v1",
                    "kind": "Secret",
                    "type": "helm.sh/release.v1",
                    "metadata": {
                        "name": f"sh.helm.release.v1.{release}.v{version}",
                        "labels": {"owner": "helm", "name": release, "version": str(version)},
                    },
                    "data": {"release": base64.b64encode(base64.b64encode(content)).decode()},
                },
            )

    def test_a_release_is_taken_over(self, context: FakeContext) -> None:
        """The plan names it; its fields become ours, so that what left goes; its record stays."""
        self.install(context, "web", "web", "rest")
        owner = f"Helm release '{context.connection.settings.namespace}/web'"
        action, told = self.plan(context, BUNDLE)["ConfigMap/web"]
        assert action == "refuse"
        assert told.startswith(f"other-owner: it belongs to {owner}, not to ")
        planned = self.plan(context, BUNDLE, adopt="helm/web")
        action, told = planned["ConfigMap/web"]
        assert action == "change"
        # What leaves it is shown: the values that are not in the bundle, and Helm's marks.
        assert "data.a: '1' → '2'" in told
        assert "data.b: '1' → " in told
        assert "metadata.labels.app: 'web' → " in told
        assert "metadata.annotations: {'meta.helm.sh/release-name': 'web'" in told
        assert planned["ConfigMap/rest"] == (
            "leave",
            f"of {owner}, and not in the bundle: it stays as it is",
        )
        assert planned["Secret/sh.helm.release.v1.web.v2"] == (
            "leave",
            f"record of {owner}, revision 2: kept; its objects are taken over",
        )
        done = self.deploy(context, BUNDLE, adopt="helm/web", prune=True)
        assert isinstance(done, Succeeded), done
        assert f"took ConfigMap/web over from {owner}" in context.log_text
        live = self.read(context, "v1", "ConfigMap", "web")
        assert live["data"] == {"a": "2"}
        assert "annotations" not in live["metadata"]
        assert [each.partition("/")[0] for each in live["metadata"]["labels"]] == [
            "applyset.kubernetes.io"
        ]
        assert {each["manager"] for each in live["metadata"]["managedFields"]} == {"gennaker"}
        assert self.read(context, "v1", "Secret", "sh.helm.release.v1.web.v1") is not None
        assert self.read(context, "v1", "ConfigMap", "rest")["data"] == {"a": "1", "b": "1"}
        before = live["metadata"]["resourceVersion"]
        self.redeploy(context, BUNDLE, adopt="helm/web")
        live = self.read(context, "v1", "ConfigMap", "web")
        assert live["metadata"]["resourceVersion"] == before

    def test_another_release_keeps_its_objects(self, context: FakeContext) -> None:
        """Only the release that is named is taken over."""
        self.install(context, "web", "web")
        self.install(context, "other", "theirs")
        both = f"{BUNDLE}\n---\n{BUNDLE.replace('name: web', 'name: theirs')}"
        with pytest.raises(
            PermanentError, match=r"ConfigMap/theirs belongs to Helm release .*/other"
        ):
            self.deploy(context, both, adopt="helm/web")
        assert self.read(context, "v1", "ConfigMap", "web")["data"] == {"a": "1", "b": "1"}

    def test_a_release_has_to_be_there(self, context: FakeContext) -> None:
        """A misspelt name is told, with the near one; once taken over its record may go."""
        self.install(context, "web", "web")
        with pytest.raises(PermanentError, match=r"adopt: there is no Helm release 'wep' .*'web'"):
            self.plan(context, BUNDLE, adopt="helm/wep")
        self.deploy(context, BUNDLE, adopt="helm/web")
        cluster: Cluster = context.connection
        secrets = cluster.find_resource("v1", "Secret")
        for version in (1, 2):
            cluster.delete(
                secrets, cluster.settings.namespace, f"sh.helm.release.v1.web.v{version}"
            )
        assert isinstance(self.redeploy(context, BUNDLE, adopt="helm/web"), Succeeded)

    def test_an_adoption_can_be_undone(self, context: FakeContext) -> None:
        """The object is the release's again, with its marks, its fields and its manager."""
        self.install(context, "web", "web")
        before = self.read(context, "v1", "ConfigMap", "web")
        inputs = {"bundle": context.artifacts.put(BUNDLE.encode()), "adopt": "helm/web"}
        given = KubernetesDeploy.Inputs.model_validate(inputs)
        assert isinstance(KubernetesDeploy().run(given, context), Succeeded)
        assert context.before is not None
        context.steps.clear()
        done = KubernetesDeploy().undo(given, context.before, context.redeliver())
        assert isinstance(done, Succeeded), done
        after = self.read(context, "v1", "ConfigMap", "web")
        assert after["data"] == before["data"]
        for part in ("labels", "annotations"):
            assert after["metadata"][part] == before["metadata"][part]
        assert {each["manager"] for each in after["metadata"]["managedFields"]} == {"helm"}
