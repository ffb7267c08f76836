"""A definition made ready to run: plain look-ups instead of questions to the model.

Compiled once for a definition and shared by every run of it; nothing here changes afterwards.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gennaker.durations import parse_duration
from gennaker.model import Matrix, PipelineDefinition
from gennaker.names import UNDO_PREFIX
from gennaker.records import dataclass
from gennaker_engine.core.terms import Condition, Term, compile_condition, compile_term

__all__ = ["Blueprint", "RetryRule", "StagePlan", "compile_blueprint"]

Json = Any
_KEEP = 64


@dataclass(frozen=True, slots=True)
class RetryRule:
    """A retry policy in numbers: ``limit`` further attempts, seconds, outcomes it applies to."""

    limit: int
    delay: float
    factor: float
    max_delay: float
    on: frozenset[str]


NO_RETRY = RetryRule(0, 0.0, 1.0, 0.0, frozenset())


@dataclass(frozen=True, slots=True)
class MatrixPlan:
    """A stage's matrix: axes in alphabetical order, each a list or an expression."""

    axes: tuple[tuple[str, Term], ...]
    include: Term | None
    exclude: Term | None
    max_parallel: int | None
    fail_fast: bool


_NO_AXES = MatrixPlan((), None, None, None, fail_fast=False)


