"""Unit tests of pipelines: the real core on virtual time, with nothing behind it.

:func:`simulate` runs a pipeline without a stage being called, a file being written or a second
passing, and returns what happened: outcomes, causes, order, durations::

    run = simulate("pipelines/release.yaml", outcomes={"smoke": "failed"})
    assert run.outcomes["publish"] == "skipped"

A stage without an entry succeeds after a second; nobody decides unless ``decide`` says who does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gennaker.errors import InvalidInput
from gennaker.model import PipelineDefinition
from gennaker.records import dataclass

if TYPE_CHECKING:
    from gennaker_engine.core.events import Event
    from gennaker_engine.core.run import Run

__all__ = ["SimulatedRun", "simulate"]

Json = Any
Outcomes = Mapping[str, str | Sequence[str]]
Outputs = Mapping[str, Mapping[str, Json] | Callable[[Mapping[str, Json]], Mapping[str, Json]]]
Decisions = Mapping[str, str | Callable[[Mapping[str, Json]], str | None]]
Durations = Mapping[str, float | str | Sequence[float | str]]
STARTED_AT = 1_767_225_600.0
"""2026-01-01T00:00:00Z: when a simulated run starts unless ``at`` says otherwise."""


@dataclass(frozen=True, slots=True)
class SimulatedRun:
    """What a simulated run did. Stages of a matrix are there by their id and by instance.

    Attributes:
        outcome: of the run: succeeded, failed, errored or aborted.
        outcomes: of each stage and instance.
        causes: why skipped ones were (``upstream``, ``condition`` …).
        reasons: what failed, errored and aborted ones say.
        outputs: of each stage that gave some.
        inputs: what each started instance was given.
        order: instances in the order they first started.
        attempts: how often each was tried.
        durations: seconds from first start to end.
        decisions: who decided what, by gate.
        duration: seconds of the whole run.
        timed_out: the run's own timeout came.
        nothing_to_do: every stage was skipped.
        events: the journal.
    """

    outcome: str
    outcomes: Mapping[str, str]
    causes: Mapping[str, str]
    reasons: Mapping[str, str]
    outputs: Mapping[str, Mapping[str, Json]]
    inputs: Mapping[str, Mapping[str, Json]]
    order: list[str]
    attempts: Mapping[str, int]
    durations: Mapping[str, float]
    decisions: Mapping[str, list[Mapping[str, Json]]]
    duration: float
    timed_out: bool
    nothing_to_do: bool
    events: list[Event] = field(repr=False)


def simulate(
    pipeline: PipelineDefinition | str | Path | Any,
    *,
    outcomes: Outcomes | None = None,
    outputs: Outputs | None = None,
    params: Mapping[str, Json] | None = None,
    decide: Decisions | None = None,
    at: float | str | datetime | None = None,
    durations: Durations | None = None,
    environments: Mapping[str, Any] | None = None,
    git: Mapping[str, Json] | None = None,
    cancel_after: float | str | None = None,
) -> SimulatedRun:
    """Run a pipeline on virtual time and return what it did.

    Names are stage ids; of a matrix also single instances (``test[0]``), which win.

    Args:
        pipeline: a definition, a ``Pipeline`` of the Python API, or a file (``FILE:NAME`` for one
            of several).
        outcomes: ``succeeded``, ``failed``, ``errored``, ``permanent`` (errored, never retried) or
            ``timeout``; a list has one for each attempt, the last one for all further ones.
        outputs: what a stage gives; or a function of its inputs. An output that another stage
            mentions and nobody gives is the text ``<stage.output>``.
        params: values of parameters.
        decide: by approval, or by a stage of an environment's approval: ``approve``, ``reject`` or
            a function of the question (message, subject, digest …) that returns one of them, or
            None for nobody. Without an entry nobody decides, and the question expires.
        at: when the run starts: seconds since the epoch, ISO 8601 text or a datetime.
        durations: seconds or text like ``5m`` that a stage works, or that people take to decide.
        environments: settings by name (``variables``, ``url``, ``approval`` …); for a pipeline
            file those of its project are there too. Others exist, empty.
        git: what expressions see as ``git``.
        cancel_after: when the run is cancelled, from its start.

    Raises:
        InvalidInput: the pipeline or an argument is wrong, or the run waits for somebody for ever.
    """
    from gennaker.testing._simulation import Script, run_script

    definition, project = _find_definition(pipeline)
    script = Script(
        definition=definition,
        project=project,
        outcomes=outcomes or {},
        outputs=outputs or {},
        params=params or {},
        decide=decide or {},
        at=_read_moment(at),
        durations=durations or {},
        environments=environments or {},
        git=git or {},
        cancel_after=cancel_after,
    )
    script.check()
    run, events = run_script(script)
    return _describe(run, events)


def _find_definition(pipeline: Any) -> tuple[PipelineDefinition, Any]:
    if isinstance(pipeline, PipelineDefinition):
        return pipeline, None
    if isinstance(pipeline, str | Path):
        from gennaker.loader import find_pipeline
        from gennaker.project import load_project

        text = str(pipeline)
        file = Path(text if Path(text).is_file() else text.rpartition(":")[0] or text)
        project = load_project(file.absolute().parent if file.parent.is_dir() else Path.cwd())
        return find_pipeline(project, text).definition, project
    definition = getattr(pipeline, "definition", None)
    if isinstance(definition, PipelineDefinition):
        return definition, None
    raise InvalidInput(
        f"{type(pipeline).__name__} is no pipeline",
        code="unknown-pipeline",
        hint="give simulate() a Pipeline, a definition or a file",
    )


def _read_moment(at: float | str | datetime | None) -> float:
    if at is None:
        return STARTED_AT
    if isinstance(at, str):
        at = datetime.fromisoformat(at)
    return at.timestamp() if isinstance(at, datetime) else float(at)


def _describe(run: Run, events: list[Event]) -> SimulatedRun:
    from gennaker_engine.core.events import AttemptStarted

    facts = run.facts
    outcomes: dict[str, str] = {}
    causes: dict[str, str] = {}
    reasons: dict[str, str] = {}
    rows: list[tuple[str, Any]] = [*facts.instances.items(), *facts.stages.items()]
    for name, row in rows:
        outcomes[name] = row.outcome or ""
        if row.cause is not None:
            causes[name] = row.cause
        if row.reason is not None:
            reasons[name] = row.reason
    instances = facts.instances
    started = (event.instance for event in events if isinstance(event, AttemptStarted))
    return SimulatedRun(
        outcome=facts.outcome or "",
        outcomes=outcomes,
        causes=causes,
        reasons=reasons,
        outputs={name: s.outputs for name, s in facts.stages.items() if s.outputs is not None},
        inputs={name: i.inputs for name, i in instances.items() if i.inputs is not None},
        order=list(dict.fromkeys(started)),
        attempts={name: each.attempt for name, each in instances.items()},
        durations={
            name: each.ended_at - each.started_at
            for name, each in instances.items()
            if each.started_at is not None and each.ended_at is not None
        },
        decisions={name: list(gate.decisions) for name, gate in facts.gates.items()},
        duration=(facts.ended_at or 0.0) - facts.created.at,
        timed_out=facts.timed_out,
        nothing_to_do=facts.nothing_to_do,
        events=events,
    )
