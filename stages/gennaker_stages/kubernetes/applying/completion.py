"""Waiting by watch until Jobs and Pods have ended, well or not."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from gennaker.errors import StageError
from gennaker.records import dataclass
from gennaker_stages.kubernetes.bundle.objects import Object, name_of
from gennaker_stages.kubernetes.client.watching import Follower
from gennaker_stages.kubernetes.health.waiting import find_limit

if TYPE_CHECKING:
    from gennaker.stage import Context
    from gennaker_stages.kubernetes.client.cluster import Cluster

__all__ = ["Ended", "find_end", "wait_until_ended"]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a Job or a Pod ended.

    Attributes:
        body: as it was last seen.
        fault: why it failed, None when it succeeded.
    """

    body: Object
    fault: str | None


def find_end(body: Object) -> str | None:
    """Return why a Job or Pod failed, empty when it succeeded, None while it has not ended; pure."""
    status = body.get("status") or {}
    if body["kind"] == "Pod":
        if status.get("phase") == "Failed":
            return str(status.get("message") or status.get("reason") or "it failed")
        return "" if status.get("phase") == "Succeeded" else None
    for each in status.get("conditions") or ():
        if each.get("status") == "True" and each.get("type") in ("Complete", "Failed"):
            told = each.get("message") or each.get("reason") or "it failed"
            return "" if each["type"] == "Complete" else str(told)
    return None


def wait_until_ended(
    cluster: Cluster,
    objects: Sequence[Object],
    *,
    within: str,
    ctx: Context,
    code: str = "hook-timeout",
    look: Callable[[], None] = lambda: None,
) -> Iterator[Ended]:
    """Yield each of the objects when it has ended.

    Args:
        cluster: where.
        objects: Jobs and Pods, as they were made.
        within: how long to wait at most for all of them, a duration.
        ctx: the attempt; of its time enough is kept to say why it was too short.
        code: of the error when the time is up.
        look: called all the time; what it raises ends the wait.

    Raises:
        StageError: that code, and ``object-deleted``.
    """
    left = {each["metadata"]["uid"]: each for each in objects}
    seen: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
    followers = [_follow(cluster, each, seen) for each in objects]
    listed: set[str] = set()
    seconds, words = find_limit(within, ctx)
    deadline = time.monotonic() + seconds
    try:
        while left:
            ctx.check_cancelled()
            look()
            if time.monotonic() >= deadline:
                names = ", ".join(name_of(each) for each in left.values())
                raise StageError(f"{names} did not end within {words}", code=code)
            try:
                kind, found = seen.get(timeout=0.1)
            except queue.Empty:
                continue
            if isinstance(found, StageError):
                raise found
            uid = found["metadata"]["uid"]
            if kind == "LISTED":
                gone = uid in left and uid not in listed
            else:
                listed.add(uid)
                gone = uid in left and kind == "DELETED"
            fault = find_end(found) if uid in left else None
            if fault is not None:
                del left[uid]
                yield Ended(found, fault or None)
            elif gone:
                told = f"{name_of(found)} was deleted while it was waited for"
                raise StageError(told, code="object-deleted")
    finally:
        for each in followers:
            each.stop()


def _follow(cluster: Cluster, body: Object, seen: queue.SimpleQueue[tuple[str, Any]]) -> Follower:
    metadata = body["metadata"]
    resource = cluster.find_resource(body["apiVersion"], body["kind"])
    follower = Follower(
        cluster, resource, metadata["namespace"], fields=f"metadata.name={metadata['name']}"
    )

    def feed() -> None:
        try:
            for kind, each in follower:
                seen.put((kind, body if kind == "LISTED" else each))
        except StageError as error:
            seen.put(("ERROR", error))

    threading.Thread(target=feed, name=f"watch {name_of(body)}", daemon=True).start()
    return follower
