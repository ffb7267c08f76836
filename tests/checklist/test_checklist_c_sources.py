"""Where sources and charts come from: hostile revisions, paths and addresses; items 25 to 31.

What Gennaker fetches by itself are charts; a run's source is a commit or a folder that is here already,
and what kustomize may fetch is pinned to a commit.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gennaker.errors import GennakerError, StageError
from gennaker.stage import Stage
from gennaker_engine.runtime.outputs import describe_validation
from gennaker_engine.storage.folder import StateFolder
from gennaker_engine.storage.source import capture_source, materialize_source
from gennaker_engine.storage.workspaces import remove_tree
from gennaker_stages.helm import repository
from gennaker_stages.helm.template_stage import HelmTemplate
from gennaker_stages.kubernetes.client.cluster import Cluster
from gennaker_stages.kubernetes.settings import KubernetesSettings
from gennaker_stages.kustomize.build_stage import KustomizeBuild
from gennaker_stages.manifests.load_stage import ManifestsLoad
from gennaker_stages.registry import client
from tests.fixtures.chart_repository import ChartServer
from tests.fixtures.control_plane import ControlPlane
from tests.fixtures.http_server import LocalServer
from tests.fixtures.stage_context import StageContext

CHART = "apiVersion: v2\nname: web\nversion: 0.1.0\n"
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
COMMIT = "a" * 40
Factory = Callable[..., Any]


@pytest.fixture
def context(tmp_path: Path) -> StageContext:
    """A source with a chart, and beside the source a chart, a kustomization and a file of others."""
    context = StageContext(tmp_path)
    files = {"Chart.yaml": CHART, "kustomization.yaml": "resources: [a.yaml]\n", "a.yaml": CONFIG}
    context.write({"chart/Chart.yaml": CHART})
    for name, text in files.items():
        path = tmp_path / "outside" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (context.source / "link").symlink_to(tmp_path / "outside")
    (context.source / "file.yaml").symlink_to(tmp_path / "outside" / "a.yaml")
    (context.source / "loop").symlink_to("loop")
    os.mkfifo(context.source / "pipe")
    return context


def refuse(kind: type[Stage], context: StageContext, **inputs: Any) -> str:
    """What a stage says when it ends with an error, or what is wrong with its inputs."""
    try:
        given = kind.Inputs.model_validate(inputs)
    except ValidationError as error:
        return describe_validation(error)
    with pytest.raises(GennakerError) as caught:
        kind().run(given, context)
    return str(caught.value)


@pytest.mark.parametrize("revision", ["--upload-pack=x", "-", "@{u}", "x" * 10_240, "main\n", ".."])
def test_checklist_25_revisions_that_are_options_are_refused(
    context: StageContext, http_server: LocalServer, revision: str
) -> None:
    """A version is one of those that there are; a base is pinned to a commit, and nothing is called."""
    charts = ChartServer(http_server)
    charts.add("1.2.0")
    said = refuse(HelmTemplate, context, chart="web", repository=charts.url, version=revision)
    assert said.startswith("helm-version: version ")
    assert said.endswith(" is not a version constraint")
    assert charts.paths == ["index.yaml"]
    context.write({"x/kustomization.yaml": f"resources: ['https://git.test/a/b?ref={revision}']"})
    said = refuse(KustomizeBuild, context, folder="x", remote=["https://git.test/a"])
    assert "is not pinned: it may be something else tomorrow" in said or "is too long" in said
    said = refuse(HelmTemplate, context, chart=f"oci://127.0.0.1:1/web:{revision}")
    assert said.startswith(("image-reference: ", "helm-repository: "))


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("../outside", "has '..' in it; write a path relative to the folder"),
        ("chart/../../outside", "has '..' in it"),
        ("/etc", "is not relative"),
        ("~/x", "is not relative"),
        ("c:/x", "is not relative"),
        ("..\\outside", "has a backslash"),
        ("a\0b", "has a NUL character"),
        (f"a/{'x' * 256}", "has a name that is too long"),
        ("x/" * 2100, "is too long"),
        ("link", "leads out of "),
        ("link/a.yaml", "leads out of "),
        ("file.yaml", "leads out of "),
        ("loop", "cannot be followed"),
        ("%2e%2e/outside", ""),
        ("pipe", ""),
    ],
)
def test_checklist_26_paths_that_leave_the_source_are_refused(
    context: StageContext, path: str, said: str
) -> None:
    """Wherever a stage takes a path; what is no file of the source is not there, whatever it is."""
    taken: list[tuple[type[Stage], dict[str, Any]]] = [
        (HelmTemplate, {"chart": path}),
        (HelmTemplate, {"chart": "chart", "values": [path]}),
        (HelmTemplate, {"chart": "chart", "set_file": {"a": path}}),
        (KustomizeBuild, {"folder": path}),
        (ManifestsLoad, {"files": [path]}),
    ]
    for kind, inputs in taken:
        told = refuse(kind, context, **inputs)
        if said:
            assert told.startswith(f"path-outside: path {path!r} "), inputs
            assert said in told
        else:
            assert f"there is no file {path!r}" in told or "is no " in told or "no values" in told


def test_checklist_26_a_source_has_files_only(tmp_path: Path) -> None:
    """A pipe and a hard link: the first is left out and not waited for, the second is a file."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "a").write_text("one")
    os.link(tmp_path / "a", tmp_path / "b")
    state = StateFolder(tmp_path)
    state.ensure()
    source = capture_source(tmp_path, state=state)
    tree = materialize_source(source.facts, state=state, root=tmp_path)
    assert sorted(each.name for each in tree.iterdir()) == ["a", "b"]


