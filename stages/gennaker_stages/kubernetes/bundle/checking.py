"""What is wrong with a bundle, found before anything is applied: every problem, with its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gennaker.errors import PermanentError, Problem
from gennaker.records import dataclass
from gennaker.suggestions import suggest
from gennaker_stages.kubernetes.bundle.fields import check_fields, drop_nulls
from gennaker_stages.kubernetes.bundle.images import find_images, is_pinned
from gennaker_stages.kubernetes.bundle.objects import Object, group_of, key_of
from gennaker_stages.kubernetes.bundle.openapi import Schemas, compact_schema
from gennaker_stages.kubernetes.bundle.ordering import read_wave
from gennaker_stages.kubernetes.bundle.reading import Item
from gennaker_stages.kubernetes.bundle.removed import find_replacement

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.client.cluster import Cluster

__all__ = ["BundleError", "Checker"]

Path = tuple[str | int, ...]
_SHOWN = 20


class BundleError(PermanentError):
    """A bundle that cannot be deployed as it is; ``problems`` has all that is wrong."""

    code = "bundle"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        if len(problems) == 1:
            (only,) = problems
            super().__init__(only.message, code=only.code, hint=only.hint, location=only.location)
            return
        told = [str(each) for each in problems[:_SHOWN]]
        if len(problems) > _SHOWN:
            told.append(f"and {len(problems) - _SHOWN} more")
        super().__init__("\n".join([f"the bundle has {len(problems)} problems", *told]))

    def tell(self, log: Callable[[str], None]) -> PermanentError:
        """Write many problems into a log, a line each, and return the error that is left to tell."""
        if len(self.problems) == 1:
            return self
        for each in self.problems:
            log(str(each))
        count = f"the bundle has {len(self.problems)} problems"
        return PermanentError(count, code=self.code, hint="the log has each of them")


@dataclass(frozen=True, slots=True)
class _Definition:
    """What a CustomResourceDefinition of the bundle says of its kind."""

    namespaced: bool
    versions: Mapping[str, Mapping[str, Any]]


class Checker:
    """Places and checks the items of one bundle against one cluster.

    Args:
        cluster: whose kinds count, and whose settings say what the environment demands.
        schemas: the fields of its kinds.
        items: the bundle; its definitions and namespaces count as being there.
    """

    def __init__(self, cluster: Cluster, schemas: Schemas, items: Sequence[Item]) -> None:
        self._cluster = cluster
        self._schemas = schemas
        self._items = items
        self._definitions = dict(_read_definitions(each.body for each in items))
        settings = cluster.settings
        self._open = "*" in settings.namespaces
        self._namespaces = {
            settings.namespace,
            *settings.namespaces,
            *(each.body["metadata"]["name"] for each in items if each.body["kind"] == "Namespace"),
        }
        self.problems: list[Problem] = []

    def place(self) -> list[Item]:
        """Return the items with their namespaces put in; what is wrong is added to ``problems``."""
        placed = [self._place(each) for each in self._items]
        self._find_twice(placed)
        return placed

    def _place(self, item: Item) -> Item:
        body = item.body
        self._check_wave(item)
        if self._cluster.settings.require_digests:
            self._check_images(item)
        namespaced = self._find_scope(item)
        if namespaced is None:
            return item
        item = self._fit_fields(item)
        body = item.body
        namespace = body["metadata"].get("namespace")
        if not namespaced and namespace:
            self._tell(
                item,
                ("metadata", "namespace"),
                "bundle-scope",
                f"has namespace {namespace!r}, but {body['kind']} belongs to the whole cluster",
                "take the namespace out",
            )
        elif namespaced and namespace and not self._open and namespace not in self._namespaces:
            self._tell(
                item,
                ("metadata", "namespace"),
                "bundle-namespace",
                f"is for namespace {namespace!r}, the environment is "
                f"{self._cluster.settings.namespace!r}",
                f"take it out, or allow it in the environment: 'namespaces: [{namespace}]'",
            )
        if not namespaced or namespace:
            return item
        metadata = {**body["metadata"], "namespace": self._cluster.settings.namespace}
        return replace(item, body={**body, "metadata": metadata})

    def _find_scope(self, item: Item) -> bool | None:
        """Return whether the kind is namespaced; None, and a problem, for an unknown one."""
        api_version, kind = item.body["apiVersion"], item.body["kind"]
        definition = self._definitions.get((group_of(api_version), kind))
        if definition is not None and api_version.rpartition("/")[2] in definition.versions:
            return definition.namespaced
        try:
            return bool(self._cluster.find_resource(api_version, kind).namespaced)
        except PermanentError as error:
            if error.code != "unknown-kind":
                raise
        removed = find_replacement(api_version, kind)
        if removed is not None:
            release, successor = removed
            told = f"{api_version} {kind} was removed in Kubernetes {release}"
            hint = f"write 'apiVersion: {successor}'" if successor else "nothing took its place"
            self._tell(item, ("apiVersion",), "removed-kind", told, hint)
            return None
        told = f"the cluster does not know kind {kind!r} of {api_version!r}"
        self._tell(item, ("kind",), "unknown-kind", told, self._suggest_kind(api_version, kind))
        return None

    def _suggest_kind(self, api_version: str, kind: str) -> str:
        install = "install its CustomResourceDefinition first, or correct apiVersion and kind"
        discovery = self._cluster.discovery
        for other in discovery.api_versions():
            if kind in discovery.kinds(other):
                return f"did you mean 'apiVersion: {other}'?"
        return suggest(kind, discovery.kinds(api_version), otherwise=install) or install

    def _fit_fields(self, item: Item) -> Item:
        """Check the fields of an item; returns it without those that are null and thus not set."""
        types: Mapping[str, Any] = {}
        api_version, kind = item.body["apiVersion"], item.body["kind"]
        definition = self._definitions.get((group_of(api_version), kind))
        if definition is not None:
            schema = definition.versions.get(api_version.rpartition("/")[2]) or {}
            node: Mapping[str, Any] = compact_schema(schema)
            if "properties" in node:
                free: Mapping[str, Any] = {"apiVersion": {}, "kind": {}, "metadata": {}}
                node = {**node, "properties": {**node["properties"], **free}}
        else:
            known = self._schemas.find(api_version, kind)
            if known is None:
                return item
            node, types = known
        for each in check_fields(item.body, node, types):
            self._tell(item, each.path, each.code, each.message, each.hint)
        return replace(item, body=drop_nulls(item.body, node, types))

    def _check_wave(self, item: Item) -> None:
        try:
            read_wave(item.body)
        except ValueError as error:
            where = ("metadata", "annotations")
            self._tell(item, where, "bundle-wave", str(error), 'write a number in quotes: "1"')

    def _check_images(self, item: Item) -> None:
        for path, where, image in find_images(item.body):
            if not is_pinned(image):
                told = f"{where} has the image {image!r}, which is not pinned by its digest"
                hint = "write 'NAME@sha256:…': the environment demands it (require_digests)"
                self._tell(item, path, "image-digest", told, hint)

    def _find_twice(self, items: Iterable[Item]) -> None:
        first: dict[tuple[str, ...], Item] = {}
        for each in items:
            before = first.setdefault(key_of(each.body), each)
            if before is each:
                continue
            place = before.locate()
            source = before.origin.source if before.origin is not None else None
            told = f"is there twice; first {f'at {place}' if place else 'as a secret of the stage'}"
            told += f" ({source})" if source else ""
            self._tell(each, (), "bundle-twice", told, "take one out, or rename it")

    def _tell(self, item: Item, path: Path, code: str, message: str, hint: str | None) -> None:
        place = item.locate(path, key=code == "unknown-field")
        self.problems.append(Problem(code, f"{item.shown}: {message}", place, hint))


def _read_definitions(
    objects: Iterable[Object],
) -> Iterator[tuple[tuple[str, str], _Definition]]:
    for each in objects:
        spec = each.get("spec")
        if each["kind"] != "CustomResourceDefinition" or not isinstance(spec, dict):
            continue
        names = spec.get("names")
        kind = names.get("kind") if isinstance(names, dict) else None
        versions = {
            str(version.get("name")): (version.get("schema") or {}).get("openAPIV3Schema") or {}
            for version in spec.get("versions") or ()
            if isinstance(version, dict) and version.get("served", True)
        }
        key = (str(spec.get("group")), str(kind))
        yield key, _Definition(spec.get("scope") == "Namespaced", versions)
