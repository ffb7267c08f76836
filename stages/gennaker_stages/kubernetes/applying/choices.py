"""What the server filled in for one choice and refuses beside another; pure.

An apply keeps fields that nobody owns. So a Deployment whose Pods are to be recreated keeps the numbers
of a rolling update that the server gave it before, and is refused for them. They go when we own them
and do not apply them any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gennaker_stages.kubernetes.applying.fields import find_entry
from gennaker_stages.kubernetes.applying.fieldsets import extract_fields, unite
from gennaker_stages.kubernetes.client.cluster import FIELD_MANAGER

__all__ = ["find_choice", "own_numbers", "without_choice"]

Object = Mapping[str, Any]
_NUMBERS = "rollingUpdate"
# Who must not have numbers, and where they would be (kubernetes/pkg/apis/apps/validation).
_STRATEGIES = {
    ("Deployment", "Recreate"): "strategy",
    ("StatefulSet", "OnDelete"): "updateStrategy",
}


def find_choice(body: Object, live: Object | None) -> str | None:
    """Return the field of ``spec`` that has numbers which do not go with what is desired."""
    if live is None or not str(body["apiVersion"]).startswith("apps/"):
        return None
    for (kind, choice), name in _STRATEGIES.items():
        wanted, held = ((each.get("spec") or {}).get(name) or {} for each in (body, live))
        if body["kind"] == kind and wanted.get("type") == choice and held.get(_NUMBERS):
            return None if _NUMBERS in wanted else name
    return None


def own_numbers(live: Object, name: str) -> dict[str, Any]:
    """Return what makes us own the numbers beside all that we own, and changes nothing."""
    numbers: dict[str, Any] = {f"f:{each}": {} for each in live["spec"][name][_NUMBERS]}
    held = (find_entry(live, FIELD_MANAGER) or {}).get("fieldsV1") or {}
    more = {"f:spec": {f"f:{name}": {"f:type": {}, f"f:{_NUMBERS}": numbers}}}
    return extract_fields(live, unite(held, more))


def without_choice(body: Object, name: str) -> dict[str, Any]:
    """Return an object without its choice, which a dry run would be refused for."""
    spec = {each: value for each, value in body["spec"].items() if each != name}
    return {**body, "spec": spec}
