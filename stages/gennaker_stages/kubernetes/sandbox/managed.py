"""``metadata.managedFields``: tracking who owns which field, as the API server does.

:func:`track_update` after a create, update or patch; :func:`apply` for server-side apply. Both are
pure: objects in, object and entries out. Called by :mod:`.operations`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gennaker.records import dataclass

from .fieldset import FieldSet, format_path
from .problems import ApiProblem
from .shapes import Type
from .structured import Comparison, collect, compare, merge, remove

__all__ = [
    "Manager",
    "Managers",
    "Write",
    "apply",
    "decode",
    "encode",
    "same_but_times",
    "track_update",
]

MAX_UPDATERS = 10
BEFORE_FIRST_APPLY = "before-first-apply"
STRIPPED = FieldSet.decode(
    {
        "f:apiVersion": {},
        "f:kind": {},
        "f:metadata": {
            ".": {},
            **{
                f"f:{name}": {}
                for name in (
                    "name",
                    "namespace",
                    "creationTimestamp",
                    "selfLink",
                    "uid",
                    "clusterName",
                    "generation",
                    "managedFields",
                    "resourceVersion",
                )
            },
        },
    }
)


@dataclass(frozen=True, slots=True)
class Manager:
    """Who: one line of managedFields. An applier is the same one under every API version."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What makes two entries the same entry."""
        version = "" if self.operation == "Apply" else self.api_version
        return (self.name, self.operation, version, self.subresource)


@dataclass(frozen=True, slots=True)
class Owned:
    """What one manager owns, and since when (RFC 3339)."""

    manager: Manager
    fields: FieldSet
    time: str | None


Managers = dict[tuple[str, str, str, str], Owned]


@dataclass(frozen=True, slots=True)
class Write:
    """A write whose owner is to be tracked.

    ``kind`` is the object's type, ``managers`` its owners before, ``manager`` who writes, ``now`` the time
    (RFC 3339), ``ignored`` what this write cannot set (the status, or all but the status).
    """

    kind: Type
    managers: Managers
    manager: Manager
    now: str
    ignored: FieldSet


def decode(entries: list[dict[str, Any]] | None) -> Managers:
    """Return the entries of an object's managedFields by identity."""
    found: Managers = {}
    for entry in entries or []:
        manager = Manager(
            entry.get("manager", ""),
            entry.get("operation", "Update"),
            entry.get("apiVersion", ""),
            entry.get("subresource", ""),
        )
        fields = FieldSet.decode(entry.get("fieldsV1") or {})
        found[manager.identity] = Owned(manager, fields, entry.get("time"))
    return found


def encode(managers: Managers) -> list[dict[str, Any]]:
    """Return the entries in the server's order: appliers first, then by time and name."""

    def order(owned: Owned) -> tuple[str, bool, str, str, str, str]:
        who = owned.manager
        time = owned.time or ""
        return (who.operation, bool(time), time, who.name, who.api_version, who.subresource)

    entries = []
    for owned in sorted(managers.values(), key=order):
        who = owned.manager
        entry: dict[str, Any] = {"manager": who.name, "operation": who.operation}
        entry["apiVersion"] = who.api_version
        if owned.time:
            entry["time"] = owned.time
        entry["fieldsType"] = "FieldsV1"
        entry["fieldsV1"] = owned.fields.encode()
        if who.subresource:
            entry["subresource"] = who.subresource
        entries.append(entry)
    return entries


