"""Charts rendered here hold the objects that the `helm` command renders: a differential test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gennaker.errors import PermanentError
from gennaker.stage import Succeeded
from gennaker.yamltext import compose_all
from gennaker_stages.helm.rendering import RenderRequest, render_chart
from gennaker_stages.helm.template_stage import KUBE_VERSION, HelmTemplate
from gennaker_stages.helm.versions import is_compatible, parse_version
from tests.fixtures.stage_context import StageContext

CHART = "apiVersion: v2\nname: web\nversion: 1.2.3\nappVersion: '7'\n"
DEPLOYMENT = """{{- define "labels" }}
app: {{ .Chart.Name }}
{{- end }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}-web
  labels: {{- include "labels" . | nindent 4 }}
spec:
  replicas: {{ .Values.replicas }}
  selector: {}
  template:
    metadata: {}
    spec:
      containers:
        - name: web
          image: {{ .Values.image.name }}:{{ .Values.image.tag }}
          env: {{- toYaml .Values.env | nindent 12 }}
---
apiVersion: v1
kind: Service
metadata: {name: {{ .Release.Name }}}
spec: {ports: [{port: {{ .Values.port }}}]}
---
# only a comment
---

apiVersion: v1
kind: ConfigMap
metadata: {name: many}
data:
{{- range $i, $each := .Values.list }}
  k{{ $i }}: {{ $each | quote }}
{{- end }}
"""
VALUES = """replicas: 1
image: {name: web, tag: "1"}
env: [{name: A, value: "1"}]
port: 80
list: [a, b]
gone: here
"""
KINDS = """apiVersion: v1
kind: ConfigMap
metadata: {name: kinds}
data:
{{- range $name, $value := .Values.typed }}
  {{ $name }}: "{{ $value }} {{ kindOf $value }} {{ $value | toJson | b64enc }}"
{{- end }}
  gone: {{ .Values.gone | quote }}
  release: {{ .Release | toJson | quote }}
  cluster: {{ .Capabilities.KubeVersion | toJson | quote }}
  apis: {{ .Capabilities.APIVersions | toJson | sha256sum }}
  file: {{ .Files.Get "note.txt" | quote }}
  when: {{ if .Capabilities.APIVersions.Has "acme.test/v1" }}acme{{ else }}none{{ end }}
"""
HOOK = """apiVersion: batch/v1
kind: Job
metadata:
  name: {name}
  annotations: {{"helm.sh/hook": "{hook}", "helm.sh/hook-weight": "{weight}"}}
"""
CRD = """apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.acme.test}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: others.acme.test}
"""
SUB = {
    "chart/charts/db/Chart.yaml": "apiVersion: v2\nname: db\nversion: 1.0.0\n",
    "chart/charts/db/values.yaml": "size: 1\nglobal: {zone: a}\n",
    "chart/charts/db/crds/db.yaml": CRD.replace("acme", "db"),
    "chart/charts/db/templates/db.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: db}\n"
    "data: {size: '{{ .Values.size }}', zone: '{{ .Values.global.zone }}'}\n",
}
DEPENDENCY = """dependencies:
  - {name: db, version: 1.0.0, condition: db.enabled}
  - {name: db, version: 1.0.0, alias: cache, condition: cache.enabled, tags: [fast]}
"""
FILES = {
    "chart/Chart.yaml": CHART,
    "chart/values.yaml": VALUES,
    "chart/note.txt": "a note\n",
    "chart/templates/deployment.yaml": DEPLOYMENT,
    "chart/templates/kinds.yaml": KINDS,
    "chart/templates/NOTES.txt": "Thanks for {{ .Release.Name }}\n",
    "chart/templates/empty.yaml": "{{ if .Values.never }}a: b{{ end }}\n",
    "chart/templates/hooks.yaml": HOOK.format(name="before", hook="pre-install", weight="5")
    + "---\n"
    + HOOK.format(name="after", hook="post-install,post-upgrade", weight="-5"),
    "chart/templates/tests/test.yaml": HOOK.format(name="check", hook="test", weight="0"),
    "chart/crds/things.yaml": CRD,
}


def render_with_helm(helm: Path, chart: Path, *options: str) -> list[Any]:
    """The objects that the command prints, as data."""
    done = subprocess.run(
        [helm, "template", "shop", chart, "--skip-tests", "--include-crds", *options],
        capture_output=True,
        text=True,
        check=True,
    )
    return [each.data for each in compose_all(done.stdout, file="helm")]


def render_here(context: StageContext, **inputs: Any) -> list[Any]:
    """The objects of the stage's bundle, as data."""
    outcome = HelmTemplate().run(
        HelmTemplate.Inputs.model_validate({"chart": "chart", **inputs}), context
    )
    assert isinstance(outcome, Succeeded)
    text = context.read(dict(outcome.outputs)["bundle"])
    return [each.data for each in compose_all(text, file="bundle")]


