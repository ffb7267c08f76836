"""``evolve``: what each event changes. The only code that changes a run, live or replayed.

It takes facts as they are and decides nothing, so that a release which would decide differently
still reads an old history as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from gennaker_engine.core import events as e
from gennaker_engine.core.blueprint import compile_blueprint
from gennaker_engine.core.evolve_gate import EVOLVE_GATE
from gennaker_engine.core.evolve_stage import EVOLVE_STAGE
from gennaker_engine.core.rows import (
    end_stage,
    pause_work,
    push_open_stages,
    shift_spans,
    start_work,
)
from gennaker_engine.core.state import RunState, StageState
from gennaker_engine.core.transitions import IllegalTransition, move

__all__ = ["begin", "evolve", "has_begun"]


def begin(event: e.RunCreated) -> RunState:
    """Return the run that a history begins with."""
    blueprint = compile_blueprint(event.definition, event.digest)
    run = RunState(event, blueprint, version=1)
    run.phase = move("run", event.run, "new", "create")
    for name, plan in blueprint.stages.items():
        run.stages[name] = StageState(plan, len(plan.needs))
    run.open_main = len(blueprint.main)
    run.open_final = len(blueprint.final)
    _open_environments(run, blueprint.main)
    for name, taken in event.reused.items():
        run.stages[name].reused = taken
        end_stage(
            run, run.stages[name], event.at, outcome=taken["outcome"], outputs=taken.get("outputs")
        )
    run.agenda.clear()
    return run


def evolve(run: RunState, event: e.Event) -> None:
    """Apply one fact.

    Raises:
        IllegalTransition: when it cannot follow what happened before.
    """
    if run.phase == "ended":
        raise IllegalTransition(f"run {run.created.run!r} has ended; {event.type!r} cannot follow")
    change = _EVOLVE.get(type(event))
    if change is None:
        raise IllegalTransition(f"{event.type!r} cannot happen inside a run")
    change(run, event)
    run.version += 1


_COUNTED = (
    "stages",
    "open_main",
    "open_environments",
    "worst",
    "ran",
    "bad",
    "failed",
    "aborted_stages",
)
"""What the end of a reused stage changed."""


def _reuse_withdrawn(run: RunState, event: e.ReuseWithdrawn) -> None:
    if has_begun(run):
        raise IllegalTransition(f"run {run.created.run!r} has begun; what it reuses is settled")
    left = {name: each for name, each in run.created.reused.items() if name not in event.stages}
    run.created = replace(run.created, reused=left)
    fresh = begin(run.created)
    for name in _COUNTED:
        setattr(run, name, getattr(fresh, name))


def has_begun(run: RunState) -> bool:
    """Whether a stage of the run itself has started or ended."""
    return run.phase not in ("queued", "active") or any(
        stage.state != "pending" and stage.reused is None for stage in run.stages.values()
    )


def _open_environments(run: RunState, names: tuple[str, ...]) -> None:
    opened = run.open_environments
    for name in names:
        key = run.blueprint.stages[name].environment_key
        if key is not None:
            opened[key] = opened.get(key, 0) + 1


def _queued(run: RunState, event: e.RunQueued) -> None:
    run.phase = move("run", run.created.run, run.phase, "queue")
    run.queued_at = event.at


def _started(run: RunState, event: e.RunStarted) -> None:
    run.phase = move("run", run.created.run, run.phase, "start")
    run.started_at = event.at
    if run.blueprint.timeout is not None:
        run.timers.set(("run", ""), event.at + run.blueprint.timeout)
    push_open_stages(run, run.blueprint.main)


def _adopted(run: RunState, event: e.RunAdopted) -> None:
    gone = run.undriven_since if not run.driven else run.last_driven_at
    active = [run.instances[name] for name in run.active]
    if run.driven:
        for instance in active:
            pause_work(run, instance, run.last_driven_at)
            instance.deaths += event.died and instance.state == "running"
    away = event.at - (event.at if gone is None else gone)
    # When the calendar was set back meanwhile nothing is further away than it was.
    shift_spans(run, min(away, 0.0))
    run.timers.shift(("finally", ""), max(away, 0.0))
    for instance in active:
        if instance.wait == "poll":
            start_work(run, instance, event.at)
    run.driven = True
    run.owner = event.owner
    run.undriven_since = None
    run.last_driven_at = event.at
    run.agenda.append(("adopt", ""))


def _clock_moved(run: RunState, event: e.ClockMoved) -> None:
    shift_spans(run, event.by)
    run.last_driven_at = event.at


def _parked(run: RunState, event: e.RunParked) -> None:
    run.driven = False
    run.owner = None
    run.undriven_since = event.at
    for name in run.active:
        pause_work(run, run.instances[name], event.at)


def _abort(run: RunState, event: e.AbortRequested) -> None:
    run.phase = move("run", run.created.run, run.phase, "abort")
    if event.reason == "stop":
        run.stopped_by = run.stopped_by or event.stage or ""
    else:
        run.aborted = run.aborted or event.reason
    if event.reason == "timeout":
        run.timed_out = True
        run.timers.cancel(("run", ""))
    if event.reason == "finally-timeout":
        run.timers.cancel(("finally", ""))
    run.cancels += event.reason in ("cancel", "interrupt", "superseded")
    run.final_aborted = run.final_aborted or event.again
    run.agenda.appendleft(("sweep", ""))


def _finally(run: RunState, event: e.FinallyStarted) -> None:
    run.phase = move("run", run.created.run, run.phase, "finalize")
    run.timers.cancel(("run", ""))
    run.timers.set(("finally", ""), event.deadline)
    _open_environments(run, run.blueprint.final)
    push_open_stages(run, run.blueprint.final)


def _ended(run: RunState, event: e.RunEnded) -> None:
    run.phase = move("run", run.created.run, run.phase, "end")
    run.outcome = event.outcome
    run.timed_out = event.timed_out
    run.nothing_to_do = event.nothing_to_do
    run.ended_at = event.at
    run.driven = False
    run.timers.cancel(("run", ""))
    run.timers.cancel(("finally", ""))


def _abandoned(run: RunState, event: e.RunAbandoned) -> None:
    run.phase = move("run", run.created.run, run.phase, "abandon")
    run.outcome = "errored"
    run.ended_at = event.at
    run.driven = False


_EVOLVE: dict[type[e.Event], Callable[..., None]] = {
    e.RunQueued: _queued,
    e.RunStarted: _started,
    e.ReuseWithdrawn: _reuse_withdrawn,
    e.RunAdopted: _adopted,
    e.RunParked: _parked,
    e.ClockMoved: _clock_moved,
    e.AbortRequested: _abort,
    e.FinallyStarted: _finally,
    e.RunEnded: _ended,
    e.RunAbandoned: _abandoned,
    **EVOLVE_STAGE,
    **EVOLVE_GATE,
}
