"""What people and other runs tell a run: decisions, cancels, grants, who drives it."""

from __future__ import annotations

from typing import Any

from gennaker.errors import InvalidInput, NotAllowed
from gennaker_engine.core import events as e
from gennaker_engine.core import messages as m
from gennaker_engine.core.approvals import check_approver, check_inputs, list_approved
from gennaker_engine.core.environments import release_lock
from gennaker_engine.core.evolve import has_begun
from gennaker_engine.core.gates import close_if_decided, find_rules
from gennaker_engine.core.scope import format_moment
from gennaker_engine.core.state import Gate, RunState
from gennaker_engine.core.turn import Turn

__all__ = ["DECISIONS", "find_open_gate"]


def _adopt(turn: Turn, message: m.Adopt) -> str | None:
    turn.emit(
        e.RunAdopted(at=turn.now, owner=message.owner, actor=message.actor, died=message.died)
    )
    due = turn.run.timers.get(("run", ""))
    if due is not None and due <= turn.now:
        # Before anything goes on: its time was over while nobody drove it.
        turn.emit(e.AbortRequested(at=turn.now, reason="timeout"))
    return None


def _park(turn: Turn, message: m.Park) -> str | None:
    if not turn.run.driven:
        return f"run {turn.run.created.run!r} is not driven by anybody"
    turn.emit(e.RunParked(at=turn.now, reason=message.reason))
    return None


def _clock_moved(turn: Turn, message: m.ClockMoved) -> str | None:
    if not turn.run.driven:
        return f"run {turn.run.created.run!r} is not driven by anybody"
    turn.emit(e.ClockMoved(at=turn.now, by=message.by))
    return None


def _withdraw_reuse(turn: Turn, message: m.WithdrawReuse) -> str | None:
    if has_begun(turn.run):
        return f"run {turn.run.created.run!r} has begun; what it reuses is settled"
    turn.emit(e.ReuseWithdrawn(at=turn.now, stages=message.stages))
    return None


def _grant_group(turn: Turn, _message: m.GrantGroup) -> str | None:
    run = turn.run
    if run.phase != "queued" or run.aborted is not None:
        return f"run {run.created.run!r} waits in no queue"
    turn.emit(e.RunStarted(at=turn.now))
    return None


def _grant_lock(turn: Turn, message: m.GrantLock) -> str | None:
    lock = turn.run.locks.get(message.environment)
    if lock is None or lock.state != "requested":
        return f"run {turn.run.created.run!r} does not wait for the lock of {message.environment!r}"
    turn.emit(e.LockAcquired(at=turn.now, environment=message.environment))
    return None


def _refuse_lock(turn: Turn, message: m.RefuseLock) -> str | None:
    run = turn.run
    name = message.environment
    lock = run.locks.get(name)
    if lock is None or lock.state != "requested":
        return f"run {run.created.run!r} does not wait for the lock of {name!r}"
    reason = (
        f"it waits for the lock of {name!r}, which run {message.other!r} has or gets first, while "
        f"that waits for the lock of {message.other_environment!r}, and so for this run, "
        f"{run.created.run!r}"
    )
    for waiter in list(run.lock_waiters.get(name, {})):
        turn.emit(
            e.InstanceEnded(
                at=turn.now, instance=waiter, outcome="errored", code="deadlock", reason=reason
            )
        )
    release_lock(turn, name)
    return None


def _cancel(turn: Turn, message: m.Cancel) -> str | None:
    run = turn.run
    if message.reason == "superseded" and run.phase != "queued":
        return f"run {run.created.run!r} has left the queue and is not superseded any more"
    if run.cancels > 1:
        return f"run {run.created.run!r} is already being cancelled, 'finally' too"
    turn.emit(
        e.AbortRequested(
            at=turn.now, reason=message.reason, actor=message.actor, again=run.cancels == 1
        )
    )
    return None


