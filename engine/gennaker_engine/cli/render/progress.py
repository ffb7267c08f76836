"""What a run looks like so far: a small fold over its events, for the tree and the plain lines.

The core decides; this only remembers what to show. It is fed the stored events in order, by the
process that drives the run as they come, by ``status`` from the journal, so that both show the
same. Work per event does not grow with the run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gennaker.names import UNDO_PREFIX
from gennaker_engine.core import events as facts

__all__ = ["Gate", "Progress", "Step", "stage_of"]

_INDEX = re.compile(r"\[\d+\]$")


def stage_of(instance: str) -> str:
    """Return the stage an instance belongs to: ``test`` of ``test[0]``."""
    return _INDEX.sub("", instance)


@dataclass(slots=True)
class Step:
    """One row of the tree: a stage, or one instance of a matrix stage.

    Attributes:
        resolved: whether it has its inputs: it could start, were nothing in its way.
        state: ``pending``, ``running``, ``waiting`` or ``ended``.
        waits: what it waits for while ``waiting``: ``decision``, ``timer``, ``poll``, ``lock`` or
            ``retry``; the result of the decision until the stage goes on with it.
        note: why it ended or waits, for people.
        until: when the wait ends by itself, seconds since the epoch.
        values: the matrix values of an instance.
        tail: the last line it wrote.
        holder: who has the lock it waits for, and how that goes on.
    """

    name: str
    uses: str = ""
    final: bool = False
    ignorable: bool = False
    resolved: bool = False
    state: str = "pending"
    outcome: str | None = None
    waits: str = ""
    note: str = ""
    attempt: int = 0
    started_at: float | None = None
    ended_at: float | None = None
    until: float | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    instances: dict[str, Step] = field(default_factory=dict)
    tail: str = ""
    holder: str = ""

    @property
    def ignored(self) -> bool:
        """Whether it did not succeed and the run may succeed nevertheless."""
        return self.ignorable and self.outcome in ("failed", "errored")


@dataclass(slots=True)
class Gate:
    """An approval that was asked for, with what was decided so far.

    Attributes:
        stage: what to type after ``gennaker approve RUN``: the approval, or of an environment's
            subject the stage that comes first in the pipeline.
    """

    asked: facts.ApprovalRequested
    stage: str = ""
    plans: Mapping[str, Any] | None = None
    decisions: list[facts.ApprovalDecided] = field(default_factory=list)
    result: str | None = None

    @property
    def words(self) -> str:
        """What to type after ``gennaker approve RUN``: the stage, and each input it must have."""
        asked = self.asked.inputs.items()
        required = [name for name, each in asked if each.get("required")]
        return " ".join([self.stage, *(f"-p {name}=…" for name in required)])

    @property
    def title(self) -> str:
        """What people call it."""
        return self.asked.stage or f"environment {self.asked.environment}"

    @property
    def stages(self) -> set[str]:
        """The stages that name it: the approval, or those of an environment's subject."""
        asked = self.asked
        named = [asked.stage] if asked.stage is not None else [each["id"] for each in asked.subject]
        return {stage_of(str(each)) for each in named}

    @property
    def approvals(self) -> int:
        """How many different people have approved."""
        return len({each.actor for each in self.decisions if each.decision == "approve"})


