"""Planning the subject of a gate, for the people who decide on it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gennaker.errors import GennakerError
from gennaker_engine.core.blueprint import Blueprint
from gennaker_engine.core.messages import World
from gennaker_engine.planning.stage import Planning, mask_data, plan_stage
from gennaker_engine.runtime.services import RunServices

__all__ = ["MOST_FIELDS", "plan_subject", "shorten_plan"]

Json = Any
MOST_FIELDS = 256 << 10
"""Bytes of the fields of one stage's changes; after that only the changes themselves are kept."""


def plan_subject(
    services: RunServices,
    subject: Sequence[Mapping[str, Json]],
    blueprint: Blueprint,
    *,
    world: World,
) -> dict[str, dict[str, Json]]:
    """Return the plan of each stage of a subject, ``{changes: [...]}`` or ``{error}``, by its id.

    With ``warnings`` where there are any.

    What would be created is named without its fields: the whole of it is in ``gennaker plan``.

    Never raises: what cannot be planned says why. Values of secrets are masked.

    Args:
        services: of the run.
        subject: ``{id, uses, inputs, environment}`` of each stage.
        blueprint: the run's, which says how long a stage may take.
        world: says where secrets come from.
    """
    try:
        source = services.source
    except (GennakerError, OSError) as error:
        return {entry["id"]: {"error": str(error)} for entry in subject}
    planning = Planning(services.shared, services.facts, source, world)
    plans = {}
    for entry in subject:
        timeout = blueprint.stages[entry["id"].partition("[")[0]].timeout
        timed = {**entry, "timeout": timeout}
        planned = plan_stage(planning, timed)
        plans[entry["id"]] = mask_data(shorten_plan(planned.to_data()), services.masker)
    return plans


def shorten_plan(data: dict[str, Json]) -> dict[str, Json]:
    """Return a plan as it is journaled: of what is created no fields, and not more than a bound."""
    if "changes" not in data:
        return data
    kept, size = [], 0
    for change in data["changes"]:
        is_new = change["action"] == "create"
        size += 0 if is_new else len(json.dumps(change.get("fields", ())))
        is_long = is_new or size > MOST_FIELDS
        kept.append({key: change[key] for key in change if key != "fields" or not is_long})
    return {**data, "changes": kept}
