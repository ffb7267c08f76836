"""``gennaker sandbox start|stop|status``, typed as a user types it, with a client pointed at it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gennaker_stages.kubernetes.sandbox.process import stop_sandbox
from tests.fixtures.cluster_client import ClusterClient
from tests.fixtures.cluster_scenarios import config_map

SETTINGS = """project: shop
environments:
  staging:
    kubernetes: {namespace: shop}
  production:
    kubernetes: {}
  elsewhere: {}
"""
PIPELINE = """name: web
stages:
  render:
    uses: helm.template
    environment: production
    with: {chart: chart}
  deploy:
    uses: kubernetes.deploy
    environment: production
    with: {bundle: "${{ stages.render.outputs.bundle }}"}
"""
CHART = {
    "Chart.yaml": "{apiVersion: v2, name: web, version: 1.0.0}",
    "templates/map.yaml": "{apiVersion: v1, kind: ConfigMap, metadata: {name: deployed}, data: {a: '1'}}",
}
MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture(name="project")
def make_project(tmp_path: Path) -> Iterator[Path]:
    """A project with two environments on clusters, whose sandbox is ended afterwards."""
    (tmp_path / "gennaker.yaml").write_text(SETTINGS)
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "web.yaml").write_text(PIPELINE)
    for name, text in CHART.items():
        path = tmp_path / "chart" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    yield tmp_path
    stop_sandbox(tmp_path / ".gennaker")


def call(project: Path, *words: str) -> tuple[int, str, str]:
    """Run ``gennaker``; return its exit code, stdout and stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "gennaker_engine.cli", *words],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


def read_status(project: Path, action: str = "status") -> dict[str, Any]:
    """Return what ``-o json`` prints."""
    found: dict[str, Any] = json.loads(call(project, "sandbox", action, "-o", "json")[1])
    return found


def test_status_starts_nothing(project: Path) -> None:
    """Without a sandbox: exit code 1, said on stderr, in JSON too; nothing is made. Stop is content."""
    told = "the sandbox does not run; start it with 'gennaker sandbox start'\n"
    assert call(project, "sandbox", "status") == (1, "", told)
    assert call(project, "sandbox", "stop") == (0, "", "the sandbox does not run\n")
    assert read_status(project) == {
        "apiVersion": "gennaker.dev/v1",
        "kind": "Sandbox",
        "running": False,
        "targets": [],
    }
    assert not (project / ".gennaker" / "sandbox").exists()


def test_started_it_stays_and_its_kubeconfig_reaches_every_environment(project: Path) -> None:
    """A context an environment, with its namespace; the secret is in the private file alone."""
    started = read_status(project, "start")
    path = Path(started["kubeconfig"])
    config = yaml.safe_load(path.read_text())
    assert read_status(project) == started
    assert started["targets"][0]["environments"] == ["staging", "production"]
    assert [(each["name"], each["context"]["namespace"]) for each in config["contexts"]] == [
        ("staging", "shop"),
        ("production", "default"),
    ]
    assert config["current-context"] == "staging"
    assert path.stat().st_mode & 0o777 == 0o600
    code, out, _ = call(project, "sandbox", "start")
    (address,) = (each["url"] for each in started["targets"])
    secret = config["clusters"][0]["cluster"]["server"].split("/")[3]
    assert (code, len(secret) > 20, secret in out) == (0, True, False)
    assert out.splitlines() == [
        f"kubernetes  {address}, process {started['targets'][0]['pid']}",
        f"kubeconfig  {path}",
        "contexts    staging, production",
    ]


def test_a_run_deploys_to_it_and_what_it_holds_outlives_it(project: Path) -> None:
    """One process for runs and for kubectl; stopped and started again, the objects are there."""
    first = read_status(project, "start")["targets"][0]["pid"]
    code, _, told = call(project, "run", "web", "--sandbox")
    assert code == 0, told
    assert read_status(project)["targets"][0]["pid"] == first
    assert call(project, "sandbox", "stop") == (
        0,
        "",
        "the sandbox has ended; what it holds is kept\n",
    )
    assert read_status(project)["running"] is False
    again = read_status(project, "start")
    config = yaml.safe_load(Path(again["kubeconfig"]).read_text())
    staging = ClusterClient(config)
    production = ClusterClient({**config, "clusters": config["clusters"][1:]})
    assert production.get(f"{MAPS}/deployed")["data"] == {"a": "1"}
    assert staging.call("GET", f"{MAPS}/deployed")[0] == 404
    assert production.call("POST", MAPS, config_map(a="1"))[0] == 201
    for each in (staging, production):
        each.close()


def test_a_project_without_a_cluster_is_told_what_to_write(project: Path) -> None:
    """No environment has a target with a sandbox: exit code 2 and an example; stop still works."""
    call(project, "sandbox", "start")
    (project / "gennaker.yaml").write_text("project: shop\nenvironments: {staging: {}}\n")
    assert call(project, "sandbox", "start") == (
        2,
        "",
        "no-sandbox: no environment of project 'shop' has a target with a sandbox; give one in"
        " gennaker.yaml a target: environments: {staging: {kubernetes: {}}}\n",
    )
    assert call(project, "sandbox", "stop")[2].startswith("the sandbox has ended")
