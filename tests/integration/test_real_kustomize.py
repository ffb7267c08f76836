"""Kustomizations built by the real tool: what comes out, and that nothing else than the source goes in."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, ClassVar

import pytest

from gennaker.errors import GennakerError
from gennaker.stage import Succeeded
from gennaker.testing import StageContract
from gennaker.yamltext import compose_all
from gennaker_stages.kubernetes.bundle import bounded
from gennaker_stages.kubernetes.bundle.bounded import RenderLimits
from gennaker_stages.kustomize.build_stage import KustomizeBuild
from tests.fixtures.http_server import LocalServer
from tests.fixtures.stage_context import StageContext

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: "registry.test/web:1", envFrom: [{configMapRef: {name: settings}}]}]
"""
FILES = {
    "base/kustomization.yaml": "resources: [deployment.yaml]\n"
    "configMapGenerator: [{name: settings, files: [app.ini, other=more/b.txt], literals: [A=b]}]\n",
    "base/deployment.yaml": DEPLOYMENT,
    "base/app.ini": "level = info\n",
    "base/more/b.txt": "b\n",
    "parts/labels/kustomization.yml": "apiVersion: kustomize.config.k8s.io/v1alpha1\n"
    "kind: Component\nlabels: [{pairs: {team: shop}}]\n",
    "overlays/prod/kustomization.yaml": """\
namespace: shop
namePrefix: prod-
resources: [../../base, namespace.yaml]
components: [../../parts/labels]
images: [{name: registry.test/web, digest: "sha256:%s"}]
replicas: [{name: web, count: 3}]
commonAnnotations: {docs: https://docs.test/web}
patches:
  - path: patch.yaml
  - target: {kind: Deployment}
    patch: |-
      - {op: add, path: /metadata/annotations/seen, value: https://other.test}
transformers:
  - |-
    apiVersion: builtin
    kind: AnnotationsTransformer
    metadata: {name: note}
    annotations: {made: https://made.test}
    fieldSpecs: [{path: metadata/annotations, create: true}]
"""
    % ("a" * 64),
    "overlays/prod/namespace.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n",
    "overlays/prod/patch.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n"
    "spec: {template: {spec: {terminationGracePeriodSeconds: 5}}}\n",
}


@pytest.fixture
def context(tmp_path: Path) -> StageContext:
    """A source with a base, a component and an overlay."""
    context = StageContext(tmp_path)
    context.write(FILES)
    return context


@pytest.fixture(name="path")
def only_kubectl(kubectl_binary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH of one folder, with that kubectl in it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "kubectl").symlink_to(kubectl_binary)
    monkeypatch.setenv("PATH", str(folder))
    return folder


def build(context: StageContext, folder: str, **inputs: Any) -> tuple[str, list[str]]:
    """Run the stage; the bundle's text and the objects' names."""
    outcome = KustomizeBuild().run(KustomizeBuild.Inputs(folder=folder, **inputs), context)
    assert isinstance(outcome, Succeeded)
    outputs = dict(outcome.outputs)
    return context.read(outputs["bundle"]).decode(), outputs["objects"]


def refuse(context: StageContext, folder: str = "x", **inputs: Any) -> str:
    """What the stage says when it ends with an error."""
    with pytest.raises(GennakerError) as caught:
        build(context, folder, **inputs)
    return str(caught.value)


