"""Charts rendered here hold the objects that the `helm` command renders: a differential test."""

from __future__ import annotations

import json
import re
import shutil
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
from tests.fixtures.http_server import Answer, Asked, LocalServer
from tests.fixtures.registry import Registry
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


def test_real_helm_puts_single_values_in_this_order(helm_binary: Path, tmp_path: Path) -> None:
    """Files, `--set-json`, `--set-string`, `--set-file`: the later wins; texts stay texts."""
    context = StageContext(tmp_path)
    context.write({**FILES, "note.txt": "from, a=file\nof two lines\n", "other.txt": ""})
    everywhere = {"typed.a": 1, "typed.b": 1, "typed.c": 1}
    options = [f"--set-json={key}={json.dumps(value)}" for key, value in everywhere.items()]
    options += ["--set-string=typed.b=2,typed.c=3,typed.d=true,list[1]=7,typed.e=1.50"]
    options += [f"--set-file=typed.c={context.source / 'note.txt'}"]
    options += [f"--set-file=typed.f={context.source / 'other.txt'}"]
    file = tmp_path / "v.yaml"
    file.write_text("typed: {a: 0, b: 0, c: 0, d: 0, f: 0}\n")
    expected = render_with_helm(helm_binary, context.source / "chart", f"--values={file}", *options)
    found = render_here(
        context,
        values=[{"typed": {"a": 0, "b": 0, "c": 0, "d": 0, "f": 0}}],
        set_file={"typed.c": "note.txt", "typed.f": "other.txt"},
        set_string={
            **{"typed.b": 2, "typed.c": "3", "typed.d": True, "list[1]": 7, "typed.e": "1.50"}
        },
        set=everywhere,
    )
    assert order(found) == order(expected)


def test_real_helm_agrees_on_upgrades_and_tests(helm_binary: Path, tmp_path: Path) -> None:
    """What an upgrade shows to charts; hooks that are tests when they are asked for."""
    context = StageContext(tmp_path)
    context.write(FILES)
    done = subprocess.run(
        [helm_binary, "template", "shop", context.source / "chart", "--is-upgrade"],
        capture_output=True,
        text=True,
        check=True,
    )
    expected = [each.data for each in compose_all(done.stdout, file="helm")]
    found = render_here(context, is_upgrade=True, include_tests=True, include_crds=False)
    assert order(found) == order(expected)
    names = [each["metadata"].get("name") for each in found if each["kind"] == "Job"]
    assert sorted(names) == ["after", "before", "check"]


CHARTS = ("1.0.0", "1.4.2", "2.0.0-rc.1", "1.5.0+b.1")


