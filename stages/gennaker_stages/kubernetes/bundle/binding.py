"""Putting built images into a bundle: by name, in every container that runs an image of that name; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from gennaker.errors import PermanentError, Problem
from gennaker.suggestions import suggest
from gennaker_stages.kubernetes.bundle.images import find_images
from gennaker_stages.kubernetes.bundle.objects import Object, name_of
from gennaker_stages.kubernetes.bundle.reading import Item
from gennaker_stages.kubernetes.bundle.references import replace_values
from gennaker_stages.registry.reference import ImageReference, parse_reference

__all__ = ["BOUND", "bind_images", "list_bound"]

BOUND = "gennaker.dev/images"
"""An annotation of workloads: the images that were put into them, separated by commas."""


def bind_images(
    items: Iterable[Item], images: Mapping[str, str]
) -> tuple[list[Item], list[Problem]]:
    """Return the items with images put in, and what is wrong.

    Args:
        items: objects of a bundle.
        images: the name of an image, without tag and digest, to the reference that takes its place.
    """
    held = list(items)
    wanted, problems = _read_images(images)
    known: set[str] = set()
    used: set[str] = set()
    bound = []
    for item in held:
        changes = {}
        for path, _, image in find_images(item.body):
            name = _name(image)
            if name is not None:
                known.add(_shorten(name))
                if name in wanted:
                    used.add(name)
                    changes[path] = wanted[name][1]
        bound.append(replace(item, body=_mark(item.body, changes)) if changes else item)
    for name, (written, _) in wanted.items():
        if name not in used:
            told = f"no container of the bundle runs an image of the name {written!r}"
            hint = suggest(written, known, otherwise=None) or "the bundle runs no image"
            problems.append(Problem("image-unused", told, None, hint))
    return bound, problems


def list_bound(objects: Iterable[Object]) -> dict[str, list[str]]:
    """Return each reference that was put in, and the objects that have it."""
    found: dict[str, list[str]] = {}
    for body in objects:
        told = (body["metadata"].get("annotations") or {}).get(BOUND)
        for reference in told.split(",") if told else ():
            found.setdefault(reference, []).append(name_of(body))
    return found


def _read_images(
    images: Mapping[str, str],
) -> tuple[dict[str, tuple[str, str]], list[Problem]]:
    """Return for each whole name how it was written and what takes its place."""
    wanted: dict[str, tuple[str, str]] = {}
    problems = []
    for written, reference in images.items():
        try:
            key = parse_reference(written)
            parse_reference(reference)
        except PermanentError as error:
            problems.append(Problem(error.code, f"images: {error.message}", None, error.hint))
            continue
        if key.tag or key.digest:
            told = f"images: {written!r} has a tag or a digest"
            hint = f"write the name alone: {_shorten(key.name)!r}"
            problems.append(Problem("image-reference", told, None, hint))
        else:
            wanted[key.name] = (written, reference)
    return wanted, problems


def _mark(body: Object, changes: Mapping[Any, str]) -> Object:
    body = replace_values(body, changes)
    metadata = body["metadata"]
    told = ",".join(sorted(set(changes.values())))
    annotations = {**(metadata.get("annotations") or {}), BOUND: told}
    return {**body, "metadata": {**metadata, "annotations": annotations}}


def _name(image: str) -> str | None:
    try:
        found: ImageReference = parse_reference(image)
    except PermanentError:
        return None
    return found.name


def _shorten(name: str) -> str:
    """Return a name as people write it."""
    return name.removeprefix("docker.io/library/").removeprefix("docker.io/")