def order(objects: list[Any]) -> list[Any]:
    """Objects in an order of their own: Helm's is not what is compared."""
    return sorted(objects, key=lambda each: json.dumps(each, sort_keys=True))


TYPED = {
    "typed": {
        "int": 3,
        "big": 12345678901234,
        "huge": 9007199254740993,
        "float": 1.5,
        "whole": 1.0,
        "yes": True,
        "text": "12",
        "none": None,
        "list": [1, "a", {"b": None}],
        "empty": {},
    }
}


@pytest.mark.parametrize(
    ("values", "setting"),
    [
        ([], {}),
        ([{"replicas": 3, "image": {"tag": "2"}}], {}),
        ([{"replicas": 3}, {"replicas": 4, "list": ["only"]}], {}),
        ([{"gone": None, "env": None}], {}),
        ([TYPED], {}),
        ([{"image": {"tag": "2"}}], {"image.tag": "3", "list[1]": "set", "typed.n": 1000000}),
        ([], {"env[0].value": "x", "env[1]": {"name": "B", "value": "2"}, r"typed.a\.b": "dot"}),
        ([{"list": []}, {"typed": {"a": 1}}], {"typed": {"b": 2}, "port": 12345678901}),
    ],
)
def test_real_helm_gives_the_same_objects(
    helm_binary: Path, tmp_path: Path, values: list[Any], setting: dict[str, Any]
) -> None:
    """Values in files and mappings, nulls, types, lists and single keys mean what they mean there."""
    context = StageContext(tmp_path)
    context.write(FILES)
    options = []
    for number, each in enumerate(values):
        file = tmp_path / f"{number}.yaml"
        file.write_text(json.dumps(each))
        options.append(f"--values={file}")
    options += [f"--set-json={key}={json.dumps(value)}" for key, value in setting.items()]
    expected = render_with_helm(helm_binary, context.source / "chart", *options)
    assert order(render_here(context, values=values, set=setting)) == order(expected)


def test_real_helm_reads_values_files_the_same_way(helm_binary: Path, tmp_path: Path) -> None:
    """YAML as people write it: booleans, octals, dates, anchors, merges, long strings."""
    context = StageContext(tmp_path)
    context.write(FILES)
    text = """typed: &t
  on: yes
  octal: 0644
  hex: 0x1F
  date: 2026-01-01
  exp: 1e3
  tilde: ~
  under: 1_000
  text: |
    two
    lines
  folded: >-
    a
    b
port: 8080
list: [!!str 1, "on", 'n']
image:
  <<: {name: merged, tag: low}
  tag: high
"""
    context.write({"values.yaml": text})
    chart, file = context.source / "chart", context.source / "values.yaml"
    expected = render_with_helm(helm_binary, chart, f"--values={file}")
    assert order(render_here(context, values=["values.yaml"])) == order(expected)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"db": {"enabled": False}},
        {"db": {"enabled": False}, "cache": {"enabled": False}},
        {"db": {"size": 7}, "global": {"zone": "b"}, "cache": {"size": 8}},
        {"tags": {"fast": False}},
    ],
)
def test_real_helm_agrees_on_subcharts(
    helm_binary: Path, tmp_path: Path, values: dict[str, Any]
) -> None:
    """Conditions, aliases, tags, globals and a subchart's own values and CRDs."""
    context = StageContext(tmp_path)
    context.write({**FILES, **SUB, "chart/Chart.yaml": CHART + DEPENDENCY})
    (tmp_path / "v.yaml").write_text(json.dumps(values))
    chart = context.source / "chart"
    expected = render_with_helm(helm_binary, chart, f"--values={tmp_path / 'v.yaml'}")
    assert order(render_here(context, values=[values])) == order(expected)


def test_real_helm_agrees_on_options(helm_binary: Path, tmp_path: Path) -> None:
    """Release, namespace, the cluster's version and API versions."""
    context = StageContext(tmp_path)
    context.write(FILES)
    chart = context.source / "chart"
    expected = render_with_helm(
        helm_binary, chart, "--namespace=n1", "--kube-version=1.30.1-gke.5", "-a", "acme.test/v1"
    )
    found = render_here(
        context, namespace="n1", kube_version="1.30.1-gke.5", api_versions=["acme.test/v1"]
    )
    assert order(found) == order(expected)


