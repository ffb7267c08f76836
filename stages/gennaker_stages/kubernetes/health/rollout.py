"""Waiting for workloads by watching them: one watch for each kind and namespace."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gennaker.errors import StageError, TemporaryError
from gennaker_stages.kubernetes.bundle.objects import name_of
from gennaker_stages.kubernetes.health.readiness import WORKLOADS, Rollout, check_rollout

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.client.cluster import Cluster, Resource

__all__ = ["RolloutResult", "wait_for_rollouts"]

Object = Mapping[str, Any]
Key = tuple[str, str, str]


@dataclass(slots=True)
class RolloutResult:
    """How the wait ended: each workload as last seen, and how far it is."""

    objects: dict[Key, dict[str, Any]] = field(default_factory=dict)
    rollouts: dict[Key, Rollout] = field(default_factory=dict)

    def unready(self) -> list[tuple[Key, Rollout]]:
        """The workloads that are not ready, failed ones first."""
        left = [each for each in self.rollouts.items() if each[1].state != "ready"]
        return sorted(left, key=lambda each: each[1].state != "failed")

    @property
    def failed(self) -> bool:
        """Whether one of them will not get ready by waiting."""
        return any(each.state == "failed" for each in self.rollouts.values())


def wait_for_rollouts(
    cluster: Cluster,
    objects: Iterable[Object],
    *,
    seconds: float,
    should_stop: Callable[[], bool],
    tell: Callable[[str], None],
) -> RolloutResult:
    """Watch the workloads among ``objects`` until all are ready, one has failed, or time is up.

    Args:
        objects: as applied, with namespaces.
        seconds: how long to wait at most.
        should_stop: asked ten times a second; ends the wait early.
        tell: takes a line whenever a workload's state changes.
    """
    workloads = [each for each in objects if each["kind"] in WORKLOADS]
    result = RolloutResult()
    groups: dict[tuple[str, str, str], set[str]] = {}
    for each in workloads:
        metadata = each["metadata"]
        key = (each["kind"], metadata["namespace"], metadata["name"])
        result.rollouts[key] = Rollout("progressing", "has no status yet")
        groups.setdefault((each["apiVersion"], each["kind"], metadata["namespace"]), set()).add(
            key[2]
        )
    if not workloads:
        return result
    deadline = time.monotonic() + seconds
    seen: queue.SimpleQueue[dict[str, Any] | StageError] = queue.SimpleQueue()
    stop = threading.Event()
    for (api_version, kind, namespace), names in groups.items():
        watcher = _Watcher(
            cluster, cluster.find_resource(api_version, kind), namespace, names, seen, stop
        )
        threading.Thread(target=watcher.run, name=f"watch {kind}", daemon=True).start()
    try:
        while result.unready() and not result.failed and not should_stop():
            left = deadline - time.monotonic()
            if left <= 0:
                break
            try:
                found = seen.get(timeout=min(0.1, left))
            except queue.Empty:
                continue
            if isinstance(found, StageError):
                raise found
            _take(result, found, tell)
    finally:
        stop.set()
    return result


def _take(result: RolloutResult, body: dict[str, Any], tell: Callable[[str], None]) -> None:
    metadata = body["metadata"]
    key = (body["kind"], metadata["namespace"], metadata["name"])
    rollout = check_rollout(body)
    if rollout != result.rollouts.get(key):
        tell(f"{name_of(body)}: {rollout.message or rollout.state}")
    result.objects[key] = body
    result.rollouts[key] = rollout


class _Watcher:
    """Lists, then watches one kind in one namespace, and lists again when the watch is too old."""

    def __init__(
        self,
        cluster: Cluster,
        resource: Resource,
        namespace: str,
        names: set[str],
        seen: queue.SimpleQueue[dict[str, Any] | StageError],
        stop: threading.Event,
    ) -> None:
        self._cluster = cluster
        self._resource = resource
        self._namespace = namespace
        self._names = names
        self._seen = seen
        self._stop = stop

    def run(self) -> None:
        """Feed the queue until told to stop; a fault that may pass is tried again."""
        version = ""
        while not self._stop.is_set():
            try:
                version = self._watch(version or self._list())
            except TemporaryError:
                version = ""
                self._stop.wait(1.0)
            except StageError as error:
                self._seen.put(error)
                return

    def _list(self) -> str:
        found = self._cluster.list_objects(self._resource, self._namespace)
        kind = {"apiVersion": found.get("apiVersion"), "kind": self._resource.kind}
        for body in found["items"]:
            self._give({**kind, **body})
        return str(found["metadata"]["resourceVersion"])

    def _watch(self, version: str) -> str:
        for event in self._cluster.watch(self._resource, self._namespace, version):
            if self._stop.is_set():
                break
            body = event["object"]
            if event["type"] == "ERROR":
                return ""
            version = str(body["metadata"]["resourceVersion"])
            if event["type"] in ("ADDED", "MODIFIED"):
                self._give(body)
            elif event["type"] == "DELETED" and body["metadata"]["name"] in self._names:
                self._seen.put(
                    StageError(
                        f"{name_of(body)} was deleted while it was waited for",
                        code="object-deleted",
                    )
                )
        return version

    def _give(self, body: dict[str, Any]) -> None:
        if body["metadata"]["name"] in self._names:
            self._seen.put(body)
