"""Kubeconfigs of sandbox clusters. Called by :mod:`.sandbox`, :mod:`.process` and :mod:`.helper`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gennaker.files import write_private
from gennaker.records import dataclass

__all__ = [
    "Context",
    "make_environment_contexts",
    "make_kubeconfig",
    "move_kubeconfig",
    "write_config",
]


@dataclass(frozen=True, slots=True)
class Context:
    """One entry: a cluster's ``path`` on the server, and the namespace meant when none is said."""

    path: str = ""
    namespace: str | None = None


def make_kubeconfig(
    url: str, token: str, contexts: Mapping[str, Context] | None = None
) -> dict[str, Any]:
    """Return a kubeconfig; the first of its contexts is the current one.

    Args:
        url: of the server, without a path.
        token: its secret; it becomes part of the address, for kubectl sends none over plain HTTP.
        contexts: what each context points at, by name; ``sandbox`` alone unless given.
    """
    given = contexts or {"sandbox": Context()}
    clusters = [
        {"name": name, "cluster": {"server": f"{url}/{token}{each.path}"}}
        for name, each in given.items()
    ]
    entries = []
    for name, each in given.items():
        place = {"namespace": each.namespace} if each.namespace else {}
        entries.append({"name": name, "context": {"cluster": name, "user": name, **place}})
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": clusters,
        "users": [{"name": name, "user": {}} for name in given],
        "contexts": entries,
        "current-context": next(iter(given)),
    }


def make_environment_contexts(namespaces: Mapping[str, str | None]) -> dict[str, Context]:
    """Return a context for every environment of a helper process, with its default namespace."""
    return {
        name: Context(f"/environments/{name}", namespace) for name, namespace in namespaces.items()
    }


def move_kubeconfig(path: Path, url: str, token: str) -> None:
    """Point a kubeconfig of a helper process at where it listens now; the contexts stay."""
    config = json.loads(path.read_text("utf-8"))
    namespaces = {each["name"]: each["context"].get("namespace") for each in config["contexts"]}
    write_config(path, make_kubeconfig(url, token, make_environment_contexts(namespaces)))


def write_config(path: Path, content: Any) -> None:
    """Write data as JSON (which is YAML too), 0600, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_private(path, json.dumps(content, indent=2).encode() + b"\n")
