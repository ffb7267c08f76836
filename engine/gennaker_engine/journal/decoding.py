"""Events as stored become events again; what cannot be read is told as what it is.

Called by the runtime and by the commands that only look.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gennaker_engine.core.events import Event, decode_event
from gennaker_engine.journal.errors import StateError
from gennaker_engine.journal.port import StoredEvent

if TYPE_CHECKING:
    from gennaker_engine.core.run import Run

__all__ = ["decode_stored", "replay_stored"]

_RESTORE = (
    "restore the state from a copy, or give the run up with 'gennaker cancel {run}'; other runs are "
    "not concerned"
)


def decode_stored(stored: Iterable[StoredEvent], run: str) -> list[Event]:
    """Return the events of a run's rows, in their order.

    Args:
        stored: rows of the journal.
        run: whose they are, for messages.

    Raises:
        StateError: code ``state-newer`` when a newer release wrote one, ``state-corrupt`` when
            nobody can have written it; other runs are not concerned.
    """
    return [_decode(each, run) for each in stored]


def replay_stored(stored: Iterable[StoredEvent], run: str) -> Run:
    """Return the run that its rows describe.

    Raises:
        StateError: as :func:`decode_stored` does, and code ``state-corrupt`` when each event is whole
            but one tells of what is not there.
        GennakerError: code ``illegal-transition`` when no run can have written them.
    """
    from gennaker_engine.core.run import Run  # who only lists events needs none of the machine

    stored = list(stored)
    for number, each in enumerate(stored, 1):
        if each.sequence != number:
            raise StateError(
                f"event {number} of run {run!r} is missing",
                code="state-corrupt",
                hint=_RESTORE.format(run=run),
            )
    events = decode_stored(stored, run)
    try:
        return Run.replay(events)
    except (AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise StateError(
            f"the events of run {run!r} contradict each other",
            code="state-corrupt",
            hint=_RESTORE.format(run=run),
        ) from error


def _decode(stored: StoredEvent, run: str) -> Event:
    what, data = f"event {stored.sequence} of run {run!r}", stored.data
    if not isinstance(data, dict) or not {"type", "v"} <= data.keys():
        raise StateError(
            f"{what} is damaged",
            code="state-corrupt",
            hint=_RESTORE.format(run=run),
        )
    try:
        return decode_event(data)
    except KeyError as error:
        raise StateError(
            f"{what} is a {data['type']!r} of version {data['v']!r}, which this release does not know",
            code="state-newer",
            hint="use the version of Gennaker that wrote it; other runs are not concerned",
        ) from error
    except TypeError as error:
        raise StateError(
            f"{what} has not the fields of its type, {data['type']!r}",
            code="state-corrupt",
            hint=_RESTORE.format(run=run),
        ) from error
