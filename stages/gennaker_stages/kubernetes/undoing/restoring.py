"""How one object gets back to what it was: what is applied, and whose its fields are then; pure.

Of an object that is there only what our manager may have changed is put back: the fields it owned
before, with their values then, and those that it owns only since. Applying them removes what it added.
Fields that it took from other managers are given back to them. What others did to fields of their own
stays. An object that is gone is made as it was, with the fields that people and autoscalers had set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gennaker.records import dataclass
from gennaker_stages.kubernetes.applying.fields import find_entry
from gennaker_stages.kubernetes.applying.fieldsets import (
    extract_fields,
    intersect,
    name_empty_fields,
    remove_fields,
    subtract,
    unite,
)
from gennaker_stages.kubernetes.applying.rules import CLIENT_SIDE
from gennaker_stages.kubernetes.bundle.objects import Object
from gennaker_stages.kubernetes.client.cluster import FIELD_MANAGER
from gennaker_stages.kubernetes.inventory.release import list_markers
from gennaker_stages.kubernetes.planning.quantities import is_built_in
from gennaker_stages.kubernetes.planning.unchanged import is_unchanged

__all__ = ["Restoration", "make_restoration", "without_controllers"]

Fields = Mapping[str, Any]
Managed = Mapping[str, Any]
# Labels and annotations keep empty values; a status is not recorded.
_NEVER_EMPTY = frozenset({"f:metadata", "f:status"})


@dataclass(frozen=True, slots=True)
class Restoration:
    """What puts an object back.

    Attributes:
        body: what is applied.
        mine: fields that are ours then; of the others in :attr:`body` only the values are put back.
        others: what other managers owned before, entries of managed fields.
        there: whether the object is as it was already.
    """

    body: Object
    mine: Fields
    others: tuple[Managed, ...] = ()
    there: bool = False

    def return_fields(self, live: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """Return the managed fields with which everything belongs to who had it; None when it does.

        Args:
            live: the object once :attr:`body` was applied.
        """
        entries = [dict(each) for each in live["metadata"].get("managedFields") or ()]
        entry = find_entry(live, FIELD_MANAGER) or {}
        held = entry.get("fieldsV1") or {}
        changed = bool(subtract(held, self.mine))
        for other in self.others:
            part = intersect(subtract(other["fieldsV1"], _find_fields(live, other)), held)
            if not part:
                continue
            changed = True
            now = next((each for each in entries if _is_same(each, other)), None)
            if now is None:
                entries.append({**other, "fieldsV1": part})
            else:
                now["fieldsV1"] = unite(now.get("fieldsV1") or {}, part)
        if not changed:
            return None
        kept = intersect(held, self.mine)
        for each in list(entries):
            if _is_same(each, entry):
                each["fieldsV1"] = kept
                if not kept:
                    entries.remove(each)
        return entries


def make_restoration(before: Object, live: Object | None) -> Restoration:
    """Return what makes ``live`` what it was.

    Args:
        before: the object as recorded, values included.
        live: as it is, None when it is gone.
    """
    mine = (find_entry(before, FIELD_MANAGER) or {}).get("fieldsV1") or {}
    others = tuple(_list_others(before))
    if live is None:
        theirs = unite(*(_without_bonds(each["fieldsV1"]) for each in others))
        return Restoration(_extract(_name_empty(before, {}), mine, theirs), mine, others)
    entry = find_entry(live, FIELD_MANAGER)
    held = (entry or {}).get("fieldsV1") or {}
    if entry is not None and entry.get("apiVersion") != before["apiVersion"]:
        held = mine  # names of another version: the server knows which fields go
    gone = [(each, subtract(each["fieldsV1"], _find_fields(live, each))) for each in others]
    adopted = CLIENT_SIDE | list_markers(before)
    taken = unite(held, *(fields for each, fields in gone if each["manager"] in adopted))
    extra = subtract(taken, mine)
    body = _extract(_name_empty(before, live), mine, extra)
    settled = is_unchanged(live, body, FIELD_MANAGER) if mine else entry is None
    there = settled and not extra and not any(intersect(fields, taken) for _, fields in gone)
    return Restoration(body, mine, others, there)


def without_controllers(body: Object) -> Object:
    """Return an object without what only the cluster's own programs wrote, as it is when made anew."""
    parts: dict[bool, list[Fields]] = {True: [], False: []}
    for each in body["metadata"].get("managedFields") or ():
        parts[_is_controller(each)].append(each.get("fieldsV1") or {})
    return remove_fields(body, unite(*parts[True]), unite(*parts[False]))