class Progress:
    """The run as far as its events tell; see :meth:`apply`."""

    def tell_unmet(self, gate: Gate) -> str:
        """Say so when ``--approve`` named an approval that its giver may not give; else nothing."""
        counted = any(each.unseen for each in gate.decisions)
        if counted or gate.asked.moved or not gate.stages & set(self.approved):
            return ""
        return f"--approve does not count, as {self.actor} may not give it"

    def __init__(self) -> None:
        self.run = ""
        self.pipeline = ""
        self.title = ""
        self.actor = ""
        self.starters: tuple[str, ...] = ()
        self.state = "pending"
        self.outcome: str | None = None
        self.timed_out = False
        self.nothing_to_do = False
        self.approved: tuple[str, ...] = ()
        self.scope = ""
        self.aborting = ""
        self.parked = False
        self.group = ""
        self.queued_at = 0.0
        self.created_at = 0.0
        self.started_at: float | None = None
        self.ended_at: float | None = None
        self.steps: dict[str, Step] = {}
        self.gates: dict[str, Gate] = {}
        self.locks: dict[str, str] = {}

    @classmethod
    def of(cls, events: Iterable[facts.Event]) -> Progress:
        """Return the progress after all these events."""
        progress = cls()
        for event in events:
            progress.apply(event)
        return progress

    def apply(self, event: facts.Event) -> None:
        """Take one event in; those that change nothing to see are passed over."""
        handler = _HANDLERS.get(event.type)
        if handler is not None:
            handler(self, event)

    def find(self, instance: str) -> Step:
        """Return the row of an instance (or stage); one that is not known yet is added."""
        stage = self.steps.setdefault(stage_of(instance), Step(stage_of(instance)))
        if instance == stage.name:
            return stage
        return stage.instances.setdefault(instance, Step(instance, ignorable=stage.ignorable))

    @property
    def open_gates(self) -> list[Gate]:
        """The approvals that nobody has settled yet, in the order they were asked for."""
        return [gate for gate in self.gates.values() if gate.result is None]

    def find_gate(self, stage: str) -> Gate | None:
        """Return the open gate that a stage names: its own, or one that covers it."""
        for gate in self.open_gates:
            covered = {stage_of(str(each["id"])) for each in gate.asked.subject}
            own = gate.asked.stage
            if own == stage or (own is None and stage_of(stage) in covered):
                return gate
        return None

    def _create(self, event: facts.RunCreated) -> None:
        self.run, self.pipeline = event.run, event.pipeline
        # A pipeline without a title lends its runs its name, which their ids say already.
        self.title = event.title if event.title != event.pipeline else ""
        self.created_at, self.actor = event.at, event.actor
        self.starters, self.approved, self.scope = event.starters, event.approved, event.scope
        for key, final in (("stages", False), ("finally", True)):
            for name, stage in event.definition.get(key, {}).items():
                self.steps[name] = Step(
                    name,
                    stage.get("uses", ""),
                    final,
                    ignorable=stage.get("on_failure") == "ignore",
                )
        for name, reused in event.reused.items():
            step = self.find(name)
            step.state, step.outcome = "ended", reused.get("outcome", "succeeded")
            step.note = f"reused from {reused.get('run') or event.retry_of}"

    def _reopen(self, event: facts.ReuseWithdrawn) -> None:
        for name in event.stages:
            step = self.find(name)
            step.state, step.outcome, step.note = "pending", None, ""

    def _queue(self, event: facts.RunQueued) -> None:
        self.state = "waiting"
        self.group, self.queued_at = event.group, event.at

    def _start(self, event: facts.RunStarted) -> None:
        self.state, self.started_at, self.group = "running", event.at, ""

    def _adopt(self, event: facts.RunAdopted) -> None:
        self.parked = False

    def _park(self, event: facts.RunParked) -> None:
        self.parked = True

    def _abort(self, event: facts.AbortRequested) -> None:
        self.aborting = self.aborting or event.reason

    def _end(self, event: facts.RunEnded) -> None:
        self.state, self.outcome, self.ended_at = "ended", event.outcome, event.at
        self.timed_out, self.nothing_to_do = event.timed_out, event.nothing_to_do

    def _expand(self, event: facts.StageExpanded) -> None:
        stage = self.find(event.stage)
        for number, values in enumerate(event.instances):
            name = f"{event.stage}[{number}]"
            stage.instances[name] = Step(
                name, stage.uses, stage.final, stage.ignorable, values=values
            )

    def _skip(self, event: facts.StageSkipped) -> None:
        from gennaker_engine.cli.render.wording import tell_cause

        if event.instance.startswith(UNDO_PREFIX) and event.instance not in self.steps:
            return  # nothing led to it: nobody needs to see it
        step = self.find(event.instance)
        self._finish(step, "skipped", event.at)
        step.note = tell_cause(event.cause, event.detail)

    def _request_lock(self, event: facts.LockRequested) -> None:
        step = self.find(event.instance)
        self.locks[event.environment] = event.instance
        step.state, step.waits, step.note = "waiting", "lock", event.environment

    def _acquire_lock(self, event: facts.LockAcquired) -> None:
        step = self.steps.get(stage_of(self.locks.pop(event.environment, "")))
        for each in (step, *step.instances.values()) if step is not None else ():
            if each.waits == "lock":
                each.state, each.waits, each.note = "pending", "", ""

    def _ask(self, event: facts.ApprovalRequested) -> None:
        gate = Gate(event, event.stage or "")
        self.gates[event.gate] = gate
        if event.stage is None:
            gate.stage = next((name for name in self.steps if name in gate.stages), "")
            for each in event.subject:
                self._hold(self.find(str(each["id"])), gate)
        elif told := self.tell_unmet(gate):
            self.find(event.stage).note = told

    def _resolve(self, event: facts.StageResolved) -> None:
        step = self.find(event.instance)
        step.resolved = True
        for gate in self.open_gates:
            covered = {str(each["id"]) for each in gate.asked.subject}
            if gate.asked.stage is None and event.instance in covered:
                self._hold(step, gate)

    def _hold(self, step: Step, gate: Gate) -> None:
        """Let a stage wait for its environment's approval, once nothing else is in its way."""
        if step.state == "pending" and step.resolved:
            step.state, step.waits, step.until = "waiting", "decision", gate.asked.deadline
            told = self.tell_unmet(gate)
            step.note = f"environment {gate.asked.environment}{f'; {told}' if told else ''}"

    def _plan(self, event: facts.ApprovalPlanned) -> None:
        if event.gate in self.gates:
            self.gates[event.gate].plans = event.plans

    def _decide(self, event: facts.ApprovalDecided) -> None:
        gate = self.gates.get(event.gate)
        if gate is None:
            return
        told = self.tell_unmet(gate)
        gate.decisions.append(event)
        if told and event.unseen:
            for each in (*self.steps.values(), self.find(gate.stage)):
                each.note = each.note.replace(told, "").removesuffix("; ")

    def _close(self, event: facts.ApprovalClosed) -> None:
        gate = self.gates.get(event.gate)
        if gate is None:
            return
        gate.result = event.result
        if gate.asked.stage is None:
            for each in gate.asked.subject:
                step = self.find(str(each["id"]))
                if step.state == "waiting" and step.waits == "decision":
                    step.state, step.waits, step.note, step.until = "pending", "", "", None
        elif (step := self.find(gate.asked.stage)).waits == "decision":
            # Nothing drives the run that could take it from here: nobody is asked any more.
            step.waits, step.until = event.result, None

    def _begin(self, event: facts.AttemptStarted) -> None:
        step = self.find(event.instance)
        step.state, step.waits, step.note, step.until = "running", "", "", None
        step.attempt = event.attempt
        for each in {id(one): one for one in (step, self.find(stage_of(event.instance)))}.values():
            if each.started_at is None:
                each.started_at = event.at
            if each.state == "pending":
                each.state = "running"

    def _wait(self, event: facts.AttemptWaiting) -> None:
        step = self.find(event.instance)
        step.state, step.waits = "waiting", str(event.on.get("kind", ""))
        step.until = event.until if event.until is not None else event.deadline

    def _resume(self, event: facts.AttemptResumed) -> None:
        step = self.find(event.instance)
        step.state, step.waits, step.until = "running", "", None

    def _stop(self, event: facts.AttemptStopping) -> None:
        self.find(event.instance).note = "is told to stop"

    def _end_attempt(self, event: facts.AttemptEnded) -> None:
        step = self.find(event.instance)
        step.note = event.reason or ""
        if event.retry_at is not None:
            step.state, step.waits, step.until = "waiting", "retry", event.retry_at
            return
        self._finish(step, event.outcome, event.at)

    def _end_instance(self, event: facts.InstanceEnded) -> None:
        step = self.find(event.instance)
        step.note = event.reason or step.note
        self._finish(step, event.outcome, event.at)

    def _end_stage(self, event: facts.StageEnded) -> None:
        self._finish(self.find(event.stage), event.outcome, event.at)

    def _finish(self, step: Step, outcome: str, at: float) -> None:
        step.state, step.outcome, step.ended_at = "ended", outcome, at
        step.waits, step.until = "", None


