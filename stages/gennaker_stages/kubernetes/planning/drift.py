"""What of a deploy is not any more as it was applied; what of it a plan does not say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gennaker.stage import Change
from gennaker_stages.kubernetes.bundle.objects import name_of
from gennaker_stages.kubernetes.inventory.prune import PruneRules, find_prunable, list_members

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.client.cluster import Cluster
    from gennaker_stages.kubernetes.inventory.applyset import ApplySet

__all__ = ["find_extra", "tell_missing"]


def tell_missing(changes: Iterable[Change]) -> list[Change]:
    """Return the changes of a plan; what would be created is not there any more."""
    return [
        replace(each, detail="it is not there") if each.action == "create" else each
        for each in changes
    ]


def find_extra(
    cluster: Cluster,
    applyset: ApplySet,
    desired: Sequence[Mapping[str, Any]],
    rules: PruneRules,
) -> list[Change]:
    """Return the objects of the set that the deploy did not apply, whether or not it pruned.

    Args:
        cluster: where.
        applyset: what the objects of the deploy belong to.
        desired: these objects.
        rules: what of the others may be there: earlier versions of a ConfigMap.
    """
    found = find_prunable(applyset, list_members(cluster, applyset), desired, rules)
    others = [*found.delete, *(body for body, _ in found.keep)]
    return [Change("prune", name_of(each), "not of this deploy, but of its set") for each in others]
