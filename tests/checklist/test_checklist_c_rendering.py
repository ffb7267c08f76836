"""Hostile charts: what of items 32 to 38 has no test beside the module it is about."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gennaker.stage import Succeeded
from gennaker_stages.helm.template_stage import HelmTemplate
from tests.fixtures.stage_context import StageContext

CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\n"
DEPENDENCY = "dependencies: [{name: sub, version: 0.1.0, condition: sub.enabled}]\n"


def test_checklist_33_one_chart_with_other_conditions_at_once(tmp_path: Path) -> None:
    """Renderings of one chart in parallel never see each other's switched-off parts."""
    context = StageContext(tmp_path)
    context.write(
        {
            "chart/Chart.yaml": "apiVersion: v2\nname: web\nversion: 0.1.0\n" + DEPENDENCY,
            "chart/values.yaml": "sub: {enabled: true}\n",
            "chart/templates/config.yaml": CONFIG % "own",
            "chart/charts/sub/Chart.yaml": "apiVersion: v2\nname: sub\nversion: 0.1.0\n",
            "chart/charts/sub/templates/config.yaml": CONFIG % "sub",
        }
    )

    def render(enabled: bool) -> list[str]:
        inputs = HelmTemplate.Inputs.model_validate(
            {"chart": "chart", "set": {"sub.enabled": enabled}}
        )
        outcome = HelmTemplate().run(inputs, context)
        assert isinstance(outcome, Succeeded)
        return sorted(dict(outcome.outputs)["objects"])

    asked = [True, False, True, False, False, True]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(render, asked))
    both = ["ConfigMap/own", "ConfigMap/sub"]
    assert found == [both if enabled else both[:1] for enabled in asked]
