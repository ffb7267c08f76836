"""Sets of fields as ``managedFields`` has them (``fieldsV1``), and the part of an object they name; pure.

A node of the tree is in the set itself when nothing is below it (it is owned whole) or ``.`` is (it is
a container of which parts are owned); see :mod:`.fields` for how its elements are spelled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gennaker_stages.kubernetes.applying.fields import MISSING

__all__ = [
    "extract_fields",
    "intersect",
    "name_empty_fields",
    "remove_fields",
    "subtract",
    "unite",
]

Fields = Mapping[str, Any]


def unite(*sets: Fields) -> dict[str, Any]:
    """Return the fields that are in any of the sets."""
    found: dict[str, Any] = {}
    for each in sets:
        for element, below in each.items():
            found[element] = _unite_nodes(found[element], below) if element in found else below
    return dict(sorted(found.items()))


def subtract(one: Fields, other: Fields) -> dict[str, Any]:
    """Return the fields of ``one`` that are not in ``other``."""
    found: dict[str, Any] = {}
    for element, below in one.items():
        if element == ".":
            continue
        if element not in other:
            found[element] = below
            continue
        inner = subtract(below, other[element])
        if _is_member(below) and not _is_member(other[element]):
            inner = {".": {}, **inner} if below else {}
        elif not inner:
            continue
        found[element] = inner
    return found


def intersect(one: Fields, other: Fields) -> dict[str, Any]:
    """Return the fields that are in both, and the containers of these that are in ``one``."""
    found: dict[str, Any] = {}
    for element, below in one.items():
        if element == "." or element not in other:
            continue
        inner = intersect(below, other[element])
        if _is_member(below) and (inner or _is_member(other[element])):
            inner = {".": {}, **inner} if below else {}
        elif not inner:
            continue
        found[element] = inner
    return found


def extract_fields(body: Mapping[str, Any], fields: Fields) -> dict[str, Any]:
    """Return the part of an object that the fields name, as it would be applied.

    What is named and not there is left out.

    Args:
        body: an object, in the version that the fields are of.
        fields: names of its top level first.
    """
    found: Any = _extract(body, fields) if fields else MISSING
    kept = {} if found is MISSING else dict(found)
    metadata = body["metadata"]
    known = {name: metadata[name] for name in ("name", "namespace") if metadata.get(name)}
    return {
        **kept,
        "apiVersion": body["apiVersion"],
        "kind": body["kind"],
        "metadata": {**kept.get("metadata", {}), **known},
    }


def remove_fields(body: Mapping[str, Any], fields: Fields, kept: Fields) -> dict[str, Any]:
    """Return a copy of an object without the fields of one set, as the server removes them.

    A container goes with all that is in it, defaults too, when nothing of it is kept; an item that is
    known by keys also when it is not kept itself.

    Args:
        body: the object, in the version that both sets are of.
        fields: what goes.
        kept: what stays although it is among them.
    """
    found: dict[str, Any] = _remove(body, fields, unite({"f:metadata": {}}, kept))
    return found


def _remove(value: Any, fields: Fields, kept: Fields) -> Any:
    """The same of a value, at the place that both sets are of."""
    gone = {
        element
        for element in fields
        if element != "."
        and (element not in kept or (element.startswith("k:") and not _is_member(kept[element])))
    }
    if isinstance(value, Mapping):
        return {
            name: _remove(part, fields.get(f"f:{name}") or {}, kept.get(f"f:{name}") or {})
            for name, part in value.items()
            if f"f:{name}" not in gone
        }
    if isinstance(value, list):
        found = []
        for index, item in enumerate(value):
            names = [each for each in fields if _is_item(each, index, item)]
            if not any(each in gone for each in names):
                found.append(_remove_in_item(item, fields, kept, names))
        return found
    return value


def _remove_in_item(item: Any, fields: Fields, kept: Fields, names: Sequence[str]) -> Any:
    """The same of an item of a list, of which something is kept: then it has its keys, too."""
    for each in names:
        known = json.loads(each.partition(":")[2]) if each.startswith("k:") else {}
        keys = {name: item[name] for name in known}
        item = _remove(item, fields[each], kept.get(each) or {})
        item = {**item, **keys} if keys else item
    return item


def name_empty_fields(value: Any, live: Any, fields: Fields) -> Any:
    """Return a copy of a value with null for each of the fields that it does not have.

    Of its own kinds the server keeps no empty values, but whose they are; null has it keep that.

    Args:
        value: of an object, at the place that the fields are of.
        live: what is there now; a mapping or list that was empty and has something since is left.
        fields: those that are named.
    """
    if isinstance(value, Mapping):
        held = live if isinstance(live, Mapping) else {}
        named = dict(value)
        for element, below in fields.items():
            kind, _, name = element.partition(":")
            if kind == "f" and name in value:
                named[name] = name_empty_fields(value[name], held.get(name), below)
            elif kind == "f" and not below and not isinstance(held.get(name), (Mapping, list)):
                named[name] = None
        return named
    if isinstance(value, list):
        return [_name_in_item(each, live, fields) for each in value]
    return value


def _name_in_item(item: Any, live: Any, fields: Fields) -> Any:
    """The same of an item of a list, when it is one that is known by keys."""
    for element, below in fields.items():
        kind, _, text = element.partition(":")
        keys: Mapping[str, Any] = json.loads(text) if kind == "k" else {}
        if keys and _has_keys(item, keys):
            held = live if isinstance(live, list) else []
            now = next((each for each in held if _has_keys(each, keys)), None)
            return name_empty_fields(item, now, below)
    return item


def _is_item(element: str, index: int, item: Any) -> bool:
    """Return whether an element of a set is this item of a list."""
    kind, _, text = element.partition(":")
    if kind not in ("k", "v", "i"):
        return False
    named = json.loads(text)
    return bool(
        (kind == "k" and _has_keys(item, named))
        or (kind == "v" and named == item)
        or (kind == "i" and named == index)
    )


def _has_keys(item: Any, keys: Mapping[str, Any]) -> bool:
    return isinstance(item, Mapping) and all(item.get(name) == keys[name] for name in keys)


def _is_member(below: Fields) -> bool:
    return not below or "." in below


def _unite_nodes(one: Fields, other: Fields) -> dict[str, Any]:
    found = unite(one, other)
    if found and (_is_member(one) or _is_member(other)):
        found["."] = {}
    return found


def _extract(value: Any, fields: Fields) -> Any:
    if not fields:
        return value
    inner = {element: below for element, below in fields.items() if element != "."}
    if isinstance(value, Mapping):
        found = {}
        for element, below in inner.items():
            name = element.removeprefix("f:")
            part = _extract(value[name], below) if name in value else MISSING
            if part is not MISSING:
                found[name] = part
        return found or MISSING
    if isinstance(value, list):
        items = [_extract_item(index, each, inner) for index, each in enumerate(value)]
        return [each for each in items if each is not MISSING] or MISSING
    return MISSING


def _extract_item(index: int, item: Any, fields: Fields) -> Any:
    """Return what the fields name of an item of a list, with the keys it is known by."""
    for element, below in fields.items():
        if not _is_item(element, index, item):
            continue
        if not element.startswith("k:"):
            return item
        keys = json.loads(element.partition(":")[2])
        part = _extract(item, below)
        # A key that is not named beside one that is has its default.
        given = any(f"f:{name}" in below for name in keys)
        return {**({} if given else keys), **({} if part is MISSING else part)}
    return MISSING
