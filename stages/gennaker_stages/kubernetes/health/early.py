"""What shows before a workload's own status does that it will not get ready: its Pods, its events."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gennaker.errors import StageError
from gennaker_stages.kubernetes.health.pods import REVISION, has_pod, is_of_revision
from gennaker_stages.kubernetes.health.verdict import (
    find_condition,
    is_true,
    read_map,
    tell_condition,
)
from gennaker_stages.kubernetes.health.workloads import find_trouble

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.client.cluster import Cluster

__all__ = ["EarlySigns"]

Object = Mapping[str, Any]
FRESH_SECONDS = 60.0
"""So long an event counts: a controller that cannot make a Pod tries again, and tells it again."""


class EarlySigns:
    """The Pods in trouble and the failed attempts to make some, of the namespaces that are watched."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._pods: dict[tuple[str, str], tuple[dict[str, Any], str]] = {}
        self._events: dict[str, tuple[float, str]] = {}
        self._revisions: dict[tuple[str, str, Any], bool] = {}

    def take_pod(self, event: str, pod: dict[str, Any]) -> None:
        """Note a Pod as it is now; only those in trouble are kept."""
        metadata = pod["metadata"]
        key = (metadata["namespace"], metadata["name"])
        trouble = find_trouble(pod) if event != "DELETED" else ""
        if trouble:
            self._pods[key] = (pod, f"pod {metadata['name']}, {trouble}")
        else:
            self._pods.pop(key, None)

    def take_event(self, event: Object) -> None:
        """Note that an object could not make a Pod."""
        uid = str(read_map(event, "involvedObject").get("uid"))
        self._events[uid] = (time.monotonic(), tell_condition(event))

    def find_trouble(self, workload: Object) -> str:
        """Return what is wrong with what a workload runs, or cannot run; empty for nothing."""
        status = read_map(workload, "status")
        if is_true(status, "ReplicaFailure"):
            return tell_condition(find_condition(status, "ReplicaFailure"))
        at, text = self._events.get(str(workload["metadata"].get("uid")), (0.0, ""))
        if text and time.monotonic() - at < FRESH_SECONDS:
            return text
        for pod, trouble in self._pods.values():
            if has_pod(workload, pod) and self._is_new(workload, pod):
                return trouble
        return ""

    def _is_new(self, workload: Object, pod: Object) -> bool:
        """Whether a Pod is of the newest revision; asked once for each Pod and revision."""
        revision = read_map(workload, "metadata", "annotations").get(REVISION)
        key = (str(workload["metadata"].get("uid")), str(pod["metadata"].get("uid")), revision)
        if key not in self._revisions:
            try:
                self._revisions[key] = is_of_revision(self._cluster, workload, pod)
            except StageError:
                # Whoever may not read it waits as if nothing were to be seen.
                return False
        return self._revisions[key]
