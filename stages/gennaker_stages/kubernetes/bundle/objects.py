"""What an object is called, and which object it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator

__all__ = ["SUBDOMAIN", "Namespace", "Object", "check_namespace", "group_of", "key_of", "name_of"]

Object = dict[str, Any]
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
"""What most names are, but for their length: subdomains of RFC 1123."""

_NAMESPACE = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")


def check_namespace(name: str) -> str:
    """Return the name of a namespace.

    Raises:
        ValueError: it is none.
    """
    if not _NAMESPACE.fullmatch(name):
        raise ValueError(
            f"{name!r} is not a name of a namespace; use lower-case letters and digits, with '-' "
            "between, up to 63"
        )
    return name


Namespace = Annotated[str, AfterValidator(check_namespace)]
"""An input or a setting: the name of a namespace."""


def name_of(body: Mapping[str, Any]) -> str:
    """Return ``Kind/name``, how people speak of an object."""
    return f"{body.get('kind')}/{(body.get('metadata') or {}).get('name')}"


def group_of(api_version: str) -> str:
    """Return the API group of ``GROUP/VERSION``; empty for the core's ``v1``."""
    return api_version.rpartition("/")[0]


def key_of(body: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Return group, kind, namespace and name: the same object whatever version it is written in."""
    metadata = body["metadata"]
    return (
        group_of(body["apiVersion"]),
        body["kind"],
        metadata.get("namespace") or "",
        metadata["name"],
    )
