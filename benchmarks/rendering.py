"""Charts rendered in warm workers, beside Helm's own library and the ``helm`` binary with the same charts.

Built once: the binary of the tests (some minutes).
"""

from __future__ import annotations

import itertools
import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.measuring import Measurement, time_calls
from gennaker.testing import FakeContext
from gennaker_stages.helm.template_stage import HelmTemplate
from tests.fixtures.go_build import HELM, build_once

__all__ = ["measure"]

CHARTS = 100
WORKERS = 2
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}, labels: {app: web}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: {{ .Values.image | quote }}
          ports: [{containerPort: 8080}]
          env: {{- toYaml .Values.env | nindent 12 }}
"""
OTHERS = """\
apiVersion: v1
kind: Service
metadata: {name: {{ .Release.Name }}}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}}
data: {replicas: {{ .Values.replicas | quote }}}
"""
VALUES = {"replicas": 2, "image": "r.test/web:1", "env": [{"name": "A", "value": "b"}]}


def measure() -> list[Measurement]:
    """Measure one chart in a warm worker, and a hundred on two cores."""
    helm = build_once(HELM) / "helm"
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        context = FakeContext(root)
        charts = [_write_chart(context.source, number) for number in range(CHARTS)]
        own = time_calls(_make_library_call(context.source / charts[0]), runs=50, warm_up=5)
        # Each time with another value: a bundle that is stored already costs less.
        values = itertools.count(3)
        warm = time_calls(lambda: _render(context, charts[0], next(values)), runs=50, warm_up=5)
        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(lambda chart: _render(context, chart, 1), charts))
            started = time.perf_counter()
            list(pool.map(lambda chart: _render(context, chart, 2), charts))
            ours = time.perf_counter() - started
            started = time.perf_counter()
            list(pool.map(lambda chart: _run_binary(helm, context.source / chart), charts))
            binary = time.perf_counter() - started
    return [
        Measurement("render a chart, warm worker", warm, "ms", 5.0 + own, own, "Helm's library"),
        Measurement(
            f"render {CHARTS} charts on {WORKERS} cores", ours, "s", 0.1 * binary, binary, "helm"
        ),
    ]


def _write_chart(source: Path, number: int) -> str:
    chart = source / f"chart-{number}"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text(f"apiVersion: v2\nname: web-{number}\nversion: 1.0.0\n")
    (chart / "values.yaml").write_text(json.dumps(VALUES))
    (chart / "templates" / "deployment.yaml").write_text(DEPLOYMENT)
    (chart / "templates" / "others.yaml").write_text(OTHERS)
    return chart.name


def _render(context: FakeContext, chart: str, replicas: int) -> None:
    values = ({"replicas": replicas},)
    HelmTemplate().run(HelmTemplate.Inputs(chart=chart, release="web", values=values), context)


def _run_binary(helm: Path, chart: Path) -> None:
    argv = [helm, "template", "web", chart, "--set=replicas=2"]
    subprocess.run(argv, check=True, capture_output=True)


def _make_library_call(chart: Path) -> Callable[[], Any]:
    """Return a call of the library itself: load, render, close; in this process."""
    from helm_python.chart import Chart

    def render() -> dict[str, str]:
        with Chart.load(chart) as loaded:
            return loaded.render({}, name="web", namespace="default")

    return render
