"""Which ConfigMaps and Secrets an object refers to by name, and the same with other names; pure."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gennaker_stages.kubernetes.bundle.images import Path, find_pods
from gennaker_stages.kubernetes.bundle.objects import Object

__all__ = ["find_references", "rename_references", "replace_values"]

_KINDS = {
    "configMap": "ConfigMap",
    "configMapRef": "ConfigMap",
    "configMapKeyRef": "ConfigMap",
    "secret": "Secret",
    "secretRef": "Secret",
    "secretKeyRef": "Secret",
    "nodePublishSecretRef": "Secret",
}


def find_references(body: Mapping[str, Any]) -> Iterator[tuple[Path, str, str]]:
    """Yield ``(path, kind, name)`` of each name of a ConfigMap or a Secret in an object.

    In Pods, wherever a Pod template stands: volumes (projected ones and those of drivers, too), ``env``,
    ``envFrom`` and ``imagePullSecrets``. Besides: what a ServiceAccount lists, and an Ingress' ``tls``.
    All of these are in the object's own namespace.
    """
    path, pods = find_pods(body)
    yield from _walk(pods, path)
    if body.get("kind") == "ServiceAccount":
        for key in ("imagePullSecrets", "secrets"):
            yield from _walk_list(body.get(key), (key,), "name")
    if body.get("kind") == "Ingress":
        spec = body.get("spec")
        tls = spec.get("tls") if isinstance(spec, Mapping) else None
        yield from _walk_list(tls, ("spec", "tls"), "secretName")


def rename_references(body: Object, rename: Callable[[str, str], str]) -> Object:
    """Return an object that refers to ``rename(kind, name)`` wherever it refers to a name."""
    changes = {path: rename(kind, name) for path, kind, name in find_references(body)}
    return replace_values(body, changes)


def replace_values(body: Object, changes: Mapping[Path, Any]) -> Object:
    """Return an object with other values at some paths; the object itself when nothing is other."""
    if not changes:
        return body
    made = copy.deepcopy(body)
    for path, value in changes.items():
        held: Any = made
        for part in path[:-1]:
            held = held[part]
        held[path[-1]] = value
    return made if made != body else body


def _walk(held: Any, path: Path) -> Iterator[tuple[Path, str, str]]:
    if isinstance(held, list):
        for index, each in enumerate(held):
            yield from _walk(each, (*path, index))
    if not isinstance(held, Mapping):
        return
    for key, value in held.items():
        where = (*path, key)
        if key == "imagePullSecrets":
            yield from _walk_list(value, where, "name")
        elif key == "secretName" and isinstance(value, str):
            yield where, "Secret", value
        else:
            name = value.get("name") if isinstance(value, Mapping) else None
            if key in _KINDS and isinstance(name, str):
                yield (*where, "name"), _KINDS[key], name
            yield from _walk(value, where)


def _walk_list(held: Any, path: Path, key: str) -> Iterator[tuple[Path, str, str]]:
    for index, each in enumerate(held if isinstance(held, list) else ()):
        name = each.get(key) if isinstance(each, Mapping) else None
        if isinstance(name, str):
            yield (*path, index, key), "Secret", name
