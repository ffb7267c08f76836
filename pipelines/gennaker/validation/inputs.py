"""Checks of a stage's ``with`` against its type's inputs, values that are expressions by their type.

What an expression will give is known only as far as its static type; what could be right is never
refused here, because it is checked again with values when the stage starts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from gennaker.annotations import find_annotations, list_fields
from gennaker.errors import ExpressionError
from gennaker.expressions import Template, compile_template
from gennaker.model import StageDefinition
from gennaker.stage import Secret, Stage
from gennaker.structure import (
    EXPECTED,
    Subject,
    expected_by,
    find_path,
    name_path,
    translate_errors,
)
from gennaker.validation.findings import Findings, Path

__all__ = ["allows_secret", "check_inputs"]

_SAMPLES: Mapping[str, Callable[[], Any]] = {
    "int": lambda: 1,
    "double": lambda: 1.5,
    "bool": lambda: True,
    "list": list,
    "map": dict,
}
_WORDS = {
    "int": "an integer",
    "double": "a number",
    "bool": "true or false",
    "list": "a list",
    "map": "a mapping",
    "string": "a string",
}
_OF_STAGES = dict.fromkeys(
    list_fields(StageDefinition), "it is a field of the stage: write it beside 'with'"
)
# What a text could still be read as; a value of another kind never fits.
_SHAPES = frozenset(
    (
        "string_type",
        "list_type",
        "tuple_type",
        "set_type",
        "dict_type",
        "mapping_type",
        "model_type",
    )
)


def allows_secret(stage_type: type[Stage] | None, path: Path) -> bool:
    """Return whether the input at ``path`` is declared secret, or is a value of ``env``.

    Args:
        stage_type: None when it cannot be used; then everything is allowed.
        path: inside ``with``.
    """
    if stage_type is None or (len(path) == 2 and path[0] == "env"):
        return True
    return Secret in find_annotations(stage_type.Inputs, path)


@dataclass(slots=True)
class _Sample:
    """``with`` with something in the place of every expression."""

    kinds: dict[Path, str] = field(default_factory=dict)
    texts: dict[Path, str] = field(default_factory=dict)

    def covers(self, path: Path) -> bool:
        """Whether ``path`` is inside what an expression will give."""
        return any(path[:end] in self.kinds for end in range(len(path)))

    def holds(self, path: Path) -> bool:
        """Whether an expression stands at or below ``path``."""
        return any(each[: len(path)] == path for each in self.kinds)


def check_inputs(
    found: Findings,
    identifier: str,
    stage_type: type[Stage],
    *,
    find_kind: Callable[[Template], str],
) -> None:
    """Add every problem of a stage's ``with``.

    Args:
        found: the pipeline.
        identifier: of the stage.
        stage_type: its type.
        find_kind: gives the kind of value of a template that is one whole expression.
    """
    written = found.stages[identifier][0].with_
    sample = _Sample()
    data = _fill(written, (), sample, find_kind)
    path = (*found.path_of(identifier), "with")
    try:
        stage_type.Inputs.model_validate(data)
    except ValidationError as error:
        subject = Subject(
            stage_type.Inputs,
            repr(stage_type.name),
            found.loaded.places,
            path,
            kind="an input",
            misplaced=_OF_STAGES,
        )
        refused = _drop_unsure(error, data, sample)
        for place, problem in translate_errors(error, data, subject, keep=refused):
            if place in sample.kinds:
                expected = [expected_by(each) for each in refused if find_path(each, data) == place]
                found.tell(
                    "wrong-type",
                    f"{name_path(place)!r} must be {' or '.join(dict.fromkeys(expected))}, "
                    f"but {sample.texts[place]!r} is {_WORDS[sample.kinds[place]]}",
                    (*path, *place),
                )
            else:
                found.problems.append(problem)
    except Exception as error:  # noqa: BLE001  a plugin's own validator is anybody's code
        if not sample.kinds:
            found.tell(
                "broken-plugin",
                f"stage type {stage_type.name!r} cannot check its inputs: "
                f"{type(error).__name__}: {error}",
                path,
            )


def _fill(value: Any, path: Path, sample: _Sample, find_kind: Callable[[Template], str]) -> Any:
    if isinstance(value, dict):
        return {key: _fill(each, (*path, key), sample, find_kind) for key, each in value.items()}
    if isinstance(value, list):
        return [_fill(each, (*path, index), sample, find_kind) for index, each in enumerate(value)]
    if not isinstance(value, str) or "${{" not in value:
        return value
    kind = "dyn"
    try:
        template = compile_template(value)
    except ExpressionError:
        pass  # told where expressions are checked
    else:
        if template.is_literal:
            return template.pieces[0]
        kind = find_kind(template) if template.is_whole else "string"
    sample.kinds[path] = kind
    sample.texts[path] = value
    return _SAMPLES[kind]() if kind in _SAMPLES else value


def _drop_unsure(error: ValidationError, data: Any, sample: _Sample) -> list[Any]:
    """Return pydantic's errors without those that the expressions' values may turn out to avoid."""
    errors = error.errors(include_url=False)
    branches: dict[tuple[Path, str], list[bool]] = {}
    kept = []
    for each in errors:
        path = find_path(each, data)
        sure = _is_sure(each, path, sample)
        union = _find_branch(each["loc"], data)
        if union is not None:
            branches.setdefault(union, []).append(sure)
        kept.append((each, union, sure))
    # A union fits when one of its branches has no error that is sure.
    fitting = {path for (path, _branch), sures in branches.items() if not any(sures)}
    return [
        each
        for each, union, sure in kept
        if sure and not (union is not None and union[0] in fitting)
    ]


def _is_sure(error: Any, path: Path, sample: _Sample) -> bool:
    if sample.covers(path):
        return False
    kind = sample.kinds.get(path)
    if kind is None:
        return True
    if kind not in _WORDS or error["type"] not in EXPECTED:
        return False
    if kind in ("int", "double", "bool"):
        return error["type"] in _SHAPES
    return error["type"] in (_SHAPES if kind == "string" else frozenset(EXPECTED))


def _find_branch(loc: tuple[str | int, ...], data: Any) -> tuple[Path, str] | None:
    """Return where the outermost union of an error is, and which of its branches was tried."""
    path: list[str | int] = []
    node = data
    for index, part in enumerate(loc):
        inside = (
            part in node
            if isinstance(node, Mapping)
            else isinstance(node, list) and isinstance(part, int) and part < len(node)
        )
        if not inside:
            return (tuple(path), str(part)) if index < len(loc) and path else None
        node = node[part]
        path.append(part)
    return None
