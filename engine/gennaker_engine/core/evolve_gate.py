"""What the events of gates and locks change. Facts only: nothing is decided here."""

from __future__ import annotations

from collections.abc import Callable

from gennaker_engine.core import events as e
from gennaker_engine.core.rows import set_wait
from gennaker_engine.core.state import Gate, Instance, Lock, RunState
from gennaker_engine.core.transitions import move

__all__ = ["EVOLVE_GATE"]

_CLOSES = {
    "approved": "approve",
    "rejected": "reject",
    "expired": "expire",
    "withdrawn": "withdraw",
}


def _requested(run: RunState, event: e.ApprovalRequested) -> None:
    family = event.stage if event.stage is not None else f"@{event.environment}"
    gate = Gate(
        id=event.gate,
        family=family,
        stage=event.stage,
        environment=event.environment,
        message=event.message,
        approvers=event.approvers,
        required=event.required,
        self_allowed=event.self_allowed,
        inputs=event.inputs,
        deadline=event.deadline,
        subject=event.subject,
        digest=event.digest,
        moved=event.moved,
        opened_at=event.at,
        state=move("gate", event.gate, "new", "ask"),
    )
    run.gates[event.gate] = gate
    run.open_gates[event.gate] = None
    run.gate_numbers[family] = run.gate_numbers.get(family, 0) + 1
    if event.deadline is not None:
        run.timers.set(("gate", event.gate), event.deadline)
    asker = run.instances.get(event.stage) if event.stage is not None else None
    if asker is not None and asker.state == "waiting":
        asker.gate = asker.asked = event.gate
        gate.waiters[asker.id] = None
    for entry in event.subject:
        run.covers.setdefault(entry["id"], {})[family] = event.gate
        instance = run.instances.get(entry["id"])
        if instance is not None and instance.state == "ready" and instance.gate is None:
            _wait_for(run, instance, gate, event.at)


def _wait_for(run: RunState, instance: Instance, gate: Gate, at: float) -> None:
    instance.gate = gate.id
    gate.waiters[instance.id] = None
    set_wait(run, instance, "decision", at)
    if instance.environment is not None:
        waiters = run.lock_waiters.get(instance.environment["name"])
        if waiters is not None:
            waiters.pop(instance.id, None)
            if not waiters:
                del run.lock_waiters[instance.environment["name"]]


def _planned(run: RunState, event: e.ApprovalPlanned) -> None:
    gate = run.gates[event.gate]
    gate.state = move("gate", gate.id, gate.state, "plan")
    gate.plans = event.plans


def _decided(run: RunState, event: e.ApprovalDecided) -> None:
    gate = run.gates[event.gate]
    gate.state = move("gate", gate.id, gate.state, "decide")
    decision = {
        "decision": event.decision,
        "actor": event.actor,
        "at": event.at,
        "origin": event.origin,
        "comment": event.comment,
        "inputs": dict(event.inputs),
        "unseen": event.unseen,
    }
    gate.decisions.append({name: value for name, value in decision.items() if value is not None})


def _closed(run: RunState, event: e.ApprovalClosed) -> None:
    gate = run.gates[event.gate]
    gate.state = move("gate", gate.id, gate.state, _CLOSES[event.result])
    gate.closed_at = event.at
    run.open_gates.pop(gate.id, None)
    run.timers.cancel(("gate", gate.id))
    waiters, gate.waiters = list(gate.waiters), {}
    for name in waiters:
        instance = run.instances[name]
        instance.gate = None
        if instance.state != "ready":
            run.agenda.append(("instance", name))
            continue
        set_wait(run, instance, None, event.at)
        for other in run.covers.get(name, {}).values():
            if run.gates[other].state == "open":
                _wait_for(run, instance, run.gates[other], event.at)
                break
        run.agenda.append(("instance", name))


def _lock_requested(run: RunState, event: e.LockRequested) -> None:
    name = event.environment
    lock = run.locks.get(name)
    if lock is None:
        state = move("lock", name, "free", "request")
        run.locks[name] = Lock(state, event.instance, event.at)
    instance = run.instances[event.instance]
    set_wait(run, instance, "lock", event.at)
    run.lock_waiters.setdefault(name, {})[instance.id] = None


def _lock_acquired(run: RunState, event: e.LockAcquired) -> None:
    lock = run.locks.get(event.environment)
    state = move("lock", event.environment, lock.state if lock else "free", "acquire")
    assert lock is not None
    lock.state = state
    lock.since = event.at
    for name in run.lock_waiters.pop(event.environment, {}):
        set_wait(run, run.instances[name], None, event.at)
        run.agenda.append(("instance", name))


def _lock_released(run: RunState, event: e.LockReleased) -> None:
    lock = run.locks.pop(event.environment, None)
    move("lock", event.environment, lock.state if lock else "free", "release")
    for name in run.lock_waiters.pop(event.environment, {}):
        set_wait(run, run.instances[name], None, event.at)
        run.agenda.append(("instance", name))


EVOLVE_GATE: dict[type[e.Event], Callable[..., None]] = {
    e.ApprovalRequested: _requested,
    e.ApprovalPlanned: _planned,
    e.ApprovalDecided: _decided,
    e.ApprovalClosed: _closed,
    e.LockRequested: _lock_requested,
    e.LockAcquired: _lock_acquired,
    e.LockReleased: _lock_released,
}
"""What each event of a gate or a lock changes."""
