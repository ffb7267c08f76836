"""OpenAPI v3 documents from the type table; only custom kinds have descriptions.

kubectl reads them to learn that the server validates fields, and for ``explain``. Called by :mod:`.api`.
"""

from __future__ import annotations

import zlib
from typing import Any

from .resources import Registry, Resource
from .shapes import Type

__all__ = ["describe"]

Object = dict[str, Any]
_LEAVES: dict[str, Object] = {
    "s": {"type": "string"},
    "i": {"type": "integer"},
    "n": {"type": "number"},
    "b": {"type": "boolean"},
    "q": {"oneOf": [{"type": "string"}, {"type": "number"}]},
    "t": {"type": "string", "format": "date-time"},
    "x": {"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]},
}


def describe(registry: Registry, parts: tuple[str, ...]) -> Object | None:
    """Return the index, or the document of a group version (``apis/apps/v1``); None if there is none."""
    if not parts:
        paths = {}
        for group, versions in registry.groups().items():
            for version in versions:
                path = f"apis/{group}/{version}" if group else f"api/{version}"
                kinds = ",".join(sorted(each.kind for each in _of(registry, group, version)))
                mark = zlib.crc32(kinds.encode())
                paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={mark:08X}"}
        return {"paths": paths}
    group, version = (parts[1], parts[2]) if len(parts) == 3 else ("", parts[-1])
    resources = _of(registry, group, version)
    if not resources:
        return None
    schemas: Object = {}
    paths = {}
    for resource in resources:
        name = _component(resource)
        if name not in schemas:
            schemas[name] = {}
            schemas[name] = _convert(resource.type, schemas) | {
                "x-kubernetes-group-version-kind": [_kind(resource)]
            }
        paths |= _paths(resource, name)
    return {
        "openapi": "3.0.0",
        "info": {"title": "Gennaker sandbox", "version": "v1.36.3"},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _of(registry: Registry, group: str, version: str) -> list[Resource]:
    return [each for each in registry if (each.group, each.version) == (group, version)]


def _kind(resource: Resource) -> Object:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _component(resource: Resource) -> str:
    return resource.type_name or f"{resource.group}.{resource.version}.{resource.kind}"


def _paths(resource: Resource, component: str) -> Object:
    base = f"/apis/{resource.group}" if resource.group else "/api"
    base += f"/{resource.version}"
    if resource.namespaced:
        base += "/namespaces/{namespace}"
    parameters = [
        {"name": name, "in": "query", "schema": {"type": "string"}}
        for name in ("dryRun", "fieldManager", "fieldValidation")
    ]
    kind = _kind(resource)
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{component}"}}}
    answer = {"200": {"description": "OK", "content": content}}

    def operation(action: str, *, writes: bool) -> Object:
        return {
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": kind,
            "parameters": parameters if writes else [],
            "responses": answer,
        }

    force = {"name": "force", "in": "query", "schema": {"type": "boolean"}}
    patch = operation("patch", writes=True)
    patch["parameters"] = [*parameters, force]
    return {
        f"{base}/{resource.plural}": {
            "get": operation("list", writes=False),
            "post": operation("post", writes=True),
        },
        f"{base}/{resource.plural}/{{name}}": {
            "get": operation("get", writes=False),
            "put": operation("put", writes=True),
            "patch": patch,
            "delete": operation("delete", writes=False),
        },
    }


def _convert(kind: Type, schemas: Object) -> Object:
    if kind.schema is not None and kind.kind != "struct":
        return dict(kind.schema)
    if kind.kind in _LEAVES:
        return dict(_LEAVES[kind.kind])
    if kind.kind == "list":
        assert kind.element is not None
        found: Object = {"type": "array", "items": _refer(kind.element, schemas)}
        found["x-kubernetes-list-type"] = kind.relation
        if kind.keys:
            found["x-kubernetes-list-map-keys"] = list(kind.keys)
        return found
    if kind.kind == "map":
        assert kind.element is not None
        return {"type": "object", "additionalProperties": _refer(kind.element, schemas)}
    if kind.kind == "struct":
        properties = {name: _refer(field.type, schemas) for name, field in kind.fields.items()}
        found = {"type": "object", "properties": properties}
        for name in ("description", "required"):
            if kind.schema is not None and kind.schema.get(name):
                found[name] = kind.schema[name]
        if kind.atomic:
            found["x-kubernetes-map-type"] = "atomic"
        return found
    return {"type": "object"}


def _refer(kind: Type, schemas: Object) -> Object:
    if kind.kind != "struct" or not kind.name:
        return _convert(kind, schemas)
    if kind.name not in schemas:
        # Placed first: types refer to themselves.
        schemas[kind.name] = {}
        schemas[kind.name] = _convert(kind, schemas)
    return {"allOf": [{"$ref": f"#/components/schemas/{kind.name}"}]}
