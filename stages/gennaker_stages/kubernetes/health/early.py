"""What shows before a workload's own status does that it will not get ready: its Pods, its events.

Pure but for the clock: it is told what the watches see.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from gennaker_stages.kubernetes.health.pods import REVISION, has_pod, is_of_revision
from gennaker_stages.kubernetes.health.verdict import (
    find_condition,
    is_true,
    read_map,
    tell_condition,
)
from gennaker_stages.kubernetes.health.workloads import find_trouble

__all__ = ["EarlySigns"]

Object = Mapping[str, Any]
FRESH_SECONDS = 60.0
"""So long an event counts: a controller that cannot make a Pod tries again, and tells it again."""


class EarlySigns:
    """Pods in trouble, failed attempts to make some, and what tells new Pods from old ones."""

    def __init__(self) -> None:
        self._pods: dict[tuple[str, str], tuple[dict[str, Any], str]] = {}
        self._events: dict[str, tuple[float, str]] = {}
        self._sets: dict[tuple[str, str], Any] = {}

    def take(self, event: str, body: dict[str, Any]) -> bool:
        """Note what a watch saw of a Pod, a ReplicaSet or an event; return whether it tells anything."""
        metadata = body["metadata"]
        key = (metadata["namespace"], metadata["name"])
        if body.get("kind") == "Pod":
            return self._take_pod(key, body, find_trouble(body) if event != "DELETED" else "")
        if body.get("kind") == "ReplicaSet":
            number = read_map(metadata, "annotations").get(REVISION)
            before, self._sets[key] = self._sets.get(key), number
            return bool(before != number)
        if event == "DELETED":  # the server forgets events after an hour
            return False
        uid = str(read_map(body, "involvedObject").get("uid"))
        self._events[uid] = (time.monotonic(), tell_condition(body))
        return True

    def _take_pod(self, key: tuple[str, str], pod: dict[str, Any], trouble: str) -> bool:
        if trouble:
            self._pods[key] = (pod, f"pod {key[1]}, {trouble}")
            return True
        return self._pods.pop(key, None) is not None

    def find_trouble(self, workload: Object) -> str:
        """Return what is wrong with what a workload runs, or cannot run; empty for nothing."""
        status = read_map(workload, "status")
        if is_true(status, "ReplicaFailure"):
            return tell_condition(find_condition(status, "ReplicaFailure"))
        at, text = self._events.get(str(workload["metadata"].get("uid")), (0.0, ""))
        if text and time.monotonic() - at < FRESH_SECONDS:
            return text
        for pod, trouble in self._pods.values():
            if has_pod(workload, pod) and is_of_revision(workload, pod, self._sets):
                return trouble
        return ""
