"""What fields the cluster's kinds have, from its OpenAPI v3 documents; kept on disk by their hash.

A server's document of one group version is 0.1 to 1.5 MB of descriptions and paths; what is kept of it
is only names and types, so that reading it again costs milliseconds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gennaker.errors import StageError
from gennaker.files import write_private

__all__ = ["Schemas", "compact_schema"]

Node = Mapping[str, Any]
"""A type: ``type`` (a leaf), or ``properties``, ``items``, ``values`` (of a map) or ``ref``; none of
them for what may be anything. ``nullable`` where null is a value of its own."""

_FORM = 2
"""Changes when what is kept of a document changes."""
_REF = "#/components/schemas/"
# Written as text or number, whatever the document says of them.
_ANYTHING: tuple[str, ...] = (
    "resource.Quantity",
    "intstr.IntOrString",
    "runtime.RawExtension",
    "v1.FieldsV1",
)


class Schemas:
    """The schemas of a cluster's kinds, read when they are first asked for.

    Args:
        fetch: returns the JSON at a path of the API server.
        folder: where to keep what was read.
    """

    def __init__(self, fetch: Callable[[str], Mapping[str, Any]], folder: Path) -> None:
        self._fetch = fetch
        self._folder = folder
        self._index: Mapping[str, str] | None = None
        self._documents: dict[str, Mapping[str, Any]] = {}

    def find(self, api_version: str, kind: str) -> tuple[Node, Mapping[str, Node]] | None:
        """Return a kind's type and the types it may refer to; None where the server tells none."""
        document = self._document(api_version)
        name = document.get("kinds", {}).get(kind)
        return ({"ref": name}, document["types"]) if name is not None else None

    def _document(self, api_version: str) -> Mapping[str, Any]:
        if api_version not in self._documents:
            try:
                self._documents[api_version] = self._read(api_version)
            except StageError:
                # A server without OpenAPI, or an identity that may not read it: the server's own
                # check of each object is what is left.
                self._documents[api_version] = {}
        return self._documents[api_version]

    def _read(self, api_version: str) -> Mapping[str, Any]:
        if self._index is None:
            paths = self._fetch("/openapi/v3").get("paths") or {}
            self._index = {name: str(each["serverRelativeURL"]) for name, each in paths.items()}
        url = self._index.get(f"{'apis' if '/' in api_version else 'api'}/{api_version}")
        if url is None:
            return {}
        mark = hashlib.sha256(f"{_FORM} {url}".encode()).hexdigest()[:32]
        kept = self._folder / f"{mark}.json"
        # Without a hash in it an address may mean another document tomorrow.
        if "hash=" in url:
            try:
                found: Mapping[str, Any] = json.loads(kept.read_bytes())
                return found
            except (OSError, ValueError):
                pass
        found = compact_document(self._fetch(url), api_version)
        _keep(kept, json.dumps(found, separators=(",", ":")).encode())
        return found


def compact_document(document: Mapping[str, Any], api_version: str) -> dict[str, Any]:
    """Return ``{kinds: {KIND: type name}, types: {name: node}}`` of an OpenAPI v3 document."""
    group, _, version = api_version.rpartition("/")
    schemas = (document.get("components") or {}).get("schemas") or {}
    kinds: dict[str, str] = {}
    for name, schema in schemas.items():
        for each in schema.get("x-kubernetes-group-version-kind") or ():
            if (each.get("group"), each.get("version")) == (group, version):
                kinds[each["kind"]] = name
    types = {name: _compact_type(name, schema) for name, schema in schemas.items()}
    return {"kinds": kinds, "types": types}


def compact_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the node of a schema: of a document, or of a CustomResourceDefinition."""
    node = _compact(schema)
    return {**node, "nullable": True} if node and schema.get("nullable") else node


def _compact(schema: Mapping[str, Any]) -> dict[str, Any]:
    if schema.get("x-kubernetes-int-or-string") or schema.get("format") == "int-or-string":
        return {}
    if "$ref" in schema:
        return {"ref": str(schema["$ref"]).removeprefix(_REF)}
    parts: Sequence[Mapping[str, Any]] = schema.get("allOf") or ()
    if len(parts) == 1 and "properties" not in schema:
        return compact_schema(parts[0])
    kind = schema.get("type")
    if kind == "array":
        return {"items": compact_schema(schema.get("items") or {})}
    values = schema.get("additionalProperties")
    if "properties" in schema:
        node: dict[str, Any] = {
            "properties": {
                name: compact_schema(each) for name, each in schema["properties"].items()
            }
        }
        if schema.get("x-kubernetes-preserve-unknown-fields") or values:
            node["open"] = True
        if schema.get("x-kubernetes-embedded-resource"):
            node["properties"] |= {"apiVersion": {}, "kind": {}, "metadata": {}}
        return node
    if isinstance(values, Mapping):
        return {"values": compact_schema(values)}
    if kind in ("string", "integer", "number", "boolean"):
        return {"type": kind}
    return {}


def _compact_type(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {} if name.endswith(_ANYTHING) else compact_schema(schema)


def _keep(path: Path, content: bytes) -> None:
    """Write a file of the cache whole or not at all; a cache that cannot be written is none."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, content)
    except OSError:
        return
