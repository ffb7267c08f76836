"""Versions of configuration and images put into bundles, on any API server."""

from __future__ import annotations

from typing import Any

import pytest

from gennaker.errors import PermanentError
from gennaker.stage import Secret, Succeeded
from gennaker.testing import FakeContext
from gennaker_stages.kubernetes.client.cluster import Cluster
from tests.contract.deploy_parts import DeployParts

REFERENCE = "registry.test/shop@sha256:" + "a" * 64
SHOP = """\
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: shop}}
data: {{greeting: "{greeting}"}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: dashboard}}
data: {{title: shop}}
---
apiVersion: v1
kind: Secret
metadata: {{name: shop}}
stringData: {{password: hunter22}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: shop}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: shop}}}}
  template:
    metadata: {{labels: {{app: shop}}}}
    spec:
      containers:
        - name: shop
          image: registry.test/shop:1
          envFrom: [{{configMapRef: {{name: shop}}}}, {{secretRef: {{name: shop}}}}, {{secretRef: {{name: more, optional: true}}}}]
"""


class ConfigContract(DeployParts):
    """Subclass it with a fixture ``kubeconfig`` that gives the path of one."""

    def release(self, context: FakeContext, greeting: str, **inputs: Any) -> Succeeded:
        """Deploy this greeting in another run."""
        inputs = {"config_versions": 2, **inputs}
        done = self.redeploy(context, SHOP.format(greeting=greeting), **inputs)
        assert isinstance(done, Succeeded), done
        return done

    def find_configs(self, context: FakeContext, kind: str = "ConfigMap") -> dict[str, Any]:
        """What is in each of the deploy's ConfigMaps, by name."""
        cluster: Cluster = context.connection
        found = cluster.list_objects(cluster.find_resource("v1", kind), cluster.settings.namespace)[
            "items"
        ]
        held = {each["metadata"]["name"]: each.get("data") for each in found}
        return {
            name: data
            for name, data in held.items()
            if name.startswith(("shop", "dashboard", "more"))
        }

    def find_used(self, context: FakeContext) -> list[str]:
        """The names that the live workload refers to."""
        live = self.read(context, "apps/v1", "Deployment", "shop")
        (container,) = live["spec"]["template"]["spec"]["containers"]
        return [next(iter(each.values()))["name"] for each in container["envFrom"]]

    def test_another_content_is_another_object(self, context: FakeContext) -> None:
        """Its user is given the new name, so its Pods are replaced; the old version stays for an undo."""
        self.release(context, "one")
        first = self.find_used(context)
        assert set(self.find_configs(context)) == {"dashboard", first[0]}
        assert list(self.find_configs(context, "Secret")) == [first[1]]
        again = self.redeploy(context, SHOP.format(greeting="one"), config_versions=2)
        assert isinstance(again, Succeeded)
        assert "applied" not in context.log_text.rpartition("objects: ")[2]
        self.release(context, "two")
        second = self.find_used(context)
        assert second[0] != first[0] and second[1:] == first[1:]
        assert self.find_configs(context) == {
            "dashboard": {"title": "shop"},
            first[0]: {"greeting": "one"},
            second[0]: {"greeting": "two"},
        }

    def test_old_versions_are_pruned_by_count(self, context: FakeContext) -> None:
        """A plan shows which go; what was in use before stays, and nothing else is pruned."""
        names = []
        for greeting in ("one", "two", "three"):
            self.release(context, greeting)
            names.append(self.find_used(context)[0])
        assert set(self.find_configs(context)) == {"dashboard", *names[1:]}
        self.release(context, "two")  # as a rollback does: the old version is there
        assert self.find_used(context)[0] == names[1]
        assert set(self.find_configs(context)) == {"dashboard", *names[1:]}
        planned = self.plan(context, SHOP.format(greeting="four"), config_versions=2)
        assert planned[f"ConfigMap/{names[2]}"] == ("prune", "an old version; 2 are kept")
        assert f"ConfigMap/{names[1]}" not in planned
        smaller = SHOP.format(greeting="two").partition(
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: d"
        )
        rest = "---\n" + smaller[2].partition("---\n")[2]
        done = self.redeploy(context, smaller[0] + rest, config_versions=1, prune=True)
        assert isinstance(done, Succeeded)
        assert set(self.find_configs(context)) == {names[1]}

    def test_secrets_of_the_stage_keep_their_names(self, context: FakeContext) -> None:
        """A plan does not know their values, so that their names cannot say them."""
        self.release(context, "one", secrets={"more": {"key": Secret("hunter22")}})
        assert self.find_used(context)[2] == "more"
        assert "more" in self.find_configs(context, "Secret")

    def test_images_are_put_in_and_their_run_is_told(self, context: FakeContext) -> None:
        """The workload says image and run, its Pods say neither, and the same again writes nothing."""
        images = {"registry.test/shop": REFERENCE}
        done = self.release(context, "one", images=images)
        assert done.outputs["images"] == [REFERENCE]
        assert done.outputs["bound"] == {REFERENCE: ["Deployment/shop"]}
        first = self.read(context, "apps/v1", "Deployment", "shop")
        told = {
            name: value
            for name, value in first["metadata"]["annotations"].items()
            if name.startswith("gennaker.dev")
        }
        assert told == {"gennaker.dev/images": REFERENCE, "gennaker.dev/run": "test-1"}
        assert "annotations" not in first["spec"]["template"]["metadata"]
        other = FakeContext(
            context.root,
            environment=context.environment,
            connection=context.connection,
            run=type(context.run)("test-2", 2, "test", "test", "local:tester", ""),
        )
        planned = self.plan(other, SHOP.format(greeting="one"), config_versions=2, images=images)
        assert {each[0] for each in planned.values()} == {"leave"}
        self.release(other, "one", images=images)
        second = self.read(context, "apps/v1", "Deployment", "shop")
        assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
        self.release(other, "two", images=images)
        third = self.read(context, "apps/v1", "Deployment", "shop")
        assert third["metadata"]["annotations"]["gennaker.dev/run"] == "test-2"

    def test_an_image_that_nothing_runs_stops_the_plan_too(self, context: FakeContext) -> None:
        """It is an error, with the name that is near, before anything is applied."""
        with pytest.raises(
            PermanentError, match=r"image-unused: .*did you mean 'registry.test/shop'"
        ):
            self.plan(context, SHOP.format(greeting="a"), images={"registry.test/shopp": REFERENCE})
