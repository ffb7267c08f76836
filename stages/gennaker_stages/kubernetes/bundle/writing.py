"""What the stage types that make bundles share: what they give, plan, store and log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from pydantic import Field

from gennaker.records import dataclass
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
from gennaker_stages.kubernetes.bundle.documents import Document, join_documents
from gennaker_stages.kubernetes.bundle.masking import hide_secret

__all__ = ["BUNDLE_MEDIA_TYPE", "BundleOutputs", "BundleStage", "Rendered"]

BUNDLE_MEDIA_TYPE = "application/vnd.gennaker.bundle.v1+yaml"


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a stage made.

    Attributes:
        outputs: those beside ``bundle`` and ``objects``.
    """

    documents: Sequence[Document]
    outputs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """``Kind/name`` of each object."""
        return [name for each in self.documents for name in each.names]


class BundleOutputs(StageOutputs):
    """A bundle, for ``kubernetes.deploy`` and what else reads bundles."""

    bundle: Artifact = Field(description="The objects, as one YAML")
    objects: list[str] = Field(description="Kind/name of each object")


class BundleStage(Stage):
    """Make a bundle: a stage type that says only what is rendered, and how."""

    Outputs = BundleOutputs

    def render(self, inputs: Any, ctx: PlanContext) -> Rendered:
        """Return what is rendered; nothing is changed but caches."""
        raise NotImplementedError

    def describe(self, inputs: Any) -> str:
        """Return what is done, for people: ``render deploy/chart``."""
        raise NotImplementedError

    def plan(self, inputs: Any, ctx: PlanContext) -> Plan:
        """Render without keeping anything but the bundle, which later plans read."""
        from gennaker_stages.kubernetes.bundle.reading import read_items

        done = self.render(inputs, ctx)
        content = join_documents(done.documents)
        bundle = ctx.artifacts.put(content, media_type=BUNDLE_MEDIA_TYPE)
        items, _ = read_items(content, "bundle")
        objects = [hide_secret(each.body) for each in items]
        outputs = {**done.outputs, "objects": done.names}
        return Plan(
            changes=(Change("run", self.describe(inputs), ", ".join(done.names)),),
            desired={"objects": objects},
            outputs={"bundle": bundle.model_dump(mode="json"), **outputs},
        )

    def run(self, inputs: Any, ctx: Context) -> Outcome:
        """Render, store the bundle, and log where each object is from."""
        from gennaker_stages.kubernetes.bundle.checking import BundleError

        try:
            done = self.render(inputs, ctx)
        except BundleError as error:
            raise error.tell(ctx.log) from error
        bundle = ctx.artifacts.put(join_documents(done.documents), media_type=BUNDLE_MEDIA_TYPE)
        if not done.documents:
            ctx.log(f"{self.describe(inputs)}: no object")
        for each in done.documents:
            for name in each.names:
                ctx.log(f"{name}  ({each.source})")
        return Succeeded({"bundle": bundle, "objects": done.names, **done.outputs})
