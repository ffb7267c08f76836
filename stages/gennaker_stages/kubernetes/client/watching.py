"""Following a collection: listed once, then watched; listed again only when the watch is too old."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from gennaker.errors import TemporaryError
from gennaker_stages.kubernetes.client.connection import Request, explain_break
from gennaker_stages.kubernetes.client.problems import ApiError, has_status, translate_error
from gennaker_stages.kubernetes.client.streaming import Streaming

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.client.cluster import Cluster, Resource

__all__ = ["Follower"]

# The server ends a watch after the first; without a word for as long as the second it is dead.
WATCH_SECONDS, SILENCE_SECONDS = 60, 65.0
PAUSE = 0.2
Type = Literal["ADDED", "MODIFIED", "DELETED", "LISTED"]
Event = tuple[Type, dict[str, Any]]


class Follower:
    """The objects of a collection and what happens to them, until :meth:`stop`.

    Iterate over it once: ``(type, object)``, first ADDED for all that are there, then LISTED, then
    what changes. An object that went while nobody looked is DELETED as it was last seen.

    Args:
        cluster: where.
        resource: the kind.
        namespace: of this namespace only, of all when None.
        labels: selector.
        fields: selector.
    """

    def __init__(
        self,
        cluster: Cluster,
        resource: Resource,
        namespace: str | None,
        *,
        labels: str = "",
        fields: str = "",
    ) -> None:
        self._cluster = cluster
        self._resource = resource
        self._namespace = namespace
        self._labels, self._fields = labels, fields
        self._version = ""
        self._seen: dict[tuple[str, str], dict[str, Any]] = {}
        self._streaming = Streaming()

    def stop(self) -> None:
        """End the iteration, also one that waits for the server; may be called from any thread."""
        self._streaming.stop()

    def __iter__(self) -> Iterator[Event]:
        while not self._streaming.stopped:
            try:
                if not self._version:
                    yield from self._list()
                yield from self._watch()
            except TemporaryError as error:  # tried again already, as long as it made sense
                if has_status(error, 410):
                    self._version = ""
                self._streaming.pause(PAUSE)

    def _list(self) -> Iterator[Event]:
        found = self._cluster.list_objects(
            self._resource, self._namespace, labels=self._labels, fields=self._fields
        )
        kind = {"apiVersion": self._resource.api_version, "kind": self._resource.kind}
        before, self._seen = self._seen, {}
        for each in found["items"]:
            body = {**kind, **each}
            known = before.pop(_key(body), None)
            if known is not None and _uid(known) != _uid(body):
                yield "DELETED", known
                known = None
            self._seen[_key(body)] = _summarize(body)
            yield ("ADDED" if known is None else "MODIFIED"), body
        for body in before.values():
            yield "DELETED", body
        yield "LISTED", {}
        self._version = str(found["metadata"]["resourceVersion"])

    def _watch(self) -> Iterator[Event]:
        for event in self._stream():
            body = event["object"]
            if event["type"] == "ERROR":
                error = ApiError(int(body.get("code") or 500), json.dumps(body).encode())
                raise translate_error(error, f"watch {self._resource.plural}") from error
            self._version = str(body["metadata"]["resourceVersion"])
            if event["type"] == "BOOKMARK":
                continue
            if event["type"] == "DELETED":
                self._seen.pop(_key(body), None)
            else:
                self._seen[_key(body)] = _summarize(body)
            yield event["type"], body

    def _stream(self) -> Iterator[dict[str, Any]]:
        import urllib3

        query = [
            ("watch", "true"),
            ("resourceVersion", self._version),
            ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", str(WATCH_SECONDS)),
            ("labelSelector", self._labels),
            ("fieldSelector", self._fields),
        ]
        what = f"watch {self._resource.plural}"
        path = self._resource.path(self._namespace)
        answer = self._cluster.connection.open(
            Request(
                "GET",
                path,
                what,
                [each for each in query if each[1]],
                read=SILENCE_SECONDS,
                streams=True,
            )
        )
        with self._streaming.hold(answer):
            try:
                if not self._streaming.stopped:
                    yield from _read_lines(answer)
            except (urllib3.exceptions.HTTPError, ValueError) as error:
                if not self._streaming.stopped:
                    raise TemporaryError(
                        f"the {what} broke off ({explain_break(error)})",
                        code="cluster-unreachable",
                    ) from error


def _read_lines(answer: Any) -> Iterator[dict[str, Any]]:
    pending = b""
    for chunk in answer.stream(1 << 16, decode_content=False):
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                yield json.loads(line)


def _key(body: dict[str, Any]) -> tuple[str, str]:
    return str(body["metadata"].get("namespace") or ""), str(body["metadata"]["name"])


def _uid(body: dict[str, Any]) -> Any:
    return body["metadata"].get("uid")


def _summarize(body: dict[str, Any]) -> dict[str, Any]:
    """What is kept of an object to tell of its end: not all of a large collection stays in memory."""
    kept = {name: body["metadata"].get(name) for name in ("name", "namespace", "uid")}
    return {"apiVersion": body.get("apiVersion"), "kind": body.get("kind"), "metadata": kept}