_HANDLERS: Mapping[str, Callable[[Progress, Any], None]] = {
    facts.RunCreated.type: Progress._create,
    facts.RunQueued.type: Progress._queue,
    facts.RunStarted.type: Progress._start,
    facts.RunAdopted.type: Progress._adopt,
    facts.ReuseWithdrawn.type: Progress._reopen,
    facts.RunParked.type: Progress._park,
    facts.AbortRequested.type: Progress._abort,
    facts.RunEnded.type: Progress._end,
    facts.StageExpanded.type: Progress._expand,
    facts.StageSkipped.type: Progress._skip,
    facts.StageResolved.type: Progress._resolve,
    facts.LockRequested.type: Progress._request_lock,
    facts.LockAcquired.type: Progress._acquire_lock,
    facts.ApprovalRequested.type: Progress._ask,
    facts.ApprovalPlanned.type: Progress._plan,
    facts.ApprovalDecided.type: Progress._decide,
    facts.ApprovalClosed.type: Progress._close,
    facts.AttemptStarted.type: Progress._begin,
    facts.AttemptWaiting.type: Progress._wait,
    facts.AttemptResumed.type: Progress._resume,
    facts.AttemptStopping.type: Progress._stop,
    facts.AttemptEnded.type: Progress._end_attempt,
    facts.InstanceEnded.type: Progress._end_instance,
    facts.StageEnded.type: Progress._end_stage,
}
