"""Charts from elsewhere: repositories and archives, versions and digests, dependencies, what is refused."""

from __future__ import annotations

import gzip
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from gennaker.errors import GennakerError
from gennaker.stage import Secret, Succeeded
from gennaker_stages.helm import archive
from gennaker_stages.helm.archive import MAX_FILE, unpack_chart
from gennaker_stages.helm.template_stage import HelmTemplate
from gennaker_stages.helm.versions import choose_version, sort_versions
from tests.fixtures.chart_repository import CONFIG, ChartServer, digest_of, make_chart, pack
from tests.fixtures.http_server import LocalServer
from tests.fixtures.stage_context import StageContext


@pytest.fixture(name="charts")
def serve_charts(http_server: LocalServer) -> ChartServer:
    """A repository with some versions of the chart ``web``, and another chart before and after it."""
    charts = ChartServer(http_server)
    charts.add("1.2.0", "1.10.0", "1.9.3", "2.0.0-rc.1", "0.9.0+build.5")
    charts.add("1.0.0", name="ab-web")
    charts.add("3.0.0", name="web-2")
    return charts


@pytest.fixture
def context(tmp_path: Path) -> StageContext:
    """An empty source."""
    return StageContext(tmp_path)


def render(context: StageContext, **inputs: Any) -> dict[str, Any]:
    """Run the stage and return its outputs."""
    outcome = HelmTemplate().run(HelmTemplate.Inputs.model_validate(inputs), context)
    assert isinstance(outcome, Succeeded)
    return dict(outcome.outputs)


def refuse(context: StageContext, **inputs: Any) -> str:
    """What the stage says when it ends with an error."""
    with pytest.raises(GennakerError) as caught:
        render(context, **inputs)
    return str(caught.value)


@pytest.mark.parametrize(
    ("wanted", "version"),
    [
        ("", "1.10.0"),
        ("^1.2", "1.10.0"),
        ("~1.9.0", "1.9.3"),
        ("1.2.0", "1.2.0"),
        (">=1.0.0-0", "2.0.0-rc.1"),
        ("<1", "0.9.0+build.5"),
        ("1.2.0 || 1.9.x", "1.9.3"),
    ],
)
def test_a_chart_of_a_repository_is_the_newest_that_fits(
    context: StageContext, charts: ChartServer, wanted: str, version: str
) -> None:
    """Ranges, exact versions, pre-releases only when named; outputs say which it is."""
    found = render(context, chart="web", repository=charts.url, version=wanted)
    assert found["version"] == version
    assert found["digest"] == f"sha256:{digest_of(charts.charts['web'][version])}"
    assert f"data: {{v: '{version}'}}" in context.read(found["bundle"]).decode()


def test_the_index_and_archives_are_asked_for_once(
    context: StageContext, charts: ChartServer
) -> None:
    """The second time the index is not sent again (ETag), and the archive is not asked for."""
    for _ in range(2):
        render(context, chart="web", repository=charts.url)
    assert charts.paths == ["index.yaml", "web-1.10.0.tgz", "index.yaml"]
    assert charts.server.asked[2].headers["if-none-match"].startswith('"')
    charts.add("1.11.0")
    assert render(context, chart="web", repository=charts.url)["version"] == "1.11.0"


def test_a_pinned_chart_needs_no_network_the_second_time(
    context: StageContext, charts: ChartServer
) -> None:
    """With its digest nothing is asked for once it is here; another archive is refused."""
    digest = f"sha256:{digest_of(charts.charts['web']['1.2.0'])}"
    inputs = {"chart": "web", "repository": charts.url, "version": "1.2.0", "digest": digest}
    first = render(context, **inputs)
    charts.server.asked.clear()
    assert render(context, **inputs) == first
    assert charts.paths == []
    said = refuse(context, **{**inputs, "digest": f"sha256:{'0' * 64}"})
    assert said.startswith(f"helm-digest: the archive of chart 'web 1.2.0' has the digest {digest}")


