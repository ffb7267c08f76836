"""A run as data: the JSON that ``run``, ``status`` and ``runs`` print, and the row of the journal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gennaker_engine.core.run import Run
from gennaker_engine.core.scope import format_moment
from gennaker_engine.core.state import Gate, Instance, RunState, StageState

__all__ = ["describe_row", "describe_run"]

Json = Any
API_VERSION = "gennaker.dev/v1"
_STATES = {
    "pending": "pending",
    "ready": "waiting",
    "running": "running",
    "waiting": "waiting",
    "stopping": "running",
    "retrying": "waiting",
    "ended": "ended",
}


def describe_row(run: Run) -> dict[str, Json]:
    """Return the fields of the journal's row of a run; the cost does not grow with the run."""
    facts = run.facts
    created = facts.created
    state = run.state
    return {
        "run": created.run,
        "pipeline": created.pipeline,
        "number": created.number,
        "title": created.title,
        "actor": created.actor,
        "state": state,
        "outcome": facts.outcome,
        "version": facts.version,
        "created_at": created.at,
        "started_at": facts.started_at,
        "ended_at": facts.ended_at,
        "waiting": _waits_for(facts) if state == "waiting" else "",
        "due": run.next_due,
        "sandbox": created.sandbox,
        "retry_of": created.retry_of,
    }


def _waits_for(facts: RunState) -> str:
    if facts.phase == "queued":
        return "queue"
    waits = facts.waits
    return next((kind for kind in ("decision", "lock", "poll", "timer") if kind in waits), "")


def describe_run(run: Run) -> dict[str, Json]:
    """Return a run as versioned JSON data (``kind: Run``). Times are RFC 3339 text."""
    facts = run.facts
    created = facts.created
    data: dict[str, Json] = {
        "apiVersion": API_VERSION,
        "kind": "Run",
        "id": created.run,
        "pipeline": created.pipeline,
        "number": created.number,
        "title": created.title,
        "actor": created.actor,
        "params": dict(created.parameters),
        "source": dict(created.source),
        "digest": created.digest,
        "sandbox": created.sandbox,
        "retry_of": created.retry_of,
        "rollback_of": created.rollback_of,
        "plan": created.plan,
        "state": run.state,
        "outcome": facts.outcome,
        "timed_out": facts.timed_out,
        "nothing_to_do": facts.nothing_to_do,
        "owner": facts.owner,
        "created_at": format_moment(created.at),
        "started_at": _moment(facts.started_at),
        "ended_at": _moment(facts.ended_at),
        "stages": {
            name: _describe_stage(stage)
            for name, stage in facts.stages.items()
            if not _is_unneeded(stage)
        },
        "waiting": list(_list_waits(facts)),
    }
    return data


def _moment(at: float | None) -> str | None:
    return None if at is None else format_moment(at)


def _is_unneeded(stage: StageState) -> bool:
    """Whether it would put something back that nothing has led to."""
    idle = stage.state == "pending" or stage.outcome == "skipped"
    return stage.plan.undoes is not None and idle


def _describe_stage(stage: StageState) -> dict[str, Json]:
    instances = stage.instances
    single = instances[0] if instances and stage.plan.matrix is None else None
    started = [each.started_at for each in instances if each.started_at is not None]
    data: dict[str, Json] = {
        "uses": stage.plan.uses,
        "finally": stage.plan.in_finally,
        "state": _find_state(stage),
        "outcome": stage.outcome,
        "cause": stage.cause,
        "detail": dict(stage.detail),
        "ignored": stage.ignored,
        "code": stage.code or (single.code if single else None),
        "reason": stage.reason or (single.reason if single else None),
        "attempts": max((each.attempt for each in instances), default=0),
        "outputs": stage.outputs,
        "started_at": _moment(min(started, default=None)),
        "ended_at": _moment(stage.ended_at),
    }
    if stage.plan.undoes is not None:
        data["undoes"] = stage.plan.undoes
    if stage.reused is not None:
        data["reused"] = stage.reused.get("run")
    if stage.plan.matrix is not None and stage.expanded:
        data["instances"] = {each.id: _describe_instance(each) for each in instances}
    return data


def _describe_instance(instance: Instance) -> dict[str, Json]:
    return {
        "matrix": instance.matrix,
        "state": _STATES[instance.state],
        "outcome": instance.outcome,
        "cause": instance.cause,
        "detail": dict(instance.detail),
        "code": instance.code,
        "reason": instance.reason,
        "attempts": instance.attempt,
        "outputs": instance.outputs,
        "started_at": _moment(instance.started_at),
        "ended_at": _moment(instance.ended_at),
    }


def _find_state(stage: StageState) -> str:
    if stage.state != "active":
        return stage.state
    states = {_STATES[each.state] for each in stage.instances}
    return next((each for each in ("running", "waiting") if each in states), "pending")


def _list_waits(run: RunState) -> Iterator[dict[str, Json]]:
    """Yield what the run waits for; who holds a lock or a queue is for the caller to add."""
    if run.phase == "queued":
        assert run.queued_at is not None
        group = (run.created.concurrency or {}).get("group")
        yield _wait(None, "queue", run.queued_at, group=group)
    told: set[str] = set()
    for name in run.active:
        instance = run.instances[name]
        if instance.wait is None:
            continue
        assert instance.waiting_since is not None
        if instance.gate is not None:
            gate = run.gates[instance.gate]
            if gate.id not in told:
                told.add(gate.id)
                yield _describe_gate(instance, gate)
        elif instance.wait == "lock":
            assert instance.environment is not None
            environment = instance.environment["name"]
            yield _wait(name, "lock", instance.waiting_since, environment=environment)
        else:
            due = run.timers.get(("retry" if instance.state == "retrying" else "wait", name))
            yield _wait(
                name,
                instance.wait,
                instance.waiting_since,
                deadline=_moment(instance.deadline),
                until=_moment(due),
                retry=instance.state == "retrying",
            )


def _wait(stage: str | None, on: str, since: float, **more: Json) -> dict[str, Json]:
    return {
        "stage": stage,
        "on": on,
        "since": format_moment(since),
        "deadline": None,
        "holder": None,
        **more,
    }


def _describe_gate(instance: Instance, gate: Gate) -> dict[str, Json]:
    return _wait(
        gate.stage or instance.id,
        "decision",
        gate.opened_at,
        deadline=_moment(gate.deadline),
        gate=gate.id,
        environment=gate.environment,
        message=gate.message,
        approvers=list(gate.approvers),
        required=gate.required,
        self=gate.self_allowed,
        inputs=dict(gate.inputs),
        decisions=[{**each, "at": format_moment(each["at"])} for each in gate.decisions],
        subject=[dict(each) for each in gate.subject],
        digest=gate.digest,
        plans=gate.plans,
        moved=list(gate.moved),
    )
