"""Kubeconfigs of sandbox clusters. Called by :mod:`.sandbox`, :mod:`.process` and :mod:`.helper`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

__all__ = ["make_kubeconfig", "write_private"]


def make_kubeconfig(
    url: str, token: str, *, path: str = "", name: str = "sandbox"
) -> dict[str, Any]:
    """Return a kubeconfig with one context, called ``name``.

    Args:
        url: of the server, without a path.
        token: its secret; it becomes part of the address, for kubectl sends none over plain HTTP.
        path: of the cluster on the server (``/environments/staging``).
        name: of the context.
    """
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": f"{url}/{token}{path}"}}],
        "users": [{"name": name, "user": {}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def write_private(path: Path, content: Any) -> None:
    """Write data as JSON (which is YAML too), 0600, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(json.dumps(content, indent=2) + "\n")
    partial.replace(path)
