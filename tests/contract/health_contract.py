"""How a deploy waits, on any API server: the sandbox and a real control plane."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml

from gennaker.errors import StageError
from gennaker.stage import Failed, Succeeded
from gennaker.testing import FakeContext
from gennaker_stages.kubernetes.client.cluster import Cluster
from gennaker_stages.kubernetes.client.connection import APPLY, MERGE, Request
from gennaker_stages.kubernetes.health.assessment import check_health
from gennaker_stages.kubernetes.health.custom import HealthRule
from gennaker_stages.kubernetes.health.waiting import wait_until_ready
from tests.contract.deploy_parts import DeployParts

__all__ = ["HealthContract", "write_workload"]

# Its controller is the test.
GADGET = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.health.test}
spec:
  group: health.test
  scope: Namespaced
  names: {plural: gadgets, singular: gadget, kind: Gadget}
  versions:
    - name: v1
      served: true
      storage: true
      subresources: {status: {}}
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec: {type: object, properties: {size: {type: integer}}}
            status: {x-kubernetes-preserve-unknown-fields: true}
"""
ONE = "---\n{apiVersion: health.test/v1, kind: Gadget, metadata: {name: one}, spec: {size: 1}}\n"


def write_workload(kind: str = "Deployment", *, spec: str = "", pod: str = "") -> str:
    """A workload named ``web``."""
    more = f", serviceName: web{spec}" if kind == "StatefulSet" else spec
    selector = "selector: {matchLabels: {app: web}}" if kind != "Job" else "backoffLimit: 0"
    restart = ", restartPolicy: Never" if kind == "Job" else ""
    version = "batch/v1" if kind == "Job" else "apps/v1"
    return (
        f"---\napiVersion: {version}\nkind: {kind}\nmetadata: {{name: web}}\n"
        f"spec: {{{selector}{more}, template: {{metadata: {{labels: {{app: web}}}}, spec: "
        f"{{containers: [{{name: web, image: 'r.test/web:1'}}]{restart}{pod}}}}}}}\n"
    )


