"""Events in words: one sentence each, for the audit trail and the plain lines of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gennaker_engine.cli.render.text import clean, tell_span, tell_time
from gennaker_engine.core import events as facts

__all__ = ["tell_cause", "tell_event", "tell_owner", "tell_source", "tell_value"]

_LONGEST = 60


def tell_event(event: facts.Event) -> str:
    """Return what happened in one line: who or what first, then what it did."""
    tell = _SENTENCES.get(event.type)
    return clean(tell(event)) if tell is not None else event.type


def tell_cause(cause: str, detail: Mapping[str, Any]) -> str:
    """Return why a stage was skipped, with the facts that decided it."""
    if cause == "upstream" and detail.get("stage"):
        return f"upstream: {detail['stage']}"
    if cause == "missing-output" and detail:
        names = ".".join(str(detail[key]) for key in ("stage", "output") if key in detail)
        return f"missing-output: {names}"
    if cause == "condition" and detail.get("expression") is not None:
        values = detail.get("values") or {}
        told = ", ".join(f"{name} = {tell_value(value)}" for name, value in values.items())
        return f"condition: {detail['expression']}" + (f" ({told})" if told else "")
    if detail.get("reason"):
        return f"{cause}: {detail['reason']}"
    return cause


def tell_value(value: Any) -> str:
    """Return a value as short JSON; a secret by its name, what only a run gives as ``<unknown:…>``.

    An artifact is told by its digest.
    """
    import json

    text = json.dumps(_simplify(value), ensure_ascii=False)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def tell_owner(owner: Mapping[str, Any]) -> str:
    """Return who set a field of a thing outside, with the time as the target tells it."""
    return f"{owner['name']} at {owner['at']}" if owner.get("at") else str(owner["name"])


def tell_source(source: Mapping[str, Any]) -> str:
    """Return what a run was started from: kind, the first of commit and digest, whether dirty."""
    commit, digest = source.get("commit"), source.get("digest")
    name = str(commit)[:12] if commit else _short(str(digest)) if digest else ""
    if not name:
        return ""
    return f"{source.get('kind', '')} {name}".strip() + (" (dirty)" if source.get("dirty") else "")


def _simplify(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_simplify(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    for marker in ("$secret", "$unknown"):
        if set(value) == {marker}:
            parts = value[marker]
            several = parts if isinstance(parts, list | tuple) else [{"name": parts}]
            return "".join(
                f"<{marker[1:]}:{part.get('name', part.get('$unknown', ''))}>"
                if isinstance(part, Mapping)
                else str(part)
                for part in several
            )
    if set(value) == {"digest", "size", "media_type"}:
        return str(value["digest"])[:19]
    return {key: _simplify(each) for key, each in value.items()}


def _short(digest: str) -> str:
    return digest[:19]


def _join(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={tell_value(value)}" for name, value in values.items())


def _created(event: facts.RunCreated) -> str:
    title = f" ({event.title})" if event.title and event.title != event.pipeline else ""
    parts = [f"{event.actor} created {event.run}{title} of {event.file or event.pipeline}"]
    parts.append(f"definition {_short(event.digest)}")
    source = tell_source(event.source)
    if source:
        parts.append(f"source {source}")
    if event.parameters:
        parts.append(f"with {_join(event.parameters)}")
    if event.retry_of:
        parts.append(f"as a retry of {event.retry_of}")
    if event.rollback_of:
        parts.append(f"as a rollback of {event.rollback_of}")
    if event.approved:
        parts.append(f"approving unseen {', '.join(event.approved)}")
    return ", ".join(parts)


def _abort(event: facts.AbortRequested) -> str:
    who = event.actor or (f"stage {event.stage}" if event.stage else "the run")
    again = ", finally too" if event.again else ""
    return f"{who} asked to abort: {event.reason}{again}"


def _abandoned(event: facts.RunAbandoned) -> str:
    places = f"; it gave back {', '.join(event.places)}" if event.places else ""
    return f"{event.actor} gave the run up: {event.reason}{places}"


def _ended(event: facts.RunEnded) -> str:
    return f"the run ended: {event.outcome}" + (" (timed out)" if event.timed_out else "")


def _resolved(event: facts.StageResolved) -> str:
    where = f" in {event.environment['name']}" if event.environment else ""
    where += ", to put back what was there" if event.before is not None else ""
    effect = f", effect {event.effect}" if event.effect != "none" else ""
    return f"{event.instance} has its inputs{where}{effect}"


def _asked(event: facts.ApprovalRequested) -> str:
    what = event.stage or f"environment {event.environment}"
    covers = ", ".join(str(each["id"]) for each in event.subject) or "nothing"
    until = f", until {tell_time(event.deadline)}" if event.deadline is not None else ""
    moved = f"; asks again, as these moved: {', '.join(event.moved)}" if event.moved else ""
    return (
        f"{what} asks for {event.required} approval{'s' if event.required != 1 else ''} of "
        f"{covers} ({_short(event.digest)}){until}{moved}"
    )


def _decided(event: facts.ApprovalDecided) -> str:
    verb = "approved" if event.decision == "approve" else "rejected"
    parts = [f"{event.actor} {verb} {event.gate} ({_short(event.digest)})"]
    if event.unseen:
        parts.append("before seeing it")
    if event.origin:
        parts.append(f"from {event.origin}")
    if event.inputs:
        parts.append(f"with {_join(event.inputs)}")
    if event.comment:
        parts.append(f'saying "{event.comment}"')
    return " ".join(parts)


def _started(event: facts.AttemptStarted) -> str:
    again = f", delivery {event.delivery}" if event.delivery > 1 else ""
    return f"{event.instance} started (attempt {event.attempt}{again})"


def _waits(event: facts.AttemptWaiting) -> str:
    kind = str(event.on.get("kind", ""))
    until = f" until {tell_time(event.until)}" if event.until is not None else ""
    deadline = f", at most until {tell_time(event.deadline)}" if event.deadline is not None else ""
    return f"{event.instance} waits for a {kind}{until}{deadline}"


def _attempt_ended(event: facts.AttemptEnded) -> str:
    told = f"{event.instance} {event.outcome} (attempt {event.attempt})"
    if event.reason:
        told += f": {event.reason}"
    return told + (
        f"; next attempt at {tell_time(event.retry_at)}" if event.retry_at is not None else ""
    )


def _instance_ended(event: facts.InstanceEnded) -> str:
    return f"{event.instance} {event.outcome}" + (f": {event.reason}" if event.reason else "")


def _expanded(event: facts.StageExpanded) -> str:
    number = len(event.instances)
    return f"{event.stage} has {number} instance{'s' if number != 1 else ''}"


def _adopted(event: facts.RunAdopted) -> str:
    died = "; the process before ended without letting go" if event.died else ""
    return f"{event.actor} drives the run in {event.owner}{died}"


def _clock_moved(event: facts.ClockMoved) -> str:
    way = "forward" if event.by > 0 else "back"
    return f"the clock was set {way} by {tell_span(abs(event.by))}; timeouts are not shortened"


def _queued(event: facts.RunQueued) -> str:
    return f"the run waits in group {event.group}"


def _reuse_withdrawn(event: facts.ReuseWithdrawn) -> str:
    told = "; ".join(f"{name} ({reason})" for name, reason in event.stages.items())
    return f"no longer reused: {told}"


_SENTENCES: Mapping[str, Callable[[Any], str]] = {
    facts.RunCreated.type: _created,
    facts.RunQueued.type: _queued,
    facts.RunStarted.type: lambda event: "the run started",
    facts.ReuseWithdrawn.type: _reuse_withdrawn,
    facts.RunAdopted.type: _adopted,
    facts.RunParked.type: lambda event: f"the run was parked: {event.reason}",
    facts.ClockMoved.type: _clock_moved,
    facts.AbortRequested.type: _abort,
    facts.RunEnded.type: _ended,
    facts.RunAbandoned.type: _abandoned,
    facts.FinallyStarted.type: lambda event: (
        f"the finally stages begin; they have until {tell_time(event.deadline)}"
    ),
    facts.StageExpanded.type: _expanded,
    facts.StageSkipped.type: lambda event: (
        f"{event.instance} skipped: {tell_cause(event.cause, event.detail)}"
    ),
    facts.StageResolved.type: _resolved,
    facts.LockRequested.type: lambda event: (
        f"{event.instance} waits for the lock of environment {event.environment}"
    ),
    facts.LockAcquired.type: lambda event: f"the run holds environment {event.environment}",
    facts.LockReleased.type: lambda event: f"the run gave environment {event.environment} back",
    facts.ApprovalRequested.type: _asked,
    facts.ApprovalPlanned.type: lambda event: (
        f"the plans of {event.gate} were found: {', '.join(event.plans) or 'none'}"
    ),
    facts.ApprovalDecided.type: _decided,
    facts.ApprovalClosed.type: lambda event: f"{event.gate} is settled: {event.result}",
    facts.AttemptStarted.type: _started,
    facts.AttemptWaiting.type: _waits,
    facts.AttemptResumed.type: lambda event: f"{event.instance} goes on",
    facts.AttemptStopping.type: lambda event: (
        f"{event.instance} is told to stop" + (f": {event.reason}" if event.reason else "")
    ),
    facts.StepCompleted.type: lambda event: f"{event.instance} finished its step {event.name!r}",
    facts.BeforeRecorded.type: lambda event: (
        f"{event.instance} recorded what was there before ({_short(event.artifact['digest'])})"
    ),
    facts.GuardEntered.type: lambda event: f"{event.instance} holds {event.kind} {event.name}",
    facts.GuardLeft.type: lambda event: f"{event.instance} let go of {event.kind} {event.name}",
    facts.AttemptEnded.type: _attempt_ended,
    facts.InstanceEnded.type: _instance_ended,
    facts.StageEnded.type: lambda event: f"{event.stage} {event.outcome}",
}
