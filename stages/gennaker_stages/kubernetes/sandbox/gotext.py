"""Values in the words of the API server's messages, which are those of the Go language's formatter.

Called by :mod:`.structured` and :mod:`.reading`, for messages only.
"""

from __future__ import annotations

import json
from typing import Any

from .shapes import Type

__all__ = ["find_unrestorable", "show_syntax", "show_type", "show_value"]

_TYPES = {
    str: "string",
    bool: "bool",
    int: "int64",
    float: "float64",
    list: "[]interface {}",
    dict: "map[string]interface {}",
}
_KINDS = {**_TYPES, list: "slice", dict: "map"}
_LEAVES = {"s": "string", "i": "int32", "n": "float64", "b": "bool"}


def show_type(value: Any) -> str:
    """Return the type of a value, as ``%T`` does."""
    return _TYPES.get(type(value), "<nil>")


def show_value(value: Any) -> str:
    """Return a value as ``%v`` does: ``map[a:1 b:[x y]]``."""
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{show_value(value[key])}' for key in sorted(value))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(show_value, value))}]"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if value is None:
        return "<nil>"
    return str(value).lower() if isinstance(value, bool) else str(value)


def show_syntax(value: Any) -> str:
    """Return a value as ``%#v`` does: ``map[string]interface {}{"a":1}``."""
    if isinstance(value, dict):
        inner = ", ".join(f"{json.dumps(key)}:{show_syntax(value[key])}" for key in sorted(value))
        return f"{show_type(value)}{{{inner}}}"
    if isinstance(value, list):
        return f"{show_type(value)}{{{', '.join(map(show_syntax, value))}}}"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return "interface {}(nil)" if value is None else show_value(value)


def find_unrestorable(value: Any, kind: Type, *, secret: bool = False) -> str | None:
    """Return why a strategic merge patch's result is not of its type, or None.

    Args:
        value: the patched object, or a part of it.
        kind: what it should be.
        secret: whether it is a Secret, whose texts are bytes to the server.
    """
    if value is None:
        return None
    if kind.kind in ("struct", "map"):
        if not isinstance(value, dict):
            words = "struct from:" if kind.kind == "struct" else "map from"
            return f"cannot restore {words} {_KINDS[type(value)]}"
        parts = [
            (inner, kind.child(key), secret and key == "data")
            for key, inner in value.items()
            if kind.kind == "map" or key in kind.fields
        ]
        if kind.kind == "map" and secret:
            parts = [(inner, Type("bytes"), False) for inner in value.values()]
    elif kind.kind == "list":
        if not isinstance(value, list):
            return f"cannot restore slice from {_KINDS[type(value)]}"
        assert kind.element is not None
        parts = [(item, kind.element, False) for item in value]
    elif kind.kind == "bytes":
        got = _KINDS[type(value)]
        return None if got in ("string", "slice") else f"cannot restore slice from {got}"
    else:
        return _find_wrong_leaf(value, kind)
    return next((why for part in parts if (why := _restore(*part))), None)


def _restore(value: Any, kind: Type, secret: bool) -> str | None:
    return find_unrestorable(value, kind, secret=secret)


def _find_wrong_leaf(value: Any, kind: Type) -> str | None:
    wanted, got = _LEAVES.get(kind.kind), _KINDS[type(value)]
    if wanted is None or got[:3] == wanted[:3] or (got, kind.kind) == ("int64", "n"):
        return None
    if (got, wanted) in (("int64", "string"), ("float64", "int32")):
        return f"cannot convert {got} to {wanted}"
    return f"unrecognized type: {wanted}"
