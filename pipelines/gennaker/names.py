"""What a name may be: pipelines, stages, environments and parameters are named by one rule each."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["NAME_HINT", "NAME_PATTERN", "UNDO_PREFIX", "find_name_fault", "find_twins"]

NAME_PATTERN = r"^[a-z][a-z0-9]*([_-][a-z0-9]+)*$"
NAME_HINT = "use lower-case letters and digits, with single '-' or '_' between, up to 63"

UNDO_PREFIX = "undo:"
"""``undo:ID`` is the stage of a run that puts back what ``ID`` changed; no id that is written has it."""

_NAME = re.compile(NAME_PATTERN)
_LAST_PART = re.compile(r"[_-][0-9]+\Z")
_LONGEST = 63


def find_name_fault(name: str) -> tuple[str, str] | None:
    """Return what is wrong with the name of a pipeline or stage, and what to do, or None."""
    if len(name) > _LONGEST:
        return f"is longer than {_LONGEST} characters", "shorten it"
    # fullmatch: '$' alone would let a final line break through.
    if not _NAME.fullmatch(name):
        return "is not a name", NAME_HINT
    if _LAST_PART.search(name):
        # 'shop-42' is run 42 of the pipeline 'shop'.
        return "ends in a part of digits only, as the id of a run does", "add a letter to it"
    return None


def find_twins(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return pairs of names that differ only in ``-`` and ``_``, each with the earlier one first."""
    first: dict[str, str] = {}
    twins = []
    for name in names:
        known = first.setdefault(name.replace("-", "_"), name)
        if known != name:
            twins.append((known, name))
    return twins
