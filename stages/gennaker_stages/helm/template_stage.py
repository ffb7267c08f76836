"""``helm.template``: a local chart to a bundle of objects."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import Field

from gennaker.errors import PermanentError
from gennaker.paths import join_inside
from gennaker.stage import PlanContext, StageInputs
from gennaker_stages.helm.bundle import split_templates
from gennaker_stages.kubernetes.bundle.writing import BundleStage, Document, Rendered

__all__ = ["HelmTemplate"]

# What Helm 4.2 says when nobody says otherwise; fixed here, so that no upgrade changes a bundle.
KUBE_VERSION = "1.36.0"
MAX_RELEASE = 53
_RELEASE = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


class HelmTemplate(BundleStage):
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
            description="Single values over all others, as '--set-json' does; 'a.b[0]' as a key",
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
        kube_version: str = Field(
            default=KUBE_VERSION,
            pattern=r"^v?[0-9]+\.[0-9]+(\.[0-9]+)?([-+][0-9A-Za-z.+-]+)?$",
            description="What charts see as the cluster's version, like '1.33.0'",
        )
        api_versions: tuple[str, ...] = Field(
            default=(), description="API versions charts see as offered by the cluster"
        )

    def list_sources(self, inputs: Inputs) -> list[str]:
        """The chart and the files of values."""
        return [inputs.chart, *(each for each in inputs.values if isinstance(each, str))]

    def describe(self, inputs: Inputs) -> str:
        """Name what is rendered."""
        return f"render {inputs.chart}"

    def render(self, inputs: Inputs, ctx: PlanContext) -> Rendered:
        """Render in a worker process."""
        return Rendered(_render(inputs, ctx))


def _render(inputs: HelmTemplate.Inputs, ctx: PlanContext) -> list[Document]:
    from gennaker_stages.helm.chart import check_chart
    from gennaker_stages.helm.rendering import RenderRequest, render_chart

    chart = join_inside(ctx.source, inputs.chart)
    check_chart(chart, inputs.chart, inputs.kube_version)
    release = inputs.release or ctx.run.pipeline.replace("_", "-")
    if len(release) > MAX_RELEASE or not _RELEASE.fullmatch(release):
        raise PermanentError(
            f"{release!r} is not a release name",
            code="helm-release",
            hint=f"give 'release': lower-case letters, digits and '-', at most {MAX_RELEASE}",
        )
    rendered = render_chart(
        RenderRequest(
            chart=chart,
            shown=inputs.chart,
            values=_collect_values(inputs, ctx.source),
            release=release,
            namespace=inputs.namespace or _find_namespace(ctx) or "default",
            kube_version=inputs.kube_version,
            api_versions=inputs.api_versions,
            include_crds=inputs.include_crds,
        )
    )
    return split_templates(rendered)


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
