"""Whether a live object is already what an apply would make of it; pure, and without a schema.

The server keeps, for each manager that applied, the set of the fields it set (``metadata.managedFields``).
When that set is exactly what the desired object sets, and each of these fields has the desired value,
then applying it again changes nothing. Where that cannot be told (a quantity written another way, an
empty value), the answer is no, and a dry run says more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["is_unchanged"]

Fields = Mapping[str, Any]
# Never among the managed fields: they say which object it is.
_IDENTITY = frozenset({"apiVersion", "kind"})
_IDENTITY_METADATA = frozenset({"name", "namespace"})


def is_unchanged(live: Mapping[str, Any], desired: Mapping[str, Any], manager: str) -> bool:
    """Return whether ``manager`` applying ``desired`` would leave ``live`` as it is.

    Args:
        live: the object with its managedFields.
        desired: what would be applied, normalised.
        manager: the field manager that would apply it.
    """
    if live.get("apiVersion", desired["apiVersion"]) != desired["apiVersion"]:
        return False
    metadata = live.get("metadata") or {}
    if metadata.get("deletionTimestamp"):
        return False
    entry = _find_entry(metadata.get("managedFields") or (), manager)
    if entry is None or entry.get("apiVersion") != desired["apiVersion"]:
        return False
    wanted = {name: each for name, each in desired.items() if name not in _IDENTITY}
    told = {
        name: each
        for name, each in (desired.get("metadata") or {}).items()
        if name not in _IDENTITY_METADATA
    }
    wanted.pop("metadata", None)
    if told:
        wanted["metadata"] = told
    return _fits(wanted, live, entry.get("fieldsV1") or {})


def _find_entry(entries: Any, manager: str) -> Mapping[str, Any] | None:
    for each in entries:
        if (
            each.get("manager") == manager
            and each.get("operation") == "Apply"
            and not each.get("subresource")
        ):
            found: Mapping[str, Any] = each
            return found
    return None


def _fits(desired: Any, live: Any, fields: Fields) -> bool:
    """Whether ``fields`` are exactly the ones ``desired`` sets, with the values that ``live`` has."""
    inner = [name for name in fields if name != "."]
    if not inner:
        return _equal(desired, live)
    if isinstance(desired, Mapping):
        if not isinstance(live, Mapping) or len(inner) != len(desired):
            return False
        return all(
            (mark := f"f:{name}") in fields
            and name in live
            and _fits(value, live[name], fields[mark])
            for name, value in desired.items()
        )
    if not isinstance(desired, list) or not isinstance(live, list) or len(inner) != len(desired):
        return False
    if inner[0].startswith("k:"):
        return _fits_items(desired, live, fields, inner)
    if inner[0].startswith("v:"):
        return _fits_set(desired, live, inner)
    return False


def _fits_items(desired: list[Any], live: list[Any], fields: Fields, inner: list[str]) -> bool:
    """Whether the items of a list that is merged by keys fit; each mark names one by its keys."""
    for mark in inner:
        keys = json.loads(mark.removeprefix("k:"))
        item = _find_item(desired, keys, complete=False)
        held = _find_item(live, keys, complete=True)
        if item is None or held is None or not _fits(item, held, fields[mark]):
            return False
    return _in_order(desired, live, [json.loads(each.removeprefix("k:")) for each in inner])


def _in_order(desired: list[Any], live: list[Any], names: list[Mapping[str, Any]]) -> bool:
    """Whether the items stand in the same order in both; applying in another order moves them."""

    def places(items: list[Any], *, complete: bool) -> list[int]:
        order = []
        for keys in names:
            item = _find_item(items, keys, complete=complete)
            order.append(next(place for place, each in enumerate(items) if each is item))
        return order

    first, second = places(desired, complete=False), places(live, complete=True)
    return sorted(range(len(names)), key=first.__getitem__) == sorted(
        range(len(names)), key=second.__getitem__
    )


def _find_item(items: list[Any], keys: Mapping[str, Any], *, complete: bool) -> Any:
    """Return the one item with these keys; a desired one may leave out a key that has a default."""
    found = [
        each
        for each in items
        if isinstance(each, Mapping)
        and all(
            _equal(each[name], value) if name in each else not complete
            for name, value in keys.items()
        )
    ]
    return found[0] if len(found) == 1 else None


def _fits_set(desired: list[Any], live: list[Any], inner: list[str]) -> bool:
    owned = [json.loads(each.removeprefix("v:")) for each in inner]
    kept = [each for each in live if each in owned]
    return kept == desired and all(each in owned for each in desired)


def _equal(one: Any, other: Any) -> bool:
    """Equality of JSON: to Python ``True == 1``."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_equal(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    return bool(one == other)