@dataclass(frozen=True, slots=True)
class StagePlan:
    """One stage, compiled. ``needs`` and ``dependents`` are of the same section."""

    id: str
    index: int
    uses: str
    in_finally: bool
    needs: tuple[str, ...]
    dependents: tuple[str, ...]
    condition: Condition | None
    inputs: Term
    written: Mapping[str, Json]
    environment: Term | None
    environment_key: str | None
    """What counts the stages that may enter an environment: its text, the stage too for a matrix."""
    matrix: MatrixPlan | None
    timeout: float
    retry: RetryRule
    on_failure: str
    undoes: str | None = None
    """The stage whose changes it puts back; such a stage is not written but follows from others."""
    triggers: tuple[str, ...] = ()
    """The stages whose failure leads to that."""


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A compiled definition; ``main`` and ``final`` are the stage ids of the two sections."""

    definition: PipelineDefinition
    stages: Mapping[str, StagePlan]
    main: tuple[str, ...]
    final: tuple[str, ...]
    timeout: float | None
    by_environment: Mapping[str, tuple[str, ...]]
    """Stages by their ``environment_key``."""

    def downstream_of(self, stage: str) -> list[str]:
        """Return every stage that depends on ``stage``, directly or not, sorted by id."""
        return sorted(_list_after(self.stages, stage))


_cache: OrderedDict[str, tuple[Mapping[str, Json], Blueprint]] = OrderedDict()


def compile_blueprint(data: Mapping[str, Json], digest: str) -> Blueprint:
    """Return the blueprint of a stored definition; runs of one definition share it.

    Args:
        data: what ``PipelineDefinition.to_data`` gave.
        digest: its digest, under which it is remembered.
    """
    known = _cache.get(digest)
    if known is not None and (known[0] is data or known[0] == data):
        _cache.move_to_end(digest)
        return known[1]
    blueprint = _compile(PipelineDefinition.model_validate(data))
    _cache[digest] = (data, blueprint)
    if len(_cache) > _KEEP:
        _cache.popitem(last=False)
    return blueprint


def _compile(definition: PipelineDefinition) -> Blueprint:
    from gennaker.dependencies import find_dependencies

    found = find_dependencies(definition)
    final = definition.finally_
    needs = {
        identifier: tuple(each for each in found[identifier] if (each in final) == in_finally)
        for identifier, _stage, in_finally in definition.all_stages()
    }
    dependents: dict[str, list[str]] = {identifier: [] for identifier in needs}
    for identifier, before in needs.items():
        for each in before:
            dependents[each].append(identifier)
    stages: dict[str, StagePlan] = {}
    by_environment: dict[str, tuple[str, ...]] = {}
    for index, (identifier, stage, in_finally) in enumerate(definition.all_stages()):
        data = stage.with_
        text = stage.environment
        own = text is not None and "${{" in text and "matrix" in text
        key = f"{text}\n{identifier}" if own else text
        if key is not None:
            by_environment[key] = (*by_environment.get(key, ()), identifier)
        stages[identifier] = StagePlan(
            id=identifier,
            index=index,
            uses=stage.uses,
            in_finally=in_finally,
            needs=needs[identifier],
            dependents=tuple(dependents[identifier]),
            condition=None if stage.if_ is None else compile_condition(stage.if_),
            inputs=compile_term(data, "with"),
            written=data,
            environment=None if text is None else compile_term(text, "environment"),
            environment_key=key,
            matrix=None if stage.matrix is None else _compile_matrix(stage.matrix),
            timeout=parse_duration(definition.timeout_of(stage)),
            retry=_compile_retry(definition, identifier),
            on_failure=stage.on_failure if isinstance(stage.on_failure, str) else "undo",
        )
    undone = _add_undo(definition, stages, by_environment)
    return Blueprint(
        definition=definition,
        stages=stages,
        main=(*definition.stages, *undone),
        final=tuple(final),
        timeout=None if definition.timeout is None else parse_duration(definition.timeout),
        by_environment=by_environment,
    )


def _add_undo(
    definition: PipelineDefinition,
    stages: dict[str, StagePlan],
    by_environment: dict[str, tuple[str, ...]],
) -> list[str]:
    """Add the stages that put others back; return their ids.

    What came later is put back first, so each waits for those of the stages after its own.
    """
    found = definition.find_undone()
    after = {each: _list_after(stages, each) & found.keys() for each in found}
    for target, triggers in found.items():
        plan, name = stages[target], f"{UNDO_PREFIX}{target}"
        needs = (*triggers, *(f"{UNDO_PREFIX}{each}" for each in found if each in after[target]))
        stages[name] = replace(
            plan,
            id=name,
            index=len(stages),
            needs=needs,
            dependents=tuple(f"{UNDO_PREFIX}{each}" for each in found if target in after[each]),
            condition=None,
            inputs=compile_term({}),
            matrix=None if plan.matrix is None else _NO_AXES,
            on_failure="branch",
            undoes=target,
            triggers=triggers,
        )
        for each in triggers:
            stages[each] = replace(stages[each], dependents=(*stages[each].dependents, name))
        if plan.environment_key is not None:
            key = plan.environment_key
            by_environment[key] = (*by_environment[key], name)
    return [f"{UNDO_PREFIX}{each}" for each in found]


def _list_after(stages: Mapping[str, StagePlan], name: str) -> set[str]:
    found: set[str] = set()
    queue = list(stages[name].dependents)
    while queue:
        each = queue.pop()
        if each not in found:
            found.add(each)
            queue.extend(stages[each].dependents)
    return found


def _compile_matrix(matrix: Matrix) -> MatrixPlan:
    return MatrixPlan(
        axes=tuple(
            (name, compile_term(values, "matrix", name)) for name, values in matrix.axes.items()
        ),
        include=None
        if matrix.include is None
        else compile_term(matrix.include, "matrix", "include"),
        exclude=None
        if matrix.exclude is None
        else compile_term(matrix.exclude, "matrix", "exclude"),
        max_parallel=matrix.max_parallel,
        fail_fast=matrix.fail_fast,
    )


def _compile_retry(definition: PipelineDefinition, identifier: str) -> RetryRule:
    stage = definition.stages.get(identifier) or definition.finally_[identifier]
    policy = definition.retry_of(stage)
    if policy is None:
        return NO_RETRY
    return RetryRule(
        limit=policy.limit,
        delay=parse_duration(policy.delay),
        factor=policy.factor,
        max_delay=parse_duration(policy.max_delay),
        on=frozenset(policy.on),
    )
