"""What of a deploy is not any more as it was applied."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from gennaker.stage import Change
from gennaker_stages.kubernetes.bundle.objects import name_of
from gennaker_stages.kubernetes.inventory.prune import find_prunable, list_members
from gennaker_stages.kubernetes.planning.planner import plan_objects

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.applying.rules import ConflictRules
    from gennaker_stages.kubernetes.bundle.preparing import Bundle
    from gennaker_stages.kubernetes.client.cluster import Cluster
    from gennaker_stages.kubernetes.inventory.applyset import ApplySet

__all__ = ["compare_objects"]


def compare_objects(
    cluster: Cluster,
    bundle: Bundle,
    rules: ConflictRules,
    unread: Collection[str],
    applyset: ApplySet | None,
) -> list[Change]:
    """Return what it takes to have the objects of a bundle as they were applied.

    A field that somebody else took is told with its values, although a deploy might fail for it; one
    that the rules leave to others is no difference. Objects of the set that are not of the bundle are
    told, whether or not the deploy prunes.

    Args:
        cluster: where they were applied.
        bundle: as it was applied.
        rules: what the deploy does about fields of other managers.
        unread: names of Secrets whose values are not known here.
        applyset: what the objects belong to, None when others have objects in it.

    Raises:
        StageError: when the cluster cannot be reached.
    """
    taking = rules.take_rather_than_fail()
    planned = plan_objects(cluster, bundle.objects, rules=taking, unread=unread)
    changes = [
        replace(each, detail="it is not there") if each.action == "create" else each
        for each in planned.changes
    ]
    if applyset is None:
        return changes
    extra = find_prunable(applyset, list_members(cluster, applyset), bundle.objects)
    others = [*extra.delete, *(body for body, _ in extra.keep)]
    return changes + [
        Change("prune", name_of(each), "not of this deploy, but of its set") for each in others
    ]
