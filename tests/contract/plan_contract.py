"""What a plan of ``kubernetes.deploy`` tells on any API server: the sandbox and a real control plane."""

from __future__ import annotations

from typing import Any

import pytest

from gennaker.errors import PermanentError
from gennaker.stage import Plan, Secret, Succeeded
from gennaker.testing import FakeContext
from gennaker_stages.kubernetes.bundle.checking import BundleError
from gennaker_stages.kubernetes.client.cluster import Cluster
from gennaker_stages.kubernetes.client.connection import Request
from gennaker_stages.kubernetes.deploy_stage import KubernetesDeploy
from gennaker_stages.kubernetes.settings import KubernetesSettings
from tests.contract.deploy_parts import DeployParts

WEB = """\
---
# Source: web/templates/deployment.yaml
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: r.test/web:1
          env: [{name: A, value: "1"}]
          ports: [{containerPort: 80}]
"""
# What charts write: empty values, and what the server writes with its defaults in it.
OWN_WAY = """\
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: data, annotations: {}}
spec:
  replicas: 0
  updateStrategy: {type: RollingUpdate, rollingUpdate: {}}
  selector: {matchLabels: {app: data}}
  template:
    metadata: {labels: {app: data}, annotations: {}}
    spec:
      hostNetwork: false
      nodeSelector: {}
      tolerations: []
      containers:
        - name: data
          image: r.test/data:1
          resources: null
          readinessProbe: {httpGet: {path: /, port: 80, httpHeaders: null}, initialDelaySeconds: 0}
  volumeClaimTemplates:
    - metadata: {name: data}
      spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1024Mi}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, annotations: null}
spec: {podSelector: {}, ingress: [{ports: [{port: 80}]}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: web}
rules: []
"""
CONFIG = "---\n{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {0}}}, data: {{x: '{1}'}}}}\n"
WIDGET = """\
---
apiVersion: plan.example.test/v1
kind: Widget
metadata: {name: one}
spec: {sise: 3}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.plan.example.test}
spec:
  group: plan.example.test
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
WRONG = """\
---
# Source: web/templates/twice.yaml
{apiVersion: v1, kind: ConfigMap, metadata: {name: twice}}
---
apiVersion: v1
kind: List
items:
  - {apiVersion: v1, kind: ConfigMap, metadata: {name: twice}}
  - {apiVersion: v1, kind: ConfigMap, metadata: {labels: {a: b}}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: elsewhere, namespace: kube-system}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: a-role, namespace: shop}
