"""What stage types that run people's own code share: environment values, declared outputs, effect.

``shell``, ``python`` and ``docker.run`` use it; a plugin that runs scripts may too. A script gives
outputs in the file named by ``GENNAKER_OUTPUT``: ``key=value`` lines, ``key<<END`` with lines up to
``END``, or one JSON object.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from gennaker.errors import StageError
from gennaker.stage import Effect, OutputType, Secret
from gennaker.suggestions import suggest

__all__ = [
    "DeclaredOutputs",
    "EnvValue",
    "EnvValues",
    "check_outputs",
    "declare_script_outputs",
    "find_script_effect",
    "read_output_file",
    "read_output_text",
    "reveal_environment",
]

MAX_OUTPUT_FILE = 4 << 20
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OUTPUT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")
_HEREDOC = re.compile(r"([^=<\s]+)<<(\S+)")
_TYPES: tuple[OutputType, ...] = (
    "string",
    "integer",
    "number",
    "boolean",
    "array",
    "object",
    "any",
)


def _read_env_value(value: Any) -> Any:
    """A scalar as the text a program sees."""
    if isinstance(value, str | Secret):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise ValueError("must be a string, a number or a boolean")


def _check_env_names(values: dict[str, Any]) -> dict[str, Any]:
    for name in values:
        if not _ENV_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not the name of an environment variable")
        if name.startswith("GENNAKER_"):
            raise ValueError(f"{name!r} is set by Gennaker; give it another name")
    return values


def _read_declarations(value: Any) -> Any:
    """``[tag]`` is short for ``{tag: string}``."""
    if isinstance(value, list | tuple):
        twice = sorted({str(name) for name in value if list(value).count(name) > 1})
        if twice:
            raise ValueError(f"{twice[0]!r} is declared twice")
        return dict.fromkeys(value, "string")
    return value


def _check_declarations(declared: dict[str, OutputType]) -> dict[str, OutputType]:
    for name, kind in declared.items():
        if not _OUTPUT_NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} is not a name for an output: letters, digits, '_' and '-', 63 at most"
            )
        if kind == "artifact":
            raise ValueError(f"output {name!r} cannot be an artifact; name its path in 'artifacts'")
    return declared


EnvValue = Annotated[
    str | Secret,
    BeforeValidator(_read_env_value),
    WithJsonSchema({"type": ["string", "number", "boolean"], "x-gennaker-secret": True}),
]
"""The value of an environment variable: text, or a secret."""

EnvValues = Annotated[dict[str, EnvValue], AfterValidator(_check_env_names)]
"""Environment variables by name."""

DeclaredOutputs = Annotated[
    dict[str, OutputType],
    BeforeValidator(_read_declarations),
    AfterValidator(_check_declarations),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "object", "additionalProperties": {"enum": list(_TYPES)}},
                {"type": "array", "items": {"type": "string"}},
            ]
        }
    ),
]
"""The outputs a script gives: name to type, or a list of names (all strings)."""


def reveal_environment(values: Mapping[str, str | Secret]) -> dict[str, str]:
    """Return environment variables with the values of secrets, for the one call that needs them."""
    return {
        name: value.reveal() if isinstance(value, Secret) else value
        for name, value in values.items()
    }


def find_script_effect(inputs: Mapping[str, Any], environment: bool) -> Effect:
    """Return the effect of a stage that runs a script: what it says, else by its environment."""
    said = inputs.get("effect")
    if said == "none" or said == "deploy":
        effect: Literal["none", "deploy"] = said
        return effect
    return "deploy" if environment else "none"


def declare_script_outputs(inputs: Mapping[str, Any]) -> dict[str, OutputType]:
    """Return what ``outputs`` and ``artifacts`` declare, from ``with`` as written (it may be wrong)."""
    found: dict[str, OutputType] = {}
    outputs = inputs.get("outputs")
    if isinstance(outputs, Mapping):
        for name, kind in outputs.items():
            found[str(name)] = kind if kind in _TYPES else "any"
    elif isinstance(outputs, Sequence) and not isinstance(outputs, str):
        found.update({str(name): "string" for name in outputs})
    artifacts = inputs.get("artifacts")
    if isinstance(artifacts, Mapping):
        found.update({str(name): "artifact" for name in artifacts})
    return found


def read_output_file(
    path: Path, declared: Mapping[str, OutputType]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the outputs a script wrote, typed, and the names it wrote but nobody declared.

    Raises:
        StageError: code ``output-form``, ``output-missing`` or ``output-type``.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_OUTPUT_FILE + 1)
    except FileNotFoundError:
        data = b""
    if len(data) > MAX_OUTPUT_FILE:
        raise StageError(
            "the script wrote more than 4 MiB to GENNAKER_OUTPUT",
            code="output-form",
            hint="keep large data as an artifact",
        )
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise StageError(
            f"what the script wrote to GENNAKER_OUTPUT is not UTF-8, at byte {error.start}",
            code="output-form",
        ) from None
    return read_output_text(text, declared)


def read_output_text(
    text: str, declared: Mapping[str, OutputType]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the outputs that a text gives, as :func:`read_output_file` does.

    Raises:
        StageError: code ``output-form``, ``output-missing`` or ``output-type``.
    """
    if text.lstrip().startswith("{"):
        written = _read_json(text)
    else:
        written = {
            name: _convert(name, value, declared[name]) if name in declared else value
            for name, value in _read_lines(text)
        }
    extra = tuple(sorted(written.keys() - declared.keys()))
    return check_outputs(written, declared), extra


