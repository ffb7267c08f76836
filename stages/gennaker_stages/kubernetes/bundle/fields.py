"""Fields that a kind does not have, and values of the wrong type, told with what was meant; pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from gennaker.records import dataclass
from gennaker.suggestions import suggest
from gennaker_stages.kubernetes.bundle.openapi import Node

__all__ = ["Fault", "check_fields", "drop_nulls", "find_unknown_field", "write_path"]

Path = tuple[str | int, ...]
_TYPES: Mapping[str, tuple[tuple[type, ...], str]] = {
    "string": ((str,), "text"),
    "integer": ((int,), "a whole number"),
    "number": ((int, float), "a number"),
    "boolean": ((bool,), "true or false"),
}
_MOST_DEEP = 200
_PART = re.compile(r"([^.\[\]]+)|\[((?:[^\[\]\"]|\"[^\"]*\")+)\]")


@dataclass(frozen=True, slots=True)
class Fault:
    """One field that does not fit: where it is, what is wrong, what to do."""

    path: Path
    code: str
    message: str
    hint: str | None = None


def check_fields(body: Any, node: Node, types: Mapping[str, Node]) -> Iterator[Fault]:
    """Yield what in an object does not fit its kind.

    Whether required fields are there, and what values they may have, is the server's to say.

    Args:
        body: the object.
        node: the type of its kind.
        types: the types that may be referred to.
    """
    yield from _check(body, node, types, ())


def drop_nulls(value: Any, node: Node, types: Mapping[str, Node]) -> Any:
    """Return an object without the fields that are null where null means that they are not set.

    A server takes them out of what it is given (apiextensions, PruneNonNullableNullsWithoutDefaults),
    but not of what is applied to it, and then refuses them. In a map null is a value.

    Args:
        value: the object.
        node: the type of its kind.
        types: the types that may be referred to.
    """
    return _drop(value, node, types) if _has_null(value) else value


def find_unknown_field(path: str, node: Node, types: Mapping[str, Node]) -> Fault | None:
    """Return what of a path, as people write one, is no field of a kind; None when nothing is known to be.

    Args:
        path: ``spec.template.spec.containers[web].image``.
        node: the type of its kind.
        types: the types that may be referred to.
    """
    for part in _PART.finditer(path):
        name, item = part.groups()
        node = _resolve(node, types)
        if item or not ("properties" in node or "values" in node):
            # An item of a list, or a key of a map that is written like one.
            node = node.get("items") or node.get("values") or {}
        elif "values" in node:
            node = node["values"]
        elif name in node["properties"]:
            node = node["properties"][name]
        elif node.get("open"):
            return None
        else:
            where = path[: part.start()].strip(".") or "an object of this kind"
            told = f"{name!r} is not a field of {where}"
            return Fault((), "unknown-field", told, suggest(name, node["properties"]))
    return None


def write_path(path: Path) -> str:
    """Return a path as Kubernetes writes it: ``spec.containers[0].image``."""
    parts = [f"[{each}]" if isinstance(each, int) else f".{each}" for each in path]
    return "".join(parts).removeprefix(".")


def _check(value: Any, node: Node, types: Mapping[str, Node], path: Path) -> Iterator[Fault]:
    node = _resolve(node, types)
    if value is None or not node or len(path) > _MOST_DEEP:
        return
    if "type" in node:
        yield from _check_leaf(value, node["type"], path)
    elif "items" in node:
        if not isinstance(value, list):
            yield _refuse(value, "a list", path)
            return
        for index, each in enumerate(value):
            yield from _check(each, node["items"], types, (*path, index))
    elif not isinstance(value, Mapping):
        yield _refuse(value, "a mapping", path)
    elif "values" in node:
        for key, each in value.items():
            yield from _check(each, node["values"], types, (*path, key))
    else:
        known = node["properties"]
        for key, each in value.items():
            if key in known:
                yield from _check(each, known[key], types, (*path, key))
            elif not node.get("open"):
                where = write_path(path) or "an object of this kind"
                told = f"{key!r} is not a field of {where}"
                yield Fault((*path, key), "unknown-field", told, suggest(key, known))


def _has_null(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_null, value.values()))
    return any(map(_has_null, value)) if isinstance(value, list) else value is None


def _drop(value: Any, node: Node, types: Mapping[str, Node]) -> Any:
    node = _resolve(node, types)
    if isinstance(value, list) and "items" in node:
        return [_drop(each, node["items"], types) for each in value]
    if not isinstance(value, Mapping):
        return value
    if "values" in node:
        return {key: _drop(each, node["values"], types) for key, each in value.items()}
    known = node.get("properties") or {}
    return {
        key: _drop(each, known.get(key, {}), types)
        for key, each in value.items()
        if each is not None or _takes_null(_resolve(known.get(key, {}), types))
    }


def _resolve(node: Node, types: Mapping[str, Node]) -> Node:
    for _ in range(_MOST_DEEP):
        if "ref" not in node:
            break
        node = types.get(node["ref"], {})
    return node


def _takes_null(node: Node) -> bool:
    return not node or bool(node.get("nullable"))


def _check_leaf(value: Any, kind: str, path: Path) -> Iterator[Fault]:
    types, words = _TYPES[kind]
    if isinstance(value, bool) and kind != "boolean":
        fits = False  # to Python a truth is an integer
    elif kind == "integer" and isinstance(value, float):
        fits = value.is_integer()
    else:
        fits = isinstance(value, types)
    if not fits:
        yield _refuse(value, words, path)


def _refuse(value: Any, wanted: str, path: Path) -> Fault:
    hint = None
    if wanted == "text" and not isinstance(value, list | Mapping):
        hint = "put it into quotes"
    told = f"{write_path(path)} must be {wanted}, not {_tell(value)}"
    return Fault(path, "field-type", told, hint)


def _tell(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    # The value itself may be a secret.
    return "text" if isinstance(value, str) else "a number"
