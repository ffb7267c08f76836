"""An object field by field, with who owns each, read from its ``managedFields``; pure.

Paths are those of :mod:`.difference`. What the ``fieldsV1`` trees look like:
:mod:`gennaker_stages.kubernetes.applying.fields`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gennaker.stage import Declared, FieldChange, LiveField, LiveThing, Owner, Secret
from gennaker_stages.kubernetes.bundle.masking import SECRET_FIELDS, is_secret
from gennaker_stages.kubernetes.bundle.objects import key_of, name_of
from gennaker_stages.kubernetes.bundle.versions import VERSION_OF
from gennaker_stages.kubernetes.client.cluster import FIELD_MANAGER
from gennaker_stages.kubernetes.inventory.applyset import PART_OF_LABEL
from gennaker_stages.kubernetes.operations.base import OPERATOR
from gennaker_stages.kubernetes.planning.difference import join_path, name_items, strip_object

__all__ = ["declare_object", "find_owners", "name_owners", "read_thing"]

_OURS = frozenset({FIELD_MANAGER, OPERATOR})
Object = Mapping[str, Any]
Owned = Sequence[tuple[Owner, Mapping[str, Any]]]
"""Who owns something of a value, each with what of it: a ``fieldsV1`` tree; an empty one is all."""


def declare_object(body: Object, namespace: str) -> Declared:
    """Return an object of a bundle as what it declares.

    Args:
        body: normalised.
        namespace: the environment's own.
    """
    fields = {each.path: each.value for each in _walk(body, ()) if each.value is not None}
    return Declared(name_of(body), _make_key(body, namespace), fields)


def read_thing(live: Object, namespace: str) -> LiveThing:
    """Return a live object with the owners of its fields, without its status."""
    fields = sorted(find_owners(live), key=lambda each: each.path)
    return LiveThing(name_of(live), _make_key(live, namespace), tuple(fields))


def find_owners(live: Object) -> Iterator[LiveField]:
    """Yield each field of a live object with its owners; not its status, nor what marks it as ours."""
    owned = [
        (_read_owner(each), each.get("fieldsV1") or {})
        for each in live["metadata"].get("managedFields") or ()
        if each.get("subresource") != "status"
    ]
    ours = join_path("metadata.labels", PART_OF_LABEL)
    return (each for each in _walk(live, owned) if each.path != ours)


def name_owners(changes: Iterable[FieldChange], live: Object) -> list[FieldChange]:
    """Return changes with who else set each field to what it is now, where somebody else did."""
    fields = list(find_owners(live))
    return [replace(each, owner=_find_other(each.path, fields)) for each in changes]


def _find_other(path: str, fields: Iterable[LiveField]) -> Owner | None:
    found = [
        owner
        for field in fields
        if field.path.startswith(path) and field.path[len(path) : len(path) + 1] in ("", ".", "[")
        if not any(each.name == FIELD_MANAGER for each in field.owners)
        for owner in field.owners
    ]
    return max(found, key=lambda each: each.at or "", default=None)


def _make_key(body: Object, namespace: str) -> str:
    group, kind, place, name = key_of(body)
    # All versions of a ConfigMap are one.
    name = (body["metadata"].get("annotations") or {}).get(VERSION_OF, name)
    if kind == "Namespace" and name == namespace:
        name = "."
    return "/".join((group, kind, "" if place == namespace else place, name))


def _read_owner(entry: Mapping[str, Any]) -> Owner:
    manager = str(entry.get("manager"))
    return Owner(manager, entry.get("time"), ours=manager in _OURS)


def _walk(body: Object, owned: Owned) -> Iterator[LiveField]:
    hidden = SECRET_FIELDS if is_secret(body) else ()
    for name, value in strip_object(body).items():
        for field in _walk_value(name, value, _go_into(owned, f"f:{name}")):
            yield replace(field, value=_hide(field.value)) if name in hidden else field


def _hide(value: Any) -> Any:
    return Secret(value) if isinstance(value, str) else value


def _walk_value(path: str, value: Any, owned: Owned) -> Iterator[LiveField]:
    if isinstance(value, Mapping) and value:
        for name, each in value.items():
            inner = _go_into(owned, f"f:{name}")
            yield from _walk_value(join_path(path, name), each, inner)
    elif isinstance(value, list) and any(isinstance(each, Mapping) for each in value):
        for name, each in zip(name_items(value), value, strict=True):
            yield from _walk_value(f"{path}[{name}]", each, _go_into_item(owned, each))
    else:
        yield LiveField(path, value, tuple(owner for owner, _ in owned))


def _go_into(owned: Owned, element: str) -> Owned:
    """Return who owns something of what is below ``element``; who owns all owns that, too."""
    return [
        (owner, fields.get(element, {}))
        for owner, fields in owned
        if not fields or element in fields
    ]


def _go_into_item(owned: Owned, item: Any) -> Owned:
    found: list[tuple[Owner, Mapping[str, Any]]] = []
    for owner, fields in owned:
        if not fields:
            found.append((owner, fields))
        for element, below in fields.items():
            if element.startswith("k:") and _is_item(item, json.loads(element[2:])):
                found.append((owner, below))
    return found


def _is_item(item: Any, keys: Mapping[str, Any]) -> bool:
    return isinstance(item, Mapping) and all(
        item.get(name, value) == value for name, value in keys.items()
    )
