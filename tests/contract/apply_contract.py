"""Applying, owning and pruning on any API server: the sandbox and a real control plane."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gennaker.canonical import escape_odd
from gennaker.errors import PermanentError, StageError
from gennaker.stage import Secret, Succeeded
from gennaker.testing import FakeContext
from gennaker_stages.kubernetes.client.cluster import Cluster
from gennaker_stages.kubernetes.client.connection import Request
from gennaker_stages.kubernetes.client.problems import FieldConflict
from gennaker_stages.kubernetes.deploy_stage import KubernetesDeploy
from gennaker_stages.kubernetes.inventory import prune as prune_module
from gennaker_stages.kubernetes.inventory.applyset import PART_OF_LABEL, make_id
from gennaker_stages.kubernetes.settings import KubernetesSettings
from tests.contract.deploy_parts import DeployParts

MIXED = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: r.test/web:1
          ports: [{containerPort: 80}, {containerPort: 53, protocol: UDP}]
          env: [{name: A, value: "1"}, {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
          resources: {limits: {cpu: 0.5, memory: 1024Mi}}
          volumeMounts: [{name: data, mountPath: /data}]
      volumes: [{name: data, emptyDir: {}}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Secret
metadata: {name: web}
stringData: {password: hunter22}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: web}
data: {a: "1"}
"""
PARENT = "gennaker.source.test.stage"


def config(name: str, **data: str) -> str:
    """A ConfigMap as a document of a bundle."""
    metadata = {"name": name}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    return f"---\n{escape_odd(json.dumps(body, ensure_ascii=False))}\n"


def annotated(name: str, **annotations: str) -> str:
    """A ConfigMap with annotations; ``__`` stands for what a name may not have."""
    body = json.loads(config(name, a="1").removeprefix("---\n"))
    body["metadata"]["annotations"] = {
        key.replace("__", "."): value for key, value in annotations.items()
    }
    return f"---\n{json.dumps(body)}\n"


