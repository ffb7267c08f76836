"""Planning the subject of a gate, for the people who decide on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gennaker.errors import GennakerError
from gennaker_engine.planning.stage import plan_stage
from gennaker_engine.runtime.services import RunServices

__all__ = ["plan_subject"]

Json = Any


def plan_subject(
    services: RunServices, subject: Sequence[Mapping[str, Json]]
) -> dict[str, dict[str, Json]]:
    """Return the plan of each stage of a subject, ``{changes: [...]}`` or ``{error}``, by its id.

    Never raises: what cannot be planned says why. Values of secrets are masked.
    """
    try:
        source = services.source
    except (GennakerError, OSError) as error:
        return {entry["id"]: {"error": str(error)} for entry in subject}
    plans = {}
    for entry in subject:
        planned = plan_stage(services.shared, services.facts, source, entry)
        plans[entry["id"]] = _mask(planned.to_data(), services)
    return plans


def _mask(data: Json, services: RunServices) -> Json:
    if isinstance(data, str):
        return services.masker.mask(data).encode("utf-8", "replace").decode()
    if isinstance(data, dict):
        return {key: _mask(item, services) for key, item in data.items()}
    if isinstance(data, list | tuple):
        return [_mask(item, services) for item in data]
    return data