def check_outputs(written: Mapping[str, Any], declared: Mapping[str, OutputType]) -> dict[str, Any]:
    """Return the declared outputs out of ``written``, each of its type.

    Raises:
        StageError: code ``output-missing`` or ``output-type``.
    """
    for name, kind in declared.items():
        if name not in written:
            raise StageError(
                f"output {name!r} is declared but was not given",
                code="output-missing",
                hint=suggest(name, written, otherwise=f"write '{name}=…' to \"$GENNAKER_OUTPUT\""),
            )
        if not _is_of(written[name], kind):
            raise StageError(
                f"output {name!r} is declared as {kind} but is {_name_type(written[name])}",
                code="output-type",
                hint="change what is given or its declaration",
            )
    return {name: written[name] for name in declared}


def _read_json(text: str) -> dict[str, Any]:
    def refuse(word: str) -> Any:
        raise ValueError(f"{word} is not JSON")

    try:
        found: dict[str, Any] = json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        where = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise StageError(
            f"GENNAKER_OUTPUT begins with '{{' but is not one JSON object{where}",
            code="output-form",
        ) from None
    return found


def _read_lines(text: str) -> Iterator[tuple[str, str]]:
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        line = lines[at].removesuffix("\r")
        at += 1
        if not line.strip():
            continue
        heredoc = _HEREDOC.fullmatch(line)
        if heredoc is not None:
            name, end = heredoc.groups()
            block = []
            while at < len(lines) and lines[at].removesuffix("\r") != end:
                block.append(lines[at].removesuffix("\r"))
                at += 1
            if at == len(lines):
                raise StageError(
                    f"output {name!r} in GENNAKER_OUTPUT has no end: no line is {end!r}",
                    code="output-form",
                )
            at += 1
            yield name, "\n".join(block)
            continue
        name, mark, value = line.partition("=")
        if not mark or not _OUTPUT_NAME.fullmatch(name):
            raise StageError(
                f"line {at} of GENNAKER_OUTPUT is not 'key=value'",
                code="output-form",
                hint="write several lines as 'key<<END', the lines, and 'END'",
            )
        yield name, value


def _convert(name: str, text: str, kind: OutputType) -> Any:
    """The value that text means for a declared type; of any, JSON when it is some."""
    if kind == "string":
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        if kind == "any":
            return text
        raise StageError(
            f"output {name!r} is declared as {kind}, but its text is not one",
            code="output-type",
            hint="change what is given or its declaration",
        ) from None
    if kind == "any" and not _is_finite(value):
        return text
    return value


def _is_of(value: Any, kind: OutputType) -> bool:
    if kind == "any":
        return True
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "number":
        return isinstance(value, int | float) and not isinstance(value, bool) and _is_finite(value)
    return _name_type(value) == kind


def _is_finite(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _name_type(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int | float):
        return "integer" if isinstance(value, int) else "number"
    if isinstance(value, list | tuple):
        return "array"
    return "object" if isinstance(value, Mapping) else type(value).__name__
