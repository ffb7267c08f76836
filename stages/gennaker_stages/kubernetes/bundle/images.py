"""The images that objects of a bundle run, wherever a Pod template stands in them; pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["Path", "find_images", "find_pods", "is_pinned"]

Path = tuple[str | int, ...]
_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")
_DIGEST = re.compile(r"@[A-Za-z0-9_+.-]+:[0-9a-fA-F]{32,}$")
_PODS: Mapping[str, Path] = {
    "Pod": ("spec",),
    "PodTemplate": ("template", "spec"),
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
}
_OTHERS: Path = ("spec", "template", "spec")


def find_pods(body: Mapping[str, Any]) -> tuple[Path, Mapping[str, Any]]:
    """Return the path and the spec of an object's Pods, an empty one when it has none."""
    path = _PODS.get(str(body.get("kind")), _OTHERS)
    pods: Any = body
    for part in path:
        pods = pods.get(part) if isinstance(pods, Mapping) else None
    return path, pods if isinstance(pods, Mapping) else {}


def find_images(body: Mapping[str, Any]) -> Iterator[tuple[Path, str, str]]:
    """Yield ``(path, container, image)`` of each container, and of each volume that is an image.

    Custom kinds count when they have a Pod template where the built-in workloads have it.
    """
    path, pods = find_pods(body)
    for kind in _CONTAINERS:
        for index, each in _each(pods.get(kind)):
            image = each.get("image")
            if isinstance(image, str):
                yield (*path, kind, index, "image"), f"container {each.get('name')!r}", image
    for index, each in _each(pods.get("volumes")):
        found = each.get("image")
        reference = found.get("reference") if isinstance(found, Mapping) else None
        if isinstance(reference, str):
            where = (*path, "volumes", index, "image", "reference")
            yield where, f"volume {each.get('name')!r}", reference


def is_pinned(image: str) -> bool:
    """Return whether an image is named by its digest, so that it cannot move."""
    return _DIGEST.search(image) is not None


def _each(held: Any) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for index, each in enumerate(held if isinstance(held, list) else ()):
        if isinstance(each, Mapping):
            yield index, each
