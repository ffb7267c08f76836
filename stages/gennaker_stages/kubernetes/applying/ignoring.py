"""Fields that a deploy leaves as they are: those that an environment ignores; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gennaker_stages.kubernetes.applying.adoption import part_entries
from gennaker_stages.kubernetes.applying.conflicts import find_conflicts
from gennaker_stages.kubernetes.applying.fields import (
    MISSING,
    add_value,
    find_entry,
    find_value,
    list_paths,
    place_value,
    remove_value,
)
from gennaker_stages.kubernetes.applying.fieldsets import extract_fields, unite
from gennaker_stages.kubernetes.applying.paths import expand_path
from gennaker_stages.kubernetes.applying.rules import CLIENT_SIDE, IgnoreRule
from gennaker_stages.kubernetes.bundle.masking import LAST_APPLIED
from gennaker_stages.kubernetes.bundle.objects import Object
from gennaker_stages.kubernetes.client.cluster import FIELD_MANAGER

__all__ = ["leave_ignored"]


def leave_ignored(
    body: Object,
    live: Mapping[str, Any] | None,
    rules: Sequence[IgnoreRule],
    *,
    adopted: frozenset[str] = CLIENT_SIDE,
) -> Object:
    """Return a desired object with the live values of the fields that are ignored.

    A field that is ours, or becomes ours because the object is taken over, keeps its live value,
    because leaving it out would remove it; any other is left out. An object that is not there yet is
    made as it is written.

    Args:
        body: what is desired.
        live: the object as it is, None when it is not there.
        rules: what is ignored.
        adopted: managers whose objects are taken over.
    """
    if live is None:
        return body
    for rule in rules:
        if not rule.covers(body):
            continue
        for path in rule.paths:
            for each in dict.fromkeys([*expand_path(path, body), *expand_path(path, live)]):
                body = _leave(body, live, each, adopted)
        if rule.managers:
            for each, manager in list(find_conflicts(body, live)):
                if manager in rule.managers and manager in adopted:
                    body = _leave(body, live, each, adopted)
                elif manager in rule.managers:
                    body = remove_value(body, each)
    return body


def _leave(body: Object, live: Mapping[str, Any], path: str, adopted: frozenset[str]) -> Object:
    held, wanted = find_value(live, path), find_value(body, path)
    if wanted == held:
        return body
    if wanted is MISSING:
        return add_value(body, _find_ours(live, adopted), path)
    if held is not MISSING and _is_ours(live, path, adopted):
        return place_value(body, path, held)
    return remove_value(body, path)


def _is_ours(live: Mapping[str, Any], path: str, adopted: frozenset[str]) -> bool:
    """Whether a field is ours when the object is applied."""
    plain = path.replace('"', "")
    return any(
        found == plain or found.startswith((f"{plain}.", f"{plain}["))
        for found in (each.replace('"', "") for each in list_paths(_unite_ours(live, adopted)))
    )


def _find_ours(live: Mapping[str, Any], adopted: frozenset[str]) -> Object:
    """Return the part of an object that would go when it is not applied again."""
    found = extract_fields(live, _unite_ours(live, adopted))
    annotations = dict(found["metadata"].get("annotations") or {})
    if annotations.pop(LAST_APPLIED, None) is None:
        return found
    return {**found, "metadata": {**found["metadata"], "annotations": annotations}}


def _unite_ours(live: Mapping[str, Any], adopted: frozenset[str]) -> dict[str, Any]:
    entries = [find_entry(live, FIELD_MANAGER) or {}, *part_entries(live, adopted)[0]]
    return unite(*(each.get("fieldsV1") or {} for each in entries))
