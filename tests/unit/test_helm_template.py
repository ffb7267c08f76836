"""Rendering charts: what comes out, what is refused, and that no chart can hurt a run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest

from gennaker.errors import PermanentError
from gennaker.stage import Artifact, Environment, Succeeded
from gennaker.testing import StageContract
from gennaker.yamltext import compose_all
from gennaker_stages.helm.bundle import split_templates
from gennaker_stages.helm.pool import WorkerPool
from gennaker_stages.helm.template_stage import HelmTemplate
from gennaker_stages.kubernetes.bundle import bounded
from gennaker_stages.kubernetes.bundle.bounded import RenderLimits
from gennaker_stages.kubernetes.bundle.documents import join_documents
from tests.fixtures.stage_context import StageContext

CHART = "apiVersion: v2\nname: web\nversion: 0.1.0\n"
CONFIG = """apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}, namespace: {{ .Release.Namespace }}}
data: {image: {{ .Values.image | quote }}}
"""


@pytest.fixture
def context(tmp_path: Path) -> StageContext:
    """A source with a small chart at ``chart``."""
    context = StageContext(tmp_path)
    context.write(
        {
            "chart/Chart.yaml": CHART,
            "chart/values.yaml": "image: default\n",
            "chart/templates/config.yaml": CONFIG,
        }
    )
    return context


def render(context: StageContext, **inputs: object) -> tuple[str, list[str]]:
    """Run the stage; the bundle's text and the objects' names."""
    stage = HelmTemplate()
    outcome = stage.run(HelmTemplate.Inputs.model_validate({"chart": "chart", **inputs}), context)
    assert isinstance(outcome, Succeeded)
    outputs = dict(outcome.outputs)
    return context.read(outputs["bundle"]).decode(), outputs["objects"]


def refuse(context: StageContext, **inputs: object) -> PermanentError:
    """The error with which the stage ends."""
    with pytest.raises(PermanentError) as caught:
        render(context, **inputs)
    return caught.value


def test_a_bundle_is_one_document_an_object(context: StageContext) -> None:
    """Objects keep their text and say from which template they are."""
    text, objects = render(context, set={"image": "web@sha256:1"})
    assert objects == ["ConfigMap/shop"]
    assert text == (
        "---\n# Source: web/templates/config.yaml\napiVersion: v1\nkind: ConfigMap\n"
        'metadata: {name: shop, namespace: default}\ndata: {image: "web@sha256:1"}\n'
    )
    assert context.lines == [("system", "ConfigMap/shop  (web/templates/config.yaml)")]


def test_checklist_38_the_same_input_gives_the_same_bytes(context: StageContext) -> None:
    """Two renderings store one artifact."""
    assert render(context) == render(context)


def test_later_values_win_and_set_wins_over_all(context: StageContext) -> None:
    """Files and mappings in their order, then single keys."""
    context.write({"a.yaml": "image: file\n"})
    assert 'image: "file"' in render(context, values=["a.yaml"])[0]
    assert 'image: "map"' in render(context, values=["a.yaml", {"image": "map"}])[0]
    values = [{"image": "map"}, "a.yaml"]
    assert 'image: "set"' in render(context, values=values, set={"image": "set"})[0]


def test_namespace_is_the_environments_unless_given(context: StageContext) -> None:
    """The environment's target says where; an input wins."""
    context.environment = Environment("staging", "kubernetes", {"namespace": "shop-staging"})
    assert "namespace: shop-staging" in render(context, kube_version="1.36.0")[0]
    assert "namespace: other" in render(context, namespace="other", kube_version="1.36.0")[0]


def test_plan_renders_and_gives_the_bundle_to_later_plans(context: StageContext) -> None:
    """The plan's bundle is the one the run makes; the objects count in its digest."""
    inputs = HelmTemplate.Inputs(chart="chart")
    plan = HelmTemplate().plan(inputs, context)
    text, objects = render(context)
    assert context.read(plan.outputs["bundle"]).decode() == text
    assert plan.outputs["objects"] == objects == ["ConfigMap/shop"]
    assert plan.desired["objects"][0]["data"] == {"image": "default"}
    assert [(each.action, each.what, each.detail) for each in plan.changes] == [
        ("run", "render chart", "ConfigMap/shop")
    ]


