"""Putting deploys back on any API server: the sandbox and a real control plane."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import pytest

from gennaker.errors import PermanentError
from gennaker.stage import Artifact, Failed, Secret, Succeeded
from gennaker.testing import FakeContext
from gennaker_stages.kubernetes.client.cluster import Cluster
from gennaker_stages.kubernetes.client.connection import Request
from gennaker_stages.kubernetes.client.discovery import Discovery
from gennaker_stages.kubernetes.deploy_stage import KubernetesDeploy
from tests.contract.apply_contract import MIXED, annotated, config
from tests.contract.deploy_contract import WIDGET
from tests.contract.deploy_parts import DeployParts
from tests.fixtures.cluster_scenarios import find_differences

PARENT = "gennaker.source.test.stage"
EMPTY = Artifact(digest="sha256:" + "0" * 64, size=0)


def simplify(body: dict[str, Any] | None) -> Any:
    """An object without what changes with every write; managed fields by manager."""
    if body is None:
        return None
    kept: dict[str, Any] = json.loads(json.dumps({k: v for k, v in body.items() if k != "status"}))
    for name in ("resourceVersion", "generation", "uid", "creationTimestamp"):
        kept["metadata"].pop(name, None)
    kept["metadata"].get("annotations", {}).pop("deployment.kubernetes.io/revision", None)
    if not kept["metadata"].get("annotations", True):
        del kept["metadata"]["annotations"]
    entries = [
        {name: value for name, value in each.items() if name != "time"}
        for each in kept["metadata"].pop("managedFields", ())
        if each["manager"] != "kube-controller-manager" and each.get("subresource") != "status"
    ]
    kept["owners"] = {f"{each['manager']} {each['operation']}": each for each in entries}
    return kept


def find_lines(before: Any, after: Any) -> list[str]:
    """Where two looks differ, one line each; before is told as the real one."""
    return list(find_differences(before, after))


class UndoContract(DeployParts):
    """Subclass it with a fixture ``kubeconfig`` that gives the path of one."""

    number = 0

    def start(self, context: FakeContext, **changes: Any) -> FakeContext:
        """A context of another run; nothing is remembered but what the cluster has."""
        type(self).number += 1
        run = replace(context.run, id=f"test-{self.number}", number=self.number)
        return replace(
            context, run=run, steps={}, lines=[], before=None, attempt=1, delivery=1, **changes
        )

    def undo(self, context: FakeContext, of: FakeContext, **inputs: Any) -> FakeContext:
        """Put back what the deploy of a context did; the context of the undo."""
        assert of.before is not None
        undoing = self.start(context)
        done = KubernetesDeploy().undo(
            KubernetesDeploy.Inputs(bundle=EMPTY, **inputs), of.before, undoing
        )
        assert isinstance(done, Succeeded), done
        return undoing

    def plan_undo(self, context: FakeContext, of: FakeContext, **inputs: Any) -> dict[str, Any]:
        """What a plan tells of it."""
        assert of.before is not None
        found = KubernetesDeploy().plan_undo(
            KubernetesDeploy.Inputs(bundle=EMPTY, **inputs), of.before, context
        )
        return {each.what: (each.action, self.tell(each)) for each in found.changes}

    def look(self, context: FakeContext, *names: tuple[str, str, str]) -> dict[str, Any]:
        """Objects of the environment as they compare."""
        return {
            f"{kind}/{name}": simplify(self.read(context, api, kind, name))
            for api, kind, name in names
        }

    def call(
        self, context: FakeContext, method: str, api: str, kind: str, name: str, **more: Any
    ) -> Any:
        """A request about an object as another program."""
        cluster: Cluster = context.connection
        path = cluster.find_resource(api, kind).path(cluster.settings.namespace, name)
        return cluster.connection.request(Request(method, path, f"{method} {name}", **more))

    def wait_until_unknown(self, cluster: Cluster, version: str) -> None:
        """Wait until the server does not serve a kind any more."""
        deadline = time.monotonic() + 30
        cluster.discovery = Discovery(cluster.connection)
        while cluster.discovery.find(version, "Widget") is not None:
            assert time.monotonic() < deadline
            time.sleep(0.1)
            cluster.discovery = Discovery(cluster.connection)

    ALL = (
        ("apps/v1", "Deployment", "web"),
        ("v1", "Service", "web"),
        ("v1", "Secret", "web"),
        ("v1", "ConfigMap", "web"),
        ("v1", "ConfigMap", PARENT),
    )

    def test_replaces_what_can_never_change(self, context: FakeContext) -> None:
        """Only when it is told to; planned, said, made anew, and put back by being made anew again."""
        first = self.start(context)
        self.deploy(first, MIXED)
        before = self.look(context, *self.ALL)
        held = self.read(context, "apps/v1", "Deployment", "web")
        bundle, named = MIXED.replace("app: web", "app: other"), {"replace": ["Deployment/web"]}
        never = "spec.selector can never change"
        advice = "'replace: [Deployment/web]' has it deleted and made anew; or rename it"
        told = self.plan(context, bundle)["Deployment/web"]
        assert told == ("refuse", f"{never}; {advice}")
        with pytest.raises(PermanentError) as caught:
            self.deploy(self.start(context), bundle)
        assert (caught.value.code, caught.value.hint) == ("field-immutable", advice)
        action, told = self.plan(context, bundle, **named)["Deployment/web"]
        assert action == "replace"
        assert told.startswith(f"{never}, metadata.labels.app: 'web' → 'other', ")
        assert "spec.selector.matchLabels.app: 'web' → 'other'" in told
        second = self.start(context)
        assert isinstance(self.deploy(second, bundle, **named), Succeeded)
        line = f"applied Deployment/web (deleted and made anew: {never})"
        assert line in second.log_text
        live = self.read(context, "apps/v1", "Deployment", "web")
        assert live["spec"]["selector"] == {"matchLabels": {"app": "other"}}
        assert live["metadata"]["uid"] != held["metadata"]["uid"]
        with pytest.raises(PermanentError, match=r"cannot be put back: Deployment/web: .*never"):
            self.undo(context, second)
        action, told = self.plan_undo(context, second, **named)["Deployment/web"]
        assert action == "replace"
        assert told == (
            "a field can never change: it is deleted and made anew, "
            "metadata.labels.app: 'other' → 'web', "
            "spec.selector.matchLabels.app: 'other' → 'web', "
            "spec.template.metadata.labels.app: 'other' → 'web'"
        )
        self.undo(context, second, **named)
        after = self.look(context, *self.ALL)
        assert find_lines(before["Deployment/web"], after["Deployment/web"]) == []

    def test_never_replaces_what_holds_something(self, context: FakeContext) -> None:
        """A claim's data would go with it: it is refused, whatever the deploy is told."""
        claim = (
            "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: data}, spec: "
            "{accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}\n"
        )
        self.deploy(self.start(context), claim)
        changed = claim.replace("ReadWriteOnce", "ReadWriteMany")
        action, told = self.plan(context, changed, replace=True)["PersistentVolumeClaim/data"]
        assert action == "refuse"
        assert told.endswith(
            " can never change; delete the object first, or rename it: what is in it would go with it"
        )

    def test_puts_back_what_was_changed(self, context: FakeContext) -> None:
        """Fields that were changed, added and removed are as before, and so is who owns them."""
        first = self.start(context)
        self.deploy(first, MIXED)
        before = self.look(context, *self.ALL)
        changed = (
            MIXED.replace("replicas: 1", "replicas: 2")
            .replace("r.test/web:1", "r.test/web:2")
            .replace(", {containerPort: 53, protocol: UDP}", "")
            .replace('{name: A, value: "1"}, ', '{name: B, value: "2"}, ')
            .replace("volumes:", "terminationGracePeriodSeconds: 5\n      volumes:")
            .replace("ports: [{port: 80}]", "ports: [{port: 81}]")
            .replace("hunter22", "hunter33")
            .replace('data: {a: "1"}', 'data: {b: "2"}')
        )
        second = self.start(context)
        assert isinstance(self.deploy(second, changed), Succeeded)
        planned = self.plan_undo(context, second)
        assert planned["ConfigMap/web"] == ("change", "data.a: ABSENT → '1', data.b: '2' → ABSENT")
        assert planned["Secret/web"] == ("change", "data.password: '***' → '***'")
        assert "'r.test/web:2' → 'r.test/web:1'" in planned["Deployment/web"][1]
        undoing = self.undo(context, second)
        assert find_lines(before, self.look(context, *self.ALL)) == []
        assert "put back Deployment/web" in undoing.log_text
        assert "Deployment/web: ready" in undoing.log_text

    def test_puts_back_a_strategy_that_was_another(self, context: FakeContext) -> None:
        """What the server filled in for the new one is taken away, and nobody owns it."""
        self.deploy(
            self.start(context),
            MIXED.replace("replicas: 1", "replicas: 1\n  strategy: {type: Recreate}"),
        )
        before = self.look(context, self.ALL[0])
        second = self.start(context)
        assert isinstance(self.deploy(second, MIXED), Succeeded)
        self.undo(context, second)
        assert find_lines(before, self.look(context, self.ALL[0])) == []

    def test_gives_back_fields_that_were_set_to_nothing(self, context: FakeContext) -> None:
        """The server keeps no empty values, but whose they are: the same deploy then writes nothing."""
        empty = MIXED.replace("replicas: 1", "replicas: 1\n  minReadySeconds: 0").replace(
            '{name: A, value: "1"}', '{name: A, value: ""}'
        )
        empty = empty.replace("volumes:", "initContainers: []\n      volumes:")
        bare = annotated("bare")
        self.deploy(self.start(context), empty + bare)
        names = (self.ALL[0], ("v1", "ConfigMap", "bare"))
        before = self.look(context, *names)
        second = self.start(context)
        self.deploy(second, MIXED.replace("web:1", "web:2") + config("bare", a="2"))
        self.undo(context, second)
        assert find_lines(before, self.look(context, *names)) == []
        assert self.plan_undo(context, second)["Deployment/web"] == ("leave", "as it was")
        third = self.start(context)
        self.deploy(third, empty + bare)
        assert "applied" not in third.log_text

    def test_what_controllers_put_into_empty_annotations_is_theirs(
        self, context: FakeContext
    ) -> None:
        """A Deployment with `annotations: {}` is put back, whatever its revision is by now."""
        empty = MIXED.replace("labels: {app: web}}", "labels: {app: web}, annotations: {}}", 1)
        self.deploy(self.start(context), empty)
        second = self.start(context)
        self.deploy(second, empty.replace("web:1", "web:2"))
        self.undo(context, second)
        live = self.read(context, "apps/v1", "Deployment", "web")
        assert live["spec"]["template"]["spec"]["containers"][0]["image"] == "r.test/web:1"

    def test_putting_back_is_done_once(self, context: FakeContext) -> None:
        """A second undo finds everything as it was and writes nothing."""
        self.deploy(self.start(context), config("c", a="1"))
        second = self.start(context)
        self.deploy(second, config("c", a="2") + config("d", a="1"))
        self.undo(context, second)
        assert self.plan_undo(context, second) == {"ConfigMap/c": ("leave", "as it was")}
        version = self.read(context, "v1", "ConfigMap", "c")["metadata"]["resourceVersion"]
        again = self.undo(context, second)
        assert again.log_text == "objects: 1 unchanged"
        assert self.read(context, "v1", "ConfigMap", "c")["metadata"]["resourceVersion"] == version

    def test_removes_what_was_created(self, context: FakeContext) -> None:
        """Objects that were not there go; the inventory is as it was."""
        self.deploy(self.start(context), config("c", a="1"))
        before = self.look(context, ("v1", "ConfigMap", PARENT))
        second = self.start(context)
        self.deploy(second, MIXED + config("c", a="1"))
        assert self.plan_undo(context, second)["Service/web"] == ("delete", "the deploy made it")
        self.undo(context, second)
        names = [each for each in self.ALL if each[2] == "web"]
        assert set(self.look(context, *names).values()) == {None}
        assert self.read(context, "v1", "ConfigMap", "c")["data"] == {"a": "1"}
        assert find_lines(before, self.look(context, ("v1", "ConfigMap", PARENT))) == []

    def test_checklist_52_the_first_deploy_is_put_back(self, context: FakeContext) -> None:
        """All that it made goes, the inventory and the namespace too."""
        first = self.start(context)
        self.deploy(first, MIXED)
        cluster: Cluster = context.connection
        name = cluster.settings.namespace
        planned = self.plan_undo(context, first)
        assert {each[0] for each in planned.values()} == {"delete"}
        assert list(planned)[-1] == f"Namespace/{name}"
        undoing = self.undo(context, first)
        assert cluster.read(cluster.find_resource("v1", "Namespace"), None, name) is None
        assert f"removed Namespace/{name}" in undoing.log_text

    def test_a_namespace_with_things_of_others_stays(self, context: FakeContext) -> None:
        """What is in it by others keeps it, and is named."""
        first = self.start(context)
        self.deploy(first, config("c", a="1"))
        self.write_as(
            context, "other", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}
        )
        undoing = self.undo(context, first)
        namespace = context.connection.settings.namespace
        assert f"kept Namespace/{namespace}: ConfigMap/x would go with it" in undoing.log_text
        assert self.read(context, "v1", "ConfigMap", "c") is None
        assert self.read(context, "v1", "ConfigMap", PARENT) is not None

    def test_makes_again_what_was_pruned(self, context: FakeContext) -> None:
        """With what others had set in it, who owns it, and Secrets' values, which no file has."""
        self.deploy(self.start(context), MIXED + config("c", a="1"))
        self.call(
            context, "PATCH", "v1", "ConfigMap", "web",
            query=[("fieldManager", "people")],
            body={"metadata": {"labels": {"team": "blue"}}, "data": {"extra": "yes"}},
            content_type="application/merge-patch+json",
        )  # fmt: skip
        before = self.look(context, *self.ALL)
        second = self.start(context)
        self.deploy(second, config("c", a="1"), prune=True)
        assert self.read(context, "v1", "Secret", "web") is None
        planned = self.plan_undo(context, second)
        assert planned["Secret/web"][0] == "create"
        self.undo(context, second)
        after = self.look(context, *self.ALL)
        for each in (before, after):  # its addresses are given anew
            for name in ("clusterIP", "clusterIPs"):
                each["Service/web"]["spec"].pop(name)
        assert find_lines(before, after) == []
        kept = b"".join(path.read_bytes() for path in context.root.rglob("*") if path.is_file())
        assert b"hunter22" not in kept.replace(MIXED.encode(), b"")
        assert b"aHVudGVyMjI" not in kept

    def test_gives_back_what_was_taken(self, context: FakeContext) -> None:
        """Fields taken from others are theirs again, kubectl's client-side ones too."""
        annotation = {"kubectl.kubernetes.io/last-applied-configuration": "{}\n"}
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "c", "annotations": annotation},
            "data": {"a": "1", "gone": "1"},
        }
        self.deploy(self.start(context), config("d", a="1"))
        self.call(
            context, "POST", "v1", "ConfigMap", "",
            query=[("fieldManager", "kubectl-client-side-apply")], body=body,
        )  # fmt: skip
        self.write_as(
            context, "other", {**body, "metadata": {"name": "c"}, "data": {"theirs": "1"}}
        )
        before = self.look(context, ("v1", "ConfigMap", "c"))
        second = self.start(context)
        self.deploy(second, config("c", a="2", theirs="2", ours="2"), conflicts="take")
        assert self.look(context, ("v1", "ConfigMap", "c")) != before
        self.undo(context, second, conflicts="take")
        assert find_lines(before, self.look(context, ("v1", "ConfigMap", "c"))) == []

    def test_names_what_another_changed_since(self, context: FakeContext) -> None:
        """A field that is somebody else's by now refuses the whole; with 'yield' it is left."""
        self.deploy(self.start(context), config("c", a="1", b="1") + config("d", a="1"))
        second = self.start(context)
        self.deploy(second, config("c", a="2", b="2") + config("d", a="2"))
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "c"},
            "data": {"a": "3"},
        }
        self.write_as(context, "other", body)
        with pytest.raises(PermanentError) as caught:
            self.undo(context, second)
        assert caught.value.code == "undo-refused"
        assert (
            'ConfigMap/c: field-conflict: field .data.a: conflict with "other"'
            in caught.value.message
        )
        assert self.read(context, "v1", "ConfigMap", "d")["data"] == {"a": "2"}
        assert self.plan_undo(context, second)["ConfigMap/c"][0] == "refuse"
        undoing = self.undo(context, second, conflicts="yield")
        assert "left .data.a of ConfigMap/c to its manager" in undoing.log_text
        assert self.read(context, "v1", "ConfigMap", "c")["data"] == {"a": "3", "b": "1"}

    def test_what_another_made_meanwhile_stays(self, context: FakeContext) -> None:
        """An object of the name of one that the deploy made, but of somebody else, is not removed."""
        self.deploy(self.start(context), config("c", a="1"))
        second = self.start(context)
        self.deploy(second, config("c", a="1") + config("d", a="1"))
        self.call(context, "DELETE", "v1", "ConfigMap", "d")
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "d"},
            "data": {"a": "3"},
        }
        self.write_as(context, "other", body)
        undoing = self.undo(context, second)
        assert "kept ConfigMap/d: it is not what the deploy made" in undoing.log_text
        assert self.read(context, "v1", "ConfigMap", "d")["data"] == {"a": "3"}

    def test_checklist_52_a_kind_that_is_gone_is_refused(self, context: FakeContext) -> None:
        """An object whose definition was removed since cannot come back; nothing else is changed."""
        name = f"things.u{context.connection.settings.namespace[2:]}.test"
        group = name.partition(".")[2]
        bundle = WIDGET.replace("widgets.example.test", name).replace("example.test", group)
        bundle = bundle.replace("plural: widgets", "plural: things")
        self.deploy(self.start(context), bundle + config("c", a="1"))
        second = self.start(context)
        self.deploy(second, bundle.replace("size: 3", "size: 4") + config("c", a="2"))
        cluster: Cluster = context.connection
        definitions = cluster.find_resource("apiextensions.k8s.io/v1", "CustomResourceDefinition")
        cluster.delete(definitions, None, name)
        self.wait_until_unknown(cluster, f"{group}/v1")
        with pytest.raises(PermanentError) as caught:
            self.undo(context, second)
        assert caught.value.code == "undo-refused"
        told = f"Widget/one: the cluster does not know kind 'Widget' of '{group}/v1' now"
        assert told in caught.value.message
        assert caught.value.message.endswith("(nothing was changed)")
        assert self.read(context, "v1", "ConfigMap", "c")["data"] == {"a": "2"}

    def test_a_definition_that_the_deploy_made_goes_with_its_objects(
        self, context: FakeContext
    ) -> None:
        """Custom objects first; a definition of which others made objects stays."""
        self.deploy(self.start(context), config("c", a="1"))
        name = f"things.v{context.connection.settings.namespace[2:]}.test"
        group = name.partition(".")[2]
        bundle = WIDGET.replace("widgets.example.test", name).replace("example.test", group)
        bundle = config("c", a="1") + "---\n" + bundle.replace("plural: widgets", "plural: things")
        second = self.start(context)
        self.deploy(second, bundle)
        theirs = {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": "theirs"}}
        self.write_as(context, "other", theirs)
        undoing = self.undo(context, second)
        assert (
            f"kept CustomResourceDefinition/{name}: Widget/theirs would go with it"
            in undoing.log_text
        )
        self.call(context, "DELETE", f"{group}/v1", "Widget", "theirs")
        undoing = self.undo(context, second)
        assert f"removed CustomResourceDefinition/{name}" in undoing.log_text

    def test_a_half_done_deploy_is_put_back(self, context: FakeContext) -> None:
        """What was written before it failed is as before; the rest was never touched."""
        self.deploy(self.start(context), config("c", a="1"))
        bad = "---\n{apiVersion: v1, kind: Service, metadata: {name: bad}, spec: {ports: [{port: 0}]}}\n"
        second = self.start(context)
        with pytest.raises(PermanentError, match="cannot apply Service/bad"):
            self.deploy(second, config("c", a="2") + config("d", a="1") + bad)
        self.undo(context, second)
        assert self.read(context, "v1", "ConfigMap", "c")["data"] == {"a": "1"}
        assert self.read(context, "v1", "ConfigMap", "d") is None

    def test_a_retry_adds_what_it_touches(self, context: FakeContext) -> None:
        """The record of a second attempt has what the first found, and what came later."""
        self.deploy(self.start(context), config("c", a="1") + config("d", a="1"))
        second = self.start(context)
        self.deploy(second, config("c", a="2") + config("d", a="1"))
        retry = replace(second, attempt=2, steps={}, lines=[])
        self.deploy(retry, config("c", a="3") + config("d", a="3") + config("e", a="3"))
        self.undo(context, retry)
        assert self.read(context, "v1", "ConfigMap", "c")["data"] == {"a": "1"}
        assert self.read(context, "v1", "ConfigMap", "d")["data"] == {"a": "1"}
        assert self.read(context, "v1", "ConfigMap", "e") is None

    def test_an_unchanged_deploy_records_nothing(self, context: FakeContext) -> None:
        """There is nothing to put back, and no copy is kept."""
        self.deploy(self.start(context), MIXED)
        second = self.start(context)
        self.deploy(second, MIXED)
        assert second.before is None

    def test_an_undo_is_put_back(self, context: FakeContext) -> None:
        """It records what it finds as a deploy does; Secrets and removed objects come again."""
        self.deploy(self.start(context), MIXED)
        second = self.start(context)
        self.deploy(second, MIXED.replace("hunter22", "hunter33") + config("d", a="1"))
        names = (("v1", "Secret", "web"), ("v1", "ConfigMap", "d"))
        before = self.look(context, *names)
        undoing = self.undo(context, second)
        assert self.look(context, *names) != before
        self.undo(context, undoing)
        assert find_lines(before, self.look(context, *names)) == []

    def test_steps_back_deploy_by_deploy(self, context: FakeContext) -> None:
        """Each undo leaves what the deploy before left, Secrets included; forward again likewise."""
        looks, deploys = [], []
        for number in (1, 2, 3):
            bundle = MIXED.replace("hunter22", f"hunter{number}0")
            bundle = bundle.replace("r.test/web:1", f"r.test/web:{number}")
            bundle += config(f"only-{number}", a="1")
            deploys.append(self.start(context))
            self.deploy(deploys[-1], bundle, prune=True, wait=False)
            names = (*self.ALL, *(("v1", "ConfigMap", f"only-{each}") for each in (1, 2, 3)))
            looks.append(self.look(context, *names))
        forward = self.undo(context, deploys[2], wait=False)
        assert find_lines(looks[1], self.look(context, *names)) == []
        again = self.undo(context, forward, wait=False)
        assert find_lines(looks[2], self.look(context, *names)) == []
        for each in (again, deploys[1]):
            self.undo(context, each, wait=False)
        assert find_lines(looks[0], self.look(context, *names)) == []

    def test_copies_of_secrets_stay_for_some_deploys(
        self, context: FakeContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A later deploy drops the oldest; a copy that somebody deleted refuses the undo."""
        monkeypatch.setattr("gennaker_stages.kubernetes.undoing.copies.KEPT", 2)

        def find() -> dict[str, str]:
            cluster: Cluster = context.connection
            secrets = cluster.list_objects(
                cluster.find_resource("v1", "Secret"),
                cluster.settings.namespace,
                labels="gennaker.dev/before",
            )
            return {
                each["metadata"]["annotations"]["gennaker.dev/kept-by"]: each["metadata"]["name"]
                for each in secrets["items"]
            }

        def deploy(value: str) -> FakeContext:
            started = self.start(context)
            secrets = {"db": {"password": Secret(value)}}
            self.deploy(started, config("c", a="1"), secrets=secrets)
            return started

        deploy("hunter22")
        assert find() == {}
        kept = [f"{deploy(f'hunter{each}').run.id}/{context.instance}" for each in (33, 44)]
        assert set(find()) == set(kept)
        last = deploy("hunter55")
        assert set(find()) == {kept[1], f"{last.run.id}/{context.instance}"}
        gone = find()[f"{last.run.id}/{context.instance}"]
        self.call(context, "DELETE", "v1", "Secret", gone)
        with pytest.raises(PermanentError) as caught:
            self.undo(context, last)
        told = f"Secret/db: the copy of its values, Secret/{gone}, is gone"
        assert told in caught.value.message

    def test_a_deploy_that_cannot_run_is_waited_for_when_it_is_put_back(
        self, context: FakeContext
    ) -> None:
        """The undo of a rollout that got stuck ends when the old Pods are all there."""
        self.deploy(self.start(context), MIXED)
        second = self.start(context)
        stuck = MIXED.replace("r.test/web:1", "r.test/web:2").replace(
            "spec:\n      containers", "spec:\n      nodeName: nowhere\n      containers"
        )
        assert isinstance(self.deploy(second, stuck, ready_within="1s"), Failed | Succeeded)
        self.undo(context, second)
        live = self.read(context, "apps/v1", "Deployment", "web")
        assert live["spec"]["template"]["spec"]["containers"][0]["image"] == "r.test/web:1"
