"""Runs as people name them: an id, a unique beginning of one, or ``@last``."""

from __future__ import annotations

from gennaker.errors import InvalidInput
from gennaker.suggestions import suggest
from gennaker_engine.journal.port import Journal, RunFilter, RunRow

__all__ = ["resolve_run"]

_SHOWN = 5
_START = "start one with 'gennaker run PIPELINE'"


def resolve_run(journal: Journal, ref: str) -> RunRow:
    """Return the row of the run that ``ref`` names.

    Raises:
        InvalidInput: code ``unknown-run`` or ``ambiguous-run``.
    """
    if ref == "@last":
        newest = journal.list_runs(RunFilter(limit=1))
        if not newest:
            raise InvalidInput("there is no run yet", code="unknown-run", hint=_START)
        return newest[0]
    exact = journal.find_run(ref)
    if exact is not None:
        return exact
    found = journal.find_runs_by_prefix(ref, limit=_SHOWN + 1) if ref else []
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(row.run for row in found[:_SHOWN])
        more = " and more" if len(found) > _SHOWN else ""
        raise InvalidInput(
            f"{ref!r} is the beginning of several runs", code="ambiguous-run", hint=f"{names}{more}"
        )
    recent = [row.run for row in journal.list_runs(RunFilter())]
    raise InvalidInput(
        f"there is no run {ref!r}",
        code="unknown-run",
        hint=suggest(ref, recent, otherwise="'gennaker runs' lists them" if recent else _START),
    )
