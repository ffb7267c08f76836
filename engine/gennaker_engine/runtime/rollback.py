"""Rollbacks as runs of their own: which stages of an ended run are put back, or made again.

The new run has one stage for each, with the inputs that were recorded then; nothing is evaluated
or rendered anew. It is planned, asks for its environments' approvals and takes their locks like any.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gennaker.errors import GennakerError, NotAllowed, PermanentError
from gennaker.model import PipelineDefinition, StageDefinition
from gennaker.plugins import Registry
from gennaker.records import dataclass
from gennaker_engine.core.events import RunCreated
from gennaker_engine.core.run import Run
from gennaker_engine.core.state import Instance
from gennaker_engine.journal.decoding import replay_stored
from gennaker_engine.journal.port import Journal
from gennaker_engine.runtime.services import RunServices
from gennaker_engine.runtime.standing import (
    Entry,
    find_standing_entries,
    list_since,
    may_have_changed,
    name_in_rollback,
    split_later,
)

__all__ = ["Rollback", "check_undo", "find_again", "find_undo", "pin_rollback"]

Json = Any
_UNRECORDED = "recorded nothing of what was there before"


@dataclass(frozen=True, slots=True)
class Rollback:
    """What a rollback of ``run`` does.

    Attributes:
        run: the run it is about.
        title: of the new run.
        definition: its stages.
        preset: what each is given, as ``RunCreated`` has it.
        left: what is not put back though it may have changed something, with the reason.
    """

    run: Run
    title: str
    definition: PipelineDefinition
    preset: Mapping[str, Json]
    left: tuple[str, ...] = ()


def find_undo(
    run: Run, journal: Journal, registry: Registry, *, environment: str | None = None
) -> Rollback:
    """Return how everything that a run changed is put back, in all environments or in one.

    Raises:
        NotAllowed: ``run-active`` when it has not ended, ``rollback-superseded`` when what another run
            changed there since still stands, ``nothing-to-undo`` with the reason for each of its deploys.
    """
    _check_ended(run)
    deploys = list(_list_deploys(run, environment))
    names = dict.fromkeys(map(_name_environment, deploys))
    since = {name: list_since(run, journal, registry, name) for name in names}
    chosen, refused, left = [], [], []
    for instance in deploys:
        entries = since[_name_environment(instance)] or []
        reason = _find_refusal(run, instance, entries, registry)
        if reason is None:
            chosen.append(instance)
        else:
            refused.append(f"{instance.id!r} {reason}")
            left += [refused[-1]] if reason == _UNRECORDED else []
    if not chosen:
        where = "" if environment is None else f" in environment {environment!r}"
        told = "; ".join(refused) or "it deployed nothing"
        raise NotAllowed(
            f"nothing that run {run.id!r} did{where} can be put back: {told}",
            code="nothing-to-undo",
            hint="deploy an earlier run again with 'gennaker rollback --environment ENV --to RUN'",
        )
    for name in dict.fromkeys(map(_name_environment, chosen)):
        problem = _find_problem(run.id, name, since[name])
        if problem is not None:
            raise NotAllowed(problem[0], code="rollback-superseded", hint=problem[1])
        others = split_later(since[name] or (), run.id)[1]
        left += [f"{each.row.instance!r} of {each.row.run!r} {_UNRECORDED}" for each in others]
    return replace(_make(run, f"Roll back {run.id}", chosen, undo=True), left=tuple(left))


def check_undo(undone: str, environment: str, services: RunServices) -> None:
    """Refuse to put back what another run has changed since the rollback was created.

    Asked once the rollback has the lock of the environment: while it waited for that, or for approvals,
    others may have deployed.

    Args:
        undone: the run that is put back.
        environment: where.
        services: of the rollback.

    Raises:
        PermanentError: ``rollback-superseded``.
    """
    shared = services.shared
    try:
        run = replay_stored(shared.journal.load_events(undone), undone)
    except GennakerError:  # the record of what was there is all that is needed
        return
    entries = list_since(run, shared.journal, shared.registry, environment)
    problem = _find_problem(undone, environment, entries, asking=services.facts.id)
    if problem is not None:
        raise PermanentError(problem[0], code="rollback-superseded", hint=problem[1])


def find_again(run: Run, environment: str) -> Rollback:
    """Return how an environment is brought back to what a run deployed there.

    Raises:
        NotAllowed: ``run-active`` when it has not ended, ``nothing-to-deploy`` when it deployed
            nothing there, or not all of it succeeded.
    """
    _check_ended(run)
    found = list(_list_deploys(run, environment))
    broken = [each.id for each in found if each.outcome != "succeeded"]
    if not found or broken:
        told = f"{', '.join(broken)} did not succeed" if broken else "it deployed nothing there"
        raise NotAllowed(
            f"run {run.id!r} is nothing to bring {environment!r} back to: {told}",
            code="nothing-to-deploy",
            hint=f"name a run whose deploys there succeeded: 'gennaker runs {run.created.pipeline}'",
        )
    return _make(run, f"Bring {environment} back to {run.id}", found, undo=False)


def pin_rollback(rollback: Rollback, *, actor: str, number: int, now: float) -> RunCreated:
    """Return the first event of the new run; it has the parameters and the source of the old one."""
    created, definition = rollback.run.created, rollback.definition
    return replace(
        created,
        at=now,
        run=f"{created.pipeline}-{number}",
        number=number,
        title=rollback.title,
        actor=actor,
        definition=definition.to_data(),
        digest=definition.digest,
        functions={},
        # It must not wait in the group behind the run that made it necessary.
        concurrency=None,
        retry_of=None,
        starters=(),
        reused={},
        approved=(),
        plan=None,
        rollback_of=rollback.run.id,
        preset=rollback.preset,
    )


def _check_ended(run: Run) -> None:
    if run.state != "ended":
        raise NotAllowed(
            f"run {run.id!r} has not ended",
            code="run-active",
            hint=f"end it with 'gennaker cancel {run.id}'",
        )


def _list_deploys(run: Run, environment: str | None) -> Iterator[Instance]:
    """Yield what changed an environment, in the order it was written."""
    for stage in run.facts.stages.values():
        if stage.plan.in_finally or stage.plan.undoes is not None:
            continue
        for instance in stage.instances:
            where = instance.environment
            if instance.effect != "deploy" or where is None or instance.started_at is None:
                continue
            if environment is None or where["name"] == environment:
                yield instance


def _name_environment(instance: Instance) -> str:
    """Return where a deploy acted."""
    assert instance.environment is not None
    return str(instance.environment["name"])


def _find_refusal(
    run: Run, instance: Instance, entries: Sequence[Entry], registry: Registry
) -> str | None:
    """Return why a deploy cannot be put back, or need not be."""
    key = (run.id, name_in_rollback(instance.id))
    done = [each for each in entries if each.undoes == key and each.is_done]
    if done and key not in {each.key for each in find_standing_entries(entries)}:
        by = done[-1].row.run
        return "was put back in the run itself" if by == run.id else f"was put back by {by!r}"
    if instance.before is not None:
        return None
    return _UNRECORDED if may_have_changed(registry, run, instance) else "changed nothing"


def _find_problem(
    run: str, environment: str, entries: list[Entry] | None, *, asking: str = ""
) -> tuple[str, str] | None:
    """Return what is in the way of putting a run back in an environment, and what to do about it.

    Args:
        run: what is to be put back.
        environment: where.
        entries: its deploys there and all later ones; None when there are more than are looked at.
        asking: the rollback itself.
    """
    to = (
        "bring the environment back to an earlier run: "
        f"'gennaker rollback --environment {environment} --to RUN'"
    )
    if entries is None:
        return f"environment {environment!r} was changed by many runs after {run!r}", to
    barring, _ = split_later(entries, run, asking=asking)
    if not barring:
        return None
    last = barring[-1]
    if last.row.outcome is None:
        told = f"environment {environment!r} is being changed by run {last.row.run!r}"
        return told, f"wait until it has ended: 'gennaker status {last.row.run}'"
    told = f"environment {environment!r} was changed by run {last.row.run!r} after {run!r}"
    if last.is_unrecorded:
        return f"{told}, whose {last.row.instance!r} {_UNRECORDED}", to
    # What was put back in part only is put back again, and not made again.
    first = last.row.run if last.undoes is None or last.is_done else last.undoes[0]
    return told, f"roll {first} back first, or {to}"


def _make(run: Run, title: str, chosen: list[Instance], *, undo: bool) -> Rollback:
    blueprint = run.facts.blueprint
    names = {each.id: name_in_rollback(each.id) for each in chosen}
    after = {each.id: set(blueprint.downstream_of(each.stage)) for each in chosen}
    stages, preset = {}, {}
    for each in chosen:
        if undo:  # what came later goes first
            needs = [names[one.id] for one in chosen if one.stage in after[each.id]]
        else:
            needs = [names[one.id] for one in chosen if each.stage in after[one.id]]
        plan = blueprint.stages[each.stage]
        written = blueprint.definition.stages[each.stage]
        stages[names[each.id]] = StageDefinition(
            uses=plan.uses,
            needs=tuple(needs),
            environment=_name_environment(each),
            timeout=blueprint.definition.timeout_of(written),
            retry=blueprint.definition.retry_of(written),
        )
        given = {
            "stage": each.stage,
            "inputs": each.inputs,
            "environment": each.environment,
            "effect": each.effect,
        }
        preset[names[each.id]] = {**given, "before": each.before} if undo else given
    definition = PipelineDefinition(name=run.created.pipeline, stages=stages)
    return Rollback(run, title, definition, preset)
