"""Who has what a run waits for: an environment's lock, or a place in its concurrency group."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from gennaker.records import dataclass
from gennaker_engine.cli.render.progress import Progress
from gennaker_engine.cli.render.text import clean, tell_ago
from gennaker_engine.core.locks import Claim

__all__ = ["Held", "find_held"]


@dataclass(frozen=True, slots=True)
class Held:
    """Something a run waits for, and who has it.

    Attributes:
        waits: the stage that waits, or the run that is queued.
        what: ``environment staging`` or ``group shop``.
        holder: the run that has it.
        since: when it got it, seconds since the epoch.
        left: whether nobody drives that run.
    """

    waits: str
    what: str
    holder: str
    since: float
    left: bool

    def tell(self, now: float) -> str:
        """Return who has it since when, and how that goes on when nobody drives it."""
        told = f"which {self.holder} holds (taken {tell_ago(self.since, now)})"
        if self.left:
            told += f"; nobody drives {self.holder}: gennaker resume {self.holder}"
        return told


def find_held(progress: Progress, claims: Sequence[Claim], left: Collection[str]) -> Iterator[Held]:
    """Yield what a run waits for that others have.

    Args:
        progress: the run.
        claims: those of its scope, at least.
        left: the runs that nobody drives.
    """
    wanted = {
        f"lock/{progress.scope}/{environment}": (instance, f"environment {environment}")
        for environment, instance in progress.locks.items()
        if progress.find(instance).waits == "lock"
    }
    if progress.group and progress.state != "ended":
        key = f"group/{progress.scope}/{progress.group}"
        wanted[key] = (progress.run, f"group {clean(progress.group)}")
    for claim in claims:
        if claim.holding and claim.key in wanted and claim.run != progress.run:
            waits, what = wanted[claim.key]
            yield Held(waits, what, claim.run, claim.since, claim.run in left)
