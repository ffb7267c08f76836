"""``helm.template``: a chart to a bundle of objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from gennaker.checks import Check
from gennaker.errors import PermanentError
from gennaker.stage import PlanContext
from gennaker_stages.helm.sources import ChartInputs, find_chart
from gennaker_stages.kubernetes.bundle.objects import SUBDOMAIN, Namespace
from gennaker_stages.kubernetes.bundle.writing import BundleOutputs, BundleStage, Rendered
from gennaker_stages.registry.credentials import CredentialsInput

__all__ = ["HelmTemplate"]

# What Helm 4.2 says when nobody says otherwise; fixed here, so that no upgrade changes a bundle.
KUBE_VERSION = "1.36.0"
MAX_RELEASE = 53
_API = r"^[^/\s]+(/[^/\s]+){0,2}$"


class HelmTemplate(BundleStage):
    """Render a Helm chart to a bundle of Kubernetes objects.

    The chart is a folder or an archive of the source, or is fetched from a chart repository or a
    registry. Hooks belong to the bundle, with their annotations; tests only when asked for.
    """

    name = "helm.template"

    class Inputs(ChartInputs):
        """What to render, and with which values."""

        values: tuple[str | dict[str, Any], ...] = Field(
            default=(), description="Values files and mappings; a later one wins"
        )
        set: dict[str, Any] = Field(
            default_factory=dict,
            description="Single values over those, as '--set-json' does; 'a.b[0]' as a key",
        )
        set_string: dict[str, str | bool | int | float] = Field(
            default_factory=dict, description="Single values over those, always as text"
        )
        set_file: dict[str, str] = Field(
            default_factory=dict,
            description="Single values over all others: the content of files of the source",
        )
        release: str | None = Field(
            default=None, description="Release name; the pipeline's name unless given"
        )
        namespace: Namespace | None = Field(
            default=None, description="Namespace; the environment's unless given"
        )
        is_upgrade: bool = Field(
            default=False, description="Whether charts see an upgrade instead of an install"
        )
        include_crds: bool = Field(
            default=True, description="Whether 'crds/' belongs to the bundle"
        )
        include_tests: bool = Field(
            default=False, description="Whether hooks that are tests belong to the bundle"
        )
        kube_version: str | None = Field(
            default=None,
            pattern=r"^v?[0-9]+\.[0-9]+(\.[0-9]+)?([-+][0-9A-Za-z.+-]+)?$",
            description="What charts see as the cluster's version, like '1.33.0'; that of the "
            f"environment's cluster unless given, {KUBE_VERSION} where there is none",
        )
        api_versions: tuple[Annotated[str, StringConstraints(pattern=_API)], ...] = Field(
            default=(),
            description="API versions charts see as offered, 'apps/v1' or 'apps/v1/Deployment', beside "
            "the cluster's and Helm's own",
        )
        local_charts: tuple[str, ...] = Field(
            default=(),
            description="Folders of other charts that are dependencies by 'file://'",
        )
        dependency_credentials: dict[str, CredentialsInput] = Field(
            default_factory=dict,
            description="Credentials for repositories of dependencies, by their addresses",
        )

    class Outputs(BundleOutputs):
        """A bundle, and which chart it is of."""

        version: str = Field(description="Version of the chart")
        digest: str = Field(
            description="Digest of the archive of a chart that was fetched, else empty"
        )

    @classmethod
    def check_machine(cls, *, seconds: float) -> Iterator[Check]:
        """Look for Helm's library, or the command."""
        from gennaker_stages.helm.rendering import check_helm

        return check_helm(seconds)

    def list_sources(self, inputs: Inputs) -> list[str]:
        """The chart with its local dependencies, and the files of values."""
        chart = () if inputs.is_fetched else (inputs.chart,)
        files = (each for each in inputs.values if isinstance(each, str))
        return [*chart, *inputs.local_charts, *files, *inputs.set_file.values()]

    def describe(self, inputs: Inputs) -> str:
        """Name what is rendered."""
        return f"render {inputs.shown}"

    def render(self, inputs: Inputs, ctx: PlanContext) -> Rendered:
        """Fetch what is missing, and render in a worker process."""
        from gennaker_stages.helm.chart import check_chart, read_metadata
        from gennaker_stages.helm.dependencies import complete_chart
        from gennaker_stages.helm.layers import (
            collect_values,
            explain_schema,
            read_layer,
            set_layers,
        )
        from gennaker_stages.helm.rendering import (
            RenderRequest,
            prepare_renderer,
            render_chart,
        )

        prepare_renderer()
        release = _name_release(inputs, ctx)
        layers = [read_layer(ctx.source, each, at) for at, each in enumerate(inputs.values)]
        layers += set_layers(ctx.source, inputs.set, inputs.set_string, inputs.set_file)
        chart = find_chart(inputs, ctx.source, ctx.cache)
        kube_version, api_versions = _find_versions(inputs, ctx)
        with complete_chart(
            chart, ctx.cache, inputs.dependency_credentials, inputs.local_charts
        ) as folder:
            check_chart(folder, chart.shown, kube_version)
            metadata = read_metadata(folder, chart.shown)
            request = RenderRequest(
                chart=folder,
                shown=chart.shown,
                values=collect_values(layers),
                release=release,
                namespace=inputs.namespace or _find_namespace(ctx) or "default",
                kube_version=kube_version,
                api_versions=api_versions,
                include_crds=inputs.include_crds,
                include_tests=inputs.include_tests,
                is_upgrade=inputs.is_upgrade,
            )
            try:
                documents = render_chart(request)
            except PermanentError as error:
                if error.code != "helm-schema":
                    raise
                name = str(metadata.get("name"))
                raise explain_schema(error.message, name, chart.shown, layers) from error
        version = str(metadata.get("version") or "")
        return Rendered(documents, {"version": version, "digest": chart.digest or ""})


def _name_release(inputs: HelmTemplate.Inputs, ctx: PlanContext) -> str:
    release = inputs.release or ctx.run.pipeline.replace("_", "-")
    if len(release) > MAX_RELEASE or not SUBDOMAIN.fullmatch(release):
        raise PermanentError(
            f"{release!r} is not a release name",
            code="helm-release",
            hint=f"give 'release': lower-case letters, digits and '-', at most {MAX_RELEASE}",
        )
    return release


def _find_versions(inputs: HelmTemplate.Inputs, ctx: PlanContext) -> tuple[str, tuple[str, ...]]:
    """Return the cluster's version and API versions as the chart is to see them."""
    from gennaker_stages.helm.capabilities import read_capabilities

    if inputs.kube_version is not None:
        return inputs.kube_version, inputs.api_versions
    found = read_capabilities(ctx)
    if found is None:
        return KUBE_VERSION, inputs.api_versions
    return found.kube_version, (*found.api_versions, *inputs.api_versions)


def _find_namespace(ctx: PlanContext) -> str | None:
    if ctx.environment is None:
        return None
    found = ctx.environment.settings.get("namespace")
    return found if isinstance(found, str) else None
