"""A run as plain lines, for pipes and CI: what happens as it happens, never redrawn.

In GitHub and GitLab CI the log of each attempt is a collapsible group, told when it ends, since
stages that run at the same time would tear each other's groups apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gennaker_engine.cli.render.annotations import close_group, open_group
from gennaker_engine.cli.render.console import PLAIN, Palette
from gennaker_engine.cli.render.progress import Progress, stage_of
from gennaker_engine.cli.render.text import clean, tell_span
from gennaker_engine.cli.render.tree import tell_outcome
from gennaker_engine.cli.render.wording import tell_cause
from gennaker_engine.core import events as facts

__all__ = ["LineRenderer"]

_TONES = {
    "succeeded": "green",
    "failed": "red",
    "errored": "magenta",
    "aborted": "yellow",
    "skipped": "dim",
}


class LineRenderer:
    """Turns events and log lines into lines of text; keeps what a group still needs."""

    def __init__(self, *, ci: str = "", paint: Palette = PLAIN) -> None:
        self._ci = ci if ci in ("github", "gitlab") else ""
        self._paint = paint
        self._held: dict[str, list[str]] = {}

    def tell_event(self, event: facts.Event, progress: Progress) -> list[str]:
        """Return the lines of an event that ``progress`` has already taken in; often none."""
        tell = _LINES.get(event.type)
        return tell(self, event, progress) if tell is not None else []

    def take_events(self, events: Sequence[facts.Event], progress: Progress) -> list[str]:
        """Let ``progress`` take these events of one moment in, and return their lines.

        A lock that was asked for and got at the same moment was not waited for, nor was the place
        in the group of a run that starts at once.
        """
        started = any(isinstance(each, facts.RunStarted) for each in events)
        granted = {each.environment for each in events if isinstance(each, facts.LockAcquired)}
        decided = {each.gate for each in events if isinstance(each, facts.ApprovalDecided)}
        lines: list[str] = []
        for event in events:
            progress.apply(event)
            if isinstance(event, facts.LockRequested) and event.environment in granted:
                continue
            if started and isinstance(event, facts.RunQueued):
                continue
            lines += self.tell_event(event, progress)
            if isinstance(event, facts.ApprovalRequested) and event.gate not in decided:
                gate = progress.gates[event.gate]
                told = progress.tell_unmet(gate)
                lines += [f"{gate.title}: {told}"] if told else []
        return lines

    def tell_log(self, instance: str, text: str) -> list[str]:
        """Return the lines of something a stage wrote."""
        if self._ci:
            self._held.setdefault(instance, []).append(text)
            return []
        return [f"{self._paint(instance + ' |', 'dim')} {text}"]

    def _created(self, event: facts.RunCreated, progress: Progress) -> list[str]:
        title = f": {clean(progress.title)}" if progress.title else ""
        return [f"{self._paint(event.run, 'bold')} created{title}"]

    def _queued(self, event: facts.RunQueued, progress: Progress) -> list[str]:
        return [f"{progress.run} waits in group {clean(event.group)}"]

    def _reuse_withdrawn(self, event: facts.ReuseWithdrawn, progress: Progress) -> list[str]:
        return [f"{name}: runs again: {clean(reason)}" for name, reason in event.stages.items()]

    def _adopted(self, event: facts.RunAdopted, progress: Progress) -> list[str]:
        return [f"{progress.run} was left by a process that died; going on"] if event.died else []

    def _parked(self, event: facts.RunParked, progress: Progress) -> list[str]:
        return [f"{progress.run} parked: {clean(event.reason)}"]

    def _abort(self, event: facts.AbortRequested, progress: Progress) -> list[str]:
        if event.stage:
            return [f"{progress.run} is stopped by {event.stage}"]
        who = f" by {event.actor}" if event.actor else ""
        again = ", finally too" if event.again else ""
        return [f"{progress.run} is aborted: {event.reason}{who}{again}"]

    def _run_ended(self, event: facts.RunEnded, progress: Progress) -> list[str]:
        begun = progress.started_at if progress.started_at is not None else progress.created_at
        word = self._paint(tell_outcome(progress), _TONES.get(event.outcome, "bold"))
        return [f"{self._paint(progress.run, 'bold')} {word} in {tell_span(event.at - begun)}"]

    def _skipped(self, event: facts.StageSkipped, progress: Progress) -> list[str]:
        if stage_of(event.instance) not in progress.steps:
            return []
        told = clean(tell_cause(event.cause, event.detail))
        return [f"{event.instance}: {self._paint('skipped', 'dim')} ({told})"]

    def _lock(self, event: facts.LockRequested, progress: Progress) -> list[str]:
        return [f"{event.instance}: waits for environment {event.environment}"]

    def _asked(self, event: facts.ApprovalRequested, progress: Progress) -> list[str]:
        gate = progress.gates[event.gate]
        covers = ", ".join(str(each["id"]) for each in event.subject) or "nothing"
        told = [f"{gate.title}: asks for approval of {covers}"]
        if event.message:
            told.append(f"{gate.title}: {clean(event.message)}")
        told.append(f"{gate.title}: decide with: gennaker approve {progress.run} {gate.words}")
        return told

    def _decided(self, event: facts.ApprovalDecided, progress: Progress) -> list[str]:
        verb = "approved" if event.decision == "approve" else "rejected"
        gate = progress.gates.get(event.gate)
        comment = f": {clean(event.comment)}" if event.comment else ""
        return [f"{gate.title if gate else event.gate}: {verb} by {event.actor}{comment}"]

    def _closed(self, event: facts.ApprovalClosed, progress: Progress) -> list[str]:
        gate = progress.gates.get(event.gate)
        if event.result not in ("expired", "withdrawn"):
            return []
        return [f"{gate.title if gate else event.gate}: {event.result}"]

    def _started(self, event: facts.AttemptStarted, progress: Progress) -> list[str]:
        again = f" (attempt {event.attempt})" if event.attempt > 1 else ""
        return [f"{event.instance}: started{again}"]

    def _attempt_ended(self, event: facts.AttemptEnded, progress: Progress) -> list[str]:
        reason = f": {clean(event.reason)}" if event.reason else ""
        again = ""
        if event.retry_at is not None:
            again = f"; again in {tell_span(event.retry_at - event.at)}"
        return self._end(event.instance, event.outcome, progress, event.at, reason + again)

    def _instance_ended(self, event: facts.InstanceEnded, progress: Progress) -> list[str]:
        reason = f": {clean(event.reason)}" if event.reason else ""
        return self._end(event.instance, event.outcome, progress, event.at, reason)

    def _end(
        self, instance: str, outcome: str, progress: Progress, at: float, why: str
    ) -> list[str]:
        step = progress.find(instance)
        span = f" in {tell_span(at - step.started_at)}" if step.started_at is not None else ""
        word = self._paint(outcome, _TONES.get(outcome, "bold"))
        ignored = " (ignored)" if step.ignored else ""
        lines = self._release(instance, at)
        lines.append(f"{instance}: {word}{span}{ignored}{why}")
        if self._ci == "github" and outcome in ("failed", "errored") and not step.waits:
            level = "warning" if step.ignored else "error"
            lines.append(f"::{level} title={instance} {outcome}::{instance} {outcome}{why}")
        return lines

    def _release(self, instance: str, at: float) -> list[str]:
        """Return the held log of an attempt that has ended, as one group."""
        held = self._held.pop(instance, [])
        if not held:
            return []
        title = f"log of {instance}"
        return [
            open_group(self._ci, title, at=at),
            *held,
            close_group(self._ci, title, at=at),
        ]


_LINES: Mapping[str, Callable[[LineRenderer, Any, Progress], list[str]]] = {
    facts.RunCreated.type: LineRenderer._created,
    facts.RunQueued.type: LineRenderer._queued,
    facts.RunAdopted.type: LineRenderer._adopted,
    facts.ReuseWithdrawn.type: LineRenderer._reuse_withdrawn,
    facts.RunParked.type: LineRenderer._parked,
    facts.AbortRequested.type: LineRenderer._abort,
    facts.RunEnded.type: LineRenderer._run_ended,
    facts.StageSkipped.type: LineRenderer._skipped,
    facts.LockRequested.type: LineRenderer._lock,
    facts.ApprovalRequested.type: LineRenderer._asked,
    facts.ApprovalDecided.type: LineRenderer._decided,
    facts.ApprovalClosed.type: LineRenderer._closed,
    facts.AttemptStarted.type: LineRenderer._started,
    facts.AttemptEnded.type: LineRenderer._attempt_ended,
    facts.InstanceEnded.type: LineRenderer._instance_ended,
}
