"""Things field by field: what a deploy declares, and what is there and whose each field is.

Answers of :meth:`gennaker.stage.Stage.list_declared` and :meth:`gennaker.target.Target.read_fields`. Both name
a thing and a field in the same way, so that the engine can look one up in the other without knowing
what they are. A value that is secret is a :class:`gennaker.stage.Secret`: it compares, and never shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from gennaker.errors import InvalidInput
from gennaker.records import dataclass

__all__ = ["Declared", "LiveField", "LiveThing", "Owner", "ThingMissing"]

Json = Any


@dataclass(frozen=True, slots=True)
class Declared:
    """A thing that a deploy declares.

    Attributes:
        what: the thing, as people call it: ``Deployment/web``.
        key: which one it is. What is the environment's own and differs from one to the next, its
            namespace say, is not in it.
        fields: the values it declares, by path: ``spec.template.spec.containers[web].image``.
    """

    what: str
    key: str
    fields: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Owner:
    """Who set a field.

    Attributes:
        name: as the target knows them: ``kubectl-edit``, a controller.
        at: when they wrote last, RFC 3339 in UTC; None when that is not known.
        ours: whether it was a deploy of Gennaker.
    """

    name: str
    at: str | None = None
    ours: bool = False

    def to_data(self) -> dict[str, Json]:
        """Return it as JSON data."""
        return {"name": self.name, "at": self.at}


@dataclass(frozen=True, slots=True)
class LiveField:
    """One field of a thing that is there; without owners its value is a default of the target."""

    path: str
    value: Json
    owners: tuple[Owner, ...] = ()


@dataclass(frozen=True, slots=True)
class LiveThing:
    """A thing that is there; ``what`` and ``key`` are as in :class:`Declared`."""

    what: str
    key: str
    fields: tuple[LiveField, ...] = ()


class ThingMissing(InvalidInput):
    """There is no such thing; ``what`` is what it would be called."""

    code = "unknown-thing"

    def __init__(self, message: str, what: str, *, hint: str | None = None) -> None:
        super().__init__(message, code=self.code, hint=hint)
        self.what = what
