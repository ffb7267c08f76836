"""What operations do on any API server: the sandbox and a real control plane."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from gennaker.errors import PermanentError, StageError
from gennaker.stage import Failed, Stage, Succeeded
from gennaker.testing import FakeContext
from gennaker_stages.kubernetes.operations.changes import (
    KubernetesPatch,
    KubernetesRestart,
    KubernetesScale,
)
from gennaker_stages.kubernetes.operations.job import KubernetesRunJob
from gennaker_stages.kubernetes.operations.looks import KubernetesRead, KubernetesWait
from gennaker_stages.kubernetes.operations.removal import KubernetesDelete
from gennaker_stages.kubernetes.operations.rollouts import KubernetesRolloutUndo
from tests.contract.apply_contract import MIXED
from tests.contract.deploy_parts import DeployParts

WEB = {"object": "Deployment/web"}
SETS = """\
apiVersion: apps/v1
kind: KIND
metadata: {name: set}
spec:
  selector: {matchLabels: {app: set}}
  template:
    metadata: {labels: {app: set}}
    spec: {containers: [{name: set, image: "r.test/set:1"}]}
"""
CLAIM = """\
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
"""


class OperationsContract(DeployParts):
    """Subclass it with a fixture ``kubeconfig`` that gives the path of one."""

    def start(self, context: FakeContext) -> FakeContext:
        """A context of another run."""
        return replace(context, steps={}, lines=[], before=None)

    def operate(self, stage: type[Stage], context: FakeContext, **inputs: Any) -> Any:
        """The outcome of an operation on the Deployment, unless another object is named."""
        return stage().run(stage.Inputs(**{**WEB, **inputs}), context)

    def plan_of(self, stage: type[Stage], context: FakeContext, **inputs: Any) -> Any:
        """The one change that its plan tells."""
        (change,) = stage().plan(stage.Inputs(**{**WEB, **inputs}), context).changes
        return change.action, change.what, self.tell(change)

    def undo(self, stage: type[Stage], of: FakeContext, **inputs: Any) -> Any:
        """The outcome of putting it back."""
        assert of.before is not None
        undoing = self.start(of)
        return stage().undo(stage.Inputs(**{**WEB, **inputs}), of.before, undoing)

    def test_scales_and_puts_back(self, context: FakeContext) -> None:
        """Planned as a change of one field, done once, waited for, and undone."""
        told = ("change", "Deployment/web", "tried once it is there")
        assert self.plan_of(KubernetesScale, context, replicas=3) == told
        self.deploy(context, MIXED)
        told = ("change", "Deployment/web", "spec.replicas: 1 → 3")
        assert self.plan_of(KubernetesScale, context, replicas=3) == told
        scaling = self.start(context)
        done = self.operate(KubernetesScale, scaling, replicas=3)
        assert done == Succeeded({"changed": True})
        live = self.read(context, "apps/v1", "Deployment", "web")
        assert live["status"]["readyReplicas"] == 3
        assert self.operate(KubernetesScale, self.start(context), replicas=3) == Succeeded(
            {"changed": False}
        )
        assert self.undo(KubernetesScale, scaling, replicas=3) == Succeeded({"changed": True})
        assert self.undo(KubernetesScale, scaling, replicas=3) == Succeeded({"changed": False})
        assert self.read(context, "apps/v1", "Deployment", "web")["spec"]["replicas"] == 1

    def test_patches_and_puts_back_what_it_changed(self, context: FakeContext) -> None:
        """Fields set, changed and taken out are as before; what changed since refuses the undo."""
        self.deploy(context, MIXED)
        before = self.read(context, "v1", "ConfigMap", "web")["data"]
        patch = {"data": {"a": None, "b": "2"}, "metadata": {"labels": {"team": "blue"}}}
        inputs = {"object": "ConfigMap/web", "patch": patch}
        patching = self.start(context)
        assert isinstance(self.operate(KubernetesPatch, patching, **inputs), Succeeded)
        live = self.read(context, "v1", "ConfigMap", "web")
        assert (live["data"], live["metadata"]["labels"]["team"]) == ({"b": "2"}, "blue")
        self.undo(KubernetesPatch, patching, **inputs)
        live = self.read(context, "v1", "ConfigMap", "web")
        assert (live["data"], "team" in live["metadata"]["labels"]) == (before, False)
        again = self.start(context)
        self.operate(KubernetesPatch, again, **inputs)
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}}
        self.write_as(context, "other", {**body, "data": {"b": "3"}})
        with pytest.raises(PermanentError) as caught:
            self.undo(KubernetesPatch, again, **inputs)
        assert caught.value.code == "undo-refused"
        assert caught.value.message == "ConfigMap/web cannot be put back: data.b changed since"

    def test_a_patch_of_a_field_that_is_none_is_refused(self, context: FakeContext) -> None:
        """In the plan and in the run, with the field; the server alone would drop it."""
        self.deploy(context, MIXED)
        for patch in ({"spec": {"replica": 3}}, {"spec": {"replicas": 3, "replica": 3}}):
            with pytest.raises(PermanentError) as planned:
                self.plan_of(KubernetesPatch, context, patch=patch)
            with pytest.raises(PermanentError) as caught:
                self.operate(KubernetesPatch, self.start(context), patch=patch)
            told = 'cannot change Deployment/web: unknown field "spec.replica"'
            assert caught.value.message == planned.value.message == told
            assert caught.value.code == "unknown-field"
        assert self.read(context, "apps/v1", "Deployment", "web")["spec"]["replicas"] == 1

    def test_what_was_done_once_is_not_compared(self, context: FakeContext) -> None:
        """An operation says nothing of what is to be there from then on, so it finds no drift."""
        for stage, inputs in (
            (KubernetesScale, {**WEB, "replicas": 3}),
            (KubernetesDelete, {"objects": ["Deployment/web"]}),
            (KubernetesRunJob, {"image": "r.test/job:1"}),
        ):
            assert stage().compare(stage.Inputs(**inputs), context) is None

    def test_restarts_once_in_an_attempt(self, context: FakeContext) -> None:
        """Another attempt replaces the Pods, another delivery of it does not."""
        self.deploy(context, MIXED)

        def revision() -> str:
            live = self.read(context, "apps/v1", "Deployment", "web")
            return str(live["spec"]["template"]["metadata"]["annotations"])

        first = self.start(context)
        assert self.operate(KubernetesRestart, first) == Succeeded({"changed": True})
        seen = revision()
        crashed = replace(first, steps={}, delivery=2)
        assert self.operate(KubernetesRestart, crashed) == Succeeded({"changed": False})
        assert revision() == seen
        self.operate(KubernetesRestart, replace(first, steps={}, attempt=2))
        assert revision() != seen
        assert first.before is None and not KubernetesRestart.can_undo()

    def test_says_what_it_cannot_change(self, context: FakeContext) -> None:
        """Secrets, unknown kinds, other namespaces, in the plan too; what is not there, when it runs."""
        self.deploy(context, MIXED)
        for stage, inputs, told in (
            (
                KubernetesPatch,
                {"object": "Secret/not-there-yet", "patch": {"data": {}}},
                "secret-object: a Secret is not changed by a patch: its values would be in the pipeline",
            ),
            (KubernetesRead, {"object": "Secret/web"}, "secret-object: Secret/web is not read: "),
            (
                KubernetesRead,
                {"object": "Deploymnt/web"},
                "unknown-kind: the cluster does not know kind 'Deploymnt'; "
                "did you mean 'Deployment'?",
            ),
            (
                KubernetesWait,
                {"api_version": "v1"},
                "unknown-kind: the cluster does not know kind 'Deployment' of 'v1'",
            ),
            (
                KubernetesScale,
                {"namespace": "kube-system", "replicas": 1},
                "bundle-namespace: Deployment/web is in namespace 'kube-system'",
            ),
        ):
            with pytest.raises(PermanentError, match=f"^{re.escape(told)}") as planned:
                self.plan_of(stage, context, **inputs)
            with pytest.raises(PermanentError) as caught:
                self.operate(stage, self.start(context), **inputs)
            assert str(planned.value) == str(caught.value)
        gone = {"object": "Deployment/no", "replicas": 1}
        told = "tried once it is there"
        assert self.plan_of(KubernetesScale, context, **gone) == ("change", "Deployment/no", told)
        with pytest.raises(PermanentError, match=r"^object-missing: there is no Deployment/no in "):
            self.operate(KubernetesScale, self.start(context), **gone)

    def test_plans_for_kinds_that_an_earlier_stage_may_define(self, context: FakeContext) -> None:
        """One like no known kind may be a custom one; that it is not known yet is told."""
        custom = {"object": "Qxyzzy/one", "api_version": "example.test/v1"}
        untold = {"object": "Qxyzzy/one"}
        for inputs in (custom, untold):
            assert self.plan_of(KubernetesWait, context, **inputs) == (
                "run",
                "wait for Qxyzzy/one",
                "until it is ready; the cluster does not know its kind yet",
            )
        told = "the cluster does not know its kind yet"
        change = {**custom, "patch": {"spec": {}}}
        assert self.plan_of(KubernetesPatch, context, **change) == ("change", "Qxyzzy/one", told)
        look = self.plan_of(KubernetesRead, context, **custom)
        assert look == ("run", "read Qxyzzy/one", f"its images; {told}")

    def test_waits_for_a_condition_or_an_expression(self, context: FakeContext) -> None:
        """What holds ends the wait, what does not ends with it, and says what it waited for."""
        self.deploy(context, MIXED)
        for inputs in ({}, {"condition": "Available"}, {"until": "status.readyReplicas == 1"}):
            assert self.operate(KubernetesWait, self.start(context), **inputs) == Succeeded()
        done = self.operate(
            KubernetesWait, self.start(context), until="status.readyReplicas == 7", within="1s"
        )
        assert isinstance(done, Failed)
        assert done.code == "rollout-timeout"
        assert done.reason.endswith(": waits for status.readyReplicas == 7")
        # What never can hold is told.
        for inputs, reason in (
            ({"condition": "Availble"}, "(it has the conditions: Available, Progressing)"),
            ({"until": "status.readyReplica == 1"}, "(there is no 'readyReplica')"),
            ({"until": "status.readyReplicas"}, "(the expression gives no true or false)"),
        ):
            done = self.operate(KubernetesWait, self.start(context), **inputs, within="400ms")
            assert isinstance(done, Failed)
            assert done.reason.endswith(reason)

    def test_reads_values_and_images(self, context: FakeContext) -> None:
        """Expressions over the object are outputs; one without a value is named."""
        self.deploy(context, MIXED)
        values = {"replicas": "spec.replicas", "app": "metadata.labels['app']"}
        done = self.operate(KubernetesRead, self.start(context), values=values)
        assert done == Succeeded(
            {"values": {"replicas": 1, "app": "web"}, "images": ["r.test/web:1"]}
        )
        with pytest.raises(PermanentError, match="value 'x' cannot be read: "):
            self.operate(KubernetesRead, self.start(context), values={"x": "status.no.such"})

    def test_goes_back_to_an_earlier_revision(self, context: FakeContext) -> None:
        """The one before, or one of a number; once in an attempt; planned, and put back."""
        for image in ("r.test/web:1", "r.test/web:2", "r.test/web:3"):
            self.redeploy(context, MIXED.replace("r.test/web:1", image))

        def image() -> str:
            live = self.read(context, "apps/v1", "Deployment", "web")
            return str(live["spec"]["template"]["spec"]["containers"][0]["image"])

        told = "spec.template.spec.containers[web].image: 'r.test/web:3' → 'r.test/web:2'"
        assert self.plan_of(KubernetesRolloutUndo, context) == ("change", "Deployment/web", told)
        going = self.start(context)
        assert self.operate(KubernetesRolloutUndo, going) == Succeeded({"changed": True})
        live = self.read(context, "apps/v1", "Deployment", "web")
        assert (image(), live["status"]["readyReplicas"]) == ("r.test/web:2", 1)
        # What it went back to is the newest revision now; another attempt goes no further.
        again = replace(going, steps={}, attempt=2)
        assert self.operate(KubernetesRolloutUndo, again) == Succeeded({"changed": False})
        assert image() == "r.test/web:2"
        back, first = self.start(context), {"to_revision": 1, "wait": False}
        assert isinstance(self.operate(KubernetesRolloutUndo, back, **first), Succeeded)
        assert image() == "r.test/web:1"
        with pytest.raises(PermanentError, match=r"spec\.template\.spec\.containers changed since"):
            self.undo(KubernetesRolloutUndo, going)
        assert isinstance(self.undo(KubernetesRolloutUndo, back, **first), Succeeded)
        assert image() == "r.test/web:2"
        assert self.undo(KubernetesRolloutUndo, going, wait=False) == Succeeded({"changed": True})
        assert image() == "r.test/web:3"

    @pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
    def test_goes_back_by_controller_revisions(self, context: FakeContext, kind: str) -> None:
        """Of a StatefulSet and a DaemonSet, too; without an earlier revision it says what there is."""
        bundle = SETS.replace("KIND", kind)
        self.deploy(context, bundle)
        thing = {"object": f"{kind}/set", "wait": True}
        with pytest.raises(PermanentError) as caught:
            self.operate(KubernetesRolloutUndo, self.start(context), **thing)
        assert caught.value.code == "revision-missing"
        assert caught.value.message == f"{kind}/set has no earlier revision; it keeps 1"
        self.redeploy(context, bundle.replace("r.test/set:1", "r.test/set:2"))
        done = self.operate(KubernetesRolloutUndo, self.start(context), **thing)
        assert done == Succeeded({"changed": True})
        live = self.read(context, "apps/v1", kind, "set")
        assert live["spec"]["template"]["spec"]["containers"][0]["image"] == "r.test/set:1"
        with pytest.raises(PermanentError, match=r"has no revision 7; it keeps 2, 3; "):
            self.operate(KubernetesRolloutUndo, self.start(context), to_revision=7, **thing)

    def test_does_not_go_back_while_paused(self, context: FakeContext) -> None:
        """Its Pods would not be replaced."""
        self.deploy(context, MIXED)
        self.operate(KubernetesPatch, self.start(context), patch={"spec": {"paused": True}})
        with pytest.raises(PermanentError, match="rollout-paused: Deployment/web is paused"):
            self.operate(KubernetesRolloutUndo, self.start(context))

    def test_deletes_and_puts_back(self, context: FakeContext) -> None:
        """Planned, gone with what they own when the stage ends, and made anew as they were."""
        self.deploy(context, MIXED)
        before = self.read(context, "apps/v1", "Deployment", "web")
        wanted = {"objects": ["Deployment/web", "Secret/web", "Service/no"], "within": "30s"}
        assert self.plan_delete(context, **wanted) == [
            ("delete", "Deployment/web", ""),
            ("delete", "Secret/web", ""),
            ("leave", "Service/no", "it is not there"),
        ]
        deleting = self.start(context)
        done = self.delete(deleting, **wanted)
        assert done == Succeeded({"deleted": ["Deployment/web", "Secret/web"]})
        assert "left Service/no: it is not there" in deleting.log_text
        for api_version, kind in (("apps/v1", "Deployment"), ("v1", "Secret")):
            assert self.read(context, api_version, kind, "web") is None
        assert self.list_names(context, "v1", "Pod") == []
        assert deleting.before is not None
        undoing = replace(self.start(deleting), instance="undo:stage")
        told = KubernetesDelete().plan_undo(self.removal(**wanted), deleting.before, undoing)
        assert [(each.action, each.what) for each in told.changes] == [
            ("create", "Secret/web"),
            ("create", "Deployment/web"),
        ]
        put = KubernetesDelete().undo(self.removal(**wanted), deleting.before, undoing)
        assert isinstance(put, Succeeded)
        after = self.read(context, "apps/v1", "Deployment", "web")
        assert (after["spec"], after["metadata"]["labels"]) == (
            before["spec"],
            before["metadata"]["labels"],
        )
        assert self.read(context, "v1", "Secret", "web")["data"] == {"password": "aHVudGVyMjI="}
        kept = [each for each in self.list_names(context, "v1", "Secret") if "before" in each]
        assert len(kept) == 1  # for when that is rolled back, and then the delete once more
        # The deploy finds its objects again.
        assert isinstance(self.redeploy(context, MIXED), Succeeded)
        assert context.log_text.splitlines()[-1].startswith("objects: 4 unchanged")

    def test_deletes_by_labels(self, context: FakeContext) -> None:
        """All of some kinds that have them, but those that are to be kept; none is no error."""
        kept = {"gennaker.dev/prune": "false"}
        self.deploy(context, MIXED)
        for name, marks in (("one", {}), ("two", {}), ("kept", kept)):
            body = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "1"}}
            metadata = {"name": name, "labels": {"app": "old"}, "annotations": marks}
            self.write_as(context, "other", {**body, "metadata": metadata})
        wanted = {"kinds": ["ConfigMap", "Service"], "labels": "app in (old)"}
        assert self.plan_delete(context, **wanted) == [
            ("delete", "ConfigMap/one", ""),
            ("delete", "ConfigMap/two", ""),
            ("leave", "ConfigMap/kept", "gennaker.dev/prune: false"),
            ("leave", "Service with app in (old)", "there is none"),
        ]
        done = self.delete(self.start(context), **wanted)
        assert done == Succeeded({"deleted": ["ConfigMap/one", "ConfigMap/two"]})
        names = self.list_names(context, "v1", "ConfigMap")
        assert "kept" in names and "web" in names and "one" not in names
        with pytest.raises(PermanentError) as caught:
            self.plan_delete(
                context, objects=["Servce/web"], kinds=["Pods", "Node"], labels="app=old"
            )
        assert str(caught.value) == (
            "operation-kind: the cluster does not know kind 'Servce' (did you mean 'Service'?); the "
            "cluster does not know kind 'Pods' (did you mean 'Pod'?); Node is a kind of the whole "
            "cluster: others have objects of it, too; name each in 'objects': Node/NAME"
        )
        with pytest.raises(PermanentError, match="expected: identifier after ','"):
            self.plan_delete(context, kinds=["Pod"], labels="app=old,,")
        with pytest.raises(PermanentError) as caught:
            self.delete(self.start(context), kinds=["ClusterRole"], labels="app=old")
        assert caught.value.code == "operation-kind"
        assert caught.value.message == (
            "ClusterRole is a kind of the whole cluster: others have objects of it, too"
        )

    def test_names_the_finalizer_that_keeps_an_object(self, context: FakeContext) -> None:
        """In the plan, and when the time is up."""
        self.deploy(context, MIXED)
        hold = {"metadata": {"finalizers": ["acme.test/hold"]}}
        self.operate(KubernetesPatch, self.start(context), object="ConfigMap/web", patch=hold)
        wanted = {"objects": ["ConfigMap/web"], "within": "1s"}
        told = [("delete", "ConfigMap/web", "waits for acme.test/hold")]
        assert self.plan_delete(context, **wanted) == told
        with pytest.raises(StageError) as caught:
            self.delete(self.start(context), **wanted)
        assert caught.value.code == "delete-stuck"
        assert caught.value.message == (
            "still there 1 s after they were deleted: ConfigMap/web waits for acme.test/hold"
        )
        free = {"metadata": {"finalizers": None}}
        self.operate(
            KubernetesPatch, self.start(context), object="ConfigMap/web", patch=free, wait=False
        )

    def test_says_what_cannot_be_put_back(self, context: FakeContext) -> None:
        """Data of claims is in no record: the plan says so before, and the undo refuses."""
        self.deploy(context, MIXED + CLAIM)
        wanted = {"objects": ["PersistentVolumeClaim/data", "ConfigMap/web"]}
        told = "cannot be put back: its data is not recorded"
        claim, config = self.plan_delete(context, **wanted)
        assert claim[:2] == ("delete", "PersistentVolumeClaim/data")
        assert claim[2].endswith(told)
        assert config == ("delete", "ConfigMap/web", "")
        deleting = self.start(context)
        assert isinstance(self.delete(deleting, **wanted), Succeeded)
        assert deleting.before is not None
        with pytest.raises(PermanentError) as caught:
            KubernetesDelete().undo(self.removal(**wanted), deleting.before, self.start(deleting))
        assert caught.value.code == "undo-refused"
        assert caught.value.message == (
            "cannot be put back: PersistentVolumeClaim/data: its data is not recorded "
            "(nothing was changed)"
        )
        assert self.read(context, "v1", "ConfigMap", "web") is None

    def removal(self, **inputs: Any) -> Any:
        """Inputs of a delete."""
        return KubernetesDelete.Inputs(**inputs)

    def delete(self, context: FakeContext, **inputs: Any) -> Any:
        """The outcome of a delete."""
        return KubernetesDelete().run(self.removal(**inputs), context)

    def plan_delete(self, context: FakeContext, **inputs: Any) -> list[tuple[str, str, str]]:
        """What the plan of a delete tells."""
        found = KubernetesDelete().plan(self.removal(**inputs), context).changes
        return [(each.action, each.what, each.detail) for each in found]

    def list_names(self, context: FakeContext, api_version: str, kind: str) -> list[str]:
        """The names of a kind in the environment's namespace."""
        cluster = context.connection
        resource = cluster.find_resource(api_version, kind)
        found = cluster.list_objects(resource, cluster.settings.namespace)["items"]
        return sorted(each["metadata"]["name"] for each in found)
