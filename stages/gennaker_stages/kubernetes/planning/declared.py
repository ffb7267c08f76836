"""What a bundle declares, read from its bytes alone: no cluster is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gennaker.stage import Declared, Secret
from gennaker_stages.kubernetes.bundle.binding import bind_images
from gennaker_stages.kubernetes.bundle.preparing import Shape, normalize_object
from gennaker_stages.kubernetes.bundle.reading import read_items
from gennaker_stages.kubernetes.bundle.versions import name_versions
from gennaker_stages.kubernetes.planning.difference import join_path
from gennaker_stages.kubernetes.planning.ownership import declare_object

__all__ = ["describe_bundle"]


def describe_bundle(
    content: bytes,
    shape: Shape,
    secrets: Mapping[str, Mapping[str, Secret]],
    *,
    namespace: str,
    name: str | None = None,
) -> list[Declared]:
    """Return the objects of a bundle; documents that are none are left out.

    Args:
        content: a multi-document YAML.
        shape: what the deploy makes of the objects.
        secrets: the Secrets that the stage adds: name, then key to value.
        namespace: the environment's own.
        name: only documents that mention it need to be read; all unless given.
    """
    # Where names have the content in them, references count, and so do all documents.
    items, _ = read_items(content, "bundle", mentioning="" if shape.versions else name or "")
    items = [replace(each, body=_place(normalize_object(each.body), namespace)) for each in items]
    if shape.images:
        items, _ = bind_images(items, shape.images)
    if shape.versions:
        items = name_versions(items)
    found = [declare_object(each.body, namespace) for each in items]
    for own, values in secrets.items():
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": own}}
        made = declare_object(body, namespace)
        fields = {join_path("data", key): value for key, value in values.items()}
        found.append(Declared(made.what, made.key, fields))
    return found


def _place(body: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    """Return the object in its namespace; whether its kind has one at all, only a cluster knows."""
    return {**body, "metadata": {"namespace": namespace, **body["metadata"]}}
