"""Whether a live object is already what an apply would make of it; pure, and without a schema.

The server keeps, for each manager that applied, the set of the fields it set (``metadata.managedFields``).
When that set is exactly what the desired object sets, and each of these fields has the desired value,
then applying it again changes nothing. The server leaves out what is empty and puts defaults into what
is owned whole; both are known here. Where it cannot be told, the answer is no, and a dry run says more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gennaker_stages.kubernetes.applying.fields import find_entry
from gennaker_stages.kubernetes.planning.quantities import is_built_in, is_quantity, same_quantity

__all__ = ["is_unchanged"]

Fields = Mapping[str, Any]
Place = tuple[str, ...]
"""The apiVersion, then the names on the way."""
# Defaults inside of values that are owned whole: by the field above (kubernetes/api, "+default" and
# pkg/apis/*/v1/defaults.go).
_WHOLE_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "fieldRef": {"apiVersion": "v1"},
    "resourceFieldRef": {"divisor": "0"},
    "serviceAccountToken": {"expirationSeconds": 3600},
    "volumeClaimTemplates": {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "status": {"phase": "Pending"},
    },
}
# The same for fields whose names mean more than one thing: by group and kind of field.
_GROUP_DEFAULTS: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("admissionregistration.k8s.io", "rules"): {"scope": "*"},
    ("networking.k8s.io", "ports"): {"protocol": "TCP"},
    ("apps", "spec"): {"volumeMode": "Filesystem"},  # of a claim: no other is owned whole
    ("rbac.authorization.k8s.io", "roleRef"): {"apiGroup": "rbac.authorization.k8s.io"},
    ("rbac.authorization.k8s.io", "subjects"): {"apiGroup": "rbac.authorization.k8s.io"},
}
# Never among the managed fields: they say which object it is.
_IDENTITY = frozenset({"apiVersion", "kind"})
# What is not owned whole though nothing below it is ours: by the last names, and in workloads.
_OPEN = frozenset({("metadata", "annotations"), ("metadata", "labels")})
_OPEN_WORKLOAD = frozenset({"strategy", "updateStrategy", "rollingUpdate"})
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
    entry = find_entry(live, manager)
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
    return _fits(wanted, live, entry.get("fieldsV1") or {}, (desired["apiVersion"],))


def _fits(desired: Any, live: Any, fields: Fields, where: Place) -> bool:
    """Whether ``fields`` are exactly the ones ``desired`` sets, with the values that ``live`` has."""
    inner = [name for name in fields if name != "."]
    if not inner:
        return (desired == {} and _is_open(where)) or _fits_whole(desired, live, where)
    if isinstance(desired, Mapping):
        if not isinstance(live, Mapping):
            return False
        desired = _without_marks(desired, live, fields, where)
        if len(inner) != len(desired):
            return False
        return all(
            (mark := f"f:{name}") in fields
            and (
                _fits(value, live[name], fields[mark], (*where, name))
                if name in live
                else not fields[mark] and _is_left_out(value, where)
            )
            for name, value in desired.items()
        )
    if not isinstance(desired, list) or not isinstance(live, list) or len(inner) != len(desired):
        return False
    if inner[0].startswith("k:"):
        return _fits_items(desired, live, fields, where)
    if inner[0].startswith("v:"):
        return _fits_set(desired, live, inner)
    return False


def _without_marks(
    desired: Mapping[str, Any], live: Mapping[str, Any], fields: Fields, where: Place
) -> Mapping[str, Any]:
    """Leave out what is empty and of which the server does not keep who set it.

    Empty mappings that stopped being ours when somebody put something into them, and of lists that are
    merged by keys those that have no items.
    """
    bare = is_built_in(where[0])
    lost = {
        name
        for name, value in desired.items()
        if f"f:{name}" not in fields
        and (
            (value in (None, {}) and _is_open((*where, name)))
            or (value == [] and bare and name not in live)
        )
    }
    return {name: value for name, value in desired.items() if name not in lost} if lost else desired


def _is_open(where: Place) -> bool:
    """Whether an empty mapping of ours leaves room there: for defaults, and fields of others."""
    is_workload = where[0].startswith("apps/")
    return where[-2:] in _OPEN or (is_workload and where[-1] in _OPEN_WORKLOAD)


def _is_left_out(value: Any, where: Place) -> bool:
    """Whether the server keeps no such value, though it keeps who set it."""
    return value is None or (is_built_in(where[0]) and value in ({}, [], "", 0))


def _fits_whole(desired: Any, live: Any, where: Place) -> bool:
    """Whether a value that is owned whole is there; the server may have written it its own way."""
    if _equal(desired, live):
        return True
    if not is_built_in(where[0]) or len(where) < 2:
        return False
    if desired is None or live is None:
        return _is_left_out(desired, where) and _is_left_out(live, where)
    if isinstance(desired, Mapping) and isinstance(live, Mapping):
        return _fits_filled(desired, live, where)
    if isinstance(desired, list) and isinstance(live, list):
        return len(desired) == len(live) and all(
            _fits_whole(one, other, where) for one, other in zip(desired, live, strict=True)
        )
    return is_quantity(where) and same_quantity(desired, live)


def _fits_filled(desired: Mapping[str, Any], live: Mapping[str, Any], where: Place) -> bool:
    """Whether a mapping has the desired values, and nothing more but defaults."""
    group = where[0].rpartition("/")[0]
    defaults = {**_WHOLE_DEFAULTS.get(where[-1], {}), **_GROUP_DEFAULTS.get((group, where[-1]), {})}
    return all(
        _fits_whole(value, live[name], (*where, name))
        if name in live
        else _is_left_out(value, where)
        for name, value in desired.items()
    ) and all(
        name in desired or value is None or (name in defaults and _equal(value, defaults[name]))
        for name, value in live.items()
    )


def _fits_items(desired: list[Any], live: list[Any], fields: Fields, where: Place) -> bool:
    """Whether the items of a list that is merged by keys fit; each mark names one by its keys."""
    names, fitting = [], set()
    for mark in fields:
        if mark == ".":
            continue
        keys = json.loads(mark.removeprefix("k:"))
        item = _find_item(desired, keys, complete=False)
        held = _find_item(live, keys, complete=True)
        if item is None or held is None or not _fits(item, held, fields[mark], where):
            return False
        names.append(keys)
        fitting.add(id(item))
    return len(fitting) == len(desired) and _in_order(desired, live, names)


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