def test_credentials_are_sent_to_the_repository_and_nowhere_else(
    context: StageContext, charts: ChartServer
) -> None:
    """As basic authentication; a chart at another address gets none of them."""
    charts.password = "correct-horse"
    inputs: dict[str, Any] = {"chart": "web", "repository": charts.url}
    assert refuse(context, **inputs) == (
        f"helm-repository: the repository {charts.url} does not give its index.yaml without "
        "credentials: 401; give 'credentials', with the password from a secret"
    )
    inputs["credentials"] = {"username": "ann", "password": Secret("wrong-horse")}
    assert refuse(context, **inputs) == (
        f"helm-repository: the repository {charts.url} does not give its index.yaml to user 'ann': "
        "401; look at 'credentials', and at the secret with the password"
    )
    inputs["credentials"] = {"username": "ann", "password": Secret("correct-horse")}
    assert render(context, **inputs)["version"] == "1.10.0"
    charts.add("5.0.0")
    elsewhere = charts.url.replace("127.0.0.1", "localhost")
    index = charts.index().replace(b"- web-5.0.0.tgz", f"- {elsewhere}/web-5.0.0.tgz".encode())
    charts.index = lambda: index  # type: ignore[method-assign]
    assert refuse(context, **inputs).endswith(
        f"does not give chart web 5.0.0 without credentials: it is at {elsewhere}/web-5.0.0.tgz: 401; "
        "'credentials' are for the repository's own address, and are sent nowhere else"
    )
    assert "authorization" not in charts.server.asked[-1].headers


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        (
            {"chart": "webb"},
            "chart-missing: the repository {url} has no chart 'webb'; look at the spelling, and at "
            "the repository's index.yaml",
        ),
        (
            {"chart": "web", "version": "^4"},
            "chart-missing: {url} has no version '^4' of chart 'web'; "
            "there is 2.0.0-rc.1, 1.10.0, 1.9.3, 1.2.0, 0.9.0+build.5",
        ),
        (
            {"chart": "web", "version": "new"},
            "helm-version: version 'new' of chart 'web': 'new' is not a version constraint",
        ),
    ],
)
def test_what_a_repository_does_not_have_is_told(
    context: StageContext, charts: ChartServer, inputs: dict[str, Any], said: str
) -> None:
    """With what there is."""
    assert refuse(context, repository=charts.url, **inputs) == said.format(url=charts.url)


def test_a_repository_that_is_down_may_be_tried_again(
    context: StageContext, charts: ChartServer
) -> None:
    """503 is temporary, 404 is not."""
    charts.broken = 1
    said = refuse(context, chart="web", repository=charts.url)
    assert said == f"helm-repository: the repository {charts.url} does not give its index.yaml: 503"
    del charts.charts["web"]["1.10.0"]
    index = charts.index()
    charts.charts["web"].clear()
    charts.index = lambda: index  # type: ignore[method-assign]
    assert refuse(context, chart="web", repository=charts.url).startswith(
        f"helm-repository: the repository {charts.url} does not give chart web 1.9.3: 404; "
    )


def test_checklist_32_an_archive_that_is_not_the_indexs_is_refused(
    context: StageContext, charts: ChartServer
) -> None:
    """What the index promises is what is rendered."""
    index = charts.index()
    charts.charts["web"]["1.10.0"] = make_chart("1.10.0", more="description: other\n")
    charts.index = lambda: index  # type: ignore[method-assign]
    said = refuse(context, chart="web", repository=charts.url)
    assert said.startswith(
        "helm-digest: the archive of chart 'web' 1.10.0 is not that of the index"
    )


@pytest.mark.parametrize(
    "index",
    [
        '{"entries": {"web": [{"version": "1.10.0", "urls": ["web-1.10.0.tgz"]}]}}',
        "entries:\n    'web':\n        - {version: 1.10.0, urls: [web-1.10.0.tgz]}\n",
        "entries:\n  web:\n    - urls:\n        - web-1.10.0.tgz\n      version: 1.10.0\n  x: []\n",
        "entries: {web: [{version: 1.10.0, urls: [web-1.10.0.tgz]}]}\n",
    ],
)
def test_indexes_are_read_in_any_form(
    context: StageContext, charts: ChartServer, index: str
) -> None:
    """JSON, flow, quoted names, other indents; without digests."""
    charts.index = index.encode  # type: ignore[method-assign]
    assert render(context, chart="web", repository=charts.url)["version"] == "1.10.0"