def find_open_gate(run: RunState, stage: str) -> Gate:
    """Return the open gate a person means by ``stage``.

    That is the gate the stage (or instance) itself asks, else the one whose subject it is in.

    Raises:
        InvalidInput: there is none that is open, or several.
    """
    gates = [run.gates[each] for each in run.open_gates]
    own = [gate for gate in gates if gate.stage is not None and _means(stage, gate.stage)]
    shown = [gate for gate in gates if any(_means(stage, entry["id"]) for entry in gate.subject)]
    waited = [gate for gate in shown if any(_means(stage, each) for each in gate.waiters)]
    found = own or waited or shown
    if len(found) == 1:
        return found[0]
    names = sorted(gate.stage or str(gate.subject[0]["id"]) for gate in found or gates)
    if found:
        raise InvalidInput(
            f"{stage!r} means several approvals",
            code="ambiguous-approval",
            hint=f"say one of {', '.join(names)}",
        )
    settled = [gate for gate in run.gates.values() if gate.stage and _means(stage, gate.stage)]
    if settled:
        raise NotAllowed(
            f"the approval {stage!r} is settled: {settled[-1].state}",
            code="approval-settled",
            hint="a decision is final; 'gennaker retry' starts a new run",
        )
    raise InvalidInput(
        f"no approval of {stage!r} is open in run {run.created.run!r}",
        code="no-open-approval",
        hint=f"open: {', '.join(names)}" if names else "the run waits for no decision",
    )


def _means(given: str, name: str) -> bool:
    return given == name or given == name.partition("[")[0]


def _decide(turn: Turn, message: m.Decide) -> str | None:
    run = turn.run
    gate = find_open_gate(run, message.stage)
    if gate.deadline is not None and turn.now >= gate.deadline:
        raise NotAllowed(
            f"the approval {message.stage!r} expired at {format_moment(gate.deadline)}",
            code="approval-expired",
        )
    approvers, self_allowed = gate.approvers, gate.self_allowed
    if gate.environment is not None:
        rules = find_rules(turn, gate.environment)
        if rules is not None:
            approvers, self_allowed = rules.approvers, rules.self_allowed
    check_approver(
        message.actor,
        approvers=approvers,
        groups=turn.world.groups,
        self_allowed=self_allowed,
        starters=(run.created.actor, *run.created.starters),
    )
    if message.digest is not None and message.digest != gate.digest:
        raise NotAllowed(
            f"what {message.stage!r} asks about is no longer what was shown",
            code="subject-moved",
            hint="look at it again and decide on what it is now",
        )
    inputs = {}
    if message.decision == "approve":
        if message.actor in list_approved(gate):
            raise NotAllowed(
                f"{message.actor!r} has already approved {message.stage!r}; a person counts once",
                code="already-approved",
                hint=f"{gate.required} different people are required",
            )
        inputs = check_inputs(gate.inputs, message.inputs)
    turn.emit(
        e.ApprovalDecided(
            at=turn.now,
            gate=gate.id,
            decision=message.decision,
            actor=message.actor,
            origin=message.origin,
            digest=gate.digest,
            comment=message.comment,
            inputs=inputs,
        )
    )
    close_if_decided(turn, gate)
    return None


def _planned(turn: Turn, message: m.SubjectPlanned) -> str | None:
    gate = turn.run.gates.get(message.gate)
    if gate is None or gate.state != "open":
        return f"gate {message.gate!r} is not open"
    if gate.plans is not None:
        return f"gate {message.gate!r} has its plans"
    turn.emit(e.ApprovalPlanned(at=turn.now, gate=message.gate, plans=message.plans))
    return None


DECISIONS: dict[type[m.Message], Any] = {
    m.Adopt: _adopt,
    m.Park: _park,
    m.ClockMoved: _clock_moved,
    m.WithdrawReuse: _withdraw_reuse,
    m.GrantGroup: _grant_group,
    m.GrantLock: _grant_lock,
    m.RefuseLock: _refuse_lock,
    m.Cancel: _cancel,
    m.Decide: _decide,
    m.SubjectPlanned: _planned,
}
"""Each message's handler: it returns None, or why the message changes nothing."""