class ApplyContract(DeployParts):
    """Subclass it with a fixture ``kubeconfig`` that gives the path of one."""

    def versions(self, context: FakeContext) -> dict[str, str]:
        """The resourceVersion of everything that MIXED made."""
        kinds = {"Deployment": "apps/v1", "Service": "v1", "Secret": "v1", "ConfigMap": "v1"}
        found = {
            kind: self.read(context, where, kind, "web")["metadata"]["resourceVersion"]
            for kind, where in kinds.items()
        }
        parent = self.read(context, "v1", "ConfigMap", PARENT)
        return {**found, "parent": parent["metadata"]["resourceVersion"]}

    def test_unchanged_objects_cause_no_write(
        self, context: FakeContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A second deploy of the same bundle writes nothing and sends no patch at all."""
        secrets = {"secrets": {"db": {"password": Secret("hunter22")}}}
        self.deploy(context, MIXED, **secrets)
        # Its controllers write the status of the Deployment, so versions are taken once it is ready.
        before = self.versions(context)
        sent: list[str] = []
        connection = context.connection.connection
        send = connection._send
        monkeypatch.setattr(
            connection,
            "_send",
            lambda client, request, token: (
                sent.append(f"{request.method} {request.path}"),
                send(client, request, token),
            )[1],
        )
        assert isinstance(self.redeploy(context, MIXED, **secrets), Succeeded)
        assert self.versions(context) == before
        assert [each for each in sent if not each.startswith("GET")] == []
        assert "objects: 5 unchanged" in context.log_text

    def test_what_the_server_leaves_as_it_is_counts_as_unchanged(
        self, context: FakeContext
    ) -> None:
        """A default that is not known here is applied again; the server writes nothing, and no line tells so."""
        bundle = MIXED.replace("replicas: 1", "replicas: null")
        self.deploy(context, bundle)
        before = self.versions(context)
        assert isinstance(self.redeploy(context, bundle), Succeeded)
        assert self.versions(context) == before
        assert "objects: 4 unchanged" in context.log_text
        assert context.log_text.count("applied Deployment/web") == 1

    def test_every_character_arrives_as_it_was_written(self, context: FakeContext) -> None:
        """Those beyond 16 bits, and those that YAML folds or refuses; the second deploy writes nothing."""
        text = "sails 🎉 é\n\ttwo\r\n \x7f\x85\u2028\ufeff\x00 \\ud83c\\udf89 end "
        assert isinstance(self.deploy(context, config("web", text=text)), Succeeded)
        assert self.read(context, "v1", "ConfigMap", "web")["data"] == {"text": text}
        assert self.plan(context, config("web", text=text)) == {"ConfigMap/web": ("leave", "")}

    def test_a_strategy_loses_what_belonged_to_another(self, context: FakeContext) -> None:
        """The server's numbers of a rolling update go when Pods are to be recreated; it stays so."""
        self.deploy(context, MIXED)
        bundle = MIXED.replace("replicas: 1", "replicas: 1\n  strategy: {type: Recreate}")
        assert "rollingUpdate" in self.plan(context, bundle)["Deployment/web"][1]
        assert isinstance(self.redeploy(context, bundle), Succeeded)
        assert self.read(context, "apps/v1", "Deployment", "web")["spec"]["strategy"] == {
            "type": "Recreate"
        }
        assert {told[0] for told in self.plan(context, bundle).values()} == {"leave"}

    @pytest.mark.faults
    def test_records_what_became_of_each_object(self, context: FakeContext) -> None:
        """After a partial failure the journal has every object's fate, and a retry goes on."""
        bad = "---\n{apiVersion: v1, kind: Service, metadata: {name: bad}, spec: {ports: [{port: 0}]}}\n"
        self.deploy(context, config("one", a="1"))
        context.steps.clear()
        bundle = config("one", a="1") + config("two", a="1") + bad
        again = context.redeliver()
        with pytest.raises(
            PermanentError,
            match=r"cannot apply Service/bad: .*\(1 applied, 1 unchanged, 1 failed\)",
        ):
            self.deploy(again, bundle)
        namespace = context.connection.settings.namespace
        assert sorted(again.steps["record 1"]) == [
            f"applied v1 ConfigMap/two in {namespace}",
            f"failed (cluster-refused) v1 Service/bad in {namespace}",
            f"unchanged v1 ConfigMap/one in {namespace}",
        ]
        context.steps.clear()
        retried = context.redeliver()
        done = self.deploy(retried, bundle.replace("port: 0", "port: 80"))
        assert isinstance(done, Succeeded), done
        assert sorted(retried.steps["record 1"]) == [
            f"applied v1 Service/bad in {namespace}",
            f"unchanged v1 ConfigMap/one in {namespace}",
            f"unchanged v1 ConfigMap/two in {namespace}",
        ]

    def test_later_waves_are_not_tried_after_a_failure(self, context: FakeContext) -> None:
        """What a wave could not do keeps the later waves from beginning."""
        bad = "---\n{apiVersion: v1, kind: Service, metadata: {name: bad}, spec: {ports: [{port: 0}]}}\n"
        later = annotated("later", **{"gennaker.dev/wave": "1"})
        with pytest.raises(PermanentError, match=r"1 failed, 1 not tried"):
            self.deploy(context, bad + later)
        assert self.read(context, "v1", "ConfigMap", "later") is None

    def test_checklist_42_a_conflict_is_found_before_anything_is_applied(
        self, context: FakeContext
    ) -> None:
        """Conflicts of all objects are told at once, and none of them is written."""
        bundle = config("a", x="1") + config("b", x="1")
        self.deploy(context, bundle)
        for name in ("a", "b"):
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
            self.write_as(context, "other", {**body, "data": {"x": "9"}})
        with pytest.raises(FieldConflict) as found:
            self.redeploy(context, config("new", x="1") + bundle.replace('"x": "1"', '"x": "2"'))
        told = str(found.value)
        for name in ("a", "b"):
            assert f'cannot apply ConfigMap/{name}: field .data.x: conflict with "other"' in told
        assert "(nothing was applied)" in told and "'conflicts'" in told
        assert self.read(context, "v1", "ConfigMap", "new") is None

    def test_only_conflicts_that_no_rule_settles_are_told(self, context: FakeContext) -> None:
        """Of two fields of an object the one that is to be left to its manager is no trouble."""
        self.deploy(context, config("a", x="1", y="1"))
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
        self.write_as(context, "other", {**body, "data": {"x": "9", "y": "9"}})
        rules = {"fields": [{"path": "data.x", "policy": "yield"}]}
        with pytest.raises(FieldConflict) as found:
            self.redeploy(context, config("a", x="2", y="2"), conflicts=rules)
        assert found.value.message.startswith(
            'cannot apply ConfigMap/a: field .data.y: conflict with "other" (nothing'
        )

    def test_checklist_42_a_conflict_can_be_taken(self, context: FakeContext) -> None:
        """With 'take' the field becomes ours, and the other manager has it no more."""
        self.deploy(context, config("c", x="1", y="1"))
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}
        self.write_as(context, "other", {**body, "data": {"x": "9"}})
        self.redeploy(context, config("c", x="2", y="1"), conflicts="take")
        assert self.read(context, "v1", "ConfigMap", "c")["data"] == {"x": "2", "y": "1"}
        with pytest.raises(StageError, match='conflict with "gennaker"'):
            self.write_as(context, "other", {**body, "data": {"x": "9"}}, force=False)

    def test_checklist_42_replicas_are_left_to_an_autoscaler(self, context: FakeContext) -> None:
        """What another manager scales stays as it is, the rest is applied; later deploys do not ask."""
        rules = {"fields": [{"kind": "Deployment", "path": "spec.replicas", "policy": "yield"}]}
        self.deploy(context, MIXED, conflicts=rules)
        cluster: Cluster = context.connection
        resource = cluster.find_resource("apps/v1", "Deployment")
        path = resource.path(cluster.settings.namespace, "web") + "/scale"
        scale = cluster.connection.request(Request("GET", path, "read the scale"))
        scale["spec"]["replicas"] = 3
        query = [("fieldManager", "autoscaler")]
        cluster.connection.request(Request("PUT", path, "scale", query, scale))
        with pytest.raises(FieldConflict, match=r'\.spec\.replicas: conflict with "autoscaler"'):
            self.redeploy(context, MIXED)
        self.redeploy(context, MIXED.replace("web:1", "web:2"), conflicts=rules)
        live = self.read(context, "apps/v1", "Deployment", "web")
        assert live["spec"]["replicas"] == 3
        assert live["spec"]["template"]["spec"]["containers"][0]["image"] == "r.test/web:2"

    def test_one_item_of_a_list_is_left_to_another(self, context: FakeContext) -> None:
        """A path reaches into a list by its key; only that one field is left."""
        self.deploy(context, MIXED)
        container = {"name": "web", "image": "r.test/web:9"}
        spec = {"template": {"spec": {"containers": [container]}}}
        body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}
        self.write_as(context, "other", {**body, "spec": spec})
        bundle = MIXED.replace("web:1", "web:2").replace("replicas: 1", "replicas: 2")
        for item in ("name=web", "web", "*"):  # as written, as a plan shows it, any
            path = f"spec.template.spec.containers[{item}].image"
            rules = {"fields": [{"path": path, "policy": "yield", "manager": "other"}]}
            self.redeploy(context, bundle, conflicts=rules)
            live = self.read(context, "apps/v1", "Deployment", "web")
            assert live["spec"]["replicas"] == 2
            assert live["spec"]["template"]["spec"]["containers"][0]["image"] == "r.test/web:9"

    def test_takes_over_what_kubectl_apply_made(self, context: FakeContext) -> None:
        """Fields of a client-side apply that left the manifest really go, its annotation with them."""
        self.deploy(context, config("first", a="1"))  # makes the namespace
        cluster: Cluster = context.connection
        last = "kubectl.kubernetes.io/last-applied-configuration"
        body = json.loads(config("made", kept="old", gone="x").removeprefix("---\n"))
        body["metadata"]["annotations"] = {last: "{}"}
        path = cluster.find_resource("v1", "ConfigMap").path(cluster.settings.namespace)
        query = [("fieldManager", "kubectl-client-side-apply")]
        cluster.connection.request(Request("POST", path, "make", query, body))
        bundle = config("first", a="1") + config("made", kept="new")
        action, told = self.plan(context, bundle)["ConfigMap/made"]
        assert action == "change"
        assert "data.gone: 'x' → " in told
        assert "data.kept: 'old' → 'new'" in told
        self.redeploy(context, bundle)
        live = self.read(context, "v1", "ConfigMap", "made")
        assert live["data"] == {"kept": "new"}
        assert last not in (live["metadata"].get("annotations") or {})
        managers = {each["manager"] for each in live["metadata"]["managedFields"]}
        assert managers == {"gennaker"}
        assert "took ConfigMap/made over from kubectl apply" in context.log_text

    def test_a_plan_shows_what_taking_over_removes(self, context: FakeContext) -> None:
        """As the deploy leaves it: with the defaults of the server, without what others do not keep."""
        self.deploy(context, config("first", a="1"))  # makes the namespace
        cluster: Cluster = context.connection
        side = {"name": "side", "image": "r.test/side:1"}
        web = {"name": "web", "image": "r.test/web:1", "ports": [{"containerPort": 80}]}
        pod = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [web, side]}}
        selector = {"matchLabels": {"app": "web"}}
        body = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web"},
            "spec": {"replicas": 3, "selector": selector, "template": pod},
        }
        path = cluster.find_resource("apps/v1", "Deployment").path(cluster.settings.namespace)
        query = [("fieldManager", "kubectl-client-side-apply")]
        cluster.connection.request(Request("POST", path, "make", query, body))
        port = {"name": "web", "ports": [{"containerPort": 80}]}
        self.write_as(
            context, "other", {**body, "spec": {"template": {"spec": {"containers": [port]}}}}
        )
        pod = {**pod, "spec": {"containers": [{"name": "web", "image": "r.test/web:1"}]}}
        wanted = {**body, "spec": {"selector": selector, "template": pod}}
        bundle = config("first", a="1") + f"---\n{json.dumps(wanted)}\n"
        action, told = self.plan(context, bundle)["Deployment/web"]
        assert action == "change"
        assert told.startswith("metadata.labels: ")
        assert "spec.replicas: 3 → 1, spec.template.spec.containers[side]: {" in told
        assert "ports" not in told  # the other's
        self.redeploy(context, bundle, wait=False)
        live = self.read(context, "apps/v1", "Deployment", "web")
        (only,) = live["spec"]["template"]["spec"]["containers"]
        assert [each["containerPort"] for each in only["ports"]] == [80]
        assert live["spec"]["replicas"] == 1
        assert self.plan(context, bundle)["Deployment/web"] == ("leave", "")

    def test_what_is_on_its_way_out_is_made_anew(self, context: FakeContext) -> None:
        """An object that is being deleted is waited for, not applied to and lost."""
        self.deploy(context, config("c", a="1"))
        cluster: Cluster = context.connection
        resource, namespace = cluster.find_resource("v1", "ConfigMap"), cluster.settings.namespace
        cluster.patch(resource, namespace, "c", {"metadata": {"finalizers": ["example.test/f"]}})
        cluster.delete(resource, namespace, "c")
        old = cluster.read(resource, namespace, "c")
        assert old is not None
        waited: list[float] = []
        again = context.redeliver()
        again.steps.clear()
        plain = again.wait_cancelled

        def release(seconds: float) -> bool:
            if not waited:
                cluster.patch(resource, namespace, "c", {"metadata": {"finalizers": None}})
            waited.append(seconds)
            return plain(seconds)

        again.wait_cancelled = release  # type: ignore[method-assign]
        self.deploy(again, config("c", a="2"))
        live = cluster.read(resource, namespace, "c")
        assert live is not None and live["data"] == {"a": "2"}
        assert live["metadata"]["uid"] != old["metadata"]["uid"]

    def test_writes_an_inventory_as_kubectl_spells_it(self, context: FakeContext) -> None:
        """Members carry the id, the parent names kinds and tool, and grows and shrinks with them."""
        self.deploy(context, MIXED)
        namespace = context.connection.settings.namespace
        parent = self.read(context, "v1", "ConfigMap", PARENT)["metadata"]
        assert parent["labels"] == {"applyset.kubernetes.io/id": make_id(PARENT, namespace)}
        assert parent["annotations"]["applyset.kubernetes.io/tooling"].startswith("gennaker/v")
        kinds = "applyset.kubernetes.io/contains-group-kinds"
        assert parent["annotations"][kinds] == "ConfigMap,Deployment.apps,Secret,Service"
        service = self.read(context, "v1", "Service", "web")
        assert service["metadata"]["labels"] == {PART_OF_LABEL: make_id(PARENT, namespace)}
        self.redeploy(context, config("web", a="1"))
        parent = self.read(context, "v1", "ConfigMap", PARENT)["metadata"]
        assert parent["annotations"][kinds] == "ConfigMap,Deployment.apps,Secret,Service"
        self.redeploy(context, config("web", a="1"), prune=True)
        parent = self.read(context, "v1", "ConfigMap", PARENT)["metadata"]
        assert parent["annotations"][kinds] == "ConfigMap"

    def test_checklist_48_prunes_old_minus_new_as_planned(self, context: FakeContext) -> None:
        """Only with 'prune', only what the set has and the bundle has not; a plan shows it before."""
        bundle = config("a", x="1") + config("b", x="1")
        self.deploy(context, bundle)
        cluster: Cluster = context.connection
        stranger = json.loads(config("stranger", x="1").removeprefix("---\n"))
        self.write_as(context, "other", stranger)
        self.redeploy(context, config("a", x="1"))
        assert self.read(context, "v1", "ConfigMap", "b") is not None
        planned = self.plan(context, config("a", x="1"), prune=True)
        assert planned["ConfigMap/b"] == ("prune", "no longer in the bundle")
        assert set(planned) == {"ConfigMap/a", "ConfigMap/b"}
        self.redeploy(context, config("a", x="1"), prune=True)
        assert self.read(context, "v1", "ConfigMap", "b") is None
        assert self.read(context, "v1", "ConfigMap", "stranger") is not None
        assert cluster.settings.namespace in str(context.steps)

    def test_checklist_48_an_empty_render_prunes_nothing(self, context: FakeContext) -> None:
        """An empty bundle is refused, unless it is said that it may be empty."""
        self.deploy(context, config("a", x="1"))
        with pytest.raises(PermanentError, match=r"prune-empty: .* would delete all 1 objects of"):
            self.redeploy(context, "# nothing\n", prune=True)
        with pytest.raises(PermanentError, match="bundle-empty"):
            self.redeploy(context, "")
        assert self.read(context, "v1", "ConfigMap", "a") is not None
        done = self.redeploy(context, "# nothing\n", prune=True, allow_empty=True)
        assert isinstance(done, Succeeded) and done.outputs["objects"] == []
        assert self.read(context, "v1", "ConfigMap", "a") is None

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("gennaker.dev/prune", "false"),
            ("argocd.argoproj.io/sync-options", "Validate=false, Prune=false"),
            ("helm.sh/resource-policy", "keep"),
        ],
    )
    def test_what_is_marked_is_not_pruned(
        self, context: FakeContext, name: str, value: str
    ) -> None:
        """Each mark keeps the object, and the log and the plan say which mark it was."""
        self.deploy(context, config("a", x="1") + annotated("marked", **{name: value}))
        detail = self.plan(context, config("a", x="1"), prune=True)["ConfigMap/marked"]
        assert detail[0] == "leave" and name in detail[1]
        again = context.redeliver()
        again.steps.clear()
        self.deploy(again, config("a", x="1"), prune=True)
        assert self.read(context, "v1", "ConfigMap", "marked") is not None
        assert "kept ConfigMap/marked" in again.log_text

    @pytest.mark.faults
    def test_checklist_46_a_stuck_finalizer_is_named(
        self, context: FakeContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A prune waits for what is deleted; what does not go is named with what it waits for."""
        self.deploy(context, config("a", x="1") + config("stuck", x="1"))
        cluster: Cluster = context.connection
        resource, namespace = cluster.find_resource("v1", "ConfigMap"), cluster.settings.namespace
        held = {"metadata": {"finalizers": ["example.test/never"]}}
        cluster.patch(resource, namespace, "stuck", held)
        monkeypatch.setattr(prune_module, "GONE_SECONDS", 0.5)
        monkeypatch.setattr(prune_module, "_SOON", 0.1)
        again = context.redeliver()
        again.steps.clear()
        with pytest.raises(StageError, match=r"delete-stuck: .*ConfigMap/stuck waits for example"):
            self.deploy(again, config("a", x="1"), prune=True)
        assert "pruned ConfigMap/stuck" not in again.log_text
        told = "deleting ConfigMap/stuck, held by finalizer example.test/never"
        assert again.log_text.splitlines().count(told) == 1
        cluster.patch(resource, namespace, "stuck", {"metadata": {"finalizers": None}})

    def test_checklist_48_a_foreign_or_forged_inventory_is_refused(
        self, context: FakeContext
    ) -> None:
        """A parent of another tool, with another id, or that is none at all: nothing is done."""
        self.deploy(context, config("a", x="1"))
        cluster: Cluster = context.connection
        resource, namespace = cluster.find_resource("v1", "ConfigMap"), cluster.settings.namespace
        other = make_id("somebody", "else")
        forged = {"metadata": {"labels": {"applyset.kubernetes.io/id": other}}}
        cluster.patch(resource, namespace, PARENT, forged)
        with pytest.raises(PermanentError, match=f"applyset: .*has the id '{other}'"):
            self.redeploy(context, config("a", x="1"), prune=True)
        annotations = {"applyset.kubernetes.io/tooling": "kubectl/v1.32"}
        cluster.patch(resource, namespace, PARENT, {"metadata": {"annotations": annotations}})
        with pytest.raises(PermanentError, match=r"applyset: .* is kept by 'kubectl/v1\.32'"):
            self.redeploy(context, config("a", x="1"), prune=True)
        cluster.patch(resource, namespace, PARENT, {"metadata": {"annotations": None}})
        with pytest.raises(PermanentError, match="is no inventory"):
            self.redeploy(context, config("a", x="1"))
        assert self.read(context, "v1", "ConfigMap", "a") is not None

    def test_checklist_48_manifests_do_not_choose_their_set(self, context: FakeContext) -> None:
        """A manifest that carries the label of a set is refused."""
        body = json.loads(config("a", x="1").removeprefix("---\n"))
        body["metadata"]["labels"] = {PART_OF_LABEL: "applyset-x-v1"}
        with pytest.raises(PermanentError, match="bundle: ConfigMap/a already say which ApplySet"):
            self.deploy(context, json.dumps(body))

    @pytest.mark.faults
    def test_checklist_50_malformed_annotations_crash_nothing(self, context: FakeContext) -> None:
        """Whatever others wrote into the marks that are read: planned, taken over, pruned by rule."""
        self.deploy(context, config("keep", a="1") + config("old", a="1"))
        odd = {
            "kubectl.kubernetes.io/last-applied-configuration": '{"metadata": [',
            "argocd.argoproj.io/tracking-id": ":::/",
            "argocd.argoproj.io/sync-options": ",=,Prune=,",
            "argocd.argoproj.io/sync-wave": "first",
            "meta.helm.sh/release-name": "",
            "helm.sh/hook": ",,",
            "helm.sh/resource-policy": "???",
            "gennaker.dev/wave": "1e999",
            "gennaker.dev/prune": "perhaps",
            "gennaker.dev/version-of": "\x00",
        }
        for name in ("keep", "old"):
            metadata = {"name": name, "annotations": odd}
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
            self.write_as(context, "other", body)
        bundle = config("keep", a="2") + config("new", a="1")
        planned = self.plan(context, bundle, prune=True)
        assert {name: each[0] for name, each in planned.items()} == {
            "ConfigMap/keep": "change",
            "ConfigMap/new": "create",
            "ConfigMap/old": "prune",
        }
        assert isinstance(self.redeploy(context, bundle, prune=True), Succeeded)
        assert self.read(context, "v1", "ConfigMap", "keep")["data"] == {"a": "2"}
        assert self.read(context, "v1", "ConfigMap", "old") is None

    def test_rules_for_kinds_that_nobody_knows_are_refused(self, context: FakeContext) -> None:
        """All at once with what is like them, in plan and run; one that is not in the bundle is none."""
        rule = {"kind": "deployment", "path": "spec.replicas", "policy": "yield"}
        wrong = {"replace": ["Jobs", "ConfigMap/a", "Qxyzzy/a"], "conflicts": {"fields": [rule]}}
        told = (
            "unknown-kind: neither the cluster nor the bundle knows kind 'Jobs' in 'replace' (did you "
            "mean 'Job'?), kind 'Qxyzzy' in 'replace', kind 'deployment' in 'conflicts' (did you mean "
            "'Deployment'?); kinds are written as in manifests: Deployment"
        )
        for work in (self.plan, self.deploy):
            with pytest.raises(PermanentError) as caught:
                work(context, config("a", x="1"), **wrong)
            assert str(caught.value) == told
        assert self.read(context, "v1", "ConfigMap", "a") is None
        right = {
            "replace": ["Job", "CronJob/b"],
            "conflicts": {"fields": [{**rule, "kind": "Pod"}]},
        }
        assert self.plan(context, config("a", x="1"), **right)["ConfigMap/a"][0] == "create"

    def test_a_plan_warns_of_misspelt_kinds_of_the_environment(self, context: FakeContext) -> None:
        """Those that are almost known ones: others may be those of other stages."""
        cluster = context.connection
        ignore = [{"kind": each, "paths": ["spec.replicas"]} for each in ("Deploymnt", "Qxyzzy")]
        more = {"ignore": ignore, "health": {"example.test/Qxyzzy": {"ready": "true"}}}
        old = cluster.settings.model_dump(exclude_defaults=True)
        cluster.settings = KubernetesSettings.model_validate({**old, **more})
        bundle = context.artifacts.put(config("a", x="1").encode())
        planned = KubernetesDeploy().plan(KubernetesDeploy.Inputs(bundle=bundle), context)
        assert planned.warnings == [
            "unknown-kind: neither the cluster nor the bundle knows kind 'Deploymnt' in 'ignore' of "
            "the environment; did you mean 'Deployment'?"
        ]

    def test_a_plan_warns_of_paths_that_lead_nowhere(self, context: FakeContext) -> None:
        """Of rules for a kind that is in the bundle; what may be there stays untold."""
        rules = [
            {"kind": kind, "path": path, "policy": "yield"}
            for kind, path in (
                ("Deployment", "spec.replicaz"),
                ("Deployment", "spec.template.spec.containers[web].imag"),
                ("Deployment", "spec.template.spec.containers[*].resources.limits.nvidia"),
                ("Deployment", "metadata.annotations[example.test/x]"),
                ("Deployment", "spec.replicas"),
                ("StatefulSet", "spec.replicaz"),
                (None, "spec.replicaz"),
            )
        ]
        bundle = context.artifacts.put(MIXED.encode())
        inputs = KubernetesDeploy.Inputs(bundle=bundle, conflicts={"fields": rules})
        assert KubernetesDeploy().plan(inputs, context).warnings == [
            "unknown-field: 'spec.replicaz' in 'conflicts': 'replicaz' is not a field of spec "
            "(Deployment); did you mean 'replicas'?",
            "unknown-field: 'spec.template.spec.containers[web].imag' in 'conflicts': 'imag' is not a "
            "field of spec.template.spec.containers[web] (Deployment); did you mean 'image'?",
        ]

    def test_two_deploys_do_not_share_an_object(self, context: FakeContext) -> None:
        """Who has an object already is named, before anything is applied, in plan and run."""
        self.deploy(context, config("a", x="1"), set="first")
        bundle = config("new", x="1") + config("a", x="1")
        told = r"other-owner: set 'second' may not take .*ConfigMap/a belongs to set 'first'"
        with pytest.raises(PermanentError, match=told):
            self.redeploy(context, bundle, set="second")
        planned = self.plan(context, bundle, set="second")
        assert planned["ConfigMap/new"][0] == "create"
        action, told = planned["ConfigMap/a"]
        assert action == "refuse"
        assert told.startswith(
            "other-owner: it belongs to set 'first' (ConfigMap/gennaker.first in "
        )
        assert told.endswith(
            "), not to set 'second'; let one of the two have each object: take it out of this "
            "bundle, or out of theirs"
        )
        assert self.read(context, "v1", "ConfigMap", "new") is None
        assert isinstance(self.redeploy(context, config("a", x="2"), set="first"), Succeeded)

    @pytest.mark.parametrize(
        ("annotations", "labels", "owner"),
        [
            (
                {"meta.helm.sh/release-name": "r", "meta.helm.sh/release-namespace": "n"},
                {},
                "Helm release 'n/r'",
            ),
            (
                {},
                {
                    "kustomize.toolkit.fluxcd.io/name": "apps",
                    "kustomize.toolkit.fluxcd.io/namespace": "flux-system",
                },
                "Flux Kustomization 'flux-system/apps'",
            ),
            (
                {"argocd.argoproj.io/tracking-id": "shop:/ConfigMap:{namespace}/a"},
                {},
                "Argo CD application 'shop'",
            ),
        ],
    )
    def test_objects_of_other_tools_are_left_alone(
        self,
        context: FakeContext,
        annotations: dict[str, str],
        labels: dict[str, str],
        owner: str,
    ) -> None:
        """Argo CD, Flux and Helm are known by the marks they leave."""
        self.deploy(context, config("mine", x="1"))
        namespace = context.connection.settings.namespace
        body: dict[str, Any] = json.loads(config("a", x="1").removeprefix("---\n"))
        body["metadata"]["labels"] = labels
        body["metadata"]["annotations"] = {
            name: value.format(namespace=namespace) for name, value in annotations.items()
        }
        self.write_as(context, "other", body)
        with pytest.raises(PermanentError, match=f"other-owner: .*ConfigMap/a belongs to {owner}"):
            self.redeploy(context, config("mine", x="1") + config("a", x="1"))

    def test_reads_the_images_of_many_workloads(self, context: FakeContext) -> None:
        """The images of more workloads than are asked one by one are those of their Pods."""
        web = MIXED.partition("---")[0]
        bundle = "---\n".join(
            web.replace("name: web, labels", f"name: w{number}, labels")
            .replace("app: web", f"app: w{number}")
            .replace("web:1", f"web:{number}")
            for number in range(5)
        )
        done = self.deploy(context, bundle)
        assert isinstance(done, Succeeded), done
        assert done.outputs["images"] == [f"r.test/web:{number}" for number in range(5)]
