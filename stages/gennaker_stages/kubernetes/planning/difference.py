"""What would change in an object: field by field, without what the server writes itself; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["describe_difference", "find_differences"]

_OWN = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")
Difference = tuple[str, Any, Any]
MISSING = object()


def find_differences(live: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[Difference]:
    """Return ``(path, now, then)`` of each field in which the two differ; status does not count."""
    return list(_compare("", _strip(live), _strip(wanted)))


def describe_difference(differences: list[Difference], *, secret: bool, most: int = 8) -> str:
    """Return the differences as one line for people; values of a Secret are not shown."""
    parts = []
    for path, now, then in differences[:most]:
        if secret and path.startswith(("data", "stringData")):
            parts.append(f"{path}: changed")
        else:
            parts.append(f"{path}: {_show(now)} → {_show(then)}")
    if len(differences) > most:
        parts.append(f"and {len(differences) - most} more")
    return ", ".join(parts)


def _strip(body: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in body.items() if name != "status"}
    metadata = kept.get("metadata") or {}
    kept["metadata"] = {name: value for name, value in metadata.items() if name not in _OWN}
    return kept


def _compare(path: str, now: Any, then: Any) -> Iterator[Difference]:
    if isinstance(now, Mapping) and isinstance(then, Mapping):
        for name in sorted({*now, *then}):
            inner = f"{path}.{name}" if path else name
            yield from _compare(inner, now.get(name, MISSING), then.get(name, MISSING))
    elif isinstance(now, list) and isinstance(then, list) and len(now) == len(then):
        for index, (before, after) in enumerate(zip(now, then, strict=True)):
            yield from _compare(f"{path}[{index}]", before, after)
    elif now != then:
        yield path, now, then


def _show(value: Any) -> str:
    if value is MISSING:
        return "nothing"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
