"""What the sandbox knows of the shape of objects: fields, merge rules, what an empty value does.

Read by decoding (unknown fields, zero values), server-side apply (which list merges by which keys),
strategic merge patch and the OpenAPI answer. The built-in kinds come from ``schema/kinds.txt``; kinds
of a CustomResourceDefinition from its structural schema.

``kinds.txt`` has one type a line: its name, ``@atomic`` when the whole value has one owner, then
``field:expression`` words. An expression is a leaf letter (``s`` string, ``i`` integer, ``n`` number,
``b`` boolean, ``q`` quantity, ``t`` time, ``x`` integer or string, ``*`` anything, owned as a whole), a
type name, ``{E}`` (a map; ``{E}atomic``) or ``[E]`` (an atomic list; ``[E]set``; ``[E]name`` merged by
that key; ``~key`` is the key of a strategic merge patch, ``~-`` merges plain values). After it ``?``
says that an empty value is left out, ``=`` that the field is always there, ``%X`` its default as a key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

__all__ = ["ANY", "DEDUCED", "OBJECT_META", "Field", "Type", "from_openapi", "named"]

LEAVES = frozenset("sinbqtx")


@dataclass(eq=False)
class Type:
    """One type. ``kind`` is a leaf letter, ``*`` (atomic), ``?`` (deduced), or map, list, struct.

    ``element`` types the items of a map or list (and further keys of a struct that allows them);
    ``keys`` are a list's merge keys; ``relation`` is ``atomic``, ``set`` or ``map`` for a list and
    ``atomic`` or ``granular`` else; ``schema`` is the OpenAPI of a custom type, ``words`` the line of a
    built-in one.
    """

    kind: str
    _: KW_ONLY
    element: Type | None = None
    relation: str = "granular"
    keys: tuple[str, ...] = ()
    patch_key: str | None = None
    name: str = ""
    words: tuple[str, ...] = field(default=(), repr=False)
    schema: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def atomic(self) -> bool:
        """Whether the whole value has one owner."""
        return self.relation == "atomic"

    @cached_property
    def fields(self) -> dict[str, Field]:
        """The named fields of a struct; empty for anything else."""
        if self.schema is not None:
            return {
                name: Field(from_openapi(each))
                for name, each in self.schema.get("properties", {}).items()
            }
        found = {}
        for word in self.words:
            name, _, expression = word.partition(":")
            expression, _, default = expression.partition("%")
            flag = expression[-1] if expression[-1] in "?=" and len(expression) > 1 else ""
            parsed = _parse(expression.removesuffix(flag) if flag else expression)
            found[name] = Field(parsed, empty=flag, default=default or None)
        return found

    def child(self, key: str) -> Type:
        """Return the type of the value under ``key`` of a struct, map or deduced value."""
        field = self.fields.get(key) if self.kind == "struct" else None
        if field is not None:
            return field.type
        return self.element or DEDUCED

    @cached_property
    def key_defaults(self) -> dict[str, Any]:
        """Defaults of a list's merge keys (a port without protocol is a TCP port)."""
        if self.element is None:
            return {}
        fields = self.element.fields
        return {
            key: fields[key].default
            for key in self.keys
            if key in fields and fields[key].default is not None
        }


class Field:
    """A named field: its type, what its ``empty`` value does (``?``, ``=`` or ""), its default."""

    __slots__ = ("default", "empty", "type")

    def __init__(self, type_: Type, *, empty: str = "", default: Any = None) -> None:
        self.type = type_
        self.empty = empty
        self.default = default


ANY = Type("*", relation="atomic")
DEDUCED = Type("?")


@cache
def _lines() -> dict[str, tuple[str, ...]]:
    text = files(__package__).joinpath("schema/kinds.txt").read_text("utf-8")
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, *words = line.split(" ")
            found[name] = tuple(words)
    return found


@cache
def named(name: str) -> Type:
    """Return the built-in type ``name`` (``core.v1.Pod``)."""
    words = _lines()[name]
    atomic = bool(words) and words[0] == "@atomic"
    return Type(
        "struct",
        relation="atomic" if atomic else "granular",
        name=name,
        words=words[1:] if atomic else words,
    )


@cache
def _parse(expression: str) -> Type:
    if expression in LEAVES:
        return Type(expression)
    if expression == "*":
        return ANY
    if expression[0] == "{":
        inner, _, relation = expression[1:].rpartition("}")
        return Type("map", element=_parse(inner), relation=relation or "granular")
    if expression[0] == "[":
        inner, _, rule = expression[1:].rpartition("]")
        rule, _, patch_key = rule.partition("~")
        relation = "atomic" if not rule else ("set" if rule == "set" else "map")
        keys = tuple(rule.split(",")) if relation == "map" else ()
        return Type(
            "list", element=_parse(inner), relation=relation, keys=keys, patch_key=patch_key or None
        )
    return named(expression)


OBJECT_META = "meta.v1.ObjectMeta"
_OPENAPI_LEAVES = {"string": "s", "integer": "i", "number": "n", "boolean": "b"}


def from_openapi(schema: Mapping[str, Any]) -> Type:
    """Return the type of a structural schema (a CustomResourceDefinition's, or a part of it)."""
    if schema.get("x-kubernetes-int-or-string"):
        return Type("x", schema=schema)
    kind = schema.get("type")
    if kind in _OPENAPI_LEAVES:
        return Type(_OPENAPI_LEAVES[kind], schema=schema)
    if kind == "array":
        rule = schema.get("x-kubernetes-list-type", "atomic")
        keys = tuple(schema.get("x-kubernetes-list-map-keys", ()))
        element = from_openapi(schema.get("items") or {})
        return Type("list", element=element, relation=rule, keys=keys, schema=schema)
    if kind == "object":
        relation = "atomic" if schema.get("x-kubernetes-map-type") == "atomic" else "granular"
        inner = schema.get("additionalProperties")
        if isinstance(inner, Mapping) and not schema.get("properties"):
            return Type("map", element=from_openapi(inner), relation=relation, schema=schema)
        preserved = schema.get("x-kubernetes-preserve-unknown-fields")
        return Type(
            "struct",
            element=DEDUCED if preserved or inner is True else None,
            relation=relation,
            schema=schema,
        )
    return DEDUCED