def test_notes_tests_and_partials_are_no_objects(context: StageContext) -> None:
    """Hooks come after ordinary objects, tests and notes not at all."""
    hook = 'metadata: {{name: {0}, annotations: {{"helm.sh/hook": {0}}}}}\n'
    context.write(
        {
            "chart/templates/NOTES.txt": "Thanks\n",
            "chart/templates/_part.tpl": '{{ define "x" }}a{{ end }}\n',
            "chart/templates/a-hook.yaml": "apiVersion: v1\nkind: Pod\n"
            + hook.format("pre-install"),
            "chart/templates/a-test.yaml": "apiVersion: v1\nkind: Pod\n" + hook.format("test"),
        }
    )
    assert render(context)[1] == ["ConfigMap/shop", "Pod/pre-install"]


def test_crds_belong_to_the_bundle_unless_left_out(context: StageContext) -> None:
    """`crds/` has one object a document; `include_crds: false` leaves them out."""
    crd = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{name: {}}}\n"
    context.write({"chart/crds/all.yaml": crd.format("a") + "---\n" + crd.format("b")})
    assert render(context)[1] == [
        "ConfigMap/shop",
        "CustomResourceDefinition/a",
        "CustomResourceDefinition/b",
    ]
    assert render(context, include_crds=False)[1] == ["ConfigMap/shop"]


def test_a_chart_may_render_nothing(context: StageContext) -> None:
    """Everything switched off is an empty bundle, which the log says."""
    context.write(
        {"chart/templates/config.yaml": "{{ if .Values.on }}a: b{{ end }}\n# only this\n"}
    )
    assert render(context) == ("", [])
    assert context.log_text == "render chart: no object"


def test_kube_version_and_api_versions_are_what_charts_see(context: StageContext) -> None:
    """Capabilities are the inputs'; without them a fixed version, whatever Helm is installed."""
    context.write(
        {
            "chart/templates/config.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"
            'data: {v: "{{ .Capabilities.KubeVersion.Version }}", '
            'has: "{{ .Capabilities.APIVersions.Has "acme.test/v1" }}"}\n'
        }
    )
    assert 'data: {v: "v1.36.0", has: "false"}' in render(context)[0]
    text = render(context, kube_version="1.29.3", api_versions=["acme.test/v1"])[0]
    assert 'data: {v: "v1.29.3", has: "true"}' in text


def test_checklist_33_a_chart_for_other_clusters_is_refused(context: StageContext) -> None:
    """Chart.yaml's kubeVersion is held, which Helm's library does not do."""
    context.write({"chart/Chart.yaml": CHART + "kubeVersion: '>=1.40'\n"})
    assert str(refuse(context, kube_version="1.33.0")) == (
        "helm-version: chart 'chart' is for Kubernetes >=1.40, not for 1.33.0; "
        "give the cluster's version as 'kube_version'"
    )
    for constraint in ("new", ">=1.20 <", "[1, 2]", ">" * 5000):
        context.write({"chart/Chart.yaml": CHART + f"kubeVersion: '{constraint}'\n"})
        assert refuse(context).message == (
            f"kubeVersion of chart/Chart.yaml cannot be read: {constraint!r} is not a version "
            "constraint"
        )


def test_checklist_33_a_link_out_of_the_chart_is_refused(context: StageContext) -> None:
    """What a link leads to would be rendered into the bundle."""
    (context.source / "chart" / "templates" / "passwd.yaml").symlink_to("/etc/hostname")
    assert str(refuse(context)) == (
        "helm-link: chart/templates/passwd.yaml is a symbolic link that leaves the chart; "
        "copy the file into the chart"
    )


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_checklist_33_a_missing_dependency_is_refused(context: StageContext, version: str) -> None:
    """Helm's library renders without it and says nothing."""
    wanted = "dependencies: [{name: redis, version: 1.x}]\n"
    context.write({"chart/Chart.yaml": CHART + (wanted if version == "v2" else "")})
    if version == "v1":
        context.write({"chart/Chart.yaml": CHART.replace("v2", "v1")})
        context.write({"chart/requirements.yaml": wanted})
    (context.source / "chart" / "charts" / "redis-cluster-1.0.0.tgz").parent.mkdir()
    context.write({"chart/charts/redis-cluster-1.0.0.tgz": b""})
    assert str(refuse(context)) == (
        "helm-dependency: chart 'chart' declares the dependency 'redis', which is not in "
        "chart/charts; run 'helm dependency build chart' and commit the result"
    )


