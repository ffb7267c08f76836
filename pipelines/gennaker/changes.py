"""What a stage would do, as its ``plan`` tells it; a part of :mod:`gennaker.stage`, which exports it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from enum import Enum
from typing import Any, Literal

from gennaker.fields import Owner
from gennaker.records import dataclass

__all__ = ["ABSENT", "Change", "FieldChange", "Plan"]

Json = Any


class Absent(Enum):
    """The type of :data:`ABSENT`."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = Absent.ABSENT
"""The value of a field that is not there, which is not the same as null."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field of a thing that would change.

    Attributes:
        path: where it is, ``spec.template.spec.containers[web].image``.
        before: its value now, :data:`ABSENT` when it is not there.
        after: its value then.
        hidden: whether the values stand for secret ones, so that only the change itself is told.
        owner: who else set it to what it is now; None when nobody else did, or it is not known.
    """

    path: str
    before: Json = ABSENT
    after: Json = ABSENT
    hidden: bool = False
    owner: Owner | None = None

    def to_data(self) -> dict[str, Json]:
        """Return it as JSON: a value that is not there has no key."""
        data: dict[str, Json] = {"path": self.path}
        data |= {
            name: value
            for name, value in (("before", self.before), ("after", self.after))
            if value is not ABSENT
        }
        if self.hidden:
            data["hidden"] = True
        if self.owner is not None:
            data["owner"] = self.owner.to_data()
        return data


Action = Literal[
    "create", "change", "replace", "delete", "prune", "refuse", "leave", "build", "run"
]


@dataclass(frozen=True, slots=True)
class Change:
    """One thing a stage would do.

    Attributes:
        action: ``create``, ``change``, ``replace`` (delete and create), ``delete``, ``prune``
            (delete what is no longer wanted), ``refuse`` (it would be refused, and the stage would
            fail), ``leave``, ``build`` or ``run``.
        what: the thing, as people call it.
        detail: more of it, or why.
        fields: what of it would change; of a thing that is created, what it would be.
    """

    action: Action
    what: str
    detail: str = ""
    fields: Sequence[FieldChange] = ()

    def to_data(self) -> dict[str, Json]:
        """Return it as JSON."""
        data: dict[str, Json] = {"action": self.action, "what": self.what, "detail": self.detail}
        if self.fields:
            data["fields"] = [each.to_data() for each in self.fields]
        return data


@dataclass(frozen=True, slots=True)
class Plan:
    """What a stage would do, found without a side effect.

    Attributes:
        changes: shown by ``gennaker plan`` and to approvers, in order.
        desired: JSON that counts in the plan's digest (desired objects; no live state).
        outputs: what later stages can plan with; ``Unknown`` tokens for what only a run gives.
        observed: JSON, at most 256 KiB, given to ``run`` as ``ctx.shown`` when people approved this
            plan: what the plan was made from (live versions), so that ``run`` can say what moved.
        warnings: what people are to know before the run, a line each; it does not stop it.
    """

    changes: Sequence[Change] = ()
    desired: Json = None
    outputs: Mapping[str, Json] = field(default_factory=dict)
    observed: Json = None
    warnings: Sequence[str] = ()