rules: []
---
{apiVersion: extensions/v1beta1, kind: Ingress, metadata: {name: old}}
---
{apiVersion: v1, kind: Deployment, metadata: {name: wrong-version}}
---
{apiVersion: v1, kind: ConfigMapp, metadata: {name: misspelt}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: wave, annotations: {gennaker.dev/wave: soon}}
"""
FAULTS = [
    "bundle:8:5: bundle-twice: ConfigMap/twice: is there twice; first at bundle:3:1 "
    "(web/templates/twice.yaml); take one out, or rename it",
    "bundle:9:49: bundle-object: ConfigMap has no metadata.name; give it one",
    "bundle:11:74: bundle-namespace: ConfigMap/elsewhere: is for namespace 'kube-system', the "
    "environment is '{namespace}'; take it out, or allow it in the environment: "
    "'namespaces: [kube-system]'",
    "bundle:15:37: bundle-scope: ClusterRole/a-role: has namespace 'shop', but ClusterRole belongs "
    "to the whole cluster; take the namespace out",
    "bundle:18:14: removed-kind: Ingress/old: extensions/v1beta1 Ingress was removed in Kubernetes "
    "1.22; write 'apiVersion: networking.k8s.io/v1'",
    "bundle:20:24: unknown-kind: Deployment/wrong-version: the cluster does not know kind "
    "'Deployment' of 'v1'; did you mean 'apiVersion: apps/v1'?",
    "bundle:22:24: unknown-kind: ConfigMapp/misspelt: the cluster does not know kind 'ConfigMapp' "
    "of 'v1'; did you mean 'ConfigMap'?",
    "bundle:26:37: bundle-wave: ConfigMap/wave: annotation 'gennaker.dev/wave' is 'soon', not a "
    'whole number; write a number in quotes: "1"',
]
TYPO = WEB.replace("replicas: 1", "replica: 1").replace("containerPort: 80", "containerport: 80")


class PlanContract(DeployParts):
    """Subclass it with a fixture ``kubeconfig`` that gives the path of one."""

    def find_plan(self, context: FakeContext, bundle: str, **inputs: Any) -> Plan:
        """The whole plan."""
        artifact = context.artifacts.put(bundle.encode())
        return KubernetesDeploy().plan(KubernetesDeploy.Inputs(bundle=artifact, **inputs), context)

    def find_faults(self, context: FakeContext, bundle: str) -> list[str]:
        """Every problem that keeps a bundle from being deployed, at once."""
        with pytest.raises(BundleError) as caught:
            self.plan(context, bundle)
        return [str(each) for each in caught.value.problems]

    def count_requests(self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """A list that fills with the requests made from now on: method and path."""
        seen: list[str] = []
        send = cluster.connection.open

        def open_and_note(request: Request) -> Any:
            seen.append(f"{request.method} {request.path}")
            return send(request)

        monkeypatch.setattr(cluster.connection, "open", open_and_note)
        return seen

    def test_checklist_35_all_that_is_wrong_with_rendered_objects(
        self, context: FakeContext
    ) -> None:
        """Twice, nameless, elsewhere, out of scope, removed, unknown: all at once, with their places."""
        namespace = context.connection.settings.namespace
        wanted = [each.replace("{namespace}", namespace) for each in FAULTS]
        assert self.find_faults(context, WRONG) == wanted
        with pytest.raises(PermanentError) as caught:
            self.deploy(context, WRONG)
        assert str(caught.value) == "bundle: the bundle has 8 problems; the log has each of them"
        assert context.log_text.splitlines() == wanted
        namespaces = context.connection.find_resource("v1", "Namespace")
        assert context.connection.read(namespaces, None, namespace) is None  # nothing was applied

    def test_checklist_35_a_bundle_above_10_mib_is_refused(self, context: FakeContext) -> None:
        """The limit on what was rendered holds before a line of it is read."""
        large = CONFIG.format("large", "x" * (10 << 20))
        assert self.find_faults(context, large) == [
            f"bundle: bundle-size: the bundle has {len(large)} bytes, more than 10485760; deploy it "
            "in parts"
        ]

    def test_checklist_35_a_definition_counts_for_its_own_objects(
        self, context: FakeContext
    ) -> None:
        """A custom object before its definition: placed, checked by it, and planned after it."""
        fault = "bundle:5:8: unknown-field: Widget/one: 'sise' is not a field of spec; did you mean"
        assert [each.rpartition(" ")[0] for each in self.find_faults(context, WIDGET)] == [fault]
        plan = self.find_plan(context, WIDGET.replace("sise", "size"))
        told = [(each.action, each.what, each.detail) for each in plan.changes]
        assert told[-2:] == [
            ("create", "CustomResourceDefinition/widgets.plan.example.test", ""),
            ("create", "Widget/one", "tried once its definition is there"),
        ]

    def test_unknown_fields_are_told_with_what_was_meant(self, context: FakeContext) -> None:
        """Each with its line and the template it was rendered from."""
        source = "Deployment/web (web/templates/deployment.yaml)"
        assert self.find_faults(context, TYPO) == [
            f"bundle:7:3: unknown-field: {source}: 'replica' is not a field of spec; did you mean "
            "'replicas'?",
            f"bundle:16:20: unknown-field: {source}: 'containerport' is not a field of "
            "spec.template.spec.containers[0].ports[0]; did you mean 'containerPort'?",
        ]

    def test_an_environment_may_demand_digests(self, context: FakeContext) -> None:
        """An image by tag is refused where require_digests is set; by digest it is not."""
        cluster: Cluster = context.connection
        cluster.settings = cluster.settings.model_copy(update={"require_digests": True})
        source = "Deployment/web (web/templates/deployment.yaml)"
        assert self.find_faults(context, WEB) == [
            f"bundle:14:18: image-digest: {source}: container 'web' has the image 'r.test/web:1', "
            "which is not pinned by its digest; write 'NAME@sha256:…': the environment demands it "
            "(require_digests)"
        ]
        self.plan(context, WEB.replace("web:1", "web@sha256:" + "a" * 64))

    def test_other_namespaces_can_be_allowed(self, context: FakeContext) -> None:
        """By name, all, or by a Namespace in the bundle itself."""
        cluster: Cluster = context.connection
        other = f"{cluster.settings.namespace}-other"
        config = CONFIG.format(f"x, namespace: {other}", "1")
        assert "bundle-namespace" in self.find_faults(context, config)[0]
        made = f"---\n{{apiVersion: v1, kind: Namespace, metadata: {{name: {other}}}}}\n"
        planned = self.plan(context, config + made)
        told = "what goes into it is tried once it is there"
        assert planned[f"Namespace/{other}"] == ("create", told)
        assert planned["ConfigMap/x"] == ("create", "")
        for allowed in ([other], ["*"]):
            cluster.settings = KubernetesSettings(
                namespace=cluster.settings.namespace, create_namespace=True, namespaces=allowed
            )
            assert self.plan(context, config)["ConfigMap/x"][0] == "refuse"  # it is not there
        told = f"there is no namespace '{other}' in the cluster, into which ConfigMap/x would go "
        with pytest.raises(PermanentError) as caught:
            self.deploy(context, CONFIG.format("here", "1") + config)
        assert (caught.value.code, caught.value.message) == (
            "namespace-missing",
            told + "(nothing was applied)",
        )
        assert self.read(context, "v1", "ConfigMap", "here") is None

    def test_a_plan_tells_each_field(self, context: FakeContext) -> None:
        """What is created, changed, left; items by their names, defaults and status left out."""
        self.deploy(context, WEB + CONFIG.format("same", "1") + CONFIG.format("other", "1"))
        changed = (
            WEB.replace("web:1", "web:2")
            .replace('[{name: A, value: "1"}]', '[{name: B, value: "2"}, {name: A, value: "3"}]')
            .replace("replicas: 1", "replicas: 2")
        )
        bundle = changed + CONFIG.format("same", "1") + CONFIG.format("new", "1")
        planned = self.find_plan(context, bundle, prune=True)
        container = "spec.template.spec.containers[web]"
        assert [(each.action, each.what, self.tell(each)) for each in planned.changes] == [
            ("leave", "ConfigMap/same", ""),
            ("create", "ConfigMap/new", ""),
            (
                "change",
                "Deployment/web",
                "spec.replicas: 1 → 2, "
                f"{container}.env[B]: ABSENT → {{'name': 'B', 'value': '2'}}, "
                f"{container}.env[A].value: '1' → '3', "
                f"{container}.image: 'r.test/web:1' → 'r.test/web:2'",
            ),
            ("prune", "ConfigMap/other", "no longer in the bundle"),
        ]
        (made,) = [each for each in planned.changes if each.action == "create"]
        assert [each.path for each in made.fields] == ["data", "metadata"]

    def test_what_is_unchanged_costs_no_dry_run(
        self, context: FakeContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Objects that are as desired are told so from one list for each kind, and never tried."""
        bundle = WEB + "".join(CONFIG.format(f"c{number}", number) for number in range(6))
        self.deploy(context, bundle)
        seen = self.count_requests(context.connection, monkeypatch)
        planned = self.plan(context, bundle.replace("'3'", "'three'"))
        assert [each for each, told in planned.items() if told[0] != "leave"] == ["ConfigMap/c3"]
        collection = f"/api/v1/namespaces/{context.connection.settings.namespace}/configmaps"
        assert [each for each in seen if "configmaps" in each and "gennaker." not in each] == [
            f"GET {collection}",
            f"PATCH {collection}/c3",
        ]
        assert not any(each.startswith("PATCH /apis/apps") for each in seen)

    def test_what_the_server_writes_its_own_way_costs_no_dry_run(
        self, context: FakeContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Empty values that it leaves out and defaults that it fills in are no change."""
        self.deploy(context, OWN_WAY)
        seen = self.count_requests(context.connection, monkeypatch)
        assert {told[0] for told in self.plan(context, OWN_WAY).values()} == {"leave"}
        assert not [each for each in seen if each.startswith("PATCH")]

    def test_null_means_that_a_field_is_not_set(self, context: FakeContext) -> None:
        """Of a custom kind, which the server would refuse it for, and in place of a value."""
        bundle = WIDGET.replace("widgets", "gadgets").replace("Widget", "Gadget")
        bundle = bundle.replace("singular: widget", "singular: gadget").replace(
            "{size: {type: integer}}", "{size: {type: integer}, name: {type: string}}"
        )
        unset, given = (bundle.replace("sise: 3", f"name: a, size: {n}") for n in ("null", "3"))
        for each, spec in ((unset, {}), (given, {"size": 3}), (unset, {})):
            assert isinstance(self.redeploy(context, each), Succeeded)
            live = self.read(context, "plan.example.test/v1", "Gadget", "one")
            assert live["spec"] == {"name": "a", **spec}

    def test_a_plan_changes_nothing(self, context: FakeContext) -> None:
        """Dry runs leave the version of the live object where it was."""
        self.deploy(context, CONFIG.format("c", "1"))
        before = self.read(context, "v1", "ConfigMap", "c")["metadata"]["resourceVersion"]
        assert self.plan(context, CONFIG.format("c", "2"))["ConfigMap/c"][0] == "change"
        after = self.read(context, "v1", "ConfigMap", "c")["metadata"]["resourceVersion"]
        assert before == after

    @pytest.mark.faults
    def test_checklist_47_what_moved_since_the_plan_was_shown_is_told(
        self, context: FakeContext
    ) -> None:
        """An edit, a deletion, a new object: each is told; only a conflict stops the deploy."""
        names = ("edited", "deleted", "same")
        bundle = "".join(CONFIG.format(each, "1") for each in names)
        self.deploy(context, bundle)
        changed = bundle.replace("'1'", "'2'") + CONFIG.format("made", "1")
        shown = self.find_plan(context, changed).observed
        head = {"apiVersion": "v1", "kind": "ConfigMap"}
        self.write_as(
            context, "someone", {**head, "metadata": {"name": "edited"}, "data": {"y": "z"}}
        )
        self.write_as(
            context, "someone", {**head, "metadata": {"name": "made"}, "data": {"y": "z"}}
        )
        cluster: Cluster = context.connection
        namespace = cluster.settings.namespace
        cluster.delete(cluster.find_resource("v1", "ConfigMap"), namespace, "deleted")
        context.steps.clear()
        later = context.redeliver()
        later.attempt, later.delivery, later.shown = 1, 1, shown
        assert isinstance(self.deploy(later, changed), Succeeded)
        told = [
            line.partition(" at ")[0] for line in later.log_text.splitlines() if "since" in line
        ]
        assert told == [
            f"ConfigMap/{namespace}/deleted was deleted since the plan was shown",
            f"ConfigMap/{namespace}/edited was changed since the plan was shown, last by 'someone'",
            f"ConfigMap/{namespace}/made was made since the plan was shown, last by 'someone'",
        ]
        assert self.read(context, "v1", "ConfigMap", "edited")["data"] == {"x": "2", "y": "z"}

    def test_other_objects_than_those_shown_are_not_applied(self, context: FakeContext) -> None:
        """What was approved is what is applied: a bundle that is another is refused."""
        shown = self.find_plan(context, CONFIG.format("c", "1")).observed
        context.shown = shown
        with pytest.raises(
            PermanentError, match="plan-moved: the objects are not those of the plan"
        ):
            self.deploy(context, CONFIG.format("c", "2"))
        self.deploy(context, CONFIG.format("c", "1"))

    def test_checklist_42_a_conflict_is_told_with_its_manager(self, context: FakeContext) -> None:
        """A field of another manager: refused by default, taken or left when told so."""
        self.deploy(context, CONFIG.format("c", "1"))
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}
        self.write_as(context, "other", {**body, "data": {"x": "theirs"}})
        bundle = CONFIG.format("c", "2")
        action, told = self.plan(context, bundle)["ConfigMap/c"]
        assert action == "refuse"
        assert told.startswith('field-conflict: field .data.x: conflict with "other"')
        taken = self.plan(context, bundle, conflicts="take")["ConfigMap/c"]
        assert taken == ("change", "data.x: 'theirs' → '2'")
        left = self.plan(context, bundle, conflicts="yield")["ConfigMap/c"]
        assert left == ("leave", "leaves data.x to 'other'")

    @pytest.mark.faults
    def test_checklist_43_a_field_that_never_changes_is_refused(self, context: FakeContext) -> None:
        """The field is named, and what can be done."""
        self.deploy(context, WEB)
        changed = WEB.replace("app: web", "app: other")
        assert self.plan(context, changed)["Deployment/web"] == (
            "refuse",
            "spec.selector can never change; 'replace: [Deployment/web]' has it deleted and made "
            "anew; or rename it",
        )

    def test_a_namespace_that_would_be_refused_is(self, context: FakeContext) -> None:
        """What the environment makes is tried, too, also when nothing else goes there."""
        marks = {"labels": {"tier": "not one"}}
        cluster: Cluster = context.connection
        old = cluster.settings.model_dump(exclude_defaults=True)
        settings = {**old, "create_namespace": marks}
        cluster.settings = KubernetesSettings.model_validate(settings)
        name = f"Namespace/{cluster.settings.namespace}"
        action, told = self.plan(context, "", allow_empty=True)[name]
        assert action == "refuse"
        assert "a valid label must be an empty string or consist of" in told
        settings["create_namespace"] = True
        cluster.settings = KubernetesSettings.model_validate(settings)
        told = "what goes into it is tried once it is there"
        assert self.plan(context, "", allow_empty=True) == {name: ("create", told)}

    def test_a_wrong_value_is_refused_with_the_reason_of_the_server(
        self, context: FakeContext
    ) -> None:
        """What the schema cannot tell, the server's dry run does."""
        self.deploy(context, CONFIG.format("first", "1"))
        changed = WEB.replace("matchLabels: {app: web}", "matchLabels: {app: other}")
        action, told = self.plan(context, changed)["Deployment/web"]
        assert action == "refuse"
        assert "selector" in told

    def test_checklist_36_values_of_secrets_are_in_no_part_of_a_plan(
        self, context: FakeContext
    ) -> None:
        """Manifests with plain secrets: a change is told by its key, from create to refusal."""
        text = (
            "{{apiVersion: v1, kind: Secret, metadata: {{name: db}}, type: {type}, "
            "stringData: {{password: {value}}}}}\n"
        )
        first = text.format(type="Opaque", value="kanarienvogel-1")
        plans = [self.find_plan(context, first)]
        self.deploy(context, first)
        assert self.plan(context, first) == {"Secret/db": ("leave", "")}
        second = text.format(type="Opaque", value="kanarienvogel-2")
        plans.append(self.find_plan(context, second))
        assert self.plan(context, second)["Secret/db"] == ("change", "data.password: '***' → '***'")
        plans.append(self.find_plan(context, second.replace("Opaque", "other/type")))
        assert plans[-1].changes[0].action == "refuse"
        plans.append(
            self.find_plan(
                context, CONFIG.format("c", "1"), secrets={"x": {"y": Secret("kanarien-3")}}
            )
        )
        for plan in plans:
            shown = repr([each.to_data() for each in plan.changes])
            shown += repr([plan.desired, plan.observed, plan.outputs])
            assert "kanarien" not in shown
            assert "a2FuYXJpZW" not in shown  # the same in base64
        assert "kanarien" not in context.log_text
