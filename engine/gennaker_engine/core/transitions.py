"""The states of stages' instances, gates, locks and runs, and what moves them: tables, nothing else.

``evolve`` looks every move up here; a move that is in no table is :class:`IllegalTransition`, so a
journal that was written by something else than a run cannot be read as one. The diagrams in the
documentation are drawn from the same tables.

========== ===========================================================================
instance   one row of a stage (``build``, ``test[0]``): from known inputs to an outcome
gate       one question to people: asked, then settled once
lock       a run's side of an environment's lock
run        the whole
========== ===========================================================================
"""

from __future__ import annotations

from collections.abc import Mapping

from gennaker.errors import GennakerError

__all__ = ["GATE", "INSTANCE", "LOCK", "RUN", "TABLES", "IllegalTransition", "draw_states", "move"]

Table = Mapping[str, Mapping[str, str]]

INSTANCE: Table = {
    # Not resolved: its stage is not ready, or its matrix has no room for it yet.
    "pending": {
        "resolve": "ready",
        "skip": "ended",
        "end": "ended",
    },
    # Inputs are known; it may wait for people or for a lock. Settings that moved resolve it anew.
    "ready": {
        "resolve": "ready",
        "start": "running",
        "skip": "ended",
        "end": "ended",
    },
    "running": {
        "deliver": "running",
        "wait": "waiting",
        "stop": "stopping",
        "retry": "retrying",
        "finish": "ended",
    },
    # No thread: people, a timer or the next poll bring it back.
    "waiting": {
        "resume": "running",
        "retry": "retrying",
        "finish": "ended",
    },
    # Told to stop; its outcome is decided, its end is not seen yet.
    "stopping": {
        "retry": "retrying",
        "finish": "ended",
    },
    "retrying": {
        "start": "running",
        "end": "ended",
    },
    "ended": {},
}

GATE: Table = {
    "new": {"ask": "open"},
    "open": {
        "plan": "open",
        "decide": "open",
        "approve": "approved",
        "reject": "rejected",
        "expire": "expired",
        "withdraw": "withdrawn",
    },
    "approved": {},
    "rejected": {},
    "expired": {},
    "withdrawn": {},
}

LOCK: Table = {
    "free": {"request": "requested"},
    "requested": {"acquire": "held", "release": "free"},
    "held": {"release": "free"},
}

RUN: Table = {
    "new": {"create": "created"},
    "created": {"queue": "queued", "start": "active", "abandon": "ended"},
    "queued": {"start": "active", "abort": "queued", "end": "ended", "abandon": "ended"},
    "active": {"abort": "active", "finalize": "finally", "end": "ended", "abandon": "ended"},
    "finally": {"abort": "finally", "end": "ended", "abandon": "ended"},
    "ended": {},
}

TABLES: Mapping[str, Table] = {"instance": INSTANCE, "gate": GATE, "lock": LOCK, "run": RUN}
"""Every table by the word that names it in messages and diagrams."""


class IllegalTransition(GennakerError):
    """A move that no table has: the history was not written by a run, or is damaged."""

    code = "illegal-transition"


def move(kind: str, name: str, state: str, trigger: str) -> str:
    """Return the state after ``trigger``.

    Args:
        kind: which table (``instance``, ``gate``, ``lock``, ``run``).
        name: which one of that kind, for the message.

    Raises:
        IllegalTransition: when the table has no such row.
    """
    try:
        return TABLES[kind][state][trigger]
    except KeyError:
        raise IllegalTransition(
            f"{kind} {name!r} is {state!r} and takes no {trigger!r}",
            hint="the journal is not a history of this run; restore it from a backup",
        ) from None


def draw_states(kind: str) -> str:
    """Return a table as a mermaid state diagram, rows in the order written."""
    table = TABLES[kind]
    lines = ["stateDiagram-v2", f"    [*] --> {next(iter(table))}"]
    for state, moves in table.items():
        together: dict[str, list[str]] = {}
        for trigger, target in moves.items():
            together.setdefault(target, []).append(trigger)
        lines += [f"    {state} --> {to}: {', '.join(names)}" for to, names in together.items()]
        if not moves:
            lines.append(f"    {state} --> [*]")
    return "\n".join(lines) + "\n"
