"""``helm.template``: a local chart to a bundle of objects."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import Field

from gennaker.errors import PermanentError
from gennaker.paths import join_inside
from gennaker.stage import (
    Artifact,
    Change,
    Context,
    Outcome,
    Plan,
    PlanContext,
    Stage,
    StageInputs,
    StageOutputs,
    Succeeded,
)
from gennaker_stages.helm.bundle import (
    BUNDLE_MEDIA_TYPE,
    Manifest,
    join_manifests,
    split_templates,
)

__all__ = ["HelmTemplate"]

MAX_OUTPUT = 10 << 20


class HelmTemplate(Stage):
    """Render a Helm chart to a bundle of Kubernetes objects."""

    name = "helm.template"

    class Inputs(StageInputs):
        """What to render, and with which values."""

        chart: str = Field(description="Folder of the chart, relative to the project root")
        values: tuple[str | dict[str, Any], ...] = Field(
            default=(), description="Values files and mappings; a later one wins"
        )
        set: dict[str, Any] = Field(
            default_factory=dict,
            description="Single values over all others; 'a.b[0]' as a key, types are kept",
        )
        release: str | None = Field(
            default=None, description="Release name; the pipeline's name unless given"
        )
        namespace: str | None = Field(
            default=None, description="Namespace; the environment's unless given"
        )
        include_crds: bool = Field(
            default=True, description="Whether 'crds/' belongs to the bundle"
        )
        kube_version: str | None = Field(
            default=None, description="What charts see as the cluster's version, like '1.33.0'"
        )
        api_versions: tuple[str, ...] = Field(
            default=(), description="API versions charts see as offered by the cluster"
        )

    class Outputs(StageOutputs):
        """What was rendered."""

        bundle: Artifact
        objects: list[str]

    def plan(self, inputs: Inputs, ctx: PlanContext) -> Plan:
        """Render without keeping anything but the bundle, which later plans read."""
        manifests = _render(inputs, ctx)
        bundle = ctx.artifacts.put(join_manifests(manifests), media_type=BUNDLE_MEDIA_TYPE)
        names = [each.name for each in manifests]
        return Plan(
            changes=(Change("run", f"render {inputs.chart}", ", ".join(names)),),
            desired={"objects": [dict(each.data) for each in manifests]},
            outputs={"bundle": bundle.model_dump(mode="json"), "objects": names},
        )

    def run(self, inputs: Inputs, ctx: Context) -> Outcome:
        """Render in a worker process and store the bundle."""
        manifests = _render(inputs, ctx)
        content = join_manifests(manifests)
        bundle = ctx.artifacts.put(content, media_type=BUNDLE_MEDIA_TYPE)
        for each in manifests:
            ctx.log(f"{each.name}  ({each.source})")
        return Succeeded({"bundle": bundle, "objects": [each.name for each in manifests]})


def _render(inputs: HelmTemplate.Inputs, ctx: PlanContext) -> list[Manifest]:
    from gennaker_stages.helm.chart import check_chart

    chart = join_inside(ctx.source, inputs.chart)
    check_chart(chart, inputs.chart)
    namespace = inputs.namespace or _find_namespace(ctx) or "default"
    options: dict[str, Any] = {
        "name": inputs.release or ctx.run.pipeline.replace("_", "-"),
        "namespace": namespace,
        "revision": 1,
        "is_install": True,
        "api_versions": list(inputs.api_versions),
    }
    if inputs.kube_version is not None:
        options["kube_version"] = inputs.kube_version
    request = {
        "chart": str(chart),
        "values": _collect_values(inputs, ctx.source),
        "options": options,
    }
    answer = _call_worker(request, inputs.chart)
    rendered: dict[str, str] = dict(answer["rendered"])
    if inputs.include_crds:
        rendered.update({each["filename"]: each["data"] for each in answer["crds"]})
    manifests = split_templates(rendered)
    if sum(len(each.text) for each in manifests) > MAX_OUTPUT:
        raise PermanentError(
            f"chart {inputs.chart!r} renders to more than 10 MiB", code="helm-output"
        )
    return manifests


def _collect_values(inputs: HelmTemplate.Inputs, source: Path) -> dict[str, Any]:
    from gennaker_stages.helm.chart import read_values_file
    from gennaker_stages.helm.values import merge_values, set_value

    values: dict[str, Any] = {}
    for each in inputs.values:
        found = read_values_file(join_inside(source, each), each) if isinstance(each, str) else each
        values = merge_values(values, found)
    for key, value in inputs.set.items():
        values = set_value(values, key, value)
    return values


def _find_namespace(ctx: PlanContext) -> str | None:
    if ctx.environment is None:
        return None
    found = ctx.environment.settings.get("namespace")
    return found if isinstance(found, str) else None


def _call_worker(request: dict[str, Any], shown: str) -> dict[str, Any]:
    from gennaker.process import run

    done = run(
        [sys.executable, "-m", "gennaker_stages.helm.worker"],
        stdin=json.dumps(request).encode(),
        timeout=35,
    )
    if done.code != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise PermanentError(
            f"rendering {shown!r} went past its limits (10 s of CPU, 30 s, 4 GiB) or crashed: "
            f"{said[-1] if said else f'exit {done.code}'}",
            code="helm-render",
            hint="look for an endless range or a very large repeat in its templates",
        )
    answer: dict[str, Any] = json.loads(done.stdout)
    if "error" in answer:
        raise PermanentError(
            f"chart {shown!r} cannot be rendered: {answer['error']}", code="helm-render"
        )
    return answer
