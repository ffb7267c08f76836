"""Which deploys of an environment stand, and which have been put back; told from the journal.

Each thing that a deploy changes (a stage of a pipeline, or an instance of one) has a history of its
own. What puts a deploy back leads its thing to where it was before that deploy, so that a deploy and
its putting back together are nothing, and what puts a putting back back leads forward again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gennaker.errors import GennakerError
from gennaker.plugins import Registry
from gennaker.records import dataclass
from gennaker_engine.core.run import Run
from gennaker_engine.core.state import Instance
from gennaker_engine.journal.decoding import replay_stored
from gennaker_engine.journal.port import Deployment, Journal

__all__ = [
    "Entry",
    "find_standing_entries",
    "list_since",
    "make_entry",
    "may_have_changed",
    "name_in_rollback",
    "split_later",
]

_MOST_LATER = 100
Key = tuple[str, str]
"""A run, and an instance of it as a rollback names it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A deploy, or what puts one back.

    Attributes:
        row: which, when, how it ended.
        instance: of its run; None when that cannot be read any more.
        undoes: what it puts back; None for a deploy.
        changed: whether it may have changed something.
    """

    row: Deployment
    instance: Instance | None
    undoes: Key | None
    changed: bool

    @property
    def key(self) -> Key:
        """Which it is."""
        return self.row.run, name_in_rollback(self.row.instance)

    @property
    def thing(self) -> Key:
        """What it changes: the pipeline and the instance, of whichever run."""
        name = self.key[1] if self.undoes is None else self.undoes[1]
        return self.row.pipeline, name

    @property
    def is_unrecorded(self) -> bool:
        """Whether it has ended without a record of what was there before."""
        ended = self.row.outcome is not None
        return ended and self.instance is not None and self.instance.before is None

    @property
    def is_done(self) -> bool:
        """Whether it has put back what it puts back."""
        return self.undoes is not None and self.row.outcome == "succeeded"


def name_in_rollback(instance: str) -> str:
    """Return the id of the stage of a rollback that stands for an instance."""
    return instance.replace("[", "-i").replace("]", "")


def make_entry(row: Deployment, run: Run | None, registry: Registry) -> Entry:
    """Return what is told of a deploy; ``run`` is None when its history cannot be read any more."""
    instance = None if run is None else run.facts.instances.get(row.instance)
    if run is None or instance is None:
        return Entry(row, None, None, changed=True)
    changed = row.outcome is None or may_have_changed(registry, run, instance)
    return Entry(row, instance, _find_undone(run, instance), changed)


def may_have_changed(registry: Registry, run: Run, instance: Instance) -> bool:
    """Return whether a deploy may have changed something.

    A type that can put back records what is there before it writes anything: one that did not come
    so far, or found all as it is to be, has left all as it was.
    """
    if instance.before is not None:
        return True
    try:
        kind = registry.stage(run.facts.stages[instance.stage].plan.uses)
    except GennakerError:  # it is not installed any more
        return True
    return not kind.can_undo()


def find_standing_entries(entries: Iterable[Entry]) -> list[Entry]:
    """Return those that were not put back and, of what puts back, what came to nothing.

    Args:
        entries: the deploys of one environment, the oldest first.
    """
    now: dict[Key, tuple[Entry, ...]] = {}
    before: dict[Key, tuple[Entry, ...]] = {}
    after: dict[Key, tuple[Entry, ...]] = {}
    for each in entries:
        held = before[each.key] = now.get(each.thing, ())
        undone = each.undoes
        now[each.thing] = (*held, each)
        if (
            undone is not None
            and each.is_done
            and undone in before
            # Nothing else came in between.
            and _leave_out(held, undone) == _leave_out(after[undone], undone)
        ):
            now[each.thing] = before[undone]
        after[each.key] = now[each.thing]
    found = {each.key: each for held in now.values() for each in held}
    return sorted(found.values(), key=lambda each: each.row.started_at)


def split_later(
    entries: Iterable[Entry], run: str, *, asking: str = ""
) -> tuple[list[Entry], list[Entry]]:
    """Return what of other runs is in the way of putting a run back, and what is left of those put back.

    What recorded nothing can never be put back: once the rest of its run was, it is in nobody's way.

    Args:
        entries: the run's deploys to an environment and all later ones, the oldest first.
        run: which.
        asking: the rollback itself.
    """
    entries = list(entries)
    undone = {each.undoes[0] for each in entries if each.undoes is not None and each.is_done}
    barring, left = [], []
    for each in find_standing_entries(entries):
        own = each.row.run in (run, asking)
        tried = each.undoes is not None and each.undoes[0] == run and each.row.outcome is not None
        if own or tried or not each.changed:
            continue
        if each.row.run in undone and each.is_unrecorded:
            left.append(each)
        else:
            barring.append(each)
    return barring, left


def list_since(
    run: Run, journal: Journal, registry: Registry, environment: str
) -> list[Entry] | None:
    """Return what a run deployed to an environment and what came later, the oldest first.

    None when the run's deploys are not among the last ones that are looked at.
    """
    scope = run.created.scope
    rows = journal.list_deployments(scope, environment, limit=_MOST_LATER)
    own = [place for place, row in enumerate(rows) if row.run == run.id]
    last = journal.last_deploy(scope, environment)
    if not own or last is None:
        return None
    rows = rows[: own[-1] + 1]
    if last.run not in {row.run for row in rows}:
        return None  # a clock was set back
    return list(_read_entries(reversed(rows), journal, registry))


def _leave_out(held: tuple[Entry, ...], undone: Key) -> tuple[Entry, ...]:
    """Return a history without what changed nothing, and attempts at putting ``undone`` back."""
    return tuple(each for each in held if each.changed and each.undoes != undone)


def _read_entries(
    rows: Iterable[Deployment], journal: Journal, registry: Registry
) -> Iterator[Entry]:
    runs: dict[str, Run | None] = {}
    for row in rows:
        if row.run not in runs:
            try:
                runs[row.run] = replay_stored(journal.load_events(row.run), row.run)
            except GennakerError:  # its history is damaged
                runs[row.run] = None
        yield make_entry(row, runs[row.run], registry)


def _find_undone(run: Run, instance: Instance) -> Key | None:
    """Return what an instance puts back, None when it deploys."""
    if instance.undoes is None:
        return None
    undone = run.facts.stages[instance.stage].plan.undoes
    if undone is None:
        return str(run.created.rollback_of), name_in_rollback(instance.id)
    changed = run.facts.stages[undone].list_changed()
    return run.id, name_in_rollback(changed[instance.number].id)