@pytest.fixture(name="packed", scope="module")
def pack_charts(helm_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of charts, packed and indexed by the command."""
    folder = tmp_path_factory.mktemp("charts")
    context = StageContext(folder / "made")
    context.write({**FILES, **SUB})
    target = folder / "packed"
    for version in CHARTS:
        context.write({"chart/Chart.yaml": CHART.replace("1.2.3", version) + DEPENDENCY})
        subprocess.run(
            [helm_binary, "package", context.source / "chart", "-d", target],
            check=True,
            capture_output=True,
        )
    subprocess.run([helm_binary, "repo", "index", target], check=True)
    return target


@pytest.mark.parametrize("version", ["", "^1.0", "1.0.0", ">0-0", "~1.4"])
def test_real_helm_takes_the_same_version_of_a_repository(
    helm_binary: Path, packed: Path, tmp_path: Path, http_server: LocalServer, version: str
) -> None:
    """An index that it wrote: the same chart is chosen, and gives the same objects."""

    def answer(asked: Asked) -> Answer:
        path = packed / asked.path.rpartition("/")[2]
        return Answer(body=path.read_bytes()) if path.is_file() else Answer(404)

    http_server.answer = answer
    chosen = [f"--version={version}"] if version else []
    done = subprocess.run(
        [
            *(helm_binary, "template", "shop", "web", f"--repo={http_server.url}"),
            *("--skip-tests", "--include-crds", *chosen),
        ],
        capture_output=True,
        text=True,
        check=True,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    expected = [each.data for each in compose_all(done.stdout, file="helm")]
    context = StageContext(tmp_path / "here")
    found = render_here(context, chart="web", repository=http_server.url, version=version)
    assert order(found) == order(expected)


@pytest.mark.parametrize("version", ["", "~1.4", "1.5.0+b.1", ">0-0"])
def test_real_helm_charts_in_a_registry_are_the_same(
    helm_binary: Path, packed: Path, tmp_path: Path, registry: Registry, version: str
) -> None:
    """Pushed by the command; the tag is found by version and by range, and gives the same objects."""
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    url = f"oci://{registry.host}/charts"
    for each in sorted(packed.glob("*.tgz")):
        subprocess.run(
            [helm_binary, "push", "--plain-http", each, url],
            check=True,
            capture_output=True,
            env=environment,
        )
    chosen = [f"--version={version}"] if version else []
    done = subprocess.run(
        [
            *(helm_binary, "template", "shop", f"{url}/web", "--plain-http"),
            *("--skip-tests", "--include-crds", *chosen),
        ],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    rendered = done.stdout[done.stdout.index("---") :]  # what it says of pulling comes before
    expected = [each.data for each in compose_all(rendered, file="helm")]
    context = StageContext(tmp_path / "here")
    found = render_here(context, chart=f"{url}/web", version=version)
    assert order(found) == order(expected)
    told = f"{re.escape(url)} has no version '\\^9' of chart 'web'"
    with pytest.raises(PermanentError, match=told):
        render_here(context, chart=f"{url}/web", version="^9")


def test_real_helm_completes_a_chart_the_same_way(
    helm_binary: Path, packed: Path, tmp_path: Path, http_server: LocalServer
) -> None:
    """`helm dependency update`, then its lock: the same versions, the same objects."""

    def answer(asked: Asked) -> Answer:
        path = packed / asked.path.rpartition("/")[2]
        return Answer(body=path.read_bytes()) if path.is_file() else Answer(404)

    http_server.answer = answer
    context = StageContext(tmp_path / "here")
    declared = [{"name": "web", "version": "^1", "repository": http_server.url, "alias": "front"}]
    head = "apiVersion: v2\nname: app\nversion: 1.0.0\n"
    context.write({"chart/Chart.yaml": f"{head}dependencies: {json.dumps(declared)}\n"})
    without_lock = render_here(context)
    chart = context.source / "chart"
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    subprocess.run(
        [helm_binary, "dependency", "update", chart],
        check=True,
        capture_output=True,
        env=environment,
    )
    expected = render_with_helm(helm_binary, chart)
    assert order(without_lock) == order(expected)
    shutil.rmtree(chart / "charts")
    assert (chart / "Chart.lock").is_file()
    assert order(render_here(context)) == order(expected)


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


def test_real_helm_reads_huge_numbers_the_same_way_checklist_33(
    helm_binary: Path, tmp_path: Path
) -> None:
    """What no integer of 64 bits holds, on its way from a file and from a mapping."""
    context = StageContext(tmp_path)
    numbers = [2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**23, 1e300, -0.0]
    given = {f"v{at}": number for at, number in enumerate(numbers)}
    data = "".join(f"  {name}: '{{{{ .Values.{name} }}}}'\n" for name in given)
    config = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata:\n{data}"
    text = "".join(f"{name}: {number}\n" for name, number in given.items())
    context.write({"chart/Chart.yaml": CHART, "chart/templates/a.yaml": config, "v.yaml": text})
    chart, file = context.source / "chart", context.source / "v.yaml"
    expected = order(render_with_helm(helm_binary, chart, f"--values={file}"))
    assert order(render_here(context, values=["v.yaml"])) == expected
    assert order(render_here(context, values=[given])) == expected


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