def test_real_kustomize_builds_an_overlay(path: Path, context: StageContext) -> None:
    """The bundle holds exactly what the tool prints, in its order, each with where it is from."""
    text, names = build(context, "overlays/prod")
    printed = subprocess.run(
        [path / "kubectl", "kustomize", context.source / "overlays/prod"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    expected = [each.data for each in compose_all(printed, file="kubectl")]
    assert [each.data for each in compose_all(text, file="bundle")] == expected
    kinds = [name.partition("/")[0] for name in names]
    assert kinds == ["Namespace", "ConfigMap", "Deployment"]
    assert names[2] == "Deployment/prod-web"
    assert text.count("---\n# Source: overlays/prod\n") == 3
    deployment = expected[2]
    assert deployment["spec"]["replicas"] == 3
    assert deployment["metadata"]["labels"] == {"team": "shop"}
    assert deployment["metadata"]["annotations"] == {
        "docs": "https://docs.test/web",
        "made": "https://made.test",
        "seen": "https://other.test",
    }


def test_real_kustomize_gives_the_same_bytes_checklist_38(
    path: Path, context: StageContext
) -> None:
    """Two builds store one artifact, and the plan has the bundle that the run makes."""
    text, names = build(context, "overlays/prod")
    assert build(context, "overlays/prod") == (text, names)
    plan = KustomizeBuild().plan(KustomizeBuild.Inputs(folder="overlays/prod"), context)
    assert context.read(plan.outputs["bundle"]).decode() == text
    assert [each.what for each in plan.changes] == ["build overlays/prod"]


def test_real_kustomize_prefers_its_own_command(
    path: Path, kubectl_binary: Path, context: StageContext
) -> None:
    """`kustomize build FOLDER` is run where there is one."""
    script = f'#!/bin/sh\n[ "$1" = build ] || exit 9\nexec {kubectl_binary} kustomize "$2"\n'
    (path / "kustomize").write_text(script)
    (path / "kustomize").chmod(0o755)
    (path / "kubectl").unlink()
    assert build(context, "base")[1][1] == "Deployment/web"


def test_real_kustomize_tells_its_own_errors(path: Path, context: StageContext) -> None:
    """What only it finds out is told in its words."""
    context.write({"x/kustomization.yaml": "resources: [../base]\nnonsense: 1\n"})
    said = refuse(context)
    assert said.startswith("kustomize-build: 'x' cannot be built: ")
    assert 'unknown field "nonsense"' in said


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("resources: [https://evil.test/acme/base?ref=main]", "1:13"),
        ("resources: ['git@evil.test:acme/base']", "1:13"),
        ("resources: [ssh://git@evil.test/acme/base]", "1:13"),
        ("resources: [evil.test/acme/base//deploy]", "1:13"),
        ("resources: ['git::https://evil.test/acme/base']", "1:13"),
        ("resources: ['file:///etc']", "1:13"),
        ("bases: [github.com/acme/base]", "1:9"),
        ("components: ['https://evil.test/c']", "1:14"),
        ("crds: ['https://evil.test/c.yaml']", "1:8"),
        ("configurations: ['https://evil.test/c.yaml']", "1:18"),
        ("patches: [{path: 'https://evil.test/p.yaml'}]", "1:18"),
        ("patchesJson6902: [{path: 'https://evil.test/p.yaml'}]", "1:26"),
        ("patchesStrategicMerge: ['https://evil.test/p.yaml']", "1:25"),
        ("replacements: [{path: 'https://evil.test/p.yaml'}]", "1:23"),
        ("openapi: {path: 'https://evil.test/p.json'}", "1:17"),
        ("configMapGenerator: [{name: a, files: ['k=https://evil.test/p']}]", "1:40"),
        ("secretGenerator: [{name: a, envs: ['https://evil.test/p']}]", "1:36"),
        ("generators: ['https://evil.test/p.yaml']", "1:14"),
        ("validators: ['https://evil.test/p.yaml']", "1:14"),
        (
            "transformers:\n- |-\n  apiVersion: builtin\n  kind: PatchTransformer\n"
            "  metadata: {name: a}\n  path: https://evil.test/p.yaml",
            "2:3",
        ),
    ],
)
def test_checklist_34_remote_bases_are_refused(
    context: StageContext, text: str, place: str
) -> None:
    """Wherever kustomize would fetch, with the place; also in a base that is reached."""
    context.write({"x/kustomization.yaml": text, "y/kustomization.yaml": "resources: [../x]"})
    for folder in ("x", "y"):
        said = refuse(context, folder)
        assert said.startswith(f"x/kustomization.yaml:{place}: kustomize-remote: "), said
        assert said.endswith(
            "is fetched from elsewhere, which is not allowed; copy it into the project, or allow "
            "its beginning with the input 'remote'"
        )


@pytest.mark.parametrize(
    "base",
    [
        "https://git.test/acme/base",
        "https://git.test/acme/base?ref=main",
        "https://git.test/acme/base?ref=v1.2.3",
        f"https://git.test/acme/base?ref={'a' * 39}",
        f"https://git.test/acme/base?ref={'a' * 40}&version=main",
        f"https://git.test/acme/../evil/base?ref={'a' * 40}",
        f"https://git.test/acme/%2e%2E/evil/base?ref={'a' * 40}",
        f"https://git.test/acme/base.yaml?ref={'a' * 40}",
    ],
)
def test_checklist_34_an_allowed_base_has_to_be_pinned(context: StageContext, base: str) -> None:
    """To the whole commit; a single file over HTTP cannot be."""
    context.write({"x/kustomization.yaml": f"resources: ['{base}']"})
    assert "is not pinned: it may be something else tomorrow" in refuse(
        context, remote=["https://git.test/acme"]
    )
    assert "which is not allowed" in refuse(context, remote=["https://git.test/ac"])


