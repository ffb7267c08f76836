"""Giving up a run whose history is damaged, so that what it held is free for others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gennaker_engine.runtime.clock import SystemClock
from gennaker_engine.runtime.inbox import run_owned
from gennaker_engine.runtime.moment import Moment

if TYPE_CHECKING:
    from gennaker_engine.core.events import RunAbandoned
    from gennaker_engine.runtime.engine import Engine

__all__ = ["abandon_run"]


def abandon_run(engine: Engine, run_id: str, actor: str) -> RunAbandoned | None:
    """Give up a run whose history is damaged: it ends as errored, and blocks nobody any more.

    Returns:
        What was recorded; None when there is nothing wrong with the run, and nothing was done.

    Raises:
        NotAllowed: code ``run-owned``, naming the process that drives it.
    """
    journal = engine.journal
    ownership = journal.own_run(run_id)
    if ownership is None:
        raise run_owned(run_id, journal.find_owner(run_id))
    moment = Moment(engine, SystemClock.now())
    try:
        with journal.transaction() as transaction:
            moment.enter(transaction)
            event = moment.abandon(run_id, journal.find_run(run_id), actor)
            moment.write()
    finally:
        ownership.release()
    return event
