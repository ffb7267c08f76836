"""What would change in an object: field by field, without what the server writes itself; pure.

Items of a list are told apart by what names them (a container's name, a port's number), found in the
data and not in a schema, so that custom kinds read as well as built-in ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gennaker.stage import ABSENT, FieldChange
from gennaker_stages.kubernetes.bundle.masking import LAST_APPLIED, SECRET_FIELDS, is_secret

__all__ = ["find_differences", "join_path", "name_items", "strip_object"]

# What names an item of a list, the first that fits; the merge keys of Kubernetes' own types, whose
# ports may have one number twice, for two protocols.
_NAMES: tuple[tuple[str, ...], ...] = (
    ("name",),
    ("containerPort", "protocol"),
    ("port", "protocol"),
    ("mountPath",),
    ("devicePath",),
    ("ip",),
    ("uid",),
    ("type",),
    ("topologyKey", "whenUnsatisfiable"),
    ("key",),
    ("path",),
)
_DEFAULTS = {"protocol": "TCP"}
_OF_THE_SERVER = frozenset(
    {"managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"}
)
HIDDEN = "***"
Object = Mapping[str, Any]


def find_differences(live: Object | None, wanted: Object) -> list[FieldChange]:
    """Return each field in which the two differ; status and the server's metadata do not count.

    Values of a Secret are hidden: that one changes is told, not from what to what.

    Args:
        live: as it is; None when it is not there, which makes each top-level field one change.
        wanted: as it would be.
    """
    before = strip_object(live) if live is not None else {}
    found = list(_compare("", before, strip_object(wanted)))
    if not (is_secret(wanted) or (live is not None and is_secret(live))):
        return found
    return [hidden for each in found for hidden in _hide(each)]


def strip_object(body: Object) -> dict[str, Any]:
    """Return what people set in an object: without status and what only a server writes."""
    kept = {
        name: value for name, value in body.items() if name not in ("status", "apiVersion", "kind")
    }
    metadata = {
        name: value
        for name, value in (kept.get("metadata") or {}).items()
        if name not in _OF_THE_SERVER and name not in ("name", "namespace")
    }
    annotations = metadata.get("annotations")
    if annotations and LAST_APPLIED in annotations:
        kept_annotations = {
            name: each for name, each in annotations.items() if name != LAST_APPLIED
        }
        metadata["annotations"] = kept_annotations or None
    kept["metadata"] = {name: value for name, value in metadata.items() if value is not None}
    if not kept["metadata"]:
        del kept["metadata"]
    return kept


def _compare(path: str, before: Any, after: Any) -> Iterator[FieldChange]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted({*before, *after}):
            inner = join_path(path, name)
            yield from _compare(inner, before.get(name, ABSENT), after.get(name, ABSENT))
    elif isinstance(before, list) and isinstance(after, list):
        yield from _compare_lists(path, before, after)
    elif before != after or isinstance(before, bool) != isinstance(after, bool):
        yield FieldChange(path, before, after)


def _compare_lists(path: str, before: list[Any], after: list[Any]) -> Iterator[FieldChange]:
    if before == after:
        return
    if not all(isinstance(each, Mapping) for each in (*before, *after)):
        yield FieldChange(path, before, after)
        return
    names = _find_names(before, after)
    if names is None:
        yield from _compare_places(path, before, after)
        return
    old = {_name(each, names): each for each in before}
    new = {_name(each, names): each for each in after}
    for name in dict.fromkeys((*new, *old)):
        yield from _compare(f"{path}[{name}]", old.get(name, ABSENT), new.get(name, ABSENT))
    kept = [name for name in old if name in new], [name for name in new if name in old]
    if kept[0] != kept[1]:
        yield FieldChange(f"{path} (order)", kept[0], kept[1])


def _compare_places(path: str, before: list[Any], after: list[Any]) -> Iterator[FieldChange]:
    """Compare lists whose items have no names: equal items are matched, what is between is paired."""
    from difflib import SequenceMatcher

    old, new = ([json.dumps(each, sort_keys=True) for each in items] for items in (before, after))
    for tag, start, end, other_start, other_end in SequenceMatcher(
        None, old, new, autojunk=False
    ).get_opcodes():
        if tag == "equal":
            continue
        for offset in range(max(end - start, other_end - other_start)):
            was = before[start + offset] if start + offset < end else ABSENT
            comes = after[other_start + offset] if other_start + offset < other_end else ABSENT
            place = other_start + offset if comes is not ABSENT else start + offset
            yield from _compare(f"{path}[{place}]", was, comes)


def _find_names(before: Sequence[Object], after: Sequence[Object]) -> tuple[str, ...] | None:
    for names in _NAMES:
        if all(names[0] in each for each in (*before, *after)) and all(
            len({_name(each, names) for each in items}) == len(items) for items in (before, after)
        ):
            return names
    return None


def _name(item: Object, names: tuple[str, ...]) -> str:
    parts = [item.get(name, _DEFAULTS.get(name)) for name in names]
    if len(parts) == 2 and parts[1] in (None, _DEFAULTS.get(names[1])):
        parts.pop()
    return "/".join(str(each) for each in parts)


def name_items(items: Sequence[Any]) -> list[str]:
    """Return what each item of a list is called in a path; its place when nothing names them all."""
    names = _find_names(items, ()) if all(isinstance(each, Mapping) for each in items) else None
    if names is None:
        return [str(place) for place in range(len(items))]
    return [_name(each, names) for each in items]


def key_items(items: Sequence[Any]) -> list[dict[str, Any]] | None:
    """Return the fields that name each item of a list, with their values; None when none do."""
    names = _find_names(items, ()) if all(isinstance(each, Mapping) for each in items) else None
    if names is None:
        return None
    return [{name: each.get(name, _DEFAULTS.get(name)) for name in names} for each in items]


def join_path(path: str, name: str) -> str:
    """Return the path of a field of a mapping; a name that has dots or slashes stands in brackets."""
    if not name or not name.replace("-", "").replace("_", "").isalnum():
        return f"{path}[{name}]"
    return f"{path}.{name}" if path else name


def _hide(change: FieldChange) -> Iterator[FieldChange]:
    name = next((each for each in SECRET_FIELDS if change.path == each), None)
    if name is None:
        inside = change.path.startswith(
            tuple(f"{each}{mark}" for each in SECRET_FIELDS for mark in ".[")
        )
        yield _mask(change) if inside else change
        return
    before, after = (
        value if isinstance(value, Mapping) else {} for value in (change.before, change.after)
    )
    for key in sorted({*before, *after}):
        each = FieldChange(join_path(name, key), before.get(key, ABSENT), after.get(key, ABSENT))
        yield _mask(each)


def _mask(change: FieldChange) -> FieldChange:
    return FieldChange(
        change.path,
        change.before if change.before is ABSENT else HIDDEN,
        change.after if change.after is ABSENT else HIDDEN,
        hidden=True,
    )
