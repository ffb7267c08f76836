"""From a bundle's bytes to the objects that are applied: read, checked, normalised, in waves.

The one door: what a plan shows and what a deploy applies both come from here, so they are the same.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gennaker.canonical import digest_of
from gennaker.errors import PermanentError, Problem
from gennaker.records import dataclass
from gennaker_stages.kubernetes.bundle.binding import bind_images
from gennaker_stages.kubernetes.bundle.checking import BundleError, Checker
from gennaker_stages.kubernetes.bundle.hooks import Hook, split_hooks
from gennaker_stages.kubernetes.bundle.masking import LAST_APPLIED, hide_secret, is_secret
from gennaker_stages.kubernetes.bundle.objects import Object
from gennaker_stages.kubernetes.bundle.openapi import Schemas
from gennaker_stages.kubernetes.bundle.ordering import group_waves
from gennaker_stages.kubernetes.bundle.reading import Item, read_items
from gennaker_stages.kubernetes.bundle.versions import name_versions
from gennaker_stages.kubernetes.client.connection import Request

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.client.cluster import Cluster

__all__ = ["Bundle", "Shape", "normalize_object", "open_schemas", "prepare_bundle"]

# What a server writes and nobody may: manifests that were read from a cluster have it.
_OF_THE_SERVER = frozenset(
    {"creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"}
)


@dataclass(frozen=True, slots=True)
class Bundle:
    """The objects that are to be there.

    Attributes:
        waves: in the order in which they are applied, each wave in order, too.
        sources: the template or file of each object that has one, by ``id`` of the object.
        hooks: what is applied around them, and is none of them.
    """

    waves: Sequence[Sequence[Object]]
    sources: dict[int, str] = field(default_factory=dict)
    hooks: Sequence[Hook] = ()

    @property
    def objects(self) -> list[Object]:
        """All of them, in order."""
        return [each for wave in self.waves for each in wave]

    @property
    def everything(self) -> list[Object]:
        """The objects, then those of the hooks."""
        return [*self.objects, *(each.body for each in self.hooks)]

    def replace_objects(self, make: Callable[[Object], Object]) -> Bundle:
        """Return the bundle with what ``make`` returns for each object in its place."""
        waves: list[list[Object]] = []
        sources: dict[int, str] = {}
        for wave in self.waves:
            made = [(id(each), make(each)) for each in wave]
            sources |= {id(new): self.sources[old] for old, new in made if old in self.sources}
            waves.append([new for _, new in made])
        return replace(self, waves=waves, sources=sources)

    def desired(self) -> list[Object]:
        """Return the objects as they count in a plan's digest: a Secret's values by their keys."""
        return [hide_secret(each) for each in self.everything]

    def digest(self) -> str:
        """Return the digest of :meth:`desired`."""
        return digest_of({"objects": self.desired()})


@dataclass(frozen=True, slots=True)
class Shape:
    """What a deploy makes of a bundle's objects.

    Attributes:
        more: objects that the stage itself adds.
        images: names of images, to the references that take their places.
        versions: whether ConfigMaps and Secrets get their content into their names.
    """

    more: Sequence[Object] = ()
    images: Mapping[str, str] = field(default_factory=dict)
    versions: bool = False


def prepare_bundle(
    content: bytes, cluster: Cluster, *, cache: Path, shape: Shape | None = None
) -> Bundle:
    """Read, check and order a bundle; nothing is changed anywhere.

    Args:
        content: a multi-document YAML.
        cluster: where it is to go.
        cache: a folder to keep the cluster's schemas in.
        shape: what is made of the objects; nothing unless given.

    Raises:
        BundleError: with every problem of the bundle.
        StageError: when the cluster cannot be asked.
    """
    shape = shape or Shape()
    items, problems = read_items(content, "bundle")
    items += [Item(each) for each in shape.more]
    if not items and not problems:
        raise PermanentError("the bundle has no objects", code="bundle-empty")

    schemas = open_schemas(cluster, cache)
    items = [replace(each, body=normalize_object(each.body)) for each in items]
    if shape.images:
        items, wrong = bind_images(items, shape.images)
        problems += wrong
    checker = Checker(cluster, schemas, items)
    placed = checker.place()
    problems += checker.problems
    if shape.versions and not problems:
        placed = name_versions(placed)
    placed, hooks, wrong = split_hooks(placed)
    problems += wrong
    if problems:
        raise BundleError(sorted(problems, key=_find_place))
    waves = group_waves(each.body for each in placed)
    sources = {
        id(each.body): each.origin.source
        for each in placed
        if each.origin is not None and each.origin.source is not None
    }
    return Bundle(waves, sources, hooks)


def open_schemas(cluster: Cluster, cache: Path) -> Schemas:
    """Return the schemas of a cluster's kinds, kept in a folder of the cache."""

    def fetch(path: str) -> dict[str, Any]:
        told = f"read {path.partition('?')[0]}"
        return cluster.connection.request(Request("GET", path, told))

    return Schemas(fetch, cache / "openapi")


def _find_place(problem: Problem) -> tuple[int, int]:
    """Return where a problem is, to tell problems in the order of the bundle; unplaced ones last."""
    place = problem.location
    return (place.line or 0, place.column or 0) if place is not None else (sys.maxsize, 0)


def normalize_object(body: Object) -> Object:
    """Return an object without what only a server writes, and a Secret with ``data`` alone.

    A server turns ``stringData`` into ``data`` but forgets whose it was, so that a key taken out of it
    would stay for ever.
    """
    metadata = {
        name: value for name, value in body["metadata"].items() if name not in _OF_THE_SERVER
    }
    annotations = metadata.get("annotations")
    if annotations and LAST_APPLIED in annotations:
        metadata["annotations"] = {
            name: value for name, value in annotations.items() if name != LAST_APPLIED
        }
    body = {**body, "metadata": metadata}
    plain = body.get("stringData")
    if is_secret(body) and isinstance(plain, dict):
        if not all(isinstance(each, str) for each in plain.values()):
            return body  # its check says which
        del body["stringData"]
        written = {key: _encode(value) for key, value in plain.items()}
        body["data"] = {**(body.get("data") or {}), **written}
    return body


def _encode(value: str) -> str:
    return base64.b64encode(value.encode("utf-8", "surrogateescape")).decode()
