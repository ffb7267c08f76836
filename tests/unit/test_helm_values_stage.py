"""`helm.values`: what a chart says of itself, without rendering it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from gennaker.errors import PermanentError
from gennaker.stage import Succeeded
from gennaker.testing import StageContract
from gennaker_stages.helm.values_stage import MAX_VALUES, HelmValues
from tests.fixtures.chart_repository import ChartServer
from tests.fixtures.http_server import Answer, Asked, LocalServer
from tests.fixtures.stage_context import StageContext

CHART = "apiVersion: v2\nname: web\nversion: 1.2.3\nappVersion: '7.1'\n"
VALUES = "# how many\nreplicas: 2\nimage: {tag: '1'}\n"


@pytest.fixture
def context(tmp_path: Path) -> StageContext:
    """A source with a chart whose templates would fail."""
    context = StageContext(tmp_path)
    context.write(
        {
            "chart/Chart.yaml": CHART,
            "chart/values.yaml": VALUES,
            "chart/templates/a.yaml": '{{ fail "never" }}',
        }
    )
    return context


def read(context: StageContext, **inputs: Any) -> dict[str, Any]:
    """Run the stage and return its outputs."""
    outcome = HelmValues().run(
        HelmValues.Inputs.model_validate({"chart": "chart", **inputs}), context
    )
    assert isinstance(outcome, Succeeded)
    return dict(outcome.outputs)


def test_values_are_outputs_and_a_file(context: StageContext) -> None:
    """As data for expressions, as the file with its comments, and in the log."""
    found = read(context)
    assert context.read(found.pop("file")).decode() == VALUES
    assert found == {
        "name": "web",
        "version": "1.2.3",
        "app_version": "7.1",
        "digest": "",
        "versions": [],
        "values": {"replicas": 2, "image": {"tag": "1"}},
    }
    assert context.log_text.splitlines() == ["web 1.2.3  (app 7.1)", *VALUES.splitlines()]


def test_a_chart_without_values_has_none(context: StageContext) -> None:
    """An empty file, and none at all."""
    context.write({"chart/values.yaml": ""})
    assert read(context)["values"] == {}
    (context.source / "chart" / "values.yaml").unlink()
    assert context.read(read(context)["file"]) == b""


def test_large_values_are_in_the_file_only(context: StageContext) -> None:
    """An output is bounded; the file is whole."""
    text = f"a: {'x' * MAX_VALUES}\n"
    context.write({"chart/values.yaml": text})
    found = read(context)
    assert found["values"] == {}
    assert context.read(found["file"]).decode() == text


def test_versions_of_a_repository_are_told(context: StageContext, http_server: LocalServer) -> None:
    """The newest first; the chart is the one that fits."""
    charts = ChartServer(http_server)
    charts.add("1.9.0", "1.10.0", "2.0.0")
    found = read(context, chart="web", repository=charts.url, version="^1")
    assert (found["version"], found["versions"]) == ("1.10.0", ["2.0.0", "1.10.0", "1.9.0"])
    assert found["values"] == {"a": 1}


def test_a_plan_gives_what_the_run_will_give(context: StageContext) -> None:
    """So that later plans know the values."""
    plan = HelmValues().plan(HelmValues.Inputs(chart="chart"), context)
    assert plan.outputs["values"] == {"replicas": 2, "image": {"tag": "1"}}
    assert [(each.what, each.detail) for each in plan.changes] == [
        ("read the values of chart", "1.2.3")
    ]


def test_checklist_33_a_link_out_of_the_chart_is_refused(context: StageContext) -> None:
    """Its values could be anybody's file."""
    (context.source / "chart" / "values.yaml").unlink()
    (context.source / "chart" / "values.yaml").symlink_to("/etc/hostname")
    with pytest.raises(PermanentError, match=r"chart/values.yaml is a symbolic link that leaves"):
        read(context)


def test_a_repository_that_is_gone_is_told(context: StageContext, http_server: LocalServer) -> None:
    """With its address."""

    def answer(_asked: Asked) -> Answer:
        return Answer(404)

    http_server.answer = answer
    with pytest.raises(PermanentError) as caught:
        read(context, chart="web", repository=http_server.url)
    assert str(caught.value) == (
        f"helm-repository: the repository {http_server.url} does not give its index.yaml: 404; "
        "its address is that of the folder with index.yaml"
    )


class TestHelmValuesContract(StageContract):
    """The contract of all stage types."""

    stage = HelmValues
    inputs: ClassVar[dict[str, Any]] = {"chart": "chart"}

    def make_context(self, folder: Path) -> StageContext:
        """With a chart in its source."""
        context = StageContext(folder / "context")
        context.write({"chart/Chart.yaml": CHART, "chart/values.yaml": VALUES})
        return context
