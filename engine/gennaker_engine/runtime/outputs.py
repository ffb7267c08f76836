"""Checking what a stage gave: outputs, step results and states are plain JSON within limits."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from gennaker.errors import PermanentError
from gennaker.stage import Stage, StageOutputs

__all__ = ["MAX_STAGE", "MAX_VALUE", "check_outputs", "check_value", "describe_validation"]

MAX_VALUE = 64 << 10
"""Bytes of JSON of one output, step result or state."""
MAX_STAGE = 1 << 20
"""Bytes of JSON of all outputs of a stage."""
_MAX_DEPTH = 64
_MAX_INTEGER = 2**63
_encode = json.JSONEncoder(ensure_ascii=False).encode

Json = Any
HasSecret = Callable[[str], bool]


def check_outputs(
    stage: type[Stage],
    inputs: Mapping[str, Json],
    outputs: Mapping[str, Json] | StageOutputs,
    has_secret: HasSecret,
) -> dict[str, Json]:
    """Return a stage's outputs as plain JSON.

    Args:
        stage: the stage type.
        inputs: its resolved inputs, from which it declares its outputs.
        outputs: what ``run`` gave.
        has_secret: whether a text holds the value of a secret.

    Raises:
        PermanentError: code ``undeclared-output``, ``invalid-outputs``, ``output-size``,
            ``not-json`` or ``secret-in-output``.
    """
    if isinstance(outputs, StageOutputs):
        outputs = {name: getattr(outputs, name) for name in type(outputs).model_fields}
    if not isinstance(outputs, Mapping):
        raise PermanentError(
            f"stage type {stage.name!r} gave outputs that are no mapping", code="invalid-outputs"
        )
    if not outputs and not stage.Outputs.model_fields:
        return {}
    declared = stage.declare_outputs(inputs)
    unknown = sorted(str(name) for name in outputs if name not in declared)
    if unknown:
        raise PermanentError(
            f"stage type {stage.name!r} gave the output {unknown[0]!r}, which it does not declare",
            code="undeclared-output",
            hint=f"it declares {', '.join(declared)}" if declared else None,
        )
    if stage.Outputs.model_fields:
        outputs = _validate(stage, outputs)
    checked, total = {}, 0
    for name, value in outputs.items():
        checked[name], size = _check(value, f"output {name!r}", has_secret)
        total += size
    if total > MAX_STAGE:
        raise PermanentError(
            f"the outputs have {total} bytes of JSON, more than 1 MiB",
            code="output-size",
            hint="keep large data as an artifact",
        )
    return checked


def check_value(value: Json, what: str, has_secret: HasSecret) -> Json:
    """Return ``value`` as plain JSON of at most 64 KiB; ``what`` names it in messages.

    Raises:
        PermanentError: code ``output-size``, ``not-json`` or ``secret-in-output``.
    """
    return _check(value, what, has_secret)[0]


def describe_validation(error: ValidationError) -> str:
    """Return every problem of a validation on one line, without the values."""
    found = []
    for each in error.errors(include_url=False, include_context=False, include_input=False):
        where = ".".join(str(part) for part in each["loc"])
        said = each["msg"].removeprefix("Value error, ")
        found.append(f"{where}: {said}" if where else said)
    return "; ".join(found)


def _validate(stage: type[Stage], outputs: Mapping[str, Json]) -> Mapping[str, Json]:
    try:
        valid = stage.Outputs.model_validate(dict(outputs))
    except ValidationError as error:
        raise PermanentError(
            f"stage type {stage.name!r} gave outputs that are not as declared: "
            f"{describe_validation(error)}",
            code="invalid-outputs",
        ) from None
    given = valid.model_fields_set | (valid.model_extra or {}).keys()
    return {name: getattr(valid, name) for name in type(valid).model_fields} | {
        name: getattr(valid, name) for name in given
    }


def _check(value: Json, what: str, has_secret: HasSecret) -> tuple[Json, int]:
    plain = _to_json(value, what, has_secret, 0)
    size = len(_encode(plain).encode())
    if size > MAX_VALUE:
        raise PermanentError(
            f"{what} has {size} bytes of JSON, more than 64 KiB",
            code="output-size",
            hint="keep large data as an artifact",
        )
    return plain, size


def _to_json(value: Json, what: str, has_secret: HasSecret, depth: int) -> Json:
    """Copy ``value`` as JSON data; a copy, so that what the stage does to it later counts not."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _check_text(str(value), what, has_secret)
    if isinstance(value, int) and -_MAX_INTEGER <= value < _MAX_INTEGER:
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if depth >= _MAX_DEPTH:
        raise PermanentError(
            f"{what} is nested deeper than {_MAX_DEPTH} levels, or holds itself", code="not-json"
        )
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {
            _check_key(key, what, has_secret): _to_json(item, what, has_secret, depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_to_json(item, what, has_secret, depth + 1) for item in value]
    shown = repr(value) if isinstance(value, float) else f"a {type(value).__name__}"
    if isinstance(value, int):
        shown = "an integer beyond 64 bits"  # its digits may be millions
    raise PermanentError(
        f"{what} holds {shown}, which is not JSON",
        code="not-json",
        hint="give strings, finite numbers, booleans, null, lists and maps with string keys",
    )


def _check_key(key: object, what: str, has_secret: HasSecret) -> str:
    if not isinstance(key, str):
        raise PermanentError(
            f"{what} holds a map with the key {str(key)[:60]!r}, which is not a string",
            code="not-json",
        )
    return _check_text(key, what, has_secret)


def _check_text(text: str, what: str, has_secret: HasSecret) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise PermanentError(
            f"{what} holds text that is not Unicode (a lone surrogate)", code="not-json"
        ) from None
    if has_secret(text):
        raise PermanentError(
            f"{what} holds the value of a secret, which would be kept in the journal",
            code="secret-in-output",
            hint="give its name, or a digest of it",
        )
    return text
