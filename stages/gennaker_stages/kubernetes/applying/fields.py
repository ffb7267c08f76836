"""Who owns which fields of a live object, read from its ``managedFields``; pure.

``fieldsV1`` is a tree: ``f:name`` a field, ``k:{"name":"web"}`` an item of a list by its merge keys,
``v:"x"`` an item of a set, ``.`` the thing itself; what has nothing below is owned whole. Paths are
spelled as the API server spells them in a conflict: ``.spec.containers[name="web"].image``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = [
    "MISSING",
    "add_value",
    "find_entry",
    "find_value",
    "list_paths",
    "place_value",
    "remove_value",
]

Object = Mapping[str, Any]
MISSING: Any = object()


def find_entry(live: Object, manager: str) -> Mapping[str, Any] | None:
    """Return what ``manager`` owns by server-side apply: its entry in ``managedFields``."""
    for each in live["metadata"].get("managedFields") or ():
        if (
            each.get("manager") == manager
            and each.get("operation") == "Apply"
            and not each.get("subresource")
        ):
            found: Mapping[str, Any] = each
            return found
    return None


def list_paths(fields: Object, prefix: str = "") -> Iterator[str]:
    """Yield the path of everything that is owned whole in a ``fieldsV1`` tree."""
    for element, below in fields.items():
        if element == ".":
            continue
        path = prefix + _format(element)
        if any(each != "." for each in below):
            yield from list_paths(below, path)
        else:
            yield path


def find_value(body: Any, path: str) -> Any:
    """Return what is at a path of an object, :data:`MISSING` when nothing is."""
    steps = _resolve(body, path)
    if steps is None:
        return MISSING
    for step in steps:
        body = body[step]
    return body


def remove_value(body: Object, path: str) -> dict[str, Any]:
    """Return a copy of an object without what is at ``path``, nor mappings that get empty by that."""
    steps = _resolve(body, path)
    return _without(body, steps) if steps else dict(body)


def place_value(body: Object, path: str, value: Any) -> dict[str, Any]:
    """Return a copy of an object with another value at ``path``, which has to be there."""
    steps = _resolve(body, path)
    return _with(body, steps, value) if steps else dict(body)


def add_value(body: Object, live: Object, path: str) -> dict[str, Any]:
    """Return a copy of an object with what a live one has at ``path``; of items that both have."""
    found: dict[str, Any] = _add(body, live, path)
    return found


def _add(body: Any, live: Any, path: str) -> Any:
    steps = _resolve(live, path)
    if not path or steps is None:
        return live if not path else body
    first = steps[0]
    if isinstance(live, list) and isinstance(body, list):
        length = _fit_item(live[first], path)
        rest = path[length:]
        return [_add(each, live[first], rest) if _fit_item(each, path) else each for each in body]
    if not isinstance(live, Mapping) or not isinstance(body, Mapping):
        return body
    rest = path[len(first) + 1 :]
    if first not in body and "[" in rest:
        return body  # the items are not there
    return {**body, first: _add(body.get(first, {}), live[first], rest)}


def _format(element: str) -> str:
    kind, _, text = element.partition(":")
    if kind == "f":
        return f".{text}"
    value = json.loads(text)
    if kind == "k":
        return f"[{','.join(f'{name}={json.dumps(value[name])}' for name in sorted(value))}]"
    return f"[={json.dumps(value)}]" if kind == "v" else f"[{value}]"


def _resolve(body: Any, path: str) -> list[Any] | None:
    """Return the keys and indices that lead to ``path``; names may have dots, so the body is asked."""
    if not path:
        return []
    if isinstance(body, Mapping) and path.startswith("."):
        names = [
            each
            for each in body
            if path.startswith(f".{each}") and path[len(each) + 1 : len(each) + 2] in ("", ".", "[")
        ]
        for name in sorted(names, key=len, reverse=True):
            below = _resolve(body[name], path[len(name) + 1 :])
            if below is not None:
                return [name, *below]
    elif isinstance(body, list) and path.startswith("["):
        for index, item in enumerate(body):
            length = _fit_item(item, path)
            below = _resolve(item, path[length:]) if length else None
            if below is not None:
                return [index, *below]
    return None


def _fit_item(item: Any, path: str) -> int:
    """Return the length of the ``[…]`` at the start of ``path`` when it means this item, else 0."""
    for end in (i + 1 for i, letter in enumerate(path) if letter == "]"):
        text = path[1 : end - 1]
        if text.startswith("="):
            if text in (f"={json.dumps(item)}", f"={item}"):
                return end
            continue
        parts = [each.partition("=") for each in text.split(",")]
        if isinstance(item, Mapping) and all(
            equals and (name not in item or value in (json.dumps(item[name]), str(item[name])))
            for name, equals, value in parts
        ):
            return end if any(name in item for name, _, _ in parts) else 0
    return 0


def _with(body: Any, steps: Sequence[Any], value: Any) -> Any:
    if not steps:
        return value
    copy = body.copy()
    copy[steps[0]] = _with(body[steps[0]], steps[1:], value)
    return copy


def _without(body: Any, steps: Sequence[Any]) -> Any:
    first, rest = steps[0], steps[1:]
    if isinstance(body, list):
        kept = [
            _without(item, rest) if i == first and rest else item for i, item in enumerate(body)
        ]
        return kept if rest else [item for i, item in enumerate(body) if i != first]
    copy = dict(body)
    if rest:
        copy[first] = _without(body[first], rest)
    if not rest or copy[first] in ({}, []):
        del copy[first]
    return copy
