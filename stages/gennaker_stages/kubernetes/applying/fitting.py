"""What is desired of an object in sight of what is live of it; the plan and the deploy both ask here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gennaker_stages.kubernetes.applying.ignoring import leave_ignored
from gennaker_stages.kubernetes.applying.provenance import carry_run
from gennaker_stages.kubernetes.applying.rules import CLIENT_SIDE
from gennaker_stages.kubernetes.bundle.objects import Object
from gennaker_stages.kubernetes.inventory.applyset import PART_OF_LABEL

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.settings import KubernetesSettings

__all__ = ["fit_object"]


def fit_object(
    body: Object,
    live: Mapping[str, Any] | None,
    settings: KubernetesSettings,
    *,
    adopted: frozenset[str] = CLIENT_SIDE,
) -> Object:
    """Return an object with what its live state decides: ignored fields, the run that it names.

    The mark of whose it is cannot be ignored: without it nothing would be pruned.

    Args:
        body: what is desired.
        live: the object as it is, None when it is not there.
        settings: what the environment ignores.
        adopted: managers whose objects are taken over.
    """
    found = leave_ignored(carry_run(body, live), live, settings.ignore, adopted=adopted)
    mark = (body["metadata"].get("labels") or {}).get(PART_OF_LABEL)
    labels = found["metadata"].get("labels") or {}
    if mark is None or labels.get(PART_OF_LABEL) == mark:
        return found
    return {
        **found,
        "metadata": {**found["metadata"], "labels": {**labels, PART_OF_LABEL: mark}},
    }
