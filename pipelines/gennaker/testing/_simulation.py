"""The little world behind :func:`gennaker.testing.simulate`: plays runtime, stages and people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from heapq import heappop, heappush
from typing import Any

from gennaker.durations import parse_duration
from gennaker.errors import InvalidInput
from gennaker.model import PipelineDefinition
from gennaker.names import UNDO_PREFIX
from gennaker.plugins import Registry
from gennaker.records import dataclass
from gennaker_engine.core import commands as c
from gennaker_engine.core import messages as m
from gennaker_engine.core.events import Event, RunCreated
from gennaker_engine.core.run import Reaction, Run
from gennaker_engine.core.state import Gate

__all__ = ["Script", "run_script"]

Json = Any
_ACTOR = "local:somebody"
_OUTCOMES = ("succeeded", "failed", "errored", "permanent", "timeout")
_THINKING = 60.0
_EXPIRES = "24h"


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What is to happen; the arguments of ``simulate``, read."""

    definition: PipelineDefinition
    project: Any
    outcomes: Mapping[str, Any]
    outputs: Mapping[str, Any]
    params: Mapping[str, Json]
    decide: Mapping[str, Any]
    at: float
    durations: Mapping[str, Any]
    environments: Mapping[str, Any]
    git: Mapping[str, Json]
    cancel_after: float | str | None

    def check(self) -> None:
        """Raise InvalidInput for a name that is no stage and an outcome that is none."""
        from gennaker.suggestions import suggest

        known = {name for name, _, _ in self.definition.all_stages()}
        known |= {f"{UNDO_PREFIX}{name}" for name in self.definition.find_undone()}
        for argument in ("outcomes", "outputs", "decide", "durations"):
            for name in getattr(self, argument):
                if name.partition("[")[0] not in known:
                    raise InvalidInput(
                        f"{argument} names {name!r}, which is no stage",
                        code="unknown-stage",
                        hint=suggest(name, known),
                    )
        for name, value in self.outcomes.items():
            for each in [value] if isinstance(value, str) else value:
                if each not in _OUTCOMES:
                    raise InvalidInput(
                        f"{each!r} is no outcome of {name!r}",
                        code="unknown-outcome",
                        hint=f"say one of {', '.join(_OUTCOMES)}",
                    )


def run_script(script: Script) -> tuple[Run, list[Event]]:
    """Play the script until the run has ended; return it and its journal."""
    return _Simulation(script).play()


class _Environments(Mapping[str, m.EnvironmentFacts]):
    """Every environment there could be: those given, those of the project, else an empty one."""

    def __init__(self, script: Script) -> None:
        self._facts: dict[str, m.EnvironmentFacts] = {}
        if script.project is not None:
            for name, settings in script.project.environments.items():
                self._facts[name] = _read_environment(name, settings)
        for name, given in script.environments.items():
            if isinstance(given, m.EnvironmentFacts):
                self._facts[name] = given
            else:
                self._facts[name] = _read_environment(name, _parse_environment(name, given))

    def __getitem__(self, name: str) -> m.EnvironmentFacts:
        return self._facts.setdefault(name, m.EnvironmentFacts(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)


def _parse_environment(name: str, given: Mapping[str, Json]) -> Any:
    from pydantic import ValidationError

    from gennaker.settings import EnvironmentSettings

    known = {key: value for key, value in given.items() if key in EnvironmentSettings.model_fields}
    other = [key for key in given if key not in known]
    if other:
        known["target"], known["settings"] = other[0], given[other[0]]
    try:
        return EnvironmentSettings.model_validate(known)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(each) for each in first["loc"])
        raise InvalidInput(
            f"environment {name!r}: {where}: {first['msg']}", code="invalid-environment"
        ) from None


def _read_environment(name: str, settings: Any) -> m.EnvironmentFacts:
    rule = settings.approval
    return m.EnvironmentFacts(
        name=name,
        target=settings.target,
        settings=settings.settings,
        variables=settings.variables,
        secrets={key: (each.provider, each.setting) for key, each in settings.secrets.items()},
        url=settings.url,
        approval=None
        if rule is None
        else {
            "approvers": list(rule.approvers),
            "required": rule.required,
            "self": rule.self_allowed,
            "expires": None if rule.expires is None else parse_duration(rule.expires),
        },
    )


