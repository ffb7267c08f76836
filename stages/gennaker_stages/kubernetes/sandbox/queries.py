"""Lists and watches: selectors, pages, bookmarks, and what is too old. Called by :mod:`.api`."""

from __future__ import annotations

import base64
import json
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .operations import Operations
from .problems import ApiProblem, bad_request, expired
from .resources import Resource
from .selectors import parse_field_selector, parse_label_selector
from .store import Change, Objects

__all__ = ["Queries", "Watch"]

Object = dict[str, Any]
Test = Callable[[Mapping[str, Any]], bool]
PAGES_KEPT = 64
BOOKMARK_SECONDS = 30.0


class Queries:
    """Reads of many objects of one cluster."""

    def __init__(self, operations: Operations) -> None:
        self.operations = operations
        self.store = operations.store
        self._pages: OrderedDict[str, tuple[Objects, int]] = OrderedDict()

    def select(self, resource: Resource, namespace: str | None, query: Mapping[str, str]) -> Test:
        """Return the test that a list's or watch's objects pass."""
        labels = parse_label_selector(query.get("labelSelector", ""))
        text = query.get("fieldSelector", "")
        fields = parse_field_selector(text, resource.storage) if text else None

        def test(obj: Mapping[str, Any]) -> bool:
            if namespace and obj["metadata"].get("namespace", "") != namespace:
                return False
            return labels(obj) and (fields is None or fields(obj))

        return test

    def list(self, resource: Resource, namespace: str | None, query: Mapping[str, str]) -> Object:
        """Return a list object, or one page of it (``limit``, ``continue``)."""
        limit = _integer(query, "limit")
        with self.store.lock:
            if query.get("continue"):
                items, version = self._recall(query["continue"])
            else:
                test = self.select(resource, namespace, query)
                found = self.store.list(resource.storage, namespace or None)
                items, version = [each for each in found if test(each)], self.store.version
                self._check_version(query, version)
            metadata: Object = {"resourceVersion": str(version)}
            if limit and len(items) > limit:
                metadata["continue"] = self._remember(items[limit:], version)
                metadata["remainingItemCount"] = len(items) - limit
                items = items[:limit]
        present = self.operations.present
        return {
            "kind": resource.list_kind or f"{resource.kind}List",
            "apiVersion": resource.api_version,
            "metadata": metadata,
            "items": [self._bare(resource, present(resource, each)) for each in items],
        }

    @staticmethod
    def _bare(resource: Resource, obj: Object) -> Object:
        """Return a list's item: those of built-in kinds say neither apiVersion nor kind."""
        if resource.custom is not None:
            return obj
        return {key: value for key, value in obj.items() if key not in ("apiVersion", "kind")}

    @staticmethod
    def _check_version(query: Mapping[str, str], version: int) -> None:
        wanted = _integer(query, "resourceVersion")
        if wanted > version:
            text = f"Too large resource version: {wanted}, current: {version}"
            causes = [
                {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
            ]
            details = {"causes": causes, "retryAfterSeconds": 1}
            raise ApiProblem(504, "Timeout", text, details=details)
        if query.get("resourceVersionMatch") == "Exact" and wanted != version:
            raise expired(f"The resourceVersion for the provided list is too old: {wanted}")

    def _remember(self, rest: Objects, version: int) -> str:
        token = uuid.uuid4().hex
        self._pages[token] = (rest, version)
        while len(self._pages) > PAGES_KEPT:
            self._pages.popitem(last=False)
        return base64.urlsafe_b64encode(json.dumps({"v": "sandbox", "at": token}).encode()).decode()

    def _recall(self, text: str) -> tuple[Objects, int]:
        try:
            token = json.loads(base64.urlsafe_b64decode(text))["at"]
        except (ValueError, KeyError, TypeError):
            raise bad_request("continue key is not valid: it was not made by this server") from None
        found = self._pages.get(token)
        if found is None:
            raise expired(
                "The provided continue parameter is too old to display a consistent list result. You"
                " can start a new list without the continue parameter."
            )
        return found


class Watch:
    """One watch: an iterator of events, to be read from a thread of its own.

    ``next_events`` waits at most ``wait`` seconds and returns what happened.
    """

    def __init__(
        self, queries: Queries, resource: Resource, namespace: str | None, query: Mapping[str, str]
    ) -> None:
        self.resource = resource
        self.store = queries.store
        self._present = queries.operations.present
        self._test = queries.select(resource, namespace, query)
        self.bookmarks = query.get("allowWatchBookmarks") in ("true", "1")
        self._initial = query.get("sendInitialEvents") in ("true", "1")
        self._version = _integer(query, "resourceVersion")
        with self.store.lock:
            if self._initial or not self._version:
                found = self.store.list(resource.storage, namespace or None)
                self._pending = [each for each in found if self._test(each)]
                self._version = self.store.version
            else:
                self._pending = []
            # Raises 410 now, as an answer instead of an event, when it is too old.
            missed, position = self.store.since(self._version, None)
            self._position = position - len(missed)

    def start_events(self) -> Iterator[Object]:
        """Yield the synthetic ADDED events a watch without a version begins with."""
        for obj in self._pending:
            yield {"type": "ADDED", "object": self._present(self.resource, obj)}
        self._pending = []
        if self._initial:
            yield self.bookmark(annotations={"k8s.io/initial-events-end": "true"})

    def next_events(self, wait: float) -> Objects:
        """Return what happened since, waiting at most ``wait`` seconds for something."""
        with self.store.lock:
            changes, position = self.store.since(self._version, self._position)
            if not changes:
                self.store.changed.wait(wait)
                changes, position = self.store.since(self._version, self._position)
            self._position = position
            if changes:
                self._version = changes[-1].version
        events = []
        for change in changes:
            event = self._convert(change)
            if event is not None:
                events.append(event)
        return events

    def _convert(self, change: Change) -> Object | None:
        if change.storage != self.resource.storage:
            return None
        before = change.old is not None and self._test(change.old)
        after = change.new is not None and self._test(change.new)
        if not before and not after:
            return None
        kind = "MODIFIED" if before and after else ("ADDED" if after else "DELETED")
        return {"type": kind, "object": self._present(self.resource, change.last)}

    def bookmark(self, annotations: dict[str, str] | None = None) -> Object:
        """Return a bookmark event of where this watch is."""
        metadata: Object = {"resourceVersion": str(self._version)}
        if annotations:
            metadata["annotations"] = annotations
        obj = {"kind": self.resource.kind, "apiVersion": self.resource.api_version}
        return {"type": "BOOKMARK", "object": {**obj, "metadata": metadata}}


def _integer(query: Mapping[str, str], name: str) -> int:
    text = query.get(name) or "0"
    if not text.isdigit():
        if name == "limit":
            raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
        problem = f'Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
        raise bad_request(f"invalid resource version: {name}: {problem}")
    return int(text)
