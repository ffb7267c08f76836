"""ConfigMaps and Secrets whose names say their content, so that another content is another object.

What refers to one gets the new name, which is a change of its Pods: they are replaced, and those that
still run keep the content that they were started with. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from gennaker.canonical import canonical_json
from gennaker_stages.kubernetes.bundle.hooks import is_hook
from gennaker_stages.kubernetes.bundle.objects import Object
from gennaker_stages.kubernetes.bundle.reading import Item
from gennaker_stages.kubernetes.bundle.references import find_references, rename_references

__all__ = ["VERSION_OF", "list_used", "name_versions"]

VERSION_OF = "gennaker.dev/version-of"
"""An annotation: the name as written, which all versions have in common."""
# The first that is there decides: "false" keeps the name as written.
_MARKS = ("gennaker.dev/versioned", "strategy.spinnaker.io/versioned")
_CONTENT = ("data", "binaryData", "type")
_KINDS = frozenset({"ConfigMap", "Secret"})
# Its keys are written by a controller.
_TOKEN = "kubernetes.io/service-account-token"
_LENGTH = 10
# Without vowels, so that no name gets a word in it; without what looks alike.
_LETTERS = "bcdfghkmnpqrstvwxz2456789"
Key = tuple[str, str, str]
"""Kind, namespace and name."""


def name_versions(items: Iterable[Item]) -> list[Item]:
    """Return the items, those that are versioned with their content in their names, references renamed.

    Versioned is a ConfigMap or a Secret of the bundle that has content, that something in the bundle
    refers to, and that does not say otherwise. What nothing refers to is found by its name elsewhere.

    Args:
        items: placed, with namespaces; those without an origin (secrets of the stage, whose values a
            plan does not know) keep their names.
    """
    held = list(items)
    used = list_used(each.body for each in held)
    names = {
        key: f"{key[2]}-{_digest(each.body)}"
        for each in held
        if (key := _key_of(each.body)) in used and each.origin is not None and _varies(each.body)
    }

    def rename(body: Object) -> Object:
        namespace = body["metadata"].get("namespace") or ""

        def find(kind: str, name: str) -> str:
            return names.get((kind, namespace, name), name)

        body = rename_references(body, find)
        name = names.get(_key_of(body))
        if name is None:
            return body
        metadata = body["metadata"]
        annotations = {**(metadata.get("annotations") or {}), VERSION_OF: metadata["name"]}
        return {**body, "metadata": {**metadata, "name": name, "annotations": annotations}}

    return [replace(each, body=rename(each.body)) for each in held] if names else held


def list_used(objects: Iterable[Mapping[str, Any]]) -> set[Key]:
    """Return kind, namespace and name of every ConfigMap and Secret that the objects refer to."""
    return {
        (kind, each["metadata"].get("namespace") or "", name)
        for each in objects
        for _, kind, name in find_references(each)
    }


def _varies(body: Object) -> bool:
    if body["kind"] not in _KINDS or body["apiVersion"] != "v1" or body.get("type") == _TOKEN:
        return False
    annotations = body["metadata"].get("annotations") or {}
    if is_hook(body):
        return False  # it comes and goes with its phase
    mark = next((annotations[each] for each in _MARKS if each in annotations), "true")
    return mark != "false" and any(body.get(each) for each in ("data", "binaryData"))


def _key_of(body: Object) -> Key:
    metadata = body["metadata"]
    return body["kind"], metadata.get("namespace") or "", metadata["name"]


def _digest(body: Object) -> str:
    content = {each: body[each] for each in _CONTENT if body.get(each)}
    text = canonical_json(content).encode("utf-8", "surrogateescape")
    number = int.from_bytes(hashlib.sha256(text).digest())
    found = ""
    for _ in range(_LENGTH):
        number, place = divmod(number, len(_LETTERS))
        found += _LETTERS[place]
    return found
