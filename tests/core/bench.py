"""A bench for runs: plays the runtime for the core's tests, on virtual time.

It keeps the journal, the deliveries that are out, and checks after every message what must always
hold: events survive JSON, and nothing is left that could go on by itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gennaker.model import PipelineDefinition
from gennaker_engine.core import commands as c
from gennaker_engine.core import messages as m
from gennaker_engine.core.events import Event, RunCreated, decode_event, encode_event
from gennaker_engine.core.run import Reaction, Run
from gennaker_engine.core.state import Instance

__all__ = ["Bench", "make_created"]

ACTOR = "local:ann"


def make_created(pipeline: Mapping[str, Any], **more: Any) -> RunCreated:
    """Return the first event of a run of ``pipeline`` (data of a definition, name left out)."""
    definition = PipelineDefinition.model_validate({"name": "shop", **pipeline})
    values: dict[str, Any] = {
        "at": 1000.0,
        "run": "shop-1",
        "pipeline": "shop",
        "number": 1,
        "title": "shop",
        "actor": ACTOR,
        "definition": definition.to_data(),
        "digest": definition.digest,
        **more,
    }
    return RunCreated(**values)


def _find_effect(uses: str, inputs: Mapping[str, Any], _environment: bool) -> str:
    return "deploy" if uses == "deploy" and inputs.get("effect") != "none" else "none"


@dataclass
class Bench:
    """A run on the bench; make it with :meth:`start`."""

    run: Run
    world: m.World
    now: float
    events: list[Event] = field(default_factory=list)
    commands: list[c.Command] = field(default_factory=list)
    deliveries: dict[str, c.Deliver] = field(default_factory=dict)
    grant_locks: bool = True

    @classmethod
    def start(
        cls,
        pipeline: Mapping[str, Any],
        *,
        environments: Mapping[str, m.EnvironmentFacts] | None = None,
        groups: Mapping[str, tuple[str, ...]] | None = None,
        adopt: bool = True,
        grant_locks: bool = True,
        **created: Any,
    ) -> Bench:
        """Create a run and let a process adopt it."""
        names = ("staging", "production")
        world = m.World(
            environments=environments or {name: m.EnvironmentFacts(name) for name in names},
            secrets={"token": ("env", "TOKEN")},
            groups=groups or {},
            find_effect=_find_effect,
            declare_outputs=lambda _uses, _with: ("out",),
        )
        first = make_created(pipeline, **created)
        run, reaction = Run.create(first, world=world, now=first.at)
        bench = cls(run, world, first.at, grant_locks=grant_locks)
        bench._take(reaction)
        if adopt:
            bench.tell(m.Adopt("process 1", ACTOR))
        return bench

    def tell(self, message: m.Message) -> Reaction:
        """Give the run a message and take in what comes of it."""
        reaction = self.run.handle(message, world=self.world, now=self.now)
        self._take(reaction)
        return reaction

    def _take(self, reaction: Reaction) -> None:
        assert reaction.events or not reaction.commands
        self.events += reaction.events
        for event in reaction.events:
            assert event == decode_event(json.loads(json.dumps(encode_event(event))))
        for command in reaction.commands:
            self.commands.append(command)
            if isinstance(command, c.Deliver):
                self.deliveries[command.instance] = command
            elif isinstance(command, c.RequestLock) and self.grant_locks:
                self.tell(m.GrantLock(command.environment))
        for name in list(self.deliveries):
            if self.run.facts.instances[name].state not in ("running", "stopping"):
                del self.deliveries[name]

    # Reports ------------------------------------------------------------------------------------

    def _identity(self, name: str) -> tuple[str, int, int]:
        delivery = self.deliveries[name]
        return delivery.instance, delivery.attempt, delivery.delivery

    def succeed(self, *names: str, **outputs: Any) -> None:
        """Let deliveries succeed."""
        for name in names:
            self.tell(m.ReportSucceeded(*self._identity(name), outputs=outputs))

    def fail(self, name: str, reason: str = "it said no") -> None:
        """Let a delivery fail."""
        self.tell(m.ReportFailed(*self._identity(name), reason=reason))

    def error(self, name: str, **how: Any) -> None:
        """Let a delivery raise."""
        self.tell(m.ReportErrored(*self._identity(name), reason="it broke", **how))

    def stop(self, *names: str) -> None:
        """Let deliveries that were told to stop have stopped."""
        for name in names:
            self.tell(m.ReportStopped(*self._identity(name)))

    def record(self, *names: str) -> None:
        """Let deliveries keep what was there before."""
        for name in names:
            kept = {"digest": f"sha256:{name}", "size": 1}
            self.tell(m.RecordBefore(*self._identity(name), artifact=kept))

    def wait(self, name: str, kind: str, *, deadline: float | None = None, **on: Any) -> None:
        """Let a delivery wait; ``deadline`` is in seconds from now."""
        until = None if deadline is None else self.now + deadline
        on = {"kind": kind, **on}
        self.tell(m.ReportWaiting(*self._identity(name), on=on, deadline=until, state={"n": 1}))

    # People and time ----------------------------------------------------------------------------

    def approve(self, stage: str, actor: str = "local:bob", **more: Any) -> Reaction:
        """Approve as ``actor``."""
        return self.tell(m.Decide(stage, "approve", actor, **more))

    def reject(self, stage: str, actor: str = "local:bob", **more: Any) -> Reaction:
        """Reject as ``actor``."""
        return self.tell(m.Decide(stage, "reject", actor, **more))

    def cancel(self, reason: Any = "cancel") -> Reaction:
        """Cancel the run."""
        return self.tell(m.Cancel(ACTOR, reason))

    def pass_time(self, seconds: float) -> None:
        """Let time pass, ticking at each moment at which something is due."""
        until = self.now + seconds
        while (due := self.run.next_due) is not None and due <= until:
            self.now = max(self.now, due)
            self.tell(m.Tick())
        self.now = until

    def set_environment(self, name: str, **changes: Any) -> None:
        """Change an environment's settings."""
        environments = dict(self.world.environments)
        environments[name] = replace(environments[name], **changes)
        self.world = replace(self.world, environments=environments)

    # What is --------------------------------------------------------------------------------------

    def instance(self, name: str) -> Instance:
        """An instance's row."""
        return self.run.facts.instances[name]

    def outcome(self, name: str) -> str | None:
        """The outcome of a stage, else of an instance."""
        facts = self.run.facts
        return facts.stages[name].outcome if name in facts.stages else self.instance(name).outcome

    def cause(self, name: str) -> str | None:
        """Why it was skipped."""
        facts = self.run.facts
        return facts.stages[name].cause if name in facts.stages else self.instance(name).cause

    def types(self) -> list[str]:
        """The types of all events so far."""
        return [event.type for event in self.events]

    def last(self, kind: type[Event]) -> Any:
        """The newest event of a type."""
        return next(event for event in reversed(self.events) if isinstance(event, kind))

    def check_replay(self) -> None:
        """Hold that the journal gives an equal run."""
        stored = [json.loads(json.dumps(encode_event(event))) for event in self.events]
        assert self.run == Run.replay(decode_event(each) for each in stored)

    def check_quiet(self) -> None:
        """Hold that nothing can go on by itself at this moment."""
        due = self.run.next_due
        if due is None or due > self.now:
            reaction = self.run.handle(m.Tick(), world=self.world, now=self.now)
            assert (reaction.events, reaction.commands) == ((), ())