@pytest.mark.parametrize(
    "address",
    [
        "file:///etc",
        "ext::sh -c 'touch ran'",
        "ssh://-oProxyCommand=touch/x",
        "git@git.test:a/b",
        "ftp://x.test/y",
    ],
)
def test_checklist_27_addresses_that_run_commands_are_refused(
    context: StageContext, address: str
) -> None:
    """A repository is asked over HTTP; a base begins with what was allowed."""
    said = refuse(HelmTemplate, context, chart="web", repository=address)
    assert said == (
        f"repository: {address!r} does not begin with http:// or https://; a registry is written "
        "as chart: oci://HOST/PATH"
    )
    quoted = address.replace("'", "''")
    context.write({"x/kustomization.yaml": f"resources: ['{quoted}']"})
    said = refuse(KustomizeBuild, context, folder="x", remote=["https://git.test/a"])
    assert "which is not allowed" in said or "kustomize-file: there is no file or folder" in said


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"chart": "web", "repository": "https://ann:hunter22@x.test/charts"}, "repository: "),
        ({"chart": "oci://ann:hunter22@x.test/web"}, "chart: "),
    ],
)
def test_checklist_27_addresses_with_passwords_are_refused(
    context: StageContext, inputs: dict[str, str], said: str
) -> None:
    """The password is in no message; also not of one that a chart has for a dependency."""
    refused = "an address with credentials in it is refused: give 'credentials'"
    assert refuse(HelmTemplate, context, **inputs) == said + refused
    for address in ("https://ann:hunter22@127.0.0.1:1/x", "oci://ann:hunter22@127.0.0.1:1/x"):
        entry = f"dependencies: [{{name: sub, version: 1.0.0, repository: '{address}'}}]\n"
        context.write({"chart/Chart.yaml": CHART + entry})
        told = refuse(HelmTemplate, context, chart="chart")
        assert told.startswith(("http-url: a URL with credentials in it", "image-reference: '***@"))
        assert "hunter22" not in told


