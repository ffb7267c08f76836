"""Questions to people: asked, decided, settled, asked again when what was shown has moved.

An approval stage asks by waiting for a decision; an environment with an ``approval`` asks before
the first stage that changes it. Both are the same gate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gennaker.canonical import canonical_json
from gennaker.errors import ExpressionError, NotAllowed
from gennaker.records import dataclass
from gennaker_engine.core import events as e
from gennaker_engine.core.approvals import check_approver, list_approved
from gennaker_engine.core.attempts import Ending, finish_attempt, resume_attempt
from gennaker_engine.core.commands import PlanSubject
from gennaker_engine.core.environments import release_lock, release_locks
from gennaker_engine.core.resolve import find_resolved
from gennaker_engine.core.skips import tell
from gennaker_engine.core.state import Gate, Instance, RunState
from gennaker_engine.core.subjects import (
    Subject,
    describe_entry,
    digest_subject,
    find_downstream_subject,
    find_entry,
    find_environment_subject,
    find_moved,
    remember_shown,
)
from gennaker_engine.core.turn import Turn

__all__ = [
    "Rules",
    "ask_people",
    "check_gates",
    "close_if_decided",
    "find_rules",
    "settle_gate",
    "settle_wait",
]

Json = Any


@dataclass(frozen=True, slots=True)
class Rules:
    """Who is asked, and for how long."""

    approvers: tuple[str, ...] = ()
    required: int = 1
    self_allowed: bool = True
    message: str = ""
    inputs: Mapping[str, Json] | None = None
    deadline: float | None = None


def find_rules(turn: Turn, environment: str) -> Rules | None:
    """Return an environment's approval as its settings say now, None when it asks nobody."""
    facts = turn.world.environments.get(environment)
    approval = None if facts is None else facts.approval
    if not approval:
        return None
    expires = approval.get("expires")
    return Rules(
        approvers=tuple(approval.get("approvers", ())),
        required=approval.get("required", 1),
        self_allowed=approval.get("self", True),
        message=approval.get("message", ""),
        deadline=None if expires is None else turn.now + expires,
    )


def ask_people(
    turn: Turn,
    rules: Rules,
    subject: Subject,
    *,
    stage: str | None = None,
    environment: str | None = None,
    moved: tuple[str, ...] = (),
) -> None:
    """Open a gate: of the instance ``stage``, or of ``environment``.

    Args:
        moved: what is different from what was approved before.
    """
    run = turn.run
    gate = _name_gate(run, stage, environment)
    turn.emit(
        e.ApprovalRequested(
            at=turn.now,
            gate=gate,
            stage=stage,
            environment=environment,
            message=rules.message,
            approvers=rules.approvers,
            required=rules.required,
            self_allowed=rules.self_allowed,
            inputs=rules.inputs or {},
            deadline=rules.deadline,
            subject=subject,
            digest=digest_subject(subject),
            moved=moved,
        )
    )
    remember_shown(turn, run.gates[gate])
    if subject:
        turn.ask(PlanSubject(gate))
    if not moved:
        _decide_unseen(turn, run.gates[gate])


def _name_gate(run: RunState, stage: str | None, environment: str | None) -> str:
    if environment is not None:
        return f"@{environment}/{run.gate_numbers.get(f'@{environment}', 0) + 1}"
    assert stage is not None
    name = f"{stage}/{run.instances[stage].attempt}"
    if name not in run.gates:
        return name
    return f"{name}.{run.gate_numbers[stage] + 1}"


def _decide_unseen(turn: Turn, gate: Gate) -> None:
    """Count ``--approve`` of who started the run, when the rules let them approve."""
    run = turn.run
    asked = [gate.stage] if gate.stage is not None else [each["id"] for each in gate.subject]
    stages = {name.partition("[")[0] for name in asked if name is not None}
    if not stages & set(run.created.approved):
        return
    try:
        check_approver(
            run.created.actor,
            approvers=gate.approvers,
            groups=turn.world.groups,
            self_allowed=gate.self_allowed,
            starters=(run.created.actor,),
        )
    except NotAllowed:
        return
    turn.emit(
        e.ApprovalDecided(
            at=turn.now,
            gate=gate.id,
            decision="approve",
            actor=run.created.actor,
            origin="--approve",
            digest=gate.digest,
            unseen=True,
        )
    )
    close_if_decided(turn, gate)


def close_if_decided(turn: Turn, gate: Gate) -> None:
    """Settle a gate that was rejected or has its approvals; one rejection decides."""
    if any(each["decision"] == "reject" for each in gate.decisions):
        result = "rejected"
    elif len(list_approved(gate)) >= gate.required:
        result = "approved"
    else:
        return
    turn.emit(e.ApprovalClosed(at=turn.now, gate=gate.id, result=result))


def settle_gate(turn: Turn, name: str) -> None:
    """Withdraw an open question that nobody waits for any more."""
    gate = turn.run.gates[name]
    if gate.state == "open" and not gate.waiters:
        turn.emit(e.ApprovalClosed(at=turn.now, gate=name, result="withdrawn"))


def settle_wait(turn: Turn, instance: Instance) -> None:
    """Go on with an attempt whose question to people is settled."""
    if instance.wait != "decision":
        return
    assert instance.asked is not None
    gate = turn.run.gates[instance.asked]
    if gate.state == "approved":
        approvals = [each for each in gate.decisions if each["decision"] == "approve"]
        event = {"decisions": list(gate.decisions), "inputs": approvals[-1]["inputs"]}
        resume_attempt(turn, instance, event)
    elif gate.state in ("rejected", "expired"):
        finish_attempt(turn, instance, Ending("aborted", gate.state, _tell_result(gate)))