class HealthContract(DeployParts):
    """Subclass it with a fixture ``kubeconfig`` that gives the path of one."""

    @contextmanager
    def when_told(
        self, context: FakeContext, text: str, act: Callable[[], object]
    ) -> Iterator[None]:
        """Do something once the log has a text: in the middle of a wait."""
        errors: list[Exception] = []
        over = threading.Event()

        def watch() -> None:
            try:
                while text not in context.log_text:
                    if over.wait(0.02):
                        raise AssertionError(f"{text!r} is not in the log")
                act()
            except (AssertionError, StageError) as error:
                errors.append(error)

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        assert not errors, (errors, context.log_text)

    def set_status(self, context: FakeContext, resource: tuple[str, str, str], status: Any) -> None:
        """Write the status of an object, as its controller does."""
        cluster: Cluster = context.connection
        api_version, kind, name = resource
        path = cluster.find_resource(api_version, kind).path(cluster.settings.namespace, name)
        body = {"status": status}
        cluster.connection.request(
            Request("PATCH", f"{path}/status", "write", (), body, content_type=MERGE)
        )

    def set_gadget(self, context: FakeContext, *conditions: str, **status: Any) -> None:
        """Let the gadget have conditions, ``Ready=False`` for example."""
        parts = [each.partition("=") for each in conditions]
        found = [{"type": kind, "status": value, "reason": "Test"} for kind, _, value in parts]
        self.set_status(
            context, ("health.test/v1", "Gadget", "one"), {"conditions": found, **status}
        )

    def define_gadgets(self, context: FakeContext) -> None:
        """Make the kind known; it belongs to nobody, because all tests use it."""
        connection = context.connection.connection
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/gadgets.health.test"
        query = [("fieldManager", "tests")]
        body = yaml.safe_load(GADGET)
        connection.request(Request("PATCH", path, "define", query, body, APPLY))
        until = time.monotonic() + 30
        while check_health(connection.request(Request("GET", path, "look"))).state != "ready":
            assert time.monotonic() < until
            time.sleep(0.05)

    @pytest.fixture(name="gadget")
    def make_gadget(self, context: FakeContext) -> FakeContext:
        """A context whose namespace has the gadget ``one``, busy, and an empty log."""
        self.define_gadgets(context)
        assert isinstance(self.deploy(context, ONE), Succeeded)
        self.set_gadget(context, "Ready=False")
        context.lines.clear()
        context.steps.clear()
        return context.redeliver()

    @pytest.mark.faults
    def test_checklist_49_a_custom_object_without_status_is_ready(
        self, context: FakeContext
    ) -> None:
        """Nobody waits for a status that nobody may ever write."""
        self.define_gadgets(context)
        started = time.monotonic()
        assert isinstance(self.deploy(context, ONE, ready_within="60s"), Succeeded)
        assert time.monotonic() - started < 30

    def test_a_custom_object_is_waited_for(self, gadget: FakeContext) -> None:
        """Its condition Ready counts, and the reason is told."""
        act = lambda: self.set_gadget(gadget, "Ready=True")  # noqa: E731
        with self.when_told(gadget, "Gadget/one: Test", act):
            assert isinstance(self.deploy(gadget, ONE, ready_within="60s"), Succeeded)
        assert "Gadget/one: ready" in gadget.log_text

    def test_checklist_49_a_status_of_an_older_generation_is_not_believed(
        self, gadget: FakeContext
    ) -> None:
        """Ready for what was there before the change is not ready."""
        self.set_gadget(gadget, "Ready=True", observedGeneration=1)
        act = lambda: self.set_gadget(gadget, "Ready=True", observedGeneration=2)  # noqa: E731
        with self.when_told(gadget, "the controller has not seen the change yet", act):
            changed = ONE.replace("size: 1", "size: 2")
            assert isinstance(self.deploy(gadget, changed, ready_within="60s"), Succeeded)

    def test_checklist_49_a_failure_that_flaps_does_not_count(self, gadget: FakeContext) -> None:
        """Stalled for a moment, then ready: the deploy goes well."""

        def flap() -> None:
            for _ in range(3):
                self.set_gadget(gadget, "Stalled=True")
                self.set_gadget(gadget, "Ready=False")
            self.set_gadget(gadget, "Ready=True")

        with self.when_told(gadget, "Gadget/one: Test", flap):
            assert isinstance(self.deploy(gadget, ONE, ready_within="60s"), Succeeded)

    def test_checklist_49_a_failure_that_stays_ends_the_wait(
        self, gadget: FakeContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What its controller gave up is not waited for until time is up."""
        monkeypatch.setattr("gennaker_stages.kubernetes.health.waiting.SETTLE_SECONDS", 0.5)
        self.set_gadget(gadget, "Stalled=True")
        done = self.deploy(gadget, ONE, ready_within="60s")
        assert isinstance(done, Failed), done
        assert (done.code, done.reason) == ("rollout-failed", "not ready: Gadget/one: Test")

    def test_a_rule_of_the_project_is_waited_for(self, gadget: FakeContext) -> None:
        """An environment's rule takes the place of the conditions."""
        cluster: Cluster = gadget.connection
        rule = HealthRule(ready="status.phase == 'Up'", message="'phase ' + status.phase")
        rules = {"health.test/Gadget": rule}
        cluster.settings = cluster.settings.model_copy(update={"health": rules})
        self.set_gadget(gadget, "Ready=True", phase="Down")
        act = lambda: self.set_gadget(gadget, "Ready=False", phase="Up")  # noqa: E731
        with self.when_told(gadget, "Gadget/one: phase Down", act):
            assert isinstance(self.deploy(gadget, ONE, ready_within="60s"), Succeeded)

    @pytest.mark.faults
    @pytest.mark.parametrize(
        "status", ["text", ["list"], {"conditions": "text"}, {"conditions": [7]}]
    )
    def test_checklist_50_a_malformed_status_is_survived(
        self, gadget: FakeContext, status: Any
    ) -> None:
        """Whatever a status is, a deploy ends as it would without."""
        self.set_status(gadget, ("health.test/v1", "Gadget", "one"), status)
        assert isinstance(self.deploy(gadget, ONE, ready_within="20s"), Succeeded)

    @pytest.mark.faults
    def test_checklist_47_an_object_that_is_deleted_ends_the_wait(
        self, gadget: FakeContext
    ) -> None:
        """It is named at once; nobody waits for what is gone."""

        def delete() -> None:
            cluster: Cluster = gadget.connection
            resource = cluster.find_resource("health.test/v1", "Gadget")
            cluster.delete(resource, cluster.settings.namespace, "one")

        with (
            self.when_told(gadget, "Gadget/one: Test", delete),
            pytest.raises(StageError, match="Gadget/one was deleted while it was waited") as found,
        ):
            self.deploy(gadget, ONE, ready_within="60s")
        assert found.value.code == "object-deleted"

    @pytest.mark.faults
    def test_checklist_47_an_object_that_is_gone_already_ends_the_wait(
        self, gadget: FakeContext
    ) -> None:
        """Deleted between its apply and the first look: named at once, too."""
        body = yaml.safe_load(ONE)
        body["metadata"] = {"name": "two", "namespace": gadget.connection.settings.namespace}
        with pytest.raises(StageError, match="Gadget/two was deleted while it was waited for"):
            wait_until_ready(gadget.connection, [body], gadget, within="30s")

    def test_what_stands_still_on_purpose_is_not_waited_for(self, context: FakeContext) -> None:
        """A paused Deployment and a suspended Job are as they are to be."""
        paused = write_workload(spec=", paused: true")
        suspended = write_workload("Job", spec=", suspend: true")
        done = self.deploy(context, paused + suspended, ready_within="60s")
        assert isinstance(done, Succeeded), done
        assert "Deployment/web: is paused" in context.log_text
        assert "Job/web: is suspended" in context.log_text

    def test_without_wait_nothing_is_waited_for(self, context: FakeContext) -> None:
        """``wait: false`` applies every wave and is done, whatever becomes of it."""
        stuck = write_workload(pod=", nodeName: nowhere")
        waves = stuck.replace("{name: web}", "{name: web, annotations: {gennaker.dev/wave: '-1'}}")
        config = "---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: after}}\n"
        done = self.deploy(context, waves + config, wait=False)
        assert isinstance(done, Succeeded), done
        assert done.outputs["images"] == []
        assert self.read(context, "v1", "ConfigMap", "after") is not None

    def test_a_wait_ends_when_the_attempt_is_to_stop(self, gadget: FakeContext) -> None:
        """Nobody waits for a deploy that was cancelled."""
        with (
            self.when_told(gadget, "Gadget/one: Test", gadget.cancel),
            pytest.raises(BaseException, match="told to stop"),
        ):
            self.deploy(gadget, ONE, ready_within="60s")
