"""What is desired of an object in sight of what is live of it; the plan and the deploy both ask here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gennaker_stages.kubernetes.applying.ignoring import leave_ignored
from gennaker_stages.kubernetes.applying.provenance import carry_run
from gennaker_stages.kubernetes.bundle.objects import Object

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.settings import KubernetesSettings

__all__ = ["fit_object"]


def fit_object(
    body: Object, live: Mapping[str, Any] | None, settings: KubernetesSettings
) -> Object:
    """Return an object with what its live state decides: ignored fields, the run that it names."""
    return leave_ignored(carry_run(body, live), live, settings.ignore)