def test_what_is_no_chart_is_told(context: StageContext) -> None:
    """A wrong folder, a library and a broken Chart.yaml say so."""
    assert refuse(context, chart="nowhere").message == (
        "'nowhere' is no chart: it has no Chart.yaml"
    )
    context.write({"chart/Chart.yaml": CHART + "type: library\n"})
    assert refuse(context).message == "'chart' is a library chart, which renders nothing"
    context.write({"chart/Chart.yaml": "a: [\n"})
    assert refuse(context).code == "helm-chart"


def test_helms_own_words_are_told(context: StageContext) -> None:
    """A template that fails names the chart, the template and the line."""
    context.write({"chart/templates/config.yaml": '{{ required "give an image" .Values.nope }}\n'})
    error = refuse(context)
    assert error.code == "helm-render"
    assert error.message.startswith("chart 'chart' cannot be rendered: ")
    assert "web/templates/config.yaml:1:3" in error.message
    assert "give an image" in error.message


def test_values_are_held_against_the_charts_schema(context: StageContext) -> None:
    """`values.schema.json` counts."""
    context.write({"chart/values.schema.json": '{"properties": {"image": {"type": "string"}}}'})
    assert "image" in refuse(context, set={"image": 3}).message


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("a: b\n", "is no object with apiVersion and kind"),
        ("- 1\n", "is no object with apiVersion and kind"),
        ("a: [\n", "is not YAML: line 1 of the document: "),
        ("a: b\nc: d: e\n", "is not YAML: line 2 of the document: ': ' starts a mapping"),
    ],
)
def test_output_that_is_no_object_is_refused(
    context: StageContext, template: str, message: str
) -> None:
    """The message names the template."""
    context.write({"chart/templates/config.yaml": template})
    error = refuse(context)
    assert error.code == "helm-output"
    assert error.message.startswith("the output of template 'web/templates/config.yaml' ")
    assert message in error.message


@pytest.mark.parametrize("release", ["Shop", "a" * 54, "a_b", "-a"])
def test_a_release_name_is_checked(context: StageContext, release: str) -> None:
    """Names that no object could have are refused before Helm sees them."""
    assert str(refuse(context, release=release)) == (
        f"helm-release: {release!r} is not a release name; "
        "give 'release': lower-case letters, digits and '-', at most 53"
    )


