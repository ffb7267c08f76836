"""What was deployed to an environment, told from the journal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gennaker.errors import GennakerError
from gennaker.names import UNDO_PREFIX
from gennaker.records import dataclass
from gennaker_engine.core.run import Run
from gennaker_engine.core.scope import format_moment
from gennaker_engine.core.state import Instance
from gennaker_engine.journal.port import Deployment
from gennaker_engine.runtime.engine import Engine
from gennaker_engine.runtime.standing import find_standing_entries, make_entry, may_have_changed

__all__ = [
    "Deployed",
    "counts",
    "find_standing",
    "list_current",
    "list_history",
    "list_standing",
    "read_deployed",
]

Json = Any


@dataclass(frozen=True, slots=True)
class Deployed:
    """One deploy, with what its run says of it.

    Attributes:
        row: which, when, how it ended.
        run: as its events left it; None when they cannot be read any more.
        instance: the instance that deployed, of that run.
    """

    row: Deployment
    run: Run | None = None
    instance: Instance | None = None

    @property
    def stage(self) -> str:
        """The stage whose deploy, or whose putting back, it is; without the number of an instance."""
        return self.row.instance.removeprefix(UNDO_PREFIX)

    @property
    def uses(self) -> str | None:
        """The stage's type; None when the run cannot be read any more."""
        if self.run is None or self.instance is None:
            return None
        return self.run.facts.stages[self.instance.stage].plan.uses

    @property
    def is_undo(self) -> bool:
        """Whether it put back what was there before."""
        return self.instance is not None and self.instance.undoes is not None

    @property
    def fate(self) -> str:
        """What became of it, in words that go on after its run: empty when it succeeded."""
        outcome = self.row.outcome
        if outcome is None:
            return "which has not ended"
        words = {"succeeded": "", "aborted": "which was aborted"}
        return words.get(outcome, f"which {outcome}")

    @property
    def approvers(self) -> list[str]:
        """Who approved what it did, each once, in the order of their decisions."""
        if self.run is None:
            return []
        found = []
        for gate in self.run.facts.gates.values():
            if any(each["id"] == self.row.instance for each in gate.subject):
                found += [each["actor"] for each in gate.decisions if each["decision"] == "approve"]
        return list(dict.fromkeys(found))

    def to_data(self) -> dict[str, Json]:
        """Return it as JSON data; times are RFC 3339."""
        row = self.row
        data: dict[str, Json] = {
            "environment": row.environment,
            "pipeline": row.pipeline,
            "stage": self.stage,
            "run": row.run,
            "outcome": row.outcome,
            "undo": self.is_undo,
            "started_at": format_moment(row.started_at),
            "ended_at": None if row.ended_at is None else format_moment(row.ended_at),
        }
        if self.run is None or self.instance is None:
            return data
        created = self.run.created
        return {
            **data,
            "uses": self.uses,
            "title": created.title,
            "actor": created.actor,
            "approvers": self.approvers,
            "commit": created.git.get("sha"),
            "dirty": bool(created.git.get("dirty")),
            "branch": created.git.get("branch"),
            "params": dict(created.parameters),
            "images": _list_images(self.instance.outputs),
            "rollback_of": created.rollback_of,
            "retry_of": created.retry_of,
        }


def list_history(
    engine: Engine, environment: str, *, sandbox: bool, limit: int = 20
) -> list[Deployed]:
    """Return the deploys of an environment, newest first."""
    scope = engine.find_scope(sandbox=sandbox)
    return read_deployed(engine, engine.journal.list_deployments(scope, environment, limit=limit))


def list_current(engine: Engine, *, sandbox: bool) -> list[Deployed]:
    """Return the newest deploy of each stage in each environment, by environment and stage."""
    newest: dict[tuple[str, str, str], Deployment] = {}
    for row in engine.journal.list_current_deployments(engine.find_scope(sandbox=sandbox)):
        key = (row.environment, row.pipeline, row.instance.removeprefix(UNDO_PREFIX))
        known = newest.get(key)
        if known is None or row.started_at >= known.started_at:
            newest[key] = row
    return read_deployed(engine, [newest[key] for key in sorted(newest)])


def counts(engine: Engine, deployed: Deployed) -> bool:
    """Return whether a deploy says what is there: one that succeeded, or may have changed something.

    One that cannot be looked at may have.
    """
    run, instance = deployed.run, deployed.instance
    if deployed.row.outcome == "succeeded" or run is None or instance is None:
        return True
    return may_have_changed(engine.registry, run, instance)


def list_standing(
    engine: Engine, environment: str, *, sandbox: bool, limit: int = 50
) -> list[Deployed]:
    """Return the deploys of an environment that were not put back and may have changed something.

    Newest first. What put them back is left out, too: with both gone, what is there is what was deployed before.
    Of the last ``limit`` deploys.
    """
    history = list_history(engine, environment, sandbox=sandbox, limit=limit)
    entries = [make_entry(each.row, each.run, engine.registry) for each in reversed(history)]
    standing = {each.row for each in find_standing_entries(entries)}
    return [
        each
        for each in history
        if each.row in standing and not each.is_undo and counts(engine, each)
    ]


def find_standing(
    engine: Engine, *, sandbox: bool, environment: str | None = None
) -> Iterator[tuple[Deployed, Deployed | None]]:
    """Yield each stage's last deploy, and the last one that stands; in one environment or in all.

    That is one that was not put back and that did not end before it changed anything; None when
    there is none of what is looked at.
    """
    earlier: dict[str, list[Deployed]] = {}
    for last in list_current(engine, sandbox=sandbox):
        where = last.row.environment
        if environment not in (None, where):
            continue
        if not last.is_undo and counts(engine, last):
            yield last, last
            continue
        if where not in earlier:
            earlier[where] = list_standing(engine, where, sandbox=sandbox)
        key = (last.row.pipeline, last.stage)
        found = (each for each in earlier[where] if (each.row.pipeline, each.stage) == key)
        yield last, next(found, None)


def read_deployed(engine: Engine, rows: Iterable[Deployment]) -> list[Deployed]:
    """Return rows with what their runs say; each run is read once."""
    runs: dict[str, Run | None] = {}
    found = []
    for row in rows:
        if row.run not in runs:
            runs[row.run] = _load(engine, row.run)
        run = runs[row.run]
        instance = None if run is None else run.facts.instances.get(row.instance)
        found.append(Deployed(row, run if instance is not None else None, instance))
    return found


def _load(engine: Engine, run: str) -> Run | None:
    try:
        return engine.load_run(run)
    except GennakerError:  # its history is damaged; `doctor` says how
        return None


def _list_images(outputs: Mapping[str, Json] | None) -> list[str]:
    images = (outputs or {}).get("images")
    return [each for each in images if isinstance(each, str)] if isinstance(images, list) else []