class _Simulation:
    def __init__(self, script: Script) -> None:
        self.script = script
        self.now = script.at
        self.events: list[Event] = []
        self.registry = Registry.installed()
        self.mentioned, secrets = _list_mentions(script.definition)
        groups = {} if script.project is None else script.project.load_settings().groups
        self.world = m.World(
            environments=_Environments(script),
            secrets={name: ("simulated", name) for name in secrets},
            groups=groups,
            find_effect=self._find_effect,
            declare_outputs=self._declare_outputs,
        )
        self._queue: list[tuple[float, int, m.Message]] = []
        self._count = 0
        self.run: Run

    # The stage types that are installed say what they do; others do nothing.

    def _find_effect(self, uses: str, inputs: Mapping[str, Json], environment: bool) -> str:
        try:
            return self.registry.stage(uses).find_effect(inputs, environment)
        except InvalidInput:
            return "none"

    def _declare_outputs(self, uses: str, written: Mapping[str, Json]) -> tuple[str, ...]:
        try:
            return tuple(self.registry.stage(uses).declare_outputs(written))
        except InvalidInput:
            return ()

    def _can_undo(self, uses: str) -> bool:
        try:
            return self.registry.stage(uses).can_undo()
        except InvalidInput:
            return False

    def play(self) -> tuple[Run, list[Event]]:
        from gennaker.parameters import resolve_parameters

        definition = self.script.definition
        created = RunCreated(
            at=self.now,
            run=f"{definition.name}-1",
            pipeline=definition.name,
            number=1,
            title=definition.name,
            actor=_ACTOR,
            definition=definition.to_data(),
            digest=definition.digest,
            parameters=resolve_parameters(definition, self.script.params),
            git=self.script.git,
            files=_Digests(),
            concurrency=None if definition.concurrency is None else {"group": "simulated"},
        )
        self.run, reaction = Run.create(created, world=self.world, now=self.now)
        self._follow(reaction)
        self._handle(m.Adopt("simulate", _ACTOR))
        if self.script.cancel_after is not None:
            self._later(_seconds(self.script.cancel_after), m.Cancel(_ACTOR))
        while self.run.state != "ended":
            self._turn()
        return self.run, self.events

    def _turn(self) -> None:
        due = self.run.next_due
        if self._queue and (due is None or self._queue[0][0] <= due):
            self.now, _, message = heappop(self._queue)
            self._handle(message)
        elif due is not None:
            self.now = max(self.now, due)
            self._handle(m.Tick())
        else:
            asked = [self.run.facts.gates[each] for each in self.run.facts.open_gates]
            names = ", ".join(repr(gate.stage or f"@{gate.environment}") for gate in asked)
            raise InvalidInput(
                f"the run waits for ever for a decision on {names}",
                code="no-decision",
                hint="say in 'decide' who approves or rejects",
            )

    def _handle(self, message: m.Message) -> None:
        self._follow(self.run.handle(message, world=self.world, now=self.now))

    def _later(self, seconds: float, message: m.Message) -> None:
        self._count += 1
        heappush(self._queue, (self.now + seconds, self._count, message))

    def _follow(self, reaction: Reaction) -> None:
        self.events += reaction.events
        before = set(self.run.facts.open_gates)
        for command in reaction.commands:
            if isinstance(command, c.RequestLock):
                self._later(0, m.GrantLock(command.environment))
            elif isinstance(command, c.EnterGroup):
                self._later(0, m.GrantGroup())
            elif isinstance(command, c.Stop):
                stopped = m.ReportStopped(command.instance, command.attempt, command.delivery)
                self._later(0, stopped)
            elif isinstance(command, c.Deliver):
                self._deliver(command)
        asked = {event.gate for event in reaction.events if event.type == "approval.requested"}  # type: ignore[attr-defined]
        for name in sorted(asked & before):
            self._ask(self.run.facts.gates[name])

    # Stages -------------------------------------------------------------------------------------

    def _deliver(self, command: c.Deliver) -> None:
        identity = (command.instance, command.attempt, command.delivery)
        if command.uses == "approval" and command.event is None:
            self._later(0, m.ReportWaiting(*identity, **_wait_for_people(command, self.now)))
            return
        if command.uses == "wait" and command.event is None:
            until = _find_moment(command.inputs, self.now)
            self._later(0, m.ReportWaiting(*identity, on={"kind": "timer", "at": until}))
            return
        waited = command.event is not None
        if command.before is None and command.undoes is None and self._can_undo(command.uses):
            kept = {"digest": f"<before:{command.instance}>", "size": 0}
            self._later(0, m.RecordBefore(*identity, artifact=kept))
        seconds = 0.0 if waited else _seconds(_pick(self.script.durations, command, 1.0))
        outcome = _pick(self.script.outcomes, command, "succeeded")
        reason = f"simulated: {outcome}"
        if outcome == "succeeded":
            outputs = self._find_outputs(command)
            self._later(seconds, m.ReportSucceeded(*identity, outputs=outputs))
        elif outcome == "failed":
            self._later(seconds, m.ReportFailed(*identity, reason=reason))
        elif outcome != "timeout":
            permanent = outcome == "permanent"
            report = m.ReportErrored(*identity, reason=reason, permanent=permanent)
            self._later(seconds, report)

    def _find_outputs(self, command: c.Deliver) -> dict[str, Json]:
        outputs: dict[str, Json] = {
            name: f"<{command.stage}.{name}>" for name in self.mentioned.get(command.stage, ())
        }
        if command.uses == "approval" and command.event is not None:
            outputs.update(command.event)
        given = self.script.outputs.get(command.instance, self.script.outputs.get(command.stage))
        if callable(given):
            given = given(command.inputs)
        outputs.update(given or {})
        return outputs

    # People -------------------------------------------------------------------------------------

    def _ask(self, gate: Gate) -> None:
        asked = [gate.stage] if gate.stage else [entry["id"] for entry in gate.subject]
        names = [name for each in asked for name in (each, each.partition("[")[0])]
        key = next((name for name in names if name in self.script.decide), None)
        if key is None:
            return
        decision = self.script.decide[key]
        if callable(decision):
            decision = decision(_describe_gate(gate))
        if decision is None:
            return
        if decision not in ("approve", "reject"):
            raise InvalidInput(
                f"{decision!r} is no decision on {key!r}",
                code="unknown-decision",
                hint="say 'approve' or 'reject'",
            )
        seconds = _seconds(self.script.durations.get(key, _THINKING))
        for actor in self._find_people(gate)[: 1 if decision == "reject" else gate.required]:
            stage = gate.stage or str(asked[0])
            inputs = {
                name: each["default"] for name, each in gate.inputs.items() if "default" in each
            }
            self._later(seconds, m.Decide(stage, decision, actor, origin="simulate", inputs=inputs))

    def _find_people(self, gate: Gate) -> list[str]:
        """Return enough people who may decide, as far as the rules can be met here."""
        rules = [*gate.approvers]
        for rule in gate.approvers:
            if rule.startswith("group:"):
                rules += self.world.groups.get(rule.removeprefix("group:"), ())
        people = [rule for rule in rules if rule.startswith("local:") and not rule.endswith(":*")]
        if not gate.approvers or "local:*" in rules:
            people += [f"local:approver{number + 1}" for number in range(gate.required)]
        return list(dict.fromkeys(people))


