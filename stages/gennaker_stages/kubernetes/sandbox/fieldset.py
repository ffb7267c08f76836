"""Sets of fields: who owns what, in the form of ``metadata.managedFields[].fieldsV1``.

A path element is kept as its wire key: ``f:name`` (a field), ``k:{"name":"web"}`` (an item of a list
by its merge keys), ``v:"x"`` (an item of a set). Used by :mod:`.structured` and :mod:`.managed`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from .shapes import Type

__all__ = ["FieldSet", "format_path", "key_element", "value_element"]


class FieldSet:
    """A tree: ``members`` are owned here, ``children`` have owned things below them."""

    __slots__ = ("children", "members")

    def __init__(
        self, members: set[str] | None = None, children: dict[str, FieldSet] | None = None
    ) -> None:
        self.members: set[str] = members if members is not None else set()
        self.children: dict[str, FieldSet] = children if children is not None else {}

    def __bool__(self) -> bool:
        return bool(self.members) or any(self.children.values())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FieldSet) and self.encode() == other.encode()

    __hash__ = None  # type: ignore[assignment]

    def below(self, element: str) -> FieldSet:
        """Return the child under ``element``, made when it is missing."""
        child = self.children.get(element)
        if child is None:
            child = self.children[element] = FieldSet()
        return child

    def union(self, other: FieldSet) -> FieldSet:
        """Return what is in either."""
        children = dict(self.children)
        for element, theirs in other.children.items():
            mine = children.get(element)
            children[element] = theirs if mine is None else mine.union(theirs)
        return FieldSet(self.members | other.members, children)

    def intersection(self, other: FieldSet) -> FieldSet:
        """Return what is in both."""
        children = {}
        for element, mine in self.children.items():
            theirs = other.children.get(element)
            if theirs is not None and (both := mine.intersection(theirs)):
                children[element] = both
        return FieldSet(self.members & other.members, children)

    def difference(self, other: FieldSet) -> FieldSet:
        """Return what is here and not in ``other``, member by member."""
        children = {}
        for element, mine in self.children.items():
            theirs = other.children.get(element)
            rest = mine if theirs is None else mine.difference(theirs)
            if rest:
                children[element] = rest
        return FieldSet(self.members - other.members, children)

    def without_trees(self, other: FieldSet) -> FieldSet:
        """Return what is here and neither in ``other`` nor below a member of it."""
        children = {}
        for element, mine in self.children.items():
            if element in other.members:
                continue
            theirs = other.children.get(element)
            rest = mine if theirs is None else mine.without_trees(theirs)
            if rest:
                children[element] = rest
        return FieldSet(self.members - other.members, children)

    def with_named_members(self, kind: Type) -> FieldSet:
        """Return this set with every struct field on the way to a member made a member too."""
        members = set(self.members)
        children = {}
        for element, child in self.children.items():
            inner: Type | None = None
            if element.startswith("f:") and kind.kind in ("struct", "map", "?"):
                name = element[2:]
                if kind.kind == "struct" and name in kind.fields:
                    members.add(element)
                inner = kind.child(name)
            elif kind.kind == "list":
                inner = kind.element
            children[element] = child.with_named_members(inner or _NOTHING)
        return FieldSet(members, children)

    def paths(self, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
        """Yield every member's path, a level's members before what is below it."""
        for element in sorted(self.members, key=_order):
            yield (*prefix, element)
        for element in sorted(self.children, key=_order):
            yield from self.children[element].paths((*prefix, element))

    def encode(self) -> dict[str, Any]:
        """Return the ``fieldsV1`` form."""
        found: dict[str, Any] = {}
        for element in sorted(self.members | self.children.keys()):
            child = self.children.get(element)
            inner = child.encode() if child is not None else {}
            if inner and element in self.members:
                inner = {".": {}, **inner}
            if inner or element in self.members:
                found[element] = inner
        return found

    @classmethod
    def decode(cls, fields: Mapping[str, Any]) -> FieldSet:
        """Return the set a ``fieldsV1`` describes."""
        found = cls()
        for element, inner in fields.items():
            if element == ".":
                continue
            if not inner or "." in inner:
                found.members.add(element)
            child = cls.decode(inner)
            if child:
                found.children[element] = child
        return found


_NOTHING = Type("s")


def key_element(keys: Mapping[str, Any]) -> str:
    """Return the element of a list item with these merge keys."""
    return "k:" + _dump(dict(sorted(keys.items())))


def value_element(value: Any) -> str:
    """Return the element of a set's item."""
    return "v:" + _dump(value)


def _dump(value: Any) -> str:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _order(element: str) -> tuple[int, Any]:
    if element.startswith("f:"):
        return (0, element)
    if element.startswith("k:"):
        return (1, [(k, _rank(v)) for k, v in json.loads(element[2:]).items()])
    return (2, _rank(json.loads(element[2:])) if element.startswith("v:") else (9, element))


def _rank(value: Any) -> tuple[int, Any]:
    if isinstance(value, bool):
        return (2, value)
    return (0, value) if isinstance(value, int | float) else (1, str(value))


def format_path(path: tuple[str, ...]) -> str:
    """Return a path as Kubernetes writes it: ``.spec.containers[name="web"].image``."""
    parts = []
    for element in path:
        if element.startswith("f:"):
            parts.append("." + element[2:])
        elif element.startswith("k:"):
            keys = json.loads(element[2:])
            parts.append("[" + ",".join(f"{k}={_dump(v)}" for k, v in keys.items()) + "]")
        else:
            parts.append(f"[={element[2:]}]")
    return "".join(parts)