@pytest.mark.parametrize(
    "index", ["[" * 50_000, "entries: 1\n", "a: b: c\n", "entries:\n  web: 3\n"]
)
def test_checklist_33_a_hostile_index_is_refused(
    context: StageContext, charts: ChartServer, index: str
) -> None:
    """Deep nesting and other data are told, and nothing crashes."""
    charts.index = index.encode  # type: ignore[method-assign]
    assert refuse(context, chart="web", repository=charts.url).partition(":")[0] in (
        "helm-repository",
        "chart-missing",
    )


def test_an_archive_of_the_source_is_a_chart(context: StageContext) -> None:
    """A .tgz that is committed is rendered like a folder."""
    context.write({"charts/web.tgz": make_chart("4.5.6")})
    assert render(context, chart="charts/web.tgz")["version"] == "4.5.6"


def make_member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    """A member without content."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


CHART = {"web/Chart.yaml": "name: web\n"}
HOSTILE = [
    (pack({**CHART, "web/../../evil": "x"}), "has a file 'web/../../evil', which leads out of it"),
    (pack({**CHART, "/etc/evil": "x"}), "has a file '/etc/evil', which leads out of it"),
    (pack({**CHART, "web\\..\\evil": "x"}), "which leads out of it"),
    (pack({**CHART, "C:/evil": "x"}), "has a file 'C:/evil', which leads out of it"),
    (
        pack(CHART, [make_member("web/link", tarfile.SYMTYPE, "/etc/passwd")]),
        "has 'web/link', which is a link or a device, not a file",
    ),
    (pack(CHART, [make_member("web/hard", tarfile.LNKTYPE, "/etc/passwd")]), "which is a link or"),
    (pack(CHART, [make_member("web/dev", tarfile.CHRTYPE)]), "which is a link or a device"),
    (pack(CHART, [make_member("web/fifo", tarfile.FIFOTYPE)]), "which is a link or a device"),
    (
        pack({**CHART, "web/big": b"0" * (MAX_FILE + 1)}),
        "has 'web/big', which is larger than 5 MiB",
    ),
    (pack({"web/x": "", "web/x/y": ""}), "cannot be unpacked: 'web/x/y': "),
    (pack({**CHART, "other/Chart.yaml": ""}), "has two folders, 'web' and 'other'"),
    (pack({"Chart.yaml": "name: web\n"}), "has no chart in it"),
    (gzip.compress(b"0" * (120 << 20), 1), "unpacks to more than 100 MiB"),
    (b"not packed", "is not compressed as a .tgz is"),
    (pack(CHART)[:-20], "is cut off"),
    (gzip.compress(b"x" * 2000), "is damaged"),
]


@pytest.mark.parametrize(("content", "said"), HOSTILE, ids=[each[1][:30] for each in HOSTILE])
def test_checklist_32_hostile_archives_are_refused(
    tmp_path: Path, content: bytes, said: str
) -> None:
    """Names and links that lead out, devices, bombs, damage: nothing is written outside."""
    inside = tmp_path / "in"
    inside.mkdir()
    with pytest.raises(GennakerError) as caught:
        unpack_chart(content, inside, "web")
    assert str(caught.value).startswith("helm-archive: the archive of chart 'web' ")
    assert said in str(caught.value)
    assert [each.name for each in tmp_path.iterdir()] == ["in"]


def test_checklist_32_too_many_files_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Empty files count, too."""
    assert archive.MAX_FILES == 10_000
    monkeypatch.setattr(archive, "MAX_FILES", 100)
    content = pack(CHART, [make_member(f"web/{number}") for number in range(100)])
    with pytest.raises(GennakerError, match="has more than 100 files"):
        unpack_chart(content, tmp_path, "web")


def test_checklist_32_a_bomb_in_charts_is_refused_by_helm(context: StageContext) -> None:
    """A packed dependency is unpacked by the worker alone, which has its limits."""
    bomb = pack({"sub/Chart.yaml": "name: sub\n", "sub/templates/a": b"0" * (40 << 20)})
    context.write(
        {
            "web/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n",
            "web/charts/sub-1.0.0.tgz": bomb,
        }
    )
    assert refuse(context, chart="web").startswith("helm-render: chart 'web' cannot be rendered: ")