class _Digests(dict[str, str]):
    """A digest for every glob of ``hash_files``."""

    def __missing__(self, glob: str) -> str:
        return f"<hash_files:{glob}>"


def _describe_gate(gate: Gate) -> dict[str, Json]:
    return {
        "stage": gate.stage,
        "environment": gate.environment,
        "message": gate.message,
        "approvers": list(gate.approvers),
        "required": gate.required,
        "subject": [dict(entry) for entry in gate.subject],
        "digest": gate.digest,
        "moved": list(gate.moved),
    }


def _pick(given: Mapping[str, Any], command: c.Deliver, default: Any) -> Any:
    found = given.get(command.instance, given.get(command.stage, default))
    if isinstance(found, str | int | float):
        return found
    return found[min(command.attempt, len(found)) - 1]


def _seconds(value: float | str) -> float:
    return parse_duration(value) if isinstance(value, str) else float(value)


def _wait_for_people(command: c.Deliver, now: float) -> dict[str, Json]:
    inputs = command.inputs
    return {
        "on": {
            "kind": "decision",
            "message": inputs.get("message", ""),
            "approvers": inputs.get("approvers", ()),
            "required": inputs.get("required", 1),
            "self_allowed": inputs.get("self", True),
            "inputs": inputs.get("inputs", {}),
        },
        "deadline": now + _seconds(inputs.get("expires", _EXPIRES)),
    }


def _find_moment(inputs: Mapping[str, Json], now: float) -> float:
    if "for" in inputs:
        return now + _seconds(inputs["for"])
    from datetime import datetime

    return datetime.fromisoformat(inputs["until"]).timestamp()


def _list_mentions(definition: PipelineDefinition) -> tuple[dict[str, set[str]], set[str]]:
    """Return the outputs of each stage that others mention, and the secrets that are."""
    from gennaker.dependencies import list_expressions

    outputs: dict[str, set[str]] = {}
    secrets: set[str] = set()
    for _name, stage, _final in definition.all_stages():
        for _path, _compiled, references in list_expressions(stage):
            for each in references:
                if each.root == "stages" and len(each.path) > 2 and each.path[1] == "outputs":
                    outputs.setdefault(each.path[0], set()).add(each.path[2])
                elif each.root == "secrets" and each.path:
                    secrets.add(each.path[0])
    return outputs, secrets
