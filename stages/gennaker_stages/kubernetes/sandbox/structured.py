"""Structured merge and comparison of objects by their types, the algebra below server-side apply.

Pure functions over plain JSON data; nothing given is changed, results may share parts with it. They
follow the published semantics of Kubernetes' structured merge: ownership of leaves, of items of lists
with merge keys, of sets' values, and of whole atomic values. Called by :mod:`.managed`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .fieldset import FieldSet, key_element, value_element
from .gotext import show_syntax, show_type, show_value
from .shapes import DEDUCED, Type

__all__ = ["MISSING", "Comparison", "collect", "compare", "find_mistakes", "merge", "remove"]

MISSING: Any = object()


def _shape(value: Any, kind: Type) -> str:
    """Return how a value of this type is walked: leaf, map or list."""
    if kind.kind in ("struct", "map"):
        return "leaf" if kind.atomic else "map"
    if kind.kind == "list":
        return "leaf" if kind.atomic else "list"
    if kind.kind == "?" and isinstance(value, dict):
        return "map"
    return "leaf"


def item_element(item: Any, kind: Type) -> str:
    """Return the path element of a list's item.

    Raises:
        ValueError: when it has none of the merge keys, or cannot be in a set.
    """
    if kind.relation == "set":
        if isinstance(item, dict | list) or item is None:
            what = "a map type" if isinstance(item, dict) else "an explicit null"
            raise ValueError(f"associative list without keys has an element that's {what}")
        return value_element(item)
    if not isinstance(item, dict):
        raise ValueError("associative list with keys may not have non-map elements")
    keys = {}
    for key in kind.keys:
        if key in item:
            keys[key] = item[key]
        elif key in kind.key_defaults:
            keys[key] = kind.key_defaults[key]
    if not keys:
        names = "[" + " ".join(f'"{key}"' for key in kind.keys) + "]"
        raise ValueError(
            f"associative list with keys has an element that omits all key fields {names}"
            " (and doesn't have default values for any key fields)"
        )
    return key_element(keys)


def collect(value: Any, kind: Type) -> FieldSet:
    """Return the fields that ``value`` (an object) names."""
    found = FieldSet()
    _collect_map(value, kind, found)
    return found


def _collect_value(value: Any, kind: Type, owner: FieldSet, element: str) -> None:
    shape = _shape(value, kind)
    if shape == "leaf":
        owner.members.add(element)
    elif shape == "map":
        if value:
            _collect_map(value, kind, owner.below(element))
    elif value:
        _collect_list(value, kind, owner.below(element))


def _collect_map(value: dict[str, Any], kind: Type, into: FieldSet) -> None:
    fields = kind.fields if kind.kind == "struct" else {}
    for key, inner in value.items():
        element = f"f:{key}"
        _collect_value(inner, kind.child(key), into, element)
        if inner is None or inner == {} or key not in fields:
            into.members.add(element)


def _collect_list(value: list[Any], kind: Type, into: FieldSet) -> None:
    assert kind.element is not None
    elements = [item_element(item, kind) for item in value]
    for element, item in zip(elements, value, strict=True):
        if elements.count(element) == 1:
            _collect_value(item, kind.element, into, element)
        into.members.add(element)


@dataclass(slots=True)
class Comparison:
    """What the second object adds, modifies and removes."""

    added: FieldSet = field(default_factory=FieldSet)
    modified: FieldSet = field(default_factory=FieldSet)
    removed: FieldSet = field(default_factory=FieldSet)

    def below(self, element: str) -> Comparison:
        """Return the comparison one level down."""
        return Comparison(
            self.added.below(element), self.modified.below(element), self.removed.below(element)
        )

    def without(self, ignored: FieldSet) -> Comparison:
        """Return this without anything in or below ``ignored``."""
        return Comparison(
            self.added.without_trees(ignored),
            self.modified.without_trees(ignored),
            self.removed.without_trees(ignored),
        )


def compare(old: Any, new: Any, kind: Type) -> Comparison:
    """Compare two objects of one type."""
    found = Comparison()
    _compare_maps(old, new, kind, found)
    return found


def _compare(old: Any, new: Any, kind: Type, into: Comparison, element: str) -> None:
    shape = _shape(old if new is MISSING else new, kind)
    if kind.kind == "?" and old is not MISSING and new is not MISSING:
        # Null counts as an empty map where nothing is known of the type.
        shape = "map" if _is_map(old) and _is_map(new) else "leaf"
    if shape != "leaf" and not (_full(old) or _full(new)):
        shape = "leaf"
    if shape == "leaf":
        if old is MISSING:
            into.added.members.add(element)
        elif new is MISSING:
            into.removed.members.add(element)
        elif not _same(old, new):
            into.modified.members.add(element)
            if kind.kind == "?":
                _compare_parts(old, new, kind, into, element)
        return
    if old is not new:
        walk = _compare_maps if shape == "map" else _compare_lists
        walk(old, new, kind, into.below(element))
    if old is MISSING:
        into.added.members.add(element)
    elif new is MISSING:
        into.removed.members.add(element)


def _compare_parts(old: Any, new: Any, kind: Type, into: Comparison, element: str) -> None:
    """Tell the members of a map that took the place of a scalar, or that one took the place of."""
    if isinstance(old, dict) and not isinstance(new, dict):
        _compare_maps(old, MISSING, kind, into.below(element))
    elif isinstance(new, dict) and not isinstance(old, dict):
        _compare_maps(MISSING, new, kind, into.below(element))


def _is_map(value: Any) -> bool:
    return value is None or isinstance(value, dict)


def _full(value: Any) -> bool:
    return value is not MISSING and bool(value)


def _same(old: Any, new: Any) -> bool:
    return bool(old == new) and isinstance(old, bool) == isinstance(new, bool)


def _compare_maps(old: Any, new: Any, kind: Type, into: Comparison) -> None:
    before = old if _full(old) else {}
    after = new if _full(new) else {}
    for key, value in before.items():
        other = after.get(key, MISSING)
        if value is not other:
            _compare(value, other, kind.child(key), into, f"f:{key}")
    for key, value in after.items():
        if key not in before:
            _compare(MISSING, value, kind.child(key), into, f"f:{key}")


def _compare_lists(old: Any, new: Any, kind: Type, into: Comparison) -> None:
    assert kind.element is not None
    before = _group(old if _full(old) else [], kind)
    after = _group(new if _full(new) else [], kind)
    for element in [*before, *(each for each in after if each not in before)]:
        mine, theirs = before.get(element, []), after.get(element, [])
        if len(mine) <= 1 and len(theirs) <= 1:
            first = mine[0] if mine else MISSING
            second = theirs[0] if theirs else MISSING
            _compare(first, second, kind.element, into, element)
        elif len(mine) >= 2 and len(theirs) >= 2:
            if mine != theirs:
                into.modified.members.add(element)
        elif len(mine) >= 2:
            if theirs:
                _compare(MISSING, theirs[0], kind.element, into, element)
            into.removed.members.add(element)
        else:
            if mine:
                _compare(mine[0], MISSING, kind.element, into, element)
            into.added.members.add(element)


def _group(items: list[Any], kind: Type) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for item in items:
        found.setdefault(item_element(item, kind), []).append(item)
    return found


def merge(live: Any, config: Any, kind: Type) -> Any:
    """Return ``live`` with ``config`` laid over it; nothing is removed."""
    if config is MISSING:
        return live
    if live is MISSING:
        return config
    shape = _shape(config, kind)
    if kind.kind == "?" and config is None and isinstance(live, dict) and live:
        return live
    if shape == "leaf" or (kind.kind == "?" and type(live) is not type(config)):
        return config
    if not live and not config:
        return config
    if shape == "map":
        merged = dict(live or {})
        for key, value in (config or {}).items():
            merged[key] = merge(merged.get(key, MISSING), value, kind.child(key))
        return merged
    return _merge_lists(live or [], config or [], kind)


def _merge_lists(live: list[Any], config: list[Any], kind: Type) -> list[Any]:
    """Merge by keys; the order is the config's where both have items, the live one's around it."""
    assert kind.element is not None
    left = [item_element(item, kind) for item in live]
    right = [item_element(item, kind) for item in config]
    by_left = {e: item for e, item in zip(left, live, strict=True) if left.count(e) == 1}
    by_right = dict(zip(right, config, strict=True))
    shared = [element for element in right if element in left]
    merged: list[Any] = []
    done: set[str] = set()
    i = j = 0
    while i < len(left) or j < len(right):
        if i < len(left) and j < len(right) and left[i] != right[j]:
            wanted = shared[0] if shared else None
            if left[i] in by_right and wanted is not None and wanted != left[i]:
                i += 1
                continue
        if i < len(left) and not (j < len(right) and left[i] == right[j]):
            if left[i] not in by_right:
                merged.append(live[i])
                i += 1
                continue
            if left[i] in done:
                i += 1
        if j < len(right):
            element = right[j]
            if i < len(left) and left[i] == element:
                i += 1
            done.add(element)
            item = merge(by_left.get(element, MISSING), by_right[element], kind.element)
            merged.append(item)
            j += 1
            if shared and shared[0] == element:
                shared.pop(0)
    return merged


def remove(value: Any, fields: FieldSet, kind: Type) -> Any:
    """Return ``value`` without the items in ``fields``; a container that loses all becomes null.

    Null instead of an empty container is what the API server's release does; for a custom kind it can
    be seen, and even be refused by its schema.
    """
    shape = _shape(value, kind)
    if not value or not fields or shape == "leaf":
        return value
    if shape == "map":
        kept: dict[str, Any] = {}
        for key, inner in value.items():
            element = f"f:{key}"
            if element in fields.members:
                continue
            below = fields.children.get(element)
            kept[key] = remove(inner, below, kind.child(key)) if below else inner
        return kept or None
    items = []
    for item in value:
        element = item_element(item, kind)
        if element in fields.members:
            continue
        below = fields.children.get(element)
        items.append(remove(item, below, kind.element or DEDUCED) if below else item)
    return items or None


_EXPECTED = {
    "s": (str, "string"),
    "i": (int | float, "numeric (int or float)"),
    "n": (int | float, "numeric (int or float)"),
    "b": (bool, "boolean"),
}


def find_mistakes(value: Any, kind: Type, path: str = "") -> list[str]:
    """Return what keeps ``value`` from being of this type, as server-side apply says it."""
    if value is None or kind.kind in ("*", "?"):
        return []
    if kind.kind in ("struct", "map"):
        if not isinstance(value, dict):
            return [f"{path}: expected map, got &{{{show_value(value)}}}"]
        return _find_map_mistakes(value, kind, path)
    if kind.kind == "list":
        if not isinstance(value, list):
            return [f"{path}: expected list, got &{{{show_value(value)}}}"]
        return _find_list_mistakes(value, kind, path)
    expected = _EXPECTED.get(kind.kind)
    wrong = isinstance(value, dict | list)
    if expected is not None:
        wrong = not isinstance(value, expected[0])
        wrong = wrong or (expected[0] is not bool and isinstance(value, bool))
    if wrong:
        name = expected[1] if expected else "any scalar"
        return [f"{path}: expected {name}, got {_show(value, kind)}"]
    return []


def _find_map_mistakes(value: dict[str, Any], kind: Type, path: str) -> list[str]:
    found = []
    for key, inner in value.items():
        if kind.kind == "struct" and key not in kind.fields and kind.element is None:
            found.append(f"{path}.{key}: field not declared in schema")
        else:
            found += find_mistakes(inner, kind.child(key), f"{path}.{key}")
    return found


def _find_list_mistakes(value: list[Any], kind: Type, path: str) -> list[str]:
    found: list[str] = []
    seen = set()
    for index, item in enumerate(value):
        place = f"{path}[{index}]"
        if kind.relation != "atomic":
            try:
                element = item_element(item, kind)
            except ValueError as error:
                found.append(f"{path}: element {index}: {error}")
                continue
            from .fieldset import format_path

            place = path + format_path((element,))
            if element in seen:
                found.append(f"{path}: duplicate entries for key {format_path((element,))}")
            seen.add(element)
        found += find_mistakes(item, kind.element or DEDUCED, place)
    return found


def _show(value: Any, kind: Type) -> str:
    """Each of the server's scalars says in its own way what it got."""
    if kind.kind in ("i", "n"):
        return show_type(value)
    if kind.kind == "s":
        return f"&value.valueUnstructured{{Value:{show_syntax(value)}}}"
    return f"&{{{show_value(value)}}}"
