"""Secrets in plans: read where others have to be shown them to plan at all, and told to nobody."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.fixtures.chart_repository import ChartServer
from tests.fixtures.http_server import LocalServer
from tests.fixtures.typed_project import TypedProject

PASSWORD = "correct-horse"
SETTINGS = """\
secrets: {charts: {env: CHARTS_PASSWORD}}
environments:
  live:
    kubernetes: {namespace: shop, create_namespace: true}
    secrets: {database: {env: DATABASE_PASSWORD}}
"""
PIPELINE = """\
name: shop
stages:
  ask: {uses: approval, with: {message: "deploy?"}}
  render:
    uses: helm.template
    needs: ask
    with:
      chart: web
      repository: URL
      namespace: shop
      credentials: {username: ann, password: "${{ secrets.charts }}"}
"""
DEPLOY = """\
  deploy:
    uses: kubernetes.deploy
    environment: live
    with:
      bundle: "${{ stages.render.outputs.bundle }}"
      secrets: {database: {password: "${{ secrets.database }}"}}
"""


@pytest.fixture(name="shop")
def make_shop(
    tmp_path: Path,
    http_server: LocalServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> TypedProject:
    """A project whose chart is in a repository that asks for a password."""
    charts = ChartServer(http_server)
    charts.add("1.2.0")
    charts.password = PASSWORD
    monkeypatch.setenv("CHARTS_PASSWORD", PASSWORD)
    shop = TypedProject(tmp_path, capsys)
    shop.write("gennaker.yaml", SETTINGS)
    shop.write("pipelines/shop.yaml", PIPELINE.replace("URL", charts.url))
    return shop


def test_a_plan_shows_a_chart_of_a_private_repository(shop: TypedProject) -> None:
    """The stage is planned with the password, as an approval shows it; it stands in neither."""
    said = shop.type("plan", "shop", "-o", "json")
    data = json.loads(said[: said.rindex("}") + 1])
    (change,) = data["stages"][1]["changes"]
    assert (change["what"], change["detail"]) == ("render web", "ConfigMap/web")
    assert PASSWORD not in said
    said = shop.type("run", "shop", "--detach-on-wait", code=6)
    assert PASSWORD not in said
    shown = shop.type("status", "@last")
    assert "run render web  ConfigMap/web" in shown
    assert PASSWORD not in shown
    assert not _is_kept(shop.folder, PASSWORD)


def test_a_plan_that_would_need_a_secret_says_that_it_is_not_set(
    shop: TypedProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be asked for without it cannot be planned; the reason is that, and not a 401."""
    monkeypatch.delenv("CHARTS_PASSWORD")
    said = shop.type("plan", "shop", code=7)
    assert re.search(r"cannot be planned: secret-missing: .*'CHARTS_PASSWORD'", said), said


def test_a_plan_reads_no_secret_that_it_does_not_need(shop: TypedProject) -> None:
    """The values that a deploy puts into Secrets are not looked at: the plan names the object."""
    text = (shop.folder / "pipelines/shop.yaml").read_text()
    shop.write("pipelines/shop.yaml", text + DEPLOY)
    try:
        assert "create Secret/database" in shop.type("plan", "shop", "--sandbox")
    finally:
        shop.type("sandbox", "stop")


def _is_kept(folder: Path, text: str) -> bool:
    """Whether a file of the project's state has the text."""
    files = (each for each in (folder / ".gennaker").rglob("*") if each.is_file())
    return any(text.encode() in each.read_bytes() for each in files)