def declare(charts: ChartServer, version: str, **more: str) -> str:
    """A Chart.yaml with one dependency."""
    entry = {"name": "web", "version": version, "repository": charts.url, **more}
    return "apiVersion: v2\nname: app\nversion: 1.0.0\ndependencies: " + json.dumps([entry]) + "\n"


def test_dependencies_are_fetched_where_they_are_missing(
    context: StageContext, charts: ChartServer
) -> None:
    """By the range of Chart.yaml; the source stays as it is."""
    context.write({"app/Chart.yaml": declare(charts, "^1.2", alias="front")})
    text = context.read(render(context, chart="app")["bundle"]).decode()
    assert "# Source: app/charts/front/templates/config.yaml" in text
    assert "data: {v: '1.10.0'}" in text
    assert [each.name for each in (context.source / "app").iterdir()] == ["Chart.yaml"]


def test_the_lock_says_which_version(context: StageContext, charts: ChartServer) -> None:
    """Chart.lock wins over what is newest now; one that does not fit is refused."""
    lock = "dependencies:\n- {name: web, repository: %s, version: %s}\ndigest: sha256:x\n"
    context.write(
        {
            "app/Chart.yaml": declare(charts, "^1.2"),
            "app/Chart.lock": lock % (charts.url, "1.9.3"),
        }
    )
    text = context.read(render(context, chart="app")["bundle"]).decode()
    assert "data: {v: '1.9.3'}" in text
    context.write({"app/Chart.lock": lock % (charts.url, "0.9.0+build.5")})
    assert refuse(context, chart="app") == (
        "helm-dependency: app/Chart.lock has web 0.9.0+build.5, and the chart declares '^1.2' of "
        "it; run 'helm dependency update app' and commit the result"
    )


def test_dependencies_of_private_repositories_have_credentials_of_their_own(
    context: StageContext, charts: ChartServer
) -> None:
    """By the beginning of the address, which has to fit part by part."""
    charts.password = "correct-horse"
    context.write({"app/Chart.yaml": declare(charts, "^1.2")})
    given = {"username": "ann", "password": "correct-horse"}
    base = charts.url.removesuffix("/charts")
    assert render(context, chart="app", dependency_credentials={base: given})["objects"]
    other = StageContext(context.root / "other")
    other.write({"app/Chart.yaml": declare(charts, "^1.2")})
    assert "without credentials: 401" in refuse(
        other, chart="app", dependency_credentials={f"{base}/char": given}
    )


def test_local_dependencies_are_named_as_inputs(context: StageContext) -> None:
    """`file://` leads to charts of the source that the stage declares, and to their own."""
    head = "apiVersion: v2\nversion: 1.0.0\n"
    context.write(
        {
            "app/Chart.yaml": f"{head}name: app\ndependencies: "
            "[{name: lib, version: 1.0.0, repository: 'file://../libs/lib'}]\n",
            "libs/lib/Chart.yaml": f"{head}name: lib\ndependencies: "
            "[{name: low, version: 1.0.0, repository: 'file://../low'}]\n",
            "libs/lib/templates/c.yaml": CONFIG % "lib",
            "libs/low/Chart.yaml": f"{head}name: low\n",
            "libs/low/templates/c.yaml": CONFIG % "low",
        }
    )
    assert refuse(context, chart="app") == (
        "helm-dependency: chart 'app' has the dependency 'lib' in 'libs/lib', outside of itself; "
        "name the folder as an input: local_charts: [libs/lib]"
    )
    assert refuse(context, chart="app", local_charts=["libs", "lbis", "low"]) == (
        "helm-dependency: there is no folder 'lbis', 'low', named in 'local_charts'; paths are "
        "relative to the project root"
    )
    found = render(context, chart="app", local_charts=["libs"])
    assert found["objects"] == ["ConfigMap/lib", "ConfigMap/low"]
    inputs = HelmTemplate.Inputs.model_validate(
        {"chart": "app", "local_charts": ["libs"], "values": ["v.yaml", {}], "set_file": {"a": "f"}}
    )
    assert HelmTemplate().list_sources(inputs) == ["app", "libs", "v.yaml", "f"]