def test_real_kustomize_fetches_nothing_on_its_own_checklist_34(
    path: Path,
    context: StageContext,
    http_server: LocalServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Should the search miss something: requests go nowhere, and there is no git."""
    from gennaker_stages.kustomize import build_stage

    monkeypatch.setattr(build_stage, "scan_folder", lambda *_arguments: [])
    context.write({"x/kustomization.yaml": "resources: ['http://cluster.internal.test/a.yaml']"})
    said = refuse(context)
    assert "127.0.0.1:1" in said
    context.write({"x/kustomization.yaml": "resources: ['https://github.com/acme/base']"})
    assert "git" in refuse(context)
    assert http_server.asked == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "resources: [deploy.yaml]",
            "x/kustomization.yaml:1:13: kustomize-file: there is no file or folder 'deploy.yaml' "
            "beside it; paths are relative to the folder of the kustomization",
        ),
        (
            "resources: [../../other]",
            "x/kustomization.yaml:1:13: path-outside: '../../other' leads out of the source; "
            "put it inside the project",
        ),
        (
            "resources: [/etc/hostname]",
            "x/kustomization.yaml:1:13: path-outside: '/etc/hostname' leads out of the source; "
            "put it inside the project",
        ),
        (
            "helmCharts: [{name: web, repo: 'https://charts.test'}]",
            "x/kustomization.yaml:1:13: kustomize-helm: 'helmCharts' is not used here: charts are "
            "rendered by 'helm.template'; render the chart in a stage of its own and deploy both "
            "bundles",
        ),
        ("- 1", "kustomize-file: 'x/kustomization.yaml' is not a mapping"),
        ("a: [", "x/kustomization.yaml:1:5: kustomize-file: "),
    ],
)
def test_what_cannot_be_built_is_told_with_its_place(
    context: StageContext, text: str, message: str
) -> None:
    """Before any tool is started."""
    context.write({"x/kustomization.yaml": text})
    assert refuse(context).startswith(message)


def test_a_folder_without_a_kustomization_is_told(context: StageContext) -> None:
    """With what to do."""
    assert refuse(context, "overlays") == (
        "kustomize-file: 'overlays' is no kustomization: it has no kustomization.yaml; "
        "name a folder that has one, relative to the project root"
    )


def test_real_kustomize_says_that_it_is_a_circle_checklist_34(
    path: Path, context: StageContext
) -> None:
    """Of bases that name each other the search visits each once; the tool then tells."""
    context.write({"x/kustomization.yaml": "resources: [../y]"})
    context.write({"y/kustomization.yaml": "resources: [../x, 'https://evil.test/a']"})
    assert "kustomize-remote" in refuse(context)
    context.write({"y/kustomization.yaml": "resources: [../x]"})
    said = refuse(context)
    assert said.startswith("kustomize-build: 'x' cannot be built: ")
    assert "cycle detected" in said


def test_real_kustomize_runs_no_plugin_checklist_34(path: Path, context: StageContext) -> None:
    """Neither a program of the source nor a container, however the kustomization names it."""
    config = "apiVersion: evil.test/v1\nkind: Evil\nmetadata:\n  name: evil\n"
    ran = context.source / "ran"
    context.write({"x/evil.sh": f"#!/bin/sh\n/bin/touch {ran}\n"})
    for function in ("exec: {path: ./evil.sh}", "container: {image: evil.test/evil}"):
        note = "  annotations:\n    config.kubernetes.io/function: |\n      " + function + "\n"
        context.write({"x/evil.yaml": config + note})
        context.write({"x/kustomization.yaml": "generators: [evil.yaml]\n"})
        said = refuse(context)
        assert said.startswith("kustomize-build: 'x' cannot be built: ")
        assert "plugins" in said or "functions" in said
    context.write({"x/evil.yaml": config})
    assert "kustomize-build: 'x' cannot be built: " in refuse(context)
    assert not ran.exists()


def test_without_a_tool_it_says_what_to_install(
    context: StageContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither kustomize nor kubectl."""
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert refuse(context, "base") == (
        "kustomize-missing: there is neither 'kustomize' nor 'kubectl' to build with; "
        "put one of them on the PATH"
    )


@pytest.mark.parametrize(
    ("script", "limits", "said"),
    [
        ("while :; do :; done", RenderLimits(cpu=1), "it ended with -"),
        ("exec sleep 20", RenderLimits(wall=1), "did not end within 1 s"),
        ("yes 0123456789", RenderLimits(output=1 << 20), "wrote more than"),
    ],
)
def test_checklist_37_a_build_ends_at_its_limits(
    context: StageContext,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    limits: RenderLimits,
    said: str,
) -> None:
    """CPU, time and output; only the build is ended."""
    tool = tmp_path / "bin" / "kustomize"
    tool.parent.mkdir()
    tool.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent))
    monkeypatch.setattr(bounded, "LIMITS", limits)
    told = refuse(context, "base")
    assert told.startswith("kustomize-build: ")
    assert said in told


class TestKustomizeBuildContract(StageContract):
    """The contract of all stage types."""

    stage = KustomizeBuild
    inputs: ClassVar[dict[str, Any]] = {"folder": "overlays/prod"}

    @pytest.fixture(autouse=True)
    def _use_kubectl(self, path: Path) -> None:
        """All of it with the real tool."""

    def make_context(self, folder: Path) -> StageContext:
        """With the kustomizations in its source."""
        context = StageContext(folder / "context")
        context.write(FILES)
        return context
