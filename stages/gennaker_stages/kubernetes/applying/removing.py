"""Deleting objects one after the other, then waiting until all are gone; the log tells each when it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from gennaker_stages.kubernetes.applying.apply import describe_object
from gennaker_stages.kubernetes.bundle.objects import name_of
from gennaker_stages.kubernetes.inventory.prune import wait_until_gone

if TYPE_CHECKING:
    from gennaker.stage import Context
    from gennaker_stages.kubernetes.client.cluster import Cluster

__all__ = ["remove_objects"]

Object = Mapping[str, Any]
_DONE = {"prune": "pruned", "remove": "removed", "delete": "deleted"}


def remove_objects(
    cluster: Cluster,
    ctx: Context,
    objects: Sequence[Object],
    verb: str,
    *,
    propagation: str = "Background",
    limit: float | None = None,
) -> None:
    """Delete the very objects that are given, and wait until they are gone.

    Args:
        cluster: where.
        ctx: the attempt; each deletion is a step of it.
        objects: in their order; with kind, name, namespace and uid.
        verb: ``prune``, ``remove`` or ``delete``, for the steps and the log.
        propagation: what becomes of what they own.
        limit: how many seconds to wait at most, as :func:`wait_until_gone` has it.

    Raises:
        StageError: code ``delete-stuck``, or why one cannot be deleted; the log names the others.
    """

    def delete(body: Object, _key: str) -> dict[str, Any]:
        deleted = cluster.delete_object(dict(body), propagation=propagation)
        return {"uid": body["metadata"]["uid"], "deleted": deleted}

    asked: list[Object] = []
    try:
        for body in objects:
            ctx.check_cancelled()
            ctx.step(f"{verb} {describe_object(dict(body))}", partial(delete, body))
            asked.append(body)
    finally:
        if len(asked) < len(objects):  # nobody waits for them any more
            for body in asked:
                ctx.log(f"deleting {name_of(body)}")
    wait_until_gone(cluster, objects, ctx, limit=limit, word=_DONE[verb])
    ctx.check_cancelled()