def same_but_times(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> bool:
    """Whether two managedFields differ in nothing but their times."""

    def bare(entries: list[dict[str, Any]]) -> list[str]:
        return sorted(
            repr(sorted((k, v) for k, v in entry.items() if k != "time")) for entry in entries
        )

    return bare(old) == bare(new)


def track_update(live: Mapping[str, Any], new: Mapping[str, Any], write: Write) -> Managers:
    """Return the managers after ``new`` replaced ``live`` (for a create: the empty object)."""
    comparison = compare(dict(live), dict(new), write.kind).without(write.ignored)
    left = _take_away(write.managers, comparison, keep=None)
    gained = comparison.modified.union(comparison.added).difference(STRIPPED)
    manager = write.manager
    if gained:
        mine = left.get(manager.identity)
        fields = gained if mine is None else mine.fields.union(gained)
        left[manager.identity] = Owned(manager, fields, write.now)
    return _cap(left)


def apply(
    live: Mapping[str, Any],
    config: Mapping[str, Any],
    write: Write,
    *,
    force: bool,
    empty: Mapping[str, Any],
) -> tuple[dict[str, Any], Managers]:
    """Lay an applier's whole intent over the live object.

    ``empty`` is the object before anything was set, used when ``live`` has no owners yet.

    Returns:
        the new object (not yet defaulted) and its managers.

    Raises:
        ApiProblem: 409 when another manager owns a field with another value, unless ``force``.
    """
    kind, manager, managers = write.kind, write.manager, write.managers
    if not managers and "uid" in live.get("metadata", {}):
        first = Manager(BEFORE_FIRST_APPLY, "Update", manager.api_version)
        managers = track_update(empty, live, replace(write, manager=first, ignored=FieldSet()))
    last = managers.get(manager.identity)
    merged = merge(dict(live), dict(config), kind)
    fields = collect(config, kind).without_trees(write.ignored)
    everyone = dict(managers)
    everyone[manager.identity] = Owned(manager, fields, write.now)
    if last is not None and last.fields:
        merged = _prune(merged, kind, last.fields, everyone)
    comparison = compare(dict(live), merged, kind).without(write.ignored)
    if not force:
        _refuse_conflicts(everyone, comparison, manager)
    left = _take_away(everyone, comparison, keep=manager.identity)
    if left.pop(manager.identity, None) is not None:
        mine = fields.difference(STRIPPED)
        if mine:
            time = last.time if last is not None and merged == live else write.now
            left[manager.identity] = Owned(manager, mine, time)
    return merged, left


def _take_away(
    managers: Managers, comparison: Comparison, keep: tuple[str, str, str, str] | None
) -> Managers:
    """Return the managers without what changed or went away; ``keep`` loses nothing."""
    gone = comparison.modified.union(comparison.added).union(comparison.removed)
    left: Managers = {}
    for identity, owned in managers.items():
        fields = owned.fields if identity == keep else owned.fields.difference(gone)
        if fields:
            left[identity] = replace(owned, fields=fields)
    return left


def _prune(merged: Any, kind: Type, last: FieldSet, everyone: Managers) -> Any:
    """Remove what the applier named last time and nobody names now."""
    before = last.with_named_members(kind)
    pruned = remove(merged, before, kind)
    everything = collect(merged, kind).with_named_members(kind)
    owned = FieldSet()
    for each in everyone.values():
        owned = owned.union(each.fields)
    kept = collect(pruned, kind).with_named_members(kind)
    wanted = kept.union(owned.with_named_members(kind))
    pruned = remove(merged, everything.difference(wanted), kind)
    kept = collect(pruned, kind).with_named_members(kind)
    return remove(merged, everything.difference(kept).intersection(before), kind)


def _refuse_conflicts(managers: Managers, comparison: Comparison, applier: Manager) -> None:
    changed = comparison.modified.union(comparison.added)
    conflicts: list[tuple[str, str]] = []
    for identity in sorted(managers):
        owned = managers[identity]
        if identity == applier.identity:
            continue
        for path in owned.fields.intersection(changed).paths():
            conflicts.append((_describe(owned), format_path(path)))
    if not conflicts:
        return
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {who}", "field": path}
        for who, path in conflicts
    ]
    if len(conflicts) == 1:
        text = f"1 conflict: conflict with {conflicts[0][0]}: {conflicts[0][1]}"
    else:
        lines = []
        for who in sorted({who for who, _ in conflicts}):
            lines.append(f"conflicts with {who}:")
            lines += [f"- {path}" for each, path in conflicts if each == who]
        text = f"{len(conflicts)} conflicts: " + "\n".join(lines)
    raise ApiProblem(409, "Conflict", f"Apply failed with {text}", details={"causes": causes})


def _describe(owned: Owned) -> str:
    who = owned.manager
    text = f'"{who.name}"'
    if who.subresource:
        text += f' with subresource "{who.subresource}"'
    if who.operation == "Update":
        text += f" using {who.api_version}"
    return text


def _cap(managers: Managers) -> Managers:
    """Merge the oldest updaters into one entry a version, so that there are at most ten."""
    updaters = sorted(
        (each for each in managers.values() if each.manager.operation == "Update"),
        key=lambda each: (each.time or "", each.manager.identity),
    )
    excess = len(updaters) - MAX_UPDATERS
    if excess <= 0:
        return managers
    left = dict(managers)
    firsts: dict[str, Owned] = {}
    for owned in updaters:
        if excess <= 0:
            break
        version = owned.manager.api_version
        first = firsts.get(version)
        if first is None:
            firsts[version] = owned
            continue
        bucket = Manager("ancient-changes", "Update", version)
        left.pop(first.manager.identity, None)
        left.pop(owned.manager.identity)
        union = first.fields.union(owned.fields)
        left[bucket.identity] = firsts[version] = Owned(bucket, union, owned.time)
        excess -= 1
    return left
