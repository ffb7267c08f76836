"""A bundle's text to objects, each with where it was written; lists are flattened.

The text is cut at its ``---`` lines, as Kubernetes' own readers do, and each document is read by
itself: the places of its nodes, which cost more memory than the data, are let go and found again for
the documents that a problem is told about. What a document holds is kept for whoever reads the same
bundle next: the stage that rendered it and the one that deploys it are often in one process.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from gennaker.errors import InvalidInput, Location, Problem
from gennaker.records import dataclass
from gennaker.yamltext import MANIFEST_LIMITS, compose_all
from gennaker_stages.kubernetes.bundle.generated import name_hook
from gennaker_stages.kubernetes.bundle.memory import Memory
from gennaker_stages.kubernetes.bundle.objects import Object, name_of

__all__ = ["MEMORY", "Item", "Origin", "read_items"]

Path = tuple[str | int, ...]
_SEPARATOR = re.compile(r"^---(?=\s|$)", re.MULTILINE)
# Helm and Gennaker's own renderers write it above each document.
_SOURCE = re.compile(r"^# Source: (\S.*)$", re.MULTILINE)
MEMORY = Memory(8 << 20)
"""What documents hold, as they stand in a bundle: each a JSON list."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an object was written.

    Attributes:
        file: the bundle, as shown.
        line: first line of its document in it.
        text: the document.
        path: where in the document it is, when it was inside a List.
        source: the chart template or file it was rendered from, when the bundle says so.
    """

    file: str
    line: int
    text: str
    path: Path = ()
    source: str | None = None

    def at(self, path: Path = (), *, key: bool = False) -> Location:
        """Return the place of a field, or of the nearest thing around it."""
        try:
            (document,) = compose_all(self.text, file=self.file)
        except (InvalidInput, ValueError):
            return Location(self.file, self.line)
        found = document.marks.at((*self.path, *path), key=key)
        return replace(found, line=self.line - 1 + (found.line or 1))


@dataclass(frozen=True, slots=True)
class Item:
    """An object of a bundle and where it was written; ``origin`` is None for one that was made."""

    body: Object
    origin: Origin | None = None

    @property
    def shown(self) -> str:
        """How people find it: ``Deployment/web (shop/templates/web.yaml)``."""
        source = self.origin.source if self.origin is not None else None
        return f"{name_of(self.body)} ({source})" if source else name_of(self.body)

    def locate(self, path: Path = (), *, key: bool = False) -> Location | None:
        """Return the place of a field of it."""
        return self.origin.at(path, key=key) if self.origin is not None else None


def read_items(
    content: bytes, shown: str, *, mentioning: str = ""
) -> tuple[list[Item], list[Problem]]:
    """Return the objects of a multi-document YAML, in the order written, and what is wrong.

    Args:
        content: UTF-8; typed as Kubernetes types YAML 1.1.
        shown: what the bundle is called in problems.
        mentioning: leave out documents without this text.

    Returns:
        The items that are objects, and a problem for each that is none.
    """
    if len(content) > MANIFEST_LIMITS.size:
        told = f"the bundle has {len(content)} bytes, more than {MANIFEST_LIMITS.size}"
        return [], [Problem("bundle-size", told, Location(shown), "deploy it in parts")]
    items: list[Item] = []
    problems: list[Problem] = []
    for origin in _split(content, shown):
        if mentioning not in origin.text:
            continue
        try:
            documents = _read_documents(origin.text, shown)
        except InvalidInput as error:
            problems += [_move(each, origin) for each in error.problems]
            continue
        for document in documents:
            for path, body in _flatten((), document):
                where = replace(origin, path=path)
                body = name_hook(body)
                fault = _find_fault(body)
                if fault is None:
                    items.append(Item(body, where))
                else:
                    problems.append(_describe(fault, where))
    return items, problems


def _read_documents(text: str, shown: str) -> list[Any]:
    kept = MEMORY.recall(text)
    if kept is not None:
        found: list[Any] = json.loads(kept)
        return found
    found = [each.data for each in compose_all(text, file=shown)]
    MEMORY.keep(text, json.dumps(found, separators=(",", ":")))
    return found


def _split(content: bytes, shown: str) -> Iterator[Origin]:
    text = content.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    starts = [0, *(each.start() for each in _SEPARATOR.finditer(text) if each.start())]
    line = 1
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        part = text[start:end]
        if part.strip():
            source = _SOURCE.search(part[:1000])
            yield Origin(shown, line, part, source=source[1].strip() if source else None)
        line += part.count("\n")


def _move(problem: Problem, origin: Origin) -> Problem:
    place = problem.location
    if place is not None and place.line is not None:
        problem = problem.at(replace(place, line=origin.line - 1 + place.line))
    if origin.source is None:
        return problem
    return replace(problem, message=f"{problem.message} (in {origin.source})")


def _flatten(path: Path, data: Any) -> Iterator[tuple[Path, Any]]:
    """Yield the objects of a List or a typed list (``ConfigMapList``), or the object itself.

    A custom kind may be called ``…List`` and have items; it has a name, which no list has.
    """
    kind = data.get("kind") if isinstance(data, dict) else None
    if not isinstance(kind, str) or not kind.endswith("List") or "items" not in data:
        yield path, data
        return
    items, metadata = data["items"], data.get("metadata")
    if (isinstance(metadata, dict) and "name" in metadata) or not isinstance(items, list):
        yield path, data
        return
    for index, each in enumerate(items):
        if isinstance(each, dict) and kind != "List":
            # The items of a typed list may leave out what the list says.
            head = {"apiVersion": data.get("apiVersion"), "kind": kind.removesuffix("List")}
            each = {**head, **each}
        yield from _flatten((*path, "items", index), each)


def _find_fault(body: Any) -> tuple[str, Path, str] | None:
    """Return what keeps data from being an object, where, and what to do; None for an object."""
    if not isinstance(body, dict):
        return "a document is not a mapping", (), "write an object with apiVersion and kind"
    for key in ("apiVersion", "kind"):
        value = body.get(key)
        if not isinstance(value, str) or not value:
            told = name_of(body) if key == "apiVersion" else "an object"
            return f"{told} has no {key}", (key,), f"give it '{key}'"
    metadata = body.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        return f"{body['kind']}: its metadata is not a mapping", ("metadata",), "write a mapping"
    name = (metadata or {}).get("name")
    if isinstance(name, str) and name:
        return _find_text_fault(body)
    where = ("metadata", "name") if metadata else ("kind",)
    if name is not None and name != "":
        told = f"{body['kind']}: metadata.name is {json.dumps(name)}, not text"
        return told, where, "put it into quotes"
    if (metadata or {}).get("generateName"):
        return (
            f"{body['kind']} has generateName and no name: each deploy would make another one",
            ("metadata", "generateName"),
            "give it a metadata.name; only a hook needs none",
        )
    return f"{body['kind']} has no metadata.name", where, "give it one"


def _find_text_fault(body: Object) -> tuple[str, Path, str] | None:
    """Find labels and annotations that are no text: everything else reads them."""
    for part in ("labels", "annotations"):
        held = body["metadata"].get(part)
        if held is None:
            continue
        path: Path = ("metadata", part)
        if not isinstance(held, dict):
            return f"{name_of(body)}: metadata.{part} is not a mapping", path, "write a mapping"
        for key, value in held.items():
            if value is not None and not isinstance(value, str):
                told = f"{name_of(body)}: metadata.{part}[{key!r}] is {json.dumps(value)}, not text"
                return told, (*path, key), "put it into quotes"
    namespace = body["metadata"].get("namespace")
    if namespace is not None and not isinstance(namespace, str):
        told = f"{name_of(body)}: metadata.namespace is {json.dumps(namespace)}, not text"
        return told, ("metadata", "namespace"), "put it into quotes"
    return None


def _describe(fault: tuple[str, Path, str], origin: Origin) -> Problem:
    message, path, hint = fault
    told = f"{message} (in {origin.source})" if origin.source else message
    return Problem("bundle-object", told, origin.at(path), hint)
