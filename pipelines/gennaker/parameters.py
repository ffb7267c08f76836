"""Values for declared parameters: what was given on a command line or in a file, checked and typed.

Commands and the engine resolve the parameters of a run with it, and what the decider of an approval
enters; the validator checks declarations and their defaults.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from gennaker.errors import ExpressionError, InvalidInput, Problem
from gennaker.expressions.functions_text import compile_pattern
from gennaker.model import Parameter, PipelineDefinition
from gennaker.structure import describe_type
from gennaker.suggestions import suggest

__all__ = ["check_declaration", "check_value", "resolve_parameters"]

_INTEGER = re.compile(r"[-+]?[0-9]{1,16}")
_NUMBER = re.compile(r"[-+]?[0-9]{1,300}(\.[0-9]{1,300})?([eE][-+]?[0-9]{1,3})?")
_WORDS = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
}
_EXACT = 2**53


def resolve_parameters(
    declared: PipelineDefinition | Mapping[str, Parameter],
    given: Mapping[str, Any],
    *,
    noun: str = "parameter",
) -> dict[str, Any]:
    """Return every declared parameter with its value, None where there is neither value nor default.

    Args:
        declared: a pipeline, or declarations by name.
        given: values by name; text (of ``-p``) is read as the declared type.
        noun: what messages call one.

    Raises:
        InvalidInput: code ``parameter`` for each unknown, missing or ill-typed one, all at once.
    """
    known = declared.parameters if isinstance(declared, PipelineDefinition) else declared
    problems = [
        Problem(
            "parameter",
            f"there is no {noun} {name!r}",
            hint=suggest(name, known, otherwise=None if known else f"it takes no {noun}"),
        )
        for name in given
        if name not in known
    ]
    values: dict[str, Any] = {}
    for name, parameter in known.items():
        if name not in given:
            if parameter.required and parameter.default is None:
                problems.append(
                    Problem("parameter", f"{noun} {name!r} is required", hint=f"add '{name}=…'")
                )
            values[name] = parameter.default
            continue
        value = _read_text(parameter, given[name])
        fault = check_value(parameter, value)
        if fault is not None:
            problems.append(Problem("parameter", f"{noun} {name!r} {fault}"))
        values[name] = value
    if problems:
        raise InvalidInput.of(problems)
    return values


def _read_text(parameter: Parameter, value: Any) -> Any:
    """Read text as the declared type where it is one; what is not is told by its check."""
    if not isinstance(value, str) or parameter.type == "string":
        # A whole float is the same JSON number as the integer.
        whole = isinstance(value, float) and parameter.type == "integer" and value.is_integer()
        return int(value) if whole else value
    if parameter.type == "boolean":
        return {"true": True, "false": False}.get(value, value)
    if _INTEGER.fullmatch(value):
        return int(value)
    if parameter.type == "number" and _NUMBER.fullmatch(value) and math.isfinite(float(value)):
        return float(value)
    return value


def check_value(parameter: Parameter, value: Any) -> str | None:
    """Return what is wrong with a value of a parameter, to be read after its name, or None."""
    if not _has_type(parameter.type, value):
        return f"must be {_WORDS[parameter.type]}, not {describe_type(value)}"
    if parameter.choices is not None and value not in parameter.choices:
        return f"must be one of {', '.join(map(repr, parameter.choices))}, not {value!r}"
    if isinstance(value, str):
        if parameter.pattern is not None and not _matches(parameter.pattern, value):
            return f"must match the pattern '{parameter.pattern}' as a whole, not {value!r}"
        return None
    if parameter.minimum is not None and value < parameter.minimum:
        return f"must be at least {parameter.minimum}, not {value}"
    if parameter.maximum is not None and value > parameter.maximum:
        return f"must be at most {parameter.maximum}, not {value}"
    return None


def _has_type(kind: str, value: Any) -> bool:
    if kind == "string":
        return isinstance(value, str)
    if kind == "boolean":
        return isinstance(value, bool)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if isinstance(value, int):
        return abs(value) <= _EXACT
    return kind == "number" and math.isfinite(value)


def _matches(pattern: str, value: str) -> bool:
    try:
        return compile_pattern(pattern).fullmatch(value) is not None
    except UnicodeEncodeError:  # a lone surrogate is no character that a pattern could have
        return False


def check_declaration(parameter: Parameter) -> list[tuple[str, str]]:
    """Return what contradicts itself in a declaration: the field and what is wrong with it."""
    found: list[tuple[str, str]] = []
    if parameter.pattern is not None:
        if parameter.type != "string":
            found.append(("pattern", f"'pattern' is for strings, not for type {parameter.type!r}"))
        elif (fault := _find_pattern_fault(parameter.pattern)) is not None:
            return [("pattern", fault)]
    if parameter.type not in ("integer", "number"):
        found += [
            (bound, f"{bound!r} is for numbers, not for type {parameter.type!r}")
            for bound in ("minimum", "maximum")
            if getattr(parameter, bound) is not None
        ]
    elif (
        parameter.minimum is not None
        and parameter.maximum is not None
        and parameter.minimum > parameter.maximum
    ):
        found.append(("minimum", "'minimum' is more than 'maximum'"))
    if found:
        return found
    if parameter.choices is not None and not parameter.choices:
        found.append(("choices", "'choices' is empty"))
    bare = parameter.model_copy(update={"choices": None})
    for choice in parameter.choices or ():
        fault = check_value(bare, choice)
        if fault is not None:
            found.append(("choices", f"a choice {fault}"))
    if parameter.default is not None and not found:
        fault = check_value(parameter, parameter.default)
        if fault is not None:
            found.append(("default", f"'default' {fault}"))
        if parameter.required:
            found.append(("required", "a parameter with a default cannot be required"))
    return found


def _find_pattern_fault(pattern: str) -> str | None:
    try:
        compile_pattern(pattern)
    except ExpressionError as error:
        return error.message
    return None
