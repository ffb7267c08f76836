"""A plan from the command line to the approval that shows it, to the deploy that it binds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gennaker_stages.kubernetes.sandbox.process import ensure_sandbox, stop_sandbox
from tests.e2e.command_line import Desk
from tests.fixtures.cluster_client import APPLY, ClusterClient
from tests.integration.canary_parts import find_marks

CANARY = "kanarienvogel"
SETTINGS = """\
environments:
  staging: {kubernetes: {namespace: shop, create_namespace: true}}
"""
PIPELINE = """\
name: shop
parameters: {level: {default: info}}
stages:
  render:
    uses: helm.template
    environment: staging
    with: {chart: chart, set: {level: "${{ params.level }}"}}
  go: {uses: approval, needs: render}
  deploy:
    uses: kubernetes.deploy
    needs: go
    environment: staging
    with: {bundle: "${{ stages.render.outputs.bundle }}"}
"""
TEMPLATE = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {level: {{ .Values.level }}}
---
apiVersion: v1
kind: Secret
metadata: {name: db}
stringData: {password: kanarienvogel-1}
"""


@pytest.fixture(name="desk")
def make_desk(tmp_path: Path) -> Iterator[Desk]:
    """A project that deploys a ConfigMap and a Secret after an approval."""
    desk = Desk(tmp_path / "project", SETTINGS)
    desk.write(PIPELINE).write(TEMPLATE, "chart/templates/all.yaml")
    yield desk.write("apiVersion: v2\nname: shop\nversion: 1.0.0\n", "chart/Chart.yaml")
    stop_sandbox(desk.folder / ".gennaker")
    desk.close()


def test_what_was_approved_is_deployed_and_what_moved_is_told(desk: Desk) -> None:
    """The approval shows the fields; an edit after it is told by the deploy, which goes on."""
    first = desk.call("run", "shop", "--sandbox", "--approve", "go")
    assert first.code == 0, first.text
    waiting = desk.call("run", "shop", "--sandbox", "-p", "level=debug", "--detach-on-wait")
    assert waiting.code == 6, waiting.text
    shown = desk.call("status", "shop-2").out
    assert "change ConfigMap/settings\n" in shown
    assert 'data.level: "info" → "debug"\n' in shown
    plan = json.loads(desk.call("status", "shop-2", "-o", "json").out)
    assert plan["waiting"][0]["on"] == "decision"
    client = ClusterClient(ensure_sandbox(desk.folder / ".gennaker").kubeconfig("staging"))
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings"},
        "data": {"x": "y"},
    }
    path = "/api/v1/namespaces/shop/configmaps/settings"
    assert client.call("PATCH", f"{path}?fieldManager=kubectl-edit", body, APPLY)[0] == 200
    done = desk.call("approve", "shop-2", "go")
    assert done.code == 0, done.text
    moved = "deploy | ConfigMap/shop/settings was changed since the plan was shown, last by 'kubectl-edit'"
    assert moved in done.err
    assert client.get(path)["data"] == {"level": "debug", "x": "y"}
    body["data"] = {"level": "theirs"}
    assert client.call("PATCH", f"{path}?fieldManager=other&force=true", body, APPLY)[0] == 200
    refused = desk.call("plan", "shop", "--sandbox")
    assert refused.code == 1
    assert (
        'refuse ConfigMap/settings  field-conflict: field .data.level: conflict with "other"'
        in refused.out
    )
    assert desk.call("run", "shop", "--sandbox", "--detach-on-wait").code == 6
    warned = desk.call("approve", "shop-3", "go")
    assert warned.code == 7
    assert warned.err.startswith(
        'warning: deploy would fail: ConfigMap/settings: field-conflict: field .data.level: conflict with "other"'
    )
    client.close()


def test_checklist_36_secrets_of_manifests_are_masked_everywhere(desk: Desk) -> None:
    """In every form of a plan, in runs, logs, events and the journal; only the bundle has them."""
    said = desk.call("run", "shop", "--sandbox", "--approve", "go").text
    changed = TEMPLATE.replace("vogel-1", "vogel-2")
    desk.write(changed, "chart/templates/all.yaml")
    for form in ("json", "html"):
        plan = desk.call("plan", "shop", "--sandbox", "-o", form)
        assert plan.code == 0, plan.text
        assert "Secret/db" in plan.out
        assert "data.password" in plan.out
        said += plan.text
    said += desk.call("run", "shop", "--sandbox", "--detach-on-wait").text
    for words in (
        ["status", "shop-2"],
        ["status", "shop-2", "-o", "json"],
        ["approve", "shop-2", "go"],
    ):
        said += desk.call(*words).text
    for words in (["events", "shop-2", "-o", "json"], ["logs", "shop-2"]):
        said += desk.call(*words).text
    assert find_marks(said.encode(), [CANARY]) == []
    # The bundle is an artifact, and the chart is in the source: they are what they are.
    kept = [*desk.folder.glob(".gennaker/state.db*"), *desk.folder.glob(".gennaker/logs/**/*")]
    assert any(each.name == "state.db" for each in kept)
    assert [each for each in kept if each.is_file() and CANARY.encode() in each.read_bytes()] == []
    assert find_marks((desk.folder / ".gennaker/state.db").read_bytes(), [CANARY]) == []
