"""Waiting for workloads by watching them: one watch for each kind and namespace."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gennaker.errors import StageError
from gennaker_stages.kubernetes.bundle.objects import name_of
from gennaker_stages.kubernetes.client.watching import Follower
from gennaker_stages.kubernetes.health.readiness import WORKLOADS, Rollout, check_rollout

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.client.cluster import Cluster

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
    followers = []
    for (api_version, kind, namespace), names in groups.items():
        follower = Follower(cluster, cluster.find_resource(api_version, kind), namespace)
        followers.append(follower)
        threading.Thread(
            target=_follow, args=(follower, names, seen), name=f"watch {kind}", daemon=True
        ).start()
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
        for follower in followers:
            follower.stop()
    return result


def _take(result: RolloutResult, body: dict[str, Any], tell: Callable[[str], None]) -> None:
    metadata = body["metadata"]
    key = (body["kind"], metadata["namespace"], metadata["name"])
    rollout = check_rollout(body)
    if rollout != result.rollouts.get(key):
        tell(f"{name_of(body)}: {rollout.message or rollout.state}")
    result.objects[key] = body
    result.rollouts[key] = rollout


def _follow(
    follower: Follower, names: set[str], seen: queue.SimpleQueue[dict[str, Any] | StageError]
) -> None:
    """Feed the queue until the follower is stopped."""
    try:
        for kind, body in follower:
            if kind == "LISTED" or body["metadata"]["name"] not in names:
                continue
            if kind == "DELETED":
                seen.put(
                    StageError(
                        f"{name_of(body)} was deleted while it was waited for",
                        code="object-deleted",
                    )
                )
            else:
                seen.put(body)
    except StageError as error:
        seen.put(error)