def test_real_helm_assumes_the_same_cluster(helm_binary: Path, tmp_path: Path) -> None:
    """The version that is fixed here is the one this Helm says of itself."""
    context = StageContext(tmp_path)
    context.write(
        {
            "chart/Chart.yaml": CHART,
            "chart/templates/v.yaml": "v: {{ .Capabilities.KubeVersion }}\n",
        }
    )
    found = render_with_helm(helm_binary, context.source / "chart")
    assert found == [{"v": f"v{KUBE_VERSION}"}]


def test_real_helm_installs_in_this_order(helm_binary: Path, tmp_path: Path) -> None:
    """Ordinary objects come in Helm's install order, hooks at the end."""
    context = StageContext(tmp_path)
    kinds = [
        "Ingress",
        "Deployment",
        "Service",
        "Namespace",
        "Secret",
        "ConfigMap",
        "Role",
        "Job",
        "CustomThing",
        "Pod",
    ]
    for kind in kinds:
        body = f"apiVersion: v1\nkind: {kind}\nmetadata: {{name: x}}\n"
        context.write({f"chart/templates/{kind}.yaml": body})
    context.write({"chart/Chart.yaml": CHART})
    context.write({"chart/templates/a.yaml": HOOK.format(name="h", hook="pre-install", weight=1)})
    expected = render_with_helm(helm_binary, context.source / "chart")
    assert [each["kind"] for each in render_here(context)] == [each["kind"] for each in expected]


def test_real_helm_is_the_fallback(
    helm_binary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the library the command renders the same objects in the same order."""
    context = StageContext(tmp_path)
    context.write({**FILES, **SUB, "chart/Chart.yaml": CHART + DEPENDENCY})
    inputs = {"values": [TYPED], "kube_version": "1.31.0", "api_versions": ["acme.test/v1"]}
    with_library = render_here(context, **inputs)
    monkeypatch.setitem(sys.modules, "helm_python", None)
    monkeypatch.setenv("PATH", str(helm_binary.parent))
    assert render_here(context, **inputs) == with_library


def test_real_helm_as_fallback_tells_its_errors(
    helm_binary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the command says is told; output beyond the limit is refused."""
    monkeypatch.setitem(sys.modules, "helm_python", None)
    monkeypatch.setenv("PATH", str(helm_binary.parent))
    context = StageContext(tmp_path)
    context.write({"chart/Chart.yaml": CHART, "chart/templates/a.yaml": '{{ fail "no way" }}\n'})
    with pytest.raises(PermanentError, match=r"chart 'chart' cannot be rendered: Error: .*no way"):
        render_here(context)
    context.write(
        {"chart/templates/a.yaml": 'kind: Big\napiVersion: v1\nx: {{ repeat 20000000 "x" }}\n'}
    )
    request = RenderRequest(context.source / "chart", "chart", {}, "shop", "default", KUBE_VERSION)
    with pytest.raises(PermanentError, match="renders to more than 10 MiB"):
        render_chart(request)


CONSTRAINTS = (
    ">=1.20|^1.30|^1.30.2|~1.30|~1.30.2|1.30|=1.30.1|1.x|*|1.25 - 1.30|1.25 - 1.30.0|<1.30 || >1.35|"
    ">=1.25,<1.31|>=1.25 <1.31|!=1.30|!=1.30.1|>1.30|>1|<=1.30|<=1|^0.3|~1|=>1.20|~>1.30|>=1.30.1-0|"
    "<1.30.1-0|rubbish|>=1.20 rubbish|>=1.20,"
)


@pytest.mark.parametrize("version", ["1.30.1", "1.36.0-gke.5"])
def test_real_helm_agrees_on_cluster_versions(
    helm_binary: Path, tmp_path: Path, version: str
) -> None:
    """A chart is for a cluster exactly when the command says so."""
    chart = tmp_path / "chart"
    chart.mkdir()
    for constraint in CONSTRAINTS.replace(" || ", " OR ").split("|"):
        wanted = constraint.replace(" OR ", " || ")
        (chart / "Chart.yaml").write_text(f"{CHART}kubeVersion: '{wanted}'\n")
        done = subprocess.run(
            [helm_binary, "template", "x", chart, "--kube-version", version],
            capture_output=True,
            check=False,
        )
        try:
            fits = is_compatible(wanted, parse_version(version))
        except ValueError:
            fits = False
        assert (wanted, fits) == (wanted, done.returncode == 0)
