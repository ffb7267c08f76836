"""What makes bundles: documents with where each is from, and the stage types that render them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field

from gennaker.errors import PermanentError
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
from gennaker_stages.kubernetes.bundle.masking import hide_secret
from gennaker_stages.kubernetes.bundle.objects import Object, name_of

__all__ = [
    "BUNDLE_MEDIA_TYPE",
    "MAX_BUNDLE",
    "BundleOutputs",
    "BundleStage",
    "Document",
    "Rendered",
    "join_documents",
    "read_documents",
]

BUNDLE_MEDIA_TYPE = "application/vnd.gennaker.bundle.v1+yaml"
MAX_BUNDLE = 10 << 20
_OPENING = re.compile(r"\A---[ \t]*(?:\n|\Z)?")


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a bundle: its text as written, its objects, the file it is from."""

    source: str
    text: str
    objects: Sequence[Object]


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
        return [name_of(body) for each in self.documents for body in each.objects]


def read_documents(content: bytes, source: str) -> list[Document]:
    """Return the documents of a YAML text that have objects, each with its text.

    Raises:
        BundleError: with every problem: what is no YAML, what is no object.
    """
    from gennaker_stages.kubernetes.bundle.checking import BundleError
    from gennaker_stages.kubernetes.bundle.reading import read_items

    items, problems = read_items(content, source)
    if problems:
        raise BundleError(problems)
    found: dict[int, tuple[str, list[Object]]] = {}
    for each in items:
        if each.origin is not None:
            text = _OPENING.sub("", each.origin.text)
            found.setdefault(each.origin.line, (text, []))[1].append(each.body)
    return [Document(source, text, objects) for text, objects in found.values()]


def join_documents(documents: Iterable[Document]) -> bytes:
    """Return a bundle's bytes: each document with where it is from.

    Raises:
        PermanentError: code ``bundle-size``.
    """
    parts = []
    for each in documents:
        end = "" if each.text.endswith("\n") else "\n"
        parts.append(f"---\n# Source: {each.source}\n{each.text}{end}")
    content = "".join(parts).encode("utf-8", "surrogateescape")
    if len(content) > MAX_BUNDLE:
        raise PermanentError(
            f"the bundle has {len(content)} bytes, more than {MAX_BUNDLE}",
            code="bundle-size",
            hint="deploy it in parts",
        )
    return content


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
        done = self.render(inputs, ctx)
        bundle = ctx.artifacts.put(join_documents(done.documents), media_type=BUNDLE_MEDIA_TYPE)
        objects = [hide_secret(dict(body)) for each in done.documents for body in each.objects]
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
            for body in each.objects:
                ctx.log(f"{name_of(body)}  ({each.source})")
        return Succeeded({"bundle": bundle, "objects": done.names, **done.outputs})
