"""Who set the fields of a thing in an environment: which deploy of ours, or which other manager.

The target tells whose each field is. Of ours it knows no more than that; so the deploys of the
environment are read backwards, from what each declared, to the one that first had the value.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gennaker.errors import GennakerError, InvalidInput
from gennaker.fields import ThingMissing
from gennaker.stage import ABSENT, Declared, LiveField, LiveThing, Secret
from gennaker.suggestions import suggest
from gennaker_engine.environments.asking import ask_stage, ask_target
from gennaker_engine.environments.deployed import Deployed, list_history, list_standing
from gennaker_engine.runtime.engine import Engine

__all__ = ["Blame", "BlamedField", "find_blame"]

Json = Any
MOST_DEPLOYS = 50
"""How many deploys of an environment are looked at."""
_RECENT = 5
_CHANGED = frozenset({"succeeded", "failed"})
"""Outcomes of deploys that did what they declare; a failed one was applied and did not get ready."""


@dataclass(slots=True)
class BlamedField:
    """A field and who set it.

    Attributes:
        live: its path, value and owners.
        deployed: the deploy of ours; None when it is not ours, or none is known.
        known_by: what tells the deploy: ``value`` (it first had it), ``first`` (the earliest that is
            looked at has it already), ``last`` (the last that declares the field, whose value
            cannot be compared), ``time`` (it ran when the field was written).
    """

    live: LiveField
    deployed: Deployed | None = None
    known_by: str | None = None

    def to_data(self) -> dict[str, Json]:
        """Return it as JSON data; a secret value is ``***`` and ``hidden``."""
        value = self.live.value
        data: dict[str, Json] = {"path": self.live.path, "value": value}
        if isinstance(value, Secret):
            data |= {"value": str(value), "hidden": True}
        data["managers"] = [each.to_data() for each in self.live.owners]
        if self.deployed is not None:
            data |= {"deploy": self.deployed.to_data(), "known_by": self.known_by}
        return data


@dataclass(frozen=True, slots=True)
class Blame:
    """What is there, and who set it.

    Attributes:
        what: the thing, as its target calls it.
        fields: in the order of the thing.
        defaults: how many more it has that nobody set.
    """

    what: str
    fields: Sequence[BlamedField]
    defaults: int = 0


@dataclass(slots=True)
class _Search:
    """The way back through the deploys for one field."""

    value: Json
    best: Deployed | None = None
    known_by: str = "first"
    ended: bool = field(default=False)

    def look(self, deployed: Deployed, declared: Json) -> None:
        """Look at the next older deploy: at what it declares of the field, ABSENT for nothing."""
        changed = deployed.row.outcome in _CHANGED
        if isinstance(declared, Secret) and declared.name and self.best is None:
            self._end(deployed, "last")  # its value was never kept
        elif _same(declared, self.value):
            self.best = deployed
        elif self.best is not None:
            if changed and _same_stage(deployed, self.best):
                self._end(self.best, "value")
        elif declared is not ABSENT and changed:
            # The target writes it in another way (1000m, 1): the declared values tell.
            self.best, self.value = deployed, declared

    def _end(self, deployed: Deployed, known_by: str) -> None:
        self.best, self.known_by, self.ended = deployed, known_by, True


def find_blame(
    engine: Engine, environment: str, thing: tuple[str, str], *, path: str = "", sandbox: bool
) -> Blame:
    """Return who set the fields of a thing.

    Args:
        engine: of the project.
        environment: where it is.
        thing: its kind and its name.
        path: only this field and those below it; with it, what nobody set is told, too.
        sandbox: whether the sandbox is meant.

    Raises:
        InvalidInput: nothing was deployed there, or there is no such kind, thing or field.
        GennakerError: why the target cannot be asked.
    """
    history = list_history(engine, environment, sandbox=sandbox, limit=MOST_DEPLOYS)
    last = next((each for each in history if each.instance is not None), None)
    if last is None:
        raise InvalidInput(
            f"nothing was deployed to {environment!r}",
            code="not-found",
            hint="see what was deployed where: 'gennaker environments'",
        )
    standing = list_standing(engine, environment, sandbox=sandbox, limit=MOST_DEPLOYS)
    try:
        live = ask_target(engine, last, lambda target, link: target.read_fields(link, *thing))
    except ThingMissing as error:
        raise _tell_deleted(engine, standing, error) from None
    fields = _choose(live, path)
    blamed = [BlamedField(each) for each in fields]
    _find_deploys(engine, live, blamed, standing)
    if len(history) < MOST_DEPLOYS:  # there is nothing before the first of them
        for each in blamed:
            each.known_by = "value" if each.known_by == "first" else each.known_by
    _find_by_time(blamed, history)
    return Blame(live.what, blamed, 0 if path else len(live.fields) - len(fields))


def _choose(live: LiveThing, path: str) -> list[LiveField]:
    """Return the fields at and below a path; without one, those that somebody set."""
    if not path:
        return [each for each in live.fields if each.owners]
    path = path.lstrip(".")
    found = [
        each
        for each in live.fields
        if each.path.startswith(path) and each.path[len(path) : len(path) + 1] in ("", ".", "[")
    ]
    if not found:
        known = {part for each in live.fields for part in _list_prefixes(each.path)}
        raise InvalidInput(
            f"{live.what} has no field {path!r}", code="unknown-field", hint=suggest(path, known)
        )
    return found


def _list_prefixes(path: str) -> Iterable[str]:
    ends = [place for place, letter in enumerate(path) if letter in ".["]
    return [path, *(path[:end] for end in ends)]


def _find_deploys(
    engine: Engine, live: LiveThing, blamed: Sequence[BlamedField], standing: Sequence[Deployed]
) -> None:
    """Say of each field of ours which deploy first had its value, walking back through them."""
    searches = {
        each.live.path: _Search(each.live.value)
        for each in blamed
        if any(owner.ours for owner in each.live.owners)
    }
    for deployed in standing:
        open_ones = {path: each for path, each in searches.items() if not each.ended}
        if not open_ones:
            break
        things = _list_declared(engine, deployed, live.what.rpartition("/")[2])
        if things is None:
            continue
        fields = next((each.fields for each in things if each.key == live.key), {})
        for path, search in open_ones.items():
            search.look(deployed, fields.get(path, ABSENT))
    for each in blamed:
        done = searches.get(each.live.path)
        if done is not None and done.best is not None:
            each.deployed = done.best
            each.known_by = done.known_by


def _list_declared(engine: Engine, deployed: Deployed, name: str) -> Sequence[Declared] | None:
    """Return what a deploy declared, at least of things of a name; None when it cannot be read."""
    try:
        return ask_stage(
            engine, deployed, lambda kind, inputs, ctx: kind.list_declared(inputs, ctx, name=name)
        )
    except GennakerError:  # what it deployed is gone, or its plugin
        return None


def _find_by_time(blamed: Iterable[BlamedField], history: Sequence[Deployed]) -> None:
    """Say of each field of ours that no deploy declares which deploy ran when it was written."""
    for each in blamed:
        times = [owner.at for owner in each.live.owners if owner.ours and owner.at]
        if each.deployed is not None or not times:
            continue
        at = datetime.fromisoformat(max(times)).timestamp()
        for deployed in history:
            begun, ended = deployed.row.started_at, deployed.row.ended_at
            # Targets tell whole seconds, by their own clocks.
            if begun - 1 <= at and (ended is None or at <= ended + 1):
                each.deployed, each.known_by = deployed, "time"
                break


def _tell_deleted(
    engine: Engine, standing: Sequence[Deployed], missing: ThingMissing
) -> ThingMissing:
    """Return what to tell of a thing that is not there: that one of the last deploys made it."""
    name = missing.what.rpartition("/")[2]
    for deployed in standing[:_RECENT]:
        for each in _list_declared(engine, deployed, name) or ():
            if each.what == missing.what:
                run, fate = deployed.row.run, deployed.fate
                # One that did not succeed need not have come to write it.
                told = f"{run}, {fate}, was to deploy it" if fate else f"{run} deployed it"
                return ThingMissing(
                    f"{each.what} is not there{'' if fate else ' any more'}; {told}",
                    each.what,
                    hint=f"see what else has moved: 'gennaker diff {deployed.row.environment}'",
                )
    return missing


def _same_stage(one: Deployed, other: Deployed) -> bool:
    return (one.row.pipeline, one.stage) == (other.row.pipeline, other.stage)


def _same(one: Json, other: Json) -> bool:
    return (
        one is not ABSENT
        and bool(one == other)
        and isinstance(one, bool) == isinstance(other, bool)
    )
