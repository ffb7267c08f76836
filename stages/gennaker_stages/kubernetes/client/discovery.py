"""Which kinds a cluster knows and where their objects live; asked once, and again for what is unknown."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from typing import Any

from gennaker.errors import StageError
from gennaker.records import dataclass
from gennaker_stages.kubernetes.client.connection import Connection, Request
from gennaker_stages.kubernetes.client.problems import has_status

__all__ = ["Discovery", "Resource"]

# Everything in two answers, where the server offers it (from 1.26 on); else a version at a time.
_AGGREGATED = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,"
    "application/json"
)


@dataclass(frozen=True, slots=True)
class Resource:
    """Where objects of a kind live: ``prefix`` is ``/api/v1`` or ``/apis/GROUP/VERSION``."""

    prefix: str
    plural: str
    kind: str
    namespaced: bool
    verbs: frozenset[str] = field(default=frozenset(), compare=False)
    subresources: frozenset[str] = field(default=frozenset(), compare=False)
    short_names: frozenset[str] = field(default=frozenset(), compare=False)

    def path(self, namespace: str | None, name: str | None = None) -> str:
        """Return the path of the collection, or of one object."""
        inside = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{self.prefix}{inside}/{self.plural}{f'/{name}' if name else ''}"

    def complete(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return an item of a list as the object that it is: the list says version and kind for all."""
        return {"apiVersion": self.api_version, "kind": self.kind, **body}

    @property
    def group(self) -> str:
        """The API group, empty for the core."""
        return self.api_version.rpartition("/")[0]

    @property
    def api_version(self) -> str:
        """As manifests say it: ``v1``, ``apps/v1``."""
        return self.prefix.removeprefix("/apis/").removeprefix("/api/")


Kinds = dict[str, Resource]


class Discovery:
    """What a server offers; safe to use from several threads."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._versions: dict[str, Kinds] = {}
        self._groups: dict[str, list[str]] = {}

    def find(self, api_version: str, kind: str) -> Resource | None:
        """Return where a kind lives, None when the server does not know it now."""
        with self._lock:
            self._load()
            found = self._versions.get(api_version, {}).get(kind)
            if found is None:  # it may be new, or the server does not tell everything at once
                self._versions[api_version] = self._ask(api_version)
                found = self._versions[api_version].get(kind)
            return found

    def find_kind(self, group: str, kind: str) -> Resource | None:
        """Return where a kind lives in the version the server prefers, None when it has none."""
        with self._lock:
            self._load()
            if group not in self._groups:
                self._groups.clear()
                self._load()
            versions = list(self._groups.get(group, ()))
        for version in versions:
            found = self.find(f"{group}/{version}" if group else version, kind)
            if found is not None:
                return found
        return None

    def kinds(self, api_version: str) -> Mapping[str, Resource]:
        """Return every kind of a version, by name; empty when the server has no such version."""
        with self._lock:
            self._load()
            if api_version not in self._versions:
                self._versions[api_version] = self._ask(api_version)
            return dict(self._versions[api_version])

    def api_versions(self) -> Iterator[str]:
        """Yield every version of every group, the preferred one of a group first."""
        with self._lock:
            self._load()
            groups = {group: list(versions) for group, versions in self._groups.items()}
        for group, versions in groups.items():
            for version in versions:
                yield f"{group}/{version}" if group else version

    def list_kinds(self) -> list[str]:
        """Return what is offered as charts know it: ``apps/v1``, and ``apps/v1/Deployment``.

        Of a server that does not tell everything at once, each version is asked for.
        """
        versions = list(self.api_versions())
        return versions + [f"{each}/{kind}" for each in versions for kind in self.kinds(each)]

    def kind_names(self) -> set[str]:
        """Return the names of all kinds, of whatever group."""
        return {kind for each in self.api_versions() for kind in self.kinds(each)}

    def _load(self) -> None:
        if self._groups:
            return
        for path in ("/api", "/apis"):
            answer = self._connection.request(
                Request("GET", path, f"discover {path}", accept=_AGGREGATED)
            )
            for group, version, kinds in _read_groups(answer):
                self._groups.setdefault(group, []).append(version)
                if kinds is not None:
                    self._versions[f"{group}/{version}" if group else version] = kinds

    def _ask(self, api_version: str) -> Kinds:
        prefix = _prefix(api_version)
        try:
            found = self._connection.request(Request("GET", prefix, f"discover {api_version}"))
        except StageError as error:
            if has_status(error, 404):
                return {}
            raise
        parts: dict[str, set[str]] = {}
        for each in found["resources"]:
            plural, _, part = each["name"].partition("/")
            parts.setdefault(plural, set()).add(part)
        return {
            each["kind"]: Resource(
                prefix,
                each["name"],
                each["kind"],
                each["namespaced"],
                frozenset(each["verbs"]),
                frozenset(parts[each["name"]] - {""}),
                frozenset(each.get("shortNames") or ()),
            )
            for each in found["resources"]
            if "/" not in each["name"]
        }


def _prefix(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def _read_groups(answer: Mapping[str, Any]) -> Iterator[tuple[str, str, Kinds | None]]:
    """Yield group, version and, of an aggregated answer, its kinds."""
    if answer.get("kind") == "APIGroupDiscoveryList":
        for group in answer["items"]:
            name = (group.get("metadata") or {}).get("name", "")
            for each in group["versions"]:
                version = each["version"]
                prefix = _prefix(f"{name}/{version}" if name else version)
                yield name, version, _read_kinds(prefix, each.get("resources") or ())
    elif answer.get("kind") == "APIVersions":
        for version in answer["versions"]:
            yield "", version, None
    else:
        for group in answer["groups"]:
            preferred = (group.get("preferredVersion") or {}).get("version")
            versions = [each["version"] for each in group["versions"]]
            versions.sort(key=lambda each, first=preferred: each != first)  # type: ignore[misc]
            for version in versions:
                yield group["name"], version, None


def _read_kinds(prefix: str, resources: Iterable[Mapping[str, Any]]) -> Kinds:
    found = {}
    for each in resources:
        kind = (each.get("responseKind") or {}).get("kind")
        if kind:
            found[kind] = Resource(
                prefix,
                each["resource"],
                kind,
                each["scope"] == "Namespaced",
                frozenset(each.get("verbs") or ()),
                frozenset(part["subresource"] for part in each.get("subresources") or ()),
                frozenset(each.get("shortNames") or ()),
            )
    return found
