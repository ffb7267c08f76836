"""How events, rows and claims stand in the columns of a database; the same for every journal."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from gennaker_engine.journal.port import Claim, RunRow, StoredEvent

__all__ = [
    "RUN_FIELDS",
    "encode_event",
    "make_prefix_range",
    "read_claim",
    "read_event",
    "read_run",
]

RUN_FIELDS = tuple(each.name for each in fields(RunRow))
"""The columns of a run's row, in the order in which queries name them."""
_LAST_CHARACTER = "\U0010ffff"

encode_event = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False
).encode
"""JSON data to compact text; NaN and the infinities are a ValueError."""


def make_prefix_range(prefix: str) -> dict[str, str]:
    """Return the bounds between which every text with this prefix is, compared by code points."""
    return {"prefix": prefix, "end": prefix + _LAST_CHARACTER}


def read_event(row: tuple[Any, ...]) -> StoredEvent:
    """Return the event of (sequence, text); one that is damaged is told when it is decoded."""
    sequence, text = row
    try:
        return StoredEvent(sequence, json.loads(text))
    except ValueError:
        return StoredEvent(sequence, text)


def read_run(row: tuple[Any, ...]) -> RunRow:
    """Return a run's row from its columns in the order of :data:`RUN_FIELDS`."""
    values = dict(zip(RUN_FIELDS, row, strict=True))
    values["sandbox"] = bool(values["sandbox"])
    return RunRow(**values)


def read_claim(row: tuple[Any, ...]) -> Claim:
    """Return a claim from its columns."""
    key, run, place, holding, since, slots, policy, instance, deploys = row
    return Claim(key, run, place, bool(holding), since, slots, policy, instance, deploys)