def _tell_result(gate: Gate) -> str:
    if gate.state == "expired":
        return "nobody decided in time"
    last = gate.decisions[-1]
    comment = f": {last['comment']}" if last.get("comment") else ""
    return f"rejected by {last['actor']}{comment}"


def check_gates(turn: Turn, instance: Instance) -> bool:
    """Whether people let an instance start with the values it has; asks them when they must be.

    What was shown and approved is compared with what is now: a subject that moved is asked about
    again, and its stages start with the values that were approved.
    """
    run = turn.run
    for name in list(run.covers.get(instance.id, {}).values()):
        gate = run.gates[name]
        if gate.state in ("rejected", "expired"):
            # A first refusal of an approval stage is that stage's outcome: its dependents' `if`
            # has already taken it into account.
            if gate.environment is not None or gate.moved:
                _refuse(turn, instance, gate)
                return False
        elif gate.state == "approved":
            moved = find_moved(turn, gate)
            if moved:
                _ask_again(turn, instance, gate, moved)
                return False
            _take_approved(turn, instance, gate)
    return _check_environment(turn, instance)


def _refuse(turn: Turn, instance: Instance, gate: Gate) -> None:
    turn.emit(
        e.InstanceEnded(
            at=turn.now,
            instance=instance.id,
            outcome="aborted",
            code=gate.state,
            reason=_tell_result(gate),
        )
    )


def _check_environment(turn: Turn, instance: Instance) -> bool:
    if instance.effect != "deploy" or instance.environment is None:
        return True
    if turn.run.stages[instance.stage].plan.undoes is not None:
        return True  # it leads back to what was there when people were asked
    name = instance.environment["name"]
    rules = find_rules(turn, name)
    shown = turn.run.covers.get(instance.id, {}).get(f"@{name}")
    if rules is None or (shown is not None and turn.run.gates[shown].state == "approved"):
        return True
    subject = tuple(
        entry
        for entry in find_environment_subject(turn, name)
        if not _is_asked(turn.run, entry["id"], f"@{name}")
    )
    if not any(entry["id"] == instance.id for entry in subject):
        _refuse_undescribed(turn, instance)
        return False
    ask_people(turn, rules, subject, environment=name)
    _free_lock(turn, name)
    return False


def _is_asked(run: RunState, identifier: str, family: str) -> bool:
    gate = run.covers.get(identifier, {}).get(family)
    return gate is not None and run.gates[gate].state in ("open", "approved")


def _ask_again(turn: Turn, instance: Instance, gate: Gate, moved: tuple[str, ...]) -> None:
    """Open the gate's successor over what is there now."""
    deadline = None
    if gate.deadline is not None:
        deadline = turn.now + gate.deadline - gate.opened_at
    rules = Rules(
        approvers=gate.approvers,
        required=gate.required,
        self_allowed=gate.self_allowed,
        message=gate.message,
        inputs=gate.inputs,
        deadline=deadline,
    )
    if gate.environment is not None:
        subject = find_environment_subject(turn, gate.environment)
    else:
        assert gate.stage is not None
        subject = find_downstream_subject(turn, turn.run.instances[gate.stage].stage)
    if not any(entry["id"] == instance.id for entry in subject):
        _refuse_undescribed(turn, instance)
        return
    ask_people(turn, rules, subject, stage=gate.stage, environment=gate.environment, moved=moved)
    if instance.environment is not None:
        _free_lock(turn, instance.environment["name"])


def _refuse_undescribed(turn: Turn, instance: Instance) -> None:
    """End an instance whose values cannot be had any more (its environment is gone, changed)."""
    plan = turn.run.stages[instance.stage].plan
    code, reason = "moved", "its values are no longer what they were and cannot be shown"
    try:
        find_resolved(turn.run, turn.world, plan, instance.matrix)
    except ExpressionError as error:
        code, reason = error.code, tell(error)
    turn.emit(
        e.InstanceEnded(
            at=turn.now, instance=instance.id, outcome="errored", code=code, reason=reason
        )
    )


def _free_lock(turn: Turn, environment: str) -> None:
    """Give up a lock nothing has used yet, so that nobody waits for it while people think."""
    run = turn.run
    lock = run.locks.get(environment)
    if lock is not None and lock.state == "held" and not lock.entered:
        release_lock(turn, environment)
    elif lock is not None:
        release_locks(turn)


def _take_approved(turn: Turn, instance: Instance, gate: Gate) -> None:
    """Give the instance the values that were approved, when it was resolved before they moved."""
    plan = turn.run.stages[instance.stage].plan
    assert instance.inputs is not None
    entry = find_entry(turn.run, gate, instance.id)
    resolved = (instance.inputs, instance.environment, instance.effect)
    now = describe_entry(turn.run, instance.id, plan, resolved)
    if canonical_json(now) == canonical_json(entry):
        return
    inputs, environment, effect = find_resolved(turn.run, turn.world, plan, instance.matrix)
    turn.emit(
        e.StageResolved(
            at=turn.now,
            instance=instance.id,
            inputs=inputs,
            environment=environment,
            effect=effect,
            before=instance.undoes,
        )
    )
