"""The outcome of a run."""

from __future__ import annotations

from gennaker_engine.core.state import RunState

__all__ = ["find_outcome"]

_BY_RANK = ("succeeded", "aborted", "failed", "errored")


def find_outcome(run: RunState) -> str:
    """Return the worst of the stages' outcomes, ignored ones aside, and of the run's own.

    A run that was aborted, superseded or timed out is at least aborted; one whose stages were all
    skipped succeeded, and has nothing to do.
    """
    rank = run.worst
    if run.aborted is not None:
        rank = max(rank, 1)
    return _BY_RANK[rank]