@pytest.mark.parametrize(
    ("repository", "said"),
    [
        ("@stable", "from '@stable', a name that only the configuration of one machine knows"),
        ("file://../nowhere", "at 'file://../nowhere', which is no chart there"),
        ("file://../../..", "path-outside"),
        ("file://.", "which leads to itself"),
        ("ftp://x.test", "a name that only the configuration of one machine knows"),
    ],
)
def test_dependencies_from_nowhere_are_refused(
    context: StageContext, repository: str, said: str
) -> None:
    """Aliases of one machine, folders without a chart, circles."""
    context.write(
        {
            "app/Chart.yaml": "apiVersion: v2\nname: app\nversion: 1.0.0\n"
            f"dependencies: [{{name: app, version: 1.0.0, repository: '{repository}'}}]\n"
        }
    )
    assert said in refuse(context, chart="app", local_charts=["."])


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"chart": "a", "version": "1"}, "are for a chart that is fetched"),
        ({"chart": "a", "digest": f"sha256:{'0' * 64}"}, "are for a chart that is fetched"),
        ({"chart": "oci://r.test/a", "repository": "https://x.test"}, "is not for a chart whose"),
        (
            {"chart": "a", "repository": "oci://r.test"},
            "a registry is written as chart: oci://HOST/PATH",
        ),
    ],
)
def test_inputs_that_contradict_each_other_are_refused(inputs: dict[str, Any], said: str) -> None:
    """Before anything is fetched."""
    with pytest.raises(ValueError, match=said):
        HelmTemplate.Inputs.model_validate(inputs)


def test_versions_are_chosen_as_helm_chooses() -> None:
    """What is no version is passed over; a name that is offered is taken as it is."""
    offered = ["latest", "1.0", "v1.2.0", "1.3.0-beta", "1.1.9"]
    assert choose_version("", offered) == "v1.2.0"
    assert choose_version("latest", offered) == "latest"
    assert choose_version(">=1.3.0-0", offered) == "1.3.0-beta"
    assert choose_version("~1.1", offered) == "1.1.9"
    assert choose_version("^2", offered) is None
    assert sort_versions(offered) == ["1.3.0-beta", "v1.2.0", "1.1.9", "1.0"]


SCHEMA = {
    "type": "object",
    "required": ["must"],
    "properties": {
        "image": {"type": "string"},
        "count": {"type": "integer", "minimum": 3},
        "list": {"items": {"type": "object", "additionalProperties": False}},
        "own": {"type": "string"},
    },
}


def test_values_that_do_not_fit_the_schema_are_told_with_their_places(
    context: StageContext,
) -> None:
    """File and line where the value is ours; the input, or that it is the chart's own, where not."""
    context.write(
        {
            "web/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n",
            "web/values.yaml": "own: 1\n",
            "web/values.schema.json": json.dumps(SCHEMA),
            "web/charts/db/Chart.yaml": "apiVersion: v2\nname: db\nversion: 1.0.0\n",
            "web/charts/db/values.schema.json": '{"properties": {"size": {"type": "integer"}}}',
            "low.yaml": "image: fine\ncount: 5\n",
            "v.yaml": "must: 1\nimage:\n  7\nlist:\n- {a: 1}\ndb: {size: big}\n",
        }
    )
    said = refuse(context, chart="web", values=["low.yaml", "v.yaml"], set={"count": 1})
    head, told = said.split("values: ", 1)
    assert head == "helm-schema: chart 'web' does not take the "
    assert sorted(told.split("; ")) == [
        "count: minimum: got 1, want 3 (set 'count')",
        "own: got number, want string (the chart's own)",
        "v.yaml:3:3: image: got number, want string",
        "v.yaml:5:4: list.0: additional properties 'a' not allowed",
        "v.yaml:6:12: db.size: got string, want integer",
    ]
    context.write({"web/values.yaml": ""})
    assert refuse(context, chart="web", values=[{"must": 1}, {"image": 3}]) == (
        "helm-schema: chart 'web' does not take the values: "
        "image: got number, want string (values[1])"
    )
    assert refuse(context, chart="web") == (
        "helm-schema: chart 'web' does not take the values: values: missing property 'must'"
    )