def test_real_checklist_28_a_certificate_nobody_signed_is_refused(
    context: StageContext,
    control_plane: ControlPlane,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a chart repository, of a registry and of a cluster; and one that is for another host."""
    place = control_plane.url.removeprefix("https://")
    told = f"the certificate of {control_plane.url}"
    said = refuse(HelmTemplate, context, chart="web", repository=f"{control_plane.url}/charts")
    assert said.startswith(f"http-tls: {told}/charts/index.yaml cannot be trusted")
    assert "self-signed certificate" in said and "SSL_CERT_FILE" in said
    # Registries of this machine speak HTTP; this one is asked like those of others.
    monkeypatch.setattr(client, "_is_loopback", lambda _host: False)
    said = refuse(HelmTemplate, context, chart=f"oci://{place}/web", version="1.0.0")
    assert f"{told}/v2/web/manifests/1.0.0 cannot be trusted" in said
    text = control_plane.kubeconfig.read_text()
    authority = str(control_plane.certificates / "apiserver.crt")
    unknown = text.replace(f"    certificate-authority: {authority}\n", "")
    other = text.replace("    server: ", "    tls-server-name: other.test\n    server: ")
    assert unknown != text != other
    for name, kubeconfig, why in (
        ("unknown", unknown, "self-signed certificate"),
        ("other", other, "Hostname mismatch"),
    ):
        path = tmp_path / name
        path.write_text(kubeconfig)
        cluster = Cluster(path, None, KubernetesSettings(), project=tmp_path / "project")
        with pytest.raises(StageError, match=f"cluster-certificate: .*{control_plane.url} .*{why}"):
            cluster.find_resource("v1", "ConfigMap")


def test_checklist_29_what_is_too_large_is_not_fetched(
    context: StageContext, http_server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither an index nor an archive, whatever length the server announces."""
    assert (repository.MAX_INDEX, repository.MAX_PACKED) == (64 << 20, 100 << 20)
    charts = ChartServer(http_server)
    charts.add("1.2.0")
    monkeypatch.setattr(repository, "MAX_PACKED", 100)
    said = refuse(HelmTemplate, context, chart="web", repository=charts.url)
    assert said == (
        f"http-too-large: the answer of {charts.url}/web-1.2.0.tgz has more than 100 bytes"
    )
    monkeypatch.setattr(repository, "MAX_INDEX", 50)
    charts.add("1.3.0")
    said = refuse(HelmTemplate, context, chart="web", repository=charts.url)
    assert said == f"http-too-large: the answer of {charts.url}/index.yaml has more than 50 bytes"


def test_real_checklist_29_filters_of_a_repository_do_nothing(git_repository: Factory) -> None:
    """A source has what was committed: nothing is checked out, and a pointer stays one."""
    repository = git_repository(files={"a.txt": "version https://git-lfs.test/spec/v1\n"})
    ran = repository.path.parent / "ran"
    repository.commit({".gitattributes": "*.txt filter=evil diff=evil merge=evil\n"})
    repository.run("config", "filter.evil.smudge", f"touch {ran}; cat")
    state = StateFolder(repository.path)
    state.ensure()
    source = capture_source(repository.path, state=state)
    assert source.facts["kind"] == "commit"
    tree = materialize_source(source.facts, state=state, root=repository.path)
    assert (tree / "a.txt").read_text() == "version https://git-lfs.test/spec/v1\n"
    assert not ran.exists()


def test_real_checklist_30_a_run_keeps_its_commit(git_repository: Factory) -> None:
    """Whatever becomes of the branch; once the commit itself is gone, that is told."""
    repository = git_repository(files={"a.txt": "one"})
    state = StateFolder(repository.path)
    state.ensure()
    source = capture_source(repository.path, state=state)
    repository.write({"a.txt": "two"})
    repository.run("add", "--all")
    repository.run("commit", "--quiet", "--amend", "--message=Rewritten")
    tree = materialize_source(source.facts, state=state, root=repository.path)
    assert (tree / "a.txt").read_text() == "one"
    repository.run("reflog", "expire", "--expire=now", "--all")
    repository.run("gc", "--quiet", "--prune=now")
    remove_tree(tree)
    with pytest.raises(GennakerError, match=r"source-missing: commit \w+ cannot be read"):
        materialize_source(source.facts, state=state, root=repository.path)


def test_checklist_30_a_chart_that_is_withdrawn_is_told(
    context: StageContext, http_server: LocalServer
) -> None:
    """With what there is; a version that was published anew is another archive, which a digest sees."""
    charts = ChartServer(http_server)
    charts.add("1.2.0", "1.1.0")
    inputs = {"chart": "web", "repository": charts.url, "version": "1.2.0"}
    done = HelmTemplate().run(HelmTemplate.Inputs.model_validate(inputs), context)
    digest = dict(done.outputs)["digest"]  # type: ignore[union-attr]
    charts.charts["web"]["1.2.0"] = charts.charts["web"]["1.1.0"]
    context.redeliver()
    said = refuse(HelmTemplate, context, **{**inputs, "digest": f"sha256:{'0' * 64}"})
    assert said.startswith("helm-digest: the archive of chart 'web 1.2.0' has the digest sha256:")
    assert digest not in said
    del charts.charts["web"]["1.2.0"]
    said = refuse(HelmTemplate, context, **inputs)
    assert said == (
        f"chart-missing: {charts.url} has no version '1.2.0' of chart 'web'; there is 1.1.0"
    )
