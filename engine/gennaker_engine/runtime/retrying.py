"""Retries: a new run of an ended one, what it takes over, and why the rest runs again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from gennaker.errors import GennakerError, NotAllowed
from gennaker.records import dataclass
from gennaker_engine.core.events import RunCreated
from gennaker_engine.core.messages import World
from gennaker_engine.core.reuse import Correction, Verdict, decide_reuse
from gennaker_engine.core.run import Run
from gennaker_engine.journal.port import Journal
from gennaker_engine.runtime.creating import Pinned, Start, pin_run
from gennaker_engine.runtime.driven import replay
from gennaker_engine.runtime.moment import find_deploys_in
from gennaker_engine.storage.source_changes import SourceComparison

__all__ = ["Retry", "check_ended", "plan_corrected_retry", "plan_retry"]

Json = Any
Pin = Callable[[int, float], RunCreated]
"""Number and moment of a new run -> its first event, without anything reused."""


@dataclass(frozen=True, slots=True)
class Retry:
    """A retry that can be created.

    Attributes:
        old: the run that is retried.
        pin: makes the first event.
        pinned: that event without a number, moment and what is reused.
        verdicts: what becomes of each stage outside ``finally``, each after those it needs.
    """

    old: Run
    pin: Pin
    pinned: RunCreated
    verdicts: tuple[Verdict, ...]

    @property
    def reused(self) -> dict[str, Json]:
        """What is taken over, as ``RunCreated.reused`` has it."""
        return {each.stage: each.taken for each in self.verdicts if each.taken is not None}

    def make_created(self, number: int, now: float) -> RunCreated:
        """Return the first event of the retry."""
        return replace(self.pin(number, now), reused=self.reused)


def check_ended(run: Run) -> None:
    """Refuse to retry a run that goes on.

    Raises:
        NotAllowed: code ``run-active``.
    """
    if run.state != "ended":
        raise NotAllowed(
            f"run {run.id!r} has not ended",
            code="run-active",
            hint=f"go on with 'gennaker resume {run.id}', or end it with 'gennaker cancel {run.id}'",
        )


def plan_retry(run: Run, journal: Journal, *, actor: str) -> Retry:
    """Return a retry with the definition, parameters and source of the run."""

    def pin(number: int, now: float) -> RunCreated:
        name = f"{run.created.pipeline}-{number}"
        again = replace(run.created, at=now, run=name, number=number, reused={})
        return _mark(again, run, actor)

    return _decide(run, pin, journal)


def plan_corrected_retry(
    run: Run,
    pinned: Pinned,
    journal: Journal,
    *,
    actor: str,
    world: World,
    sources: SourceComparison,
) -> Retry:
    """Return a retry with another definition, source or parameters than the run had.

    Args:
        run: the run that is retried.
        pinned: what the retry is pinned to.
        journal: where earlier runs are, whose stages may be taken over once more.
        actor: who retries.
        world: settings as they are now.
        sources: compares what was read of earlier sources with the one it is pinned to.

    Raises:
        InvalidInput: the title or the concurrency group cannot be evaluated.
        NotAllowed: code ``retry-rollback``, for a rollback, whose definition is in no file.
    """
    if run.created.rollback_of is not None:
        raise NotAllowed(
            f"run {run.id!r} is a rollback, which has no current definition",
            code="retry-rollback",
            hint=f"retry it as it was: 'gennaker retry {run.id}'",
        )

    def pin(number: int, now: float) -> RunCreated:
        start = Start(actor=actor, sandbox=run.created.sandbox)
        return _mark(pin_run(pinned, start, number=number, now=now), run, actor)

    found: dict[str, Run | None] = {}

    def find_run(name: str) -> Run | None:
        if name not in found:
            stored = journal.load_events(name)
            found[name] = replay(stored) if stored else None
        return found[name]

    def list_changed(then: Mapping[str, Json], paths: Iterable[str]) -> list[str] | None:
        try:
            return sources.list_changed(then, paths)
        except GennakerError as error:
            if error.code != "source-missing":
                raise
            return None

    return _decide(run, pin, journal, Correction(world, find_run, list_changed))


def _decide(run: Run, pin: Pin, journal: Journal, correction: Correction | None = None) -> Retry:
    pinned = pin(0, 0.0)
    find_deploy = find_deploys_in(journal, run.created.scope)
    verdicts = decide_reuse(run, pinned, find_deploy=find_deploy, correction=correction)
    return Retry(run, pin, pinned, tuple(verdicts))


def _mark(created: RunCreated, run: Run, actor: str) -> RunCreated:
    """Say of which run it is a retry; what was decided for that one does not count."""
    return replace(
        created,
        actor=actor,
        retry_of=run.id,
        starters=tuple(dict.fromkeys((*run.created.starters, run.created.actor))),
        approved=(),
        plan=None,
    )
