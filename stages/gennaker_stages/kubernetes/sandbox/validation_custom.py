"""Validation of custom objects by their structural schema, and of the definitions themselves.

Called by :mod:`.validation`. Of OpenAPI it knows ``type``, ``required``, ``enum``, ``pattern``, and the
bounds of numbers, strings, lists and maps; not CEL rules (``x-kubernetes-validations``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .names import check_name
from .problems import Cause
from .shapes import Type

__all__ = ["check_custom", "check_definition"]


def check_custom(obj: Mapping[str, Any], kind: Type) -> list[Cause]:
    """Return what in a custom object breaks its schema."""
    found: list[Cause] = []
    schema = kind.schema or {}
    properties = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in obj:
            found.append(Cause.required(name))
    for name, value in obj.items():
        if name in properties and name not in ("apiVersion", "kind", "metadata"):
            found += _check(value, properties[name], name)
    twice = [
        cause
        for name, value in obj.items()
        if name in properties
        for cause in _find_twice(value, properties[name], name)
    ]
    return sorted(found, key=lambda cause: cause.field) + twice


def _find_twice(value: Any, schema: Mapping[str, Any], path: str) -> list[Cause]:
    """Return the items that a set, or a list with merge keys, has more than once."""
    found: list[Cause] = []
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        for name, each in value.items():
            inner = properties.get(name, schema.get("additionalProperties"))
            if isinstance(inner, Mapping):
                found += _find_twice(each, inner, f"{path}.{name}")
    elif isinstance(value, list):
        keys, seen = schema.get("x-kubernetes-list-map-keys", ()), []
        kind = schema.get("x-kubernetes-list-type")
        for index, item in enumerate(value):
            ident = {key: item[key] for key in keys if key in item} if kind == "map" else item
            if kind in ("map", "set") and ident in seen:
                found.append(Cause.twice(f"{path}[{index}]", ident))
            seen.append(ident)
            found += _find_twice(item, schema.get("items") or {}, f"{path}[{index}]")
    return found


_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}
_NAMES = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array"}


def _check(value: Any, schema: Mapping[str, Any], path: str) -> list[Cause]:
    if value is None and schema.get("nullable"):
        return []
    expected = _TYPES.get(schema.get("type", ""))
    is_bool = isinstance(value, bool)
    if expected is not None and (
        not isinstance(value, expected) or (is_bool and bool not in expected)
    ):
        got = "null" if value is None else _NAMES.get(type(value), "object")
        text = f'Invalid value: "{got}": {path} in body must be of type {schema["type"]}: "{got}"'
        return [Cause("FieldValueTypeInvalid", path, text)]
    found = _check_bounds(value, schema, path)
    if isinstance(value, dict):
        found += _check_map(value, schema, path)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += _check(item, schema.get("items") or {}, f"{path}[{index}]")
    return found


def _check_map(value: dict[str, Any], schema: Mapping[str, Any], path: str) -> list[Cause]:
    found = [
        Cause.required(f"{path}.{name}") for name in schema.get("required", ()) if name not in value
    ]
    properties = schema.get("properties", {})
    inner = schema.get("additionalProperties")
    for name, each in value.items():
        if name in properties:
            found += _check(each, properties[name], f"{path}.{name}")
        elif isinstance(inner, Mapping):
            found += _check(each, inner, f"{path}.{name}")
    return found


def _check_bounds(value: Any, schema: Mapping[str, Any], path: str) -> list[Cause]:
    found = []
    choices = schema.get("enum")
    if choices is not None and value not in choices:
        found.append(Cause.unsupported(path, value, [str(each) for each in choices]))
    if isinstance(value, int | float) and not isinstance(value, bool):
        if value < schema.get("minimum", value):
            text = f"{path} in body should be greater than or equal to {schema['minimum']}"
            found.append(Cause.wrong(path, value, text))
        if value > schema.get("maximum", value):
            text = f"{path} in body should be less than or equal to {schema['maximum']}"
            found.append(Cause.wrong(path, value, text))
    if isinstance(value, str):
        pattern = schema.get("pattern")
        if pattern is not None and not re.search(pattern, value):
            found.append(Cause.wrong(path, value, f"{path} in body should match '{pattern}'"))
    if isinstance(value, str | list):
        unit, words = ("Length", "chars long") if isinstance(value, str) else ("Items", "items")
        least, most = schema.get(f"min{unit}", 0), schema.get(f"max{unit}")
        if len(value) < least:
            verb = "be at least" if unit == "Length" else "have at least"
            found.append(Cause.wrong(path, value, f"{path} in body should {verb} {least} {words}"))
        if most is not None and len(value) > most:
            text = (
                f"Too long: may not be more than {most} {'bytes' if unit == 'Length' else 'items'}"
            )
            found.append(Cause("FieldValueTooLong", path, text))
    return found


def check_definition(obj: Mapping[str, Any]) -> list[Cause]:
    """Return what is wrong with a CustomResourceDefinition."""
    spec = obj["spec"]
    names = spec["names"]
    found: list[Cause] = []
    for field, value in (("group", spec.get("group")), ("scope", spec.get("scope"))):
        if not value:
            found.append(Cause.required(f"spec.{field}"))
    for field in ("plural", "kind"):
        if not names.get(field):
            found.append(Cause.required(f"spec.names.{field}"))
    expected = f"{names.get('plural', '')}.{spec.get('group', '')}"
    if obj["metadata"].get("name") != expected and names.get("plural") and spec.get("group"):
        text = 'must be spec.names.plural+"."+spec.group'
        found.append(Cause.wrong("metadata.name", obj["metadata"].get("name"), text))
    if names.get("plural"):
        bad = check_name("Namespace", names["plural"])
        found += [Cause.wrong("spec.names.plural", names["plural"], text) for text in bad]
    if spec.get("scope") not in (None, "", "Cluster", "Namespaced"):
        choices = ("Cluster", "Namespaced")
        found.append(Cause.unsupported("spec.scope", spec["scope"], choices))
    versions = spec.get("versions") or []
    if sum(bool(version.get("storage")) for version in versions) != 1:
        text = "must have exactly one version marked as storage version"
        found.append(Cause.wrong("spec.versions", versions, text))
    for index, version in enumerate(versions):
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        if schema is None:
            where = f"spec.versions[{index}].schema.openAPIV3Schema"
            found.append(Cause.required(where, "schemas are required"))
        elif schema.get("type") != "object":
            where = "spec.validation.openAPIV3Schema.type"
            found.append(Cause.wrong(where, schema.get("type"), "must be object at the root"))
    return found
