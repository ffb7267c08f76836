"""Helm's values: files and mappings merged in order, then single keys set on top."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from gennaker.errors import InvalidInput

__all__ = ["merge_values", "set_value", "split_key"]

_PART = re.compile(r"((?:[^\\.\[\]]|\\.)+)|\[(\d{1,4})\]")
MAX_INDEX = 1000


def merge_values(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return both merged: mappings key by key, anything else replaced by what is above.

    A null stays: Helm takes it as the order to remove a chart's default.
    """
    merged = dict(below)
    for name, value in above.items():
        known = merged.get(name)
        if isinstance(known, Mapping) and isinstance(value, Mapping):
            merged[name] = merge_values(known, value)
        else:
            merged[name] = value
    return merged


def set_value(values: Mapping[str, Any], where: Sequence[str | int], value: Any) -> dict[str, Any]:
    """Return the values with one key set, of the path that :func:`split_key` gives."""
    changed: dict[str, Any] = _set(dict(values), list(where), value)
    return changed


def split_key(key: str) -> list[str | int]:
    """Return the parts of a key; ``a.b[0].c`` as ``--set`` spells it, ``\\.`` for a dot.

    Raises:
        InvalidInput: code ``helm-key``.
    """
    parts: list[str | int] = []
    at = 0
    while at < len(key):
        match = _PART.match(key, at)
        if match is None:
            raise InvalidInput(
                f"{key!r} is not a key of values", code="helm-key", hint="write 'a.b[0]'"
            )
        if match[2] is not None:
            if int(match[2]) > MAX_INDEX:
                raise InvalidInput(f"the index in {key!r} is above {MAX_INDEX}", code="helm-key")
            parts.append(int(match[2]))
        else:
            parts.append(re.sub(r"\\(.)", r"\1", match[1]))
        at = match.end()
        if at < len(key) and key[at] == ".":
            at += 1
    if not parts or key.endswith("."):
        raise InvalidInput(
            f"{key!r} is not a key of values", code="helm-key", hint="write 'a.b[0]'"
        )
    return parts


def _set(into: Any, parts: list[str | int], value: Any) -> Any:
    if not parts:
        return value
    first, rest = parts[0], parts[1:]
    if isinstance(first, int):
        several = list(into) if isinstance(into, list) else []
        several += [None] * (first + 1 - len(several))
        several[first] = _set(several[first], rest, value)
        return several
    mapping = dict(into) if isinstance(into, Mapping) else {}
    mapping[first] = _set(mapping.get(first), rest, value)
    return mapping