def test_checklist_33_an_endless_template_is_ended(
    context: StageContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker's CPU is bounded, and the run goes on."""
    monkeypatch.setattr(bounded, "LIMITS", RenderLimits(cpu=1, wall=3))
    loop = "{{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}"
    context.write({"chart/templates/config.yaml": loop})
    error = refuse(context)
    assert error.code == "helm-render"
    assert "went past its limits (1 s of CPU, 3 s, 4 GiB)" in error.message


def test_checklist_33_a_huge_output_is_refused(context: StageContext) -> None:
    """200 MB never reach this process."""
    context.write({"chart/templates/config.yaml": '{{ repeat 200000000 "x" }}\n'})
    assert str(refuse(context)) == (
        "helm-output: chart 'chart' renders to more than 10 MiB; "
        "look for a very large repeat in its templates"
    )


def test_checklist_37_a_memory_bomb_ends_only_the_worker(
    context: StageContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is bounded; Go's runtime ends the worker, not the run."""
    monkeypatch.setattr(bounded, "LIMITS", RenderLimits(memory=2 << 30))
    context.write(
        {"chart/templates/config.yaml": '{{ $x := repeat 1000000000 "x" }}{{ $y := cat $x $x $x }}'}
    )
    error = refuse(context)
    assert error.code == "helm-render"
    assert "crashed or went past its limits (10 s of CPU, 30 s, 2 GiB)" in error.message


def test_without_helm_it_says_what_to_install(
    context: StageContext, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither the library nor the command: a clear error."""
    monkeypatch.setitem(sys.modules, "helm_python", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert str(refuse(context)) == (
        "helm-missing: there is no Helm to render with; "
        "install the package 'helm-python-sdk', or put 'helm' on the PATH"
    )


def test_checklist_33_templates_look_up_no_names(context: StageContext) -> None:
    """Rendering asks no DNS server, as `helm template` does not."""
    context.write(
        {"chart/templates/config.yaml": CONFIG + 'x: "{{ getHostByName "localhost" }}"\n'}
    )
    assert 'x: ""' in render(context)[0]


def test_the_bundle_is_an_artifact(context: StageContext) -> None:
    """Its media type says what it is."""
    outcome = HelmTemplate().run(HelmTemplate.Inputs(chart="chart"), context)
    assert isinstance(outcome, Succeeded)
    bundle = dict(outcome.outputs)["bundle"]
    assert isinstance(bundle, Artifact)
    assert bundle.media_type == "application/vnd.gennaker.bundle.v1+yaml"


class TestHelmTemplateContract(StageContract):
    """The contract of all stage types."""

    stage = HelmTemplate
    inputs: ClassVar[dict[str, Any]] = {"chart": "chart"}

    def make_context(self, folder: Path) -> StageContext:
        """With a chart in its source."""
        context = StageContext(folder / "context")
        context.write({"chart/Chart.yaml": CHART, "chart/templates/config.yaml": CONFIG})
        return context


def test_a_worker_is_started_ahead_once() -> None:
    """While one is idle, or none may be started, nothing is; the one that was is asked first."""
    limits = RenderLimits()
    pool = WorkerPool(1)
    try:
        pool.prepare(limits.memory)
        pool.prepare(limits.memory)
        ((_, prepared),) = pool._idle
        question = {"chart": "/none", "values": {}, "options": {}, "include_crds": False}
        asked = {**question, "cpu": 10, "wall": 30, "max_output": 100, "include_tests": False}
        assert b"/none" in pool.ask(json.dumps(asked).encode(), limits)
        assert pool._idle == [(limits.memory, prepared)]
        with pool._slots:
            pool.prepare(limits.memory // 2)
        assert pool._idle == [(limits.memory, prepared)]
    finally:
        pool.close()


@pytest.mark.parametrize(
    "text",
    [
        "kind: A\napiVersion: v1\nmetadata: {name: a}\nx: |\n  one\n  two",
        "kind: A\napiVersion: v1\nx: |+\n  one\n\n\n",
        "kind: A\napiVersion: v1\nx: >-\n  one\n  two  # not a comment\ny: yes\nz: 0o17",
        "kind: A\napiVersion: v1\nx: &x {a: 1.50}\ny: [*x, *x, ~, 1e3, 'é\\n', \"\\u00e9\\n\"]\n# end",
        "# first\n\nkind: A\napiVersion: v1\nx:\n  ? y\n  : z\n...\n",
        "kind: List\napiVersion: v1\nitems: [{kind: B, apiVersion: v1, metadata: {name: b}}]",
        '{"kind": "A", "apiVersion": "v1", "metadata": {"name": "\\U0001F600"}}',
    ],
)
def test_what_a_worker_read_is_what_the_bundle_says(text: str) -> None:
    """A document's data goes with it, so that nobody reads it again; it has to be the same."""
    (document,) = split_templates({"web/templates/a.yaml": f"\n---\n{text}\n---\n# nothing\n"})
    assert document.data is not None
    bundle = join_documents([document]).decode()
    assert json.loads(document.data) == [each.data for each in compose_all(bundle, file="x")]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffkind: A\napiVersion: v1",
        "kind: A\napiVersion: v1\nx: &x [" + "1234, " * 99 + "]\ny: [*x, *x, *x, *x]",
    ],
)
def test_a_worker_does_not_send_what_may_be_read_otherwise_or_is_large(text: str) -> None:
    """Such a document is read from the bundle."""
    (document,) = split_templates({"web/templates/a.yaml": text})
    assert document.data is None
