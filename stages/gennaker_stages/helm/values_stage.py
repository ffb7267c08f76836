"""``helm.values``: what a chart is, which versions there are, and what its values are by default."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from gennaker.stage import (
    Artifact,
    Change,
    Context,
    Outcome,
    Plan,
    PlanContext,
    Stage,
    StageOutputs,
    Succeeded,
)
from gennaker_stages.helm.sources import ChartInputs, find_chart, list_versions

__all__ = ["HelmValues"]

MEDIA_TYPE = "application/yaml"
# An output is bounded; the file has all of it.
MAX_VALUES = 48 << 10
SHOWN_VERSIONS = 20


class HelmValues(Stage):
    """Read a chart's default values, its version and which versions there are; nothing is rendered."""

    name = "helm.values"

    class Inputs(ChartInputs):
        """Which chart."""

    class Outputs(StageOutputs):
        """What the chart says of itself."""

        name: str = Field(description="The chart's name")
        version: str = Field(description="Its version")
        app_version: str = Field(description="Version of what it installs, as it says")
        digest: str = Field(description="Digest of the archive when it was fetched, else empty")
        versions: list[str] = Field(
            description=f"The newest {SHOWN_VERSIONS} versions where it was fetched from"
        )
        values: dict[str, Any] = Field(
            description=f"Its default values; empty when they have more than {MAX_VALUES >> 10} KiB"
        )
        file: Artifact = Field(description="Its values.yaml, with the comments")

    def list_sources(self, inputs: Inputs) -> list[str]:
        """The chart."""
        return [] if inputs.is_fetched else [inputs.chart]

    def plan(self, inputs: Inputs, ctx: PlanContext) -> Plan:
        """Read them: nothing is changed by it."""
        outputs, file = _read(inputs, ctx)
        return Plan(
            changes=(Change("run", f"read the values of {inputs.shown}", outputs["version"]),),
            desired=outputs,
            outputs={**outputs, "file": file.model_dump(mode="json")},
        )

    def run(self, inputs: Inputs, ctx: Context) -> Outcome:
        """Read them, and show them in the log."""
        outputs, file = _read(inputs, ctx)
        ctx.log(f"{outputs['name']} {outputs['version']}  (app {outputs['app_version'] or '?'})")
        if outputs["versions"]:
            ctx.log(f"versions: {', '.join(outputs['versions'])}")
        with ctx.artifacts.open(file) as stream:
            ctx.log(stream.read(MAX_VALUES).decode("utf-8", "replace"), stream="stdout")
        return Succeeded({**outputs, "file": file})


def _read(inputs: HelmValues.Inputs, ctx: PlanContext) -> tuple[dict[str, Any], Artifact]:
    from gennaker.canonical import canonical_json
    from gennaker_stages.helm.chart import check_links, read_mapping, read_metadata

    chart = find_chart(inputs, ctx.source, ctx.cache)
    metadata = read_metadata(chart.folder, chart.shown)
    check_links(chart.folder, chart.shown)
    path = chart.folder / "values.yaml"
    content = path.read_bytes() if path.is_file() else b""
    values = read_mapping(path, f"{chart.shown}/values.yaml") if content else {}
    is_small = len(canonical_json(values)) <= MAX_VALUES
    outputs = {
        "name": str(metadata.get("name") or ""),
        "version": str(metadata.get("version") or ""),
        "app_version": str(metadata.get("appVersion") or ""),
        "digest": chart.digest or "",
        "versions": list_versions(inputs, ctx.cache)[:SHOWN_VERSIONS],
        "values": values if is_small else {},
    }
    return outputs, ctx.artifacts.put(content, media_type=MEDIA_TYPE, name="values.yaml")