def _is_controller(entry: Managed) -> bool:
    """Whether it is a program of the cluster's that wrote, and not for somebody else."""
    own = str(entry.get("manager")).startswith(("kube-", "kubelet"))
    return own and entry.get("subresource") != "scale"


def _name_empty(before: Object, live: Mapping[str, Any]) -> Object:
    """Return what was there with null for what we had set to nothing and nobody else has set since."""
    entry = find_entry(before, FIELD_MANAGER) or {}
    if not is_built_in(before["apiVersion"]) or entry.get("apiVersion") != before["apiVersion"]:
        return before
    now = (live.get("metadata") or {}).get("managedFields") or ()
    theirs = unite(*(each.get("fieldsV1") or {} for each in now if not _is_same(each, entry)))
    fields = {name: each for name, each in entry["fieldsV1"].items() if name not in _NEVER_EMPTY}
    named: Object = name_empty_fields(before, live, subtract(fields, theirs))
    return named


def _extract(before: Object, mine: Fields, more: Fields) -> Object:
    body = extract_fields(before, _without_empty_maps(unite(mine, more)))
    for name in _list_empty_maps(mine):  # empty again, so that it stays ours
        body["metadata"].setdefault(name, {})
    return body


def _list_others(before: Object) -> Iterator[Managed]:
    """Yield what people and autoscalers own, in the version of the object."""
    for each in before["metadata"].get("managedFields") or ():
        manager, part = str(each.get("manager")), each.get("subresource")
        if manager == FIELD_MANAGER and each.get("operation") == "Apply" and not part:
            continue
        # What the cluster's own programs write is the state of that very object (a claim's volume).
        readable = each.get("fieldsV1") and each.get("apiVersion") == before["apiVersion"]
        if part in (None, "", "scale") and not _is_controller(each) and readable:
            yield each


def _find_fields(live: Mapping[str, Any], entry: Managed) -> Fields:
    """Return what the manager of an entry owns in a live object."""
    for each in live["metadata"].get("managedFields") or ():
        if _is_same(each, entry):
            found: Fields = each.get("fieldsV1") or {}
            return found
    return {}


def _is_same(one: Managed, other: Managed) -> bool:
    names = ("manager", "operation", "subresource", "apiVersion")
    return all((one.get(name) or "") == (other.get(name) or "") for name in names)


def _list_empty_maps(fields: Fields) -> list[str]:
    """Return labels and annotations that were applied empty: what is in them is of others."""
    metadata = fields.get("f:metadata") or {}
    return [name for name in ("labels", "annotations") if metadata.get(f"f:{name}") == {}]


def _without_empty_maps(fields: Fields) -> Fields:
    empty = {f"f:{name}" for name in _list_empty_maps(fields)}
    metadata = {
        name: below for name, below in (fields.get("f:metadata") or {}).items() if name not in empty
    }
    return {**fields, "f:metadata": metadata} if metadata else _drop(fields, "f:metadata")


def _without_bonds(fields: Fields) -> Fields:
    """Leave out what binds an object to others that may be gone: it would be deleted at once."""
    metadata = {
        name: below
        for name, below in (fields.get("f:metadata") or {}).items()
        if name not in ("f:ownerReferences", "f:finalizers")
    }
    return {**fields, "f:metadata": metadata} if metadata else _drop(fields, "f:metadata")


def _drop(fields: Fields, name: str) -> Fields:
    return {element: below for element, below in fields.items() if element != name}
