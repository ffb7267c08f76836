"""What each stage of a pipeline depends on: its ``needs``, and every stage it mentions.

Pure; the core plans with it, the validator looks for cycles in it, drawings show it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gennaker.errors import ExpressionError
from gennaker.expressions import (
    Expression,
    Reference,
    Template,
    compile_condition,
    compile_template,
)
from gennaker.model import PipelineDefinition, StageDefinition

__all__ = ["find_dependencies", "find_mentions", "list_expressions", "list_texts"]

Path = tuple[str | int, ...]


def find_dependencies(definition: PipelineDefinition) -> Mapping[str, tuple[str, ...]]:
    """Return the ids each stage depends on, in the order the pipeline is written.

    ``needs`` and mentions of ``stages.ID`` anywhere in the stage count alike. A stage of
    ``finally`` may depend on any; those outside ``finally`` have ended before it anyway. Ids that
    are no stage, and expressions that cannot be compiled, are the validator's business and left
    out here.
    """
    position = {
        identifier: index for index, (identifier, _, _) in enumerate(definition.all_stages())
    }
    found: dict[str, tuple[str, ...]] = {}
    for identifier, stage, _final in definition.all_stages():
        wanted = {*stage.needs, *find_mentions(stage)}
        known = [each for each in wanted if each in position]
        found[identifier] = tuple(sorted(known, key=position.__getitem__))
    return found


def find_mentions(stage: StageDefinition) -> dict[str, Path]:
    """Return the ids that a stage mentions, each with the path in the stage where it first does."""
    mentions: dict[str, Path] = {}
    for path, _expression, references in list_expressions(stage):
        for each in references:
            if each.root == "stages" and each.path:
                mentions.setdefault(each.path[0], path)
    return mentions


def list_expressions(
    stage: StageDefinition,
) -> Iterator[tuple[Path, Expression | Template, tuple[Reference, ...]]]:
    """Yield path, compiled form and references of everything in a stage that is an expression."""
    if isinstance(stage.if_, str):
        try:
            condition = compile_condition(stage.if_)
        except ExpressionError:
            pass
        else:
            yield ("if",), condition, condition.references
    for path, text in list_texts(stage):
        if "${{" not in text:
            continue
        try:
            template = compile_template(text)
        except ExpressionError:
            continue
        if not template.is_literal:
            yield path, template, template.references


def list_texts(stage: StageDefinition) -> Iterator[tuple[Path, str]]:
    """Yield path and text of every string of a stage that may hold an expression."""
    if stage.name is not None:
        yield ("name",), stage.name
    if stage.environment is not None:
        yield ("environment",), stage.environment
    if stage.matrix is not None:
        matrix = stage.matrix
        yield from _walk(matrix.axes, ("matrix",))
        yield from _walk(matrix.include, ("matrix", "include"))
        yield from _walk(matrix.exclude, ("matrix", "exclude"))
    yield from _walk(stage.with_, ("with",))


def _walk(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _walk(each, (*path, key))
    elif isinstance(value, list | tuple):
        for index, each in enumerate(value):
            yield from _walk(each, (*path, index))
