"""What an object's status says of its health, and how a status that may be anything is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from gennaker.records import dataclass

__all__ = [
    "READY",
    "Health",
    "find_condition",
    "is_true",
    "list_maps",
    "read_count",
    "read_map",
    "tell_condition",
]

Object = Mapping[str, Any]
State = Literal["ready", "suspended", "progressing", "degraded", "failed"]


@dataclass(frozen=True, slots=True)
class Health:
    """How an object is.

    Attributes:
        state: ``ready``; ``suspended`` (it stands still because it says so itself); ``progressing``;
            ``degraded`` (something is wrong that may yet pass: a crash loop, an image that cannot be
            pulled); ``failed`` (it ended badly, or its controller gave up).
        message: what is missing or wrong, in words for people.
    """

    state: State
    message: str = ""

    @property
    def is_done(self) -> bool:
        """Whether nobody has to wait for it any longer."""
        return self.state in ("ready", "suspended")


READY = Health("ready")


# Custom kinds may have any status, and any client with the right to may have written it: nothing
# below trusts the type of what it reads.


def read_map(value: Any, *names: str) -> Object:
    """Return the map below ``value`` at a path of names; empty where there is none."""
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def read_count(value: Object, name: str, default: int = 0) -> int:
    """Return a whole number of a map; ``default`` where there is none."""
    found = value.get(name)
    return found if isinstance(found, int) and not isinstance(found, bool) else default


def list_maps(value: Object, name: str) -> Iterator[Object]:
    """Yield the maps of a list in a map; what is none is left out."""
    found = value.get(name)
    for each in found if isinstance(found, list) else ():
        if isinstance(each, Mapping):
            yield each


def find_condition(status: Object, kind: str) -> Object:
    """Return the condition of a type; empty when there is none."""
    return next((each for each in list_maps(status, "conditions") if each.get("type") == kind), {})


def is_true(status: Object, kind: str) -> bool:
    """Return whether a condition holds."""
    return find_condition(status, kind).get("status") == "True"


def tell_condition(condition: Object, otherwise: str = "") -> str:
    """Return a condition's reason and message in one text."""
    parts = [str(condition[name]) for name in ("reason", "message") if condition.get(name)]
    return ": ".join(parts) or otherwise
