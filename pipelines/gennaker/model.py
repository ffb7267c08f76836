"""What a pipeline *is*: frozen plain data, the one form that YAML and Python both compile to.

The loaders make it, the graph and the engine read it, ``show`` prints it. Nothing here does I/O.
Keys and meanings are those of the pipeline specification; a field named like a Python keyword has
a trailing underscore here and its plain name in data (``with_`` is ``with``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
)

from gennaker.durations import normalize_duration

__all__ = [
    "STAGE_KEYS",
    "Concurrency",
    "Defaults",
    "Duration",
    "Matrix",
    "OnFailure",
    "Parameter",
    "PipelineDefinition",
    "Retry",
    "Scalar",
    "StageDefinition",
    "UndoPolicy",
]

Scalar = str | int | float | bool
OnFailure = Literal["branch", "stop", "ignore", "undo"]

Duration = Annotated[str, BeforeValidator(normalize_duration)]
"""A duration in canonical text (``1h30m``); :func:`gennaker.durations.parse_duration` gives seconds."""


class Data(BaseModel):
    """A frozen piece of plain data whose defaults are left out of :meth:`to_data`."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True
    )

    def to_data(self) -> dict[str, Any]:
        """Return JSON data with the keys of the specification, defaults left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)


class Parameter(Data):
    """One declared parameter of a pipeline, or one input of an approval."""

    type: Literal["string", "integer", "number", "boolean"] = "string"
    default: Scalar | None = None
    required: StrictBool = False
    description: str | None = None
    choices: tuple[Scalar, ...] | None = None
    pattern: str | None = None
    minimum: StrictInt | StrictFloat | None = None
    maximum: StrictInt | StrictFloat | None = None


def _read_retry(value: object) -> object:
    return {"limit": value} if isinstance(value, int) and not isinstance(value, bool) else value


def _read_condition(value: object) -> object:
    """``if`` is bare; the whole-string form ``${{ … }}`` is the same thing."""
    if isinstance(value, str):
        inside = value.strip()
        if inside.startswith("${{") and inside.endswith("}}") and inside.count("${{") == 1:
            return inside[3:-2].strip()
    return value


def _read_names(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class RetryPolicy(Data):
    """How often and when a stage is tried again; ``limit`` counts the *further* attempts."""

    limit: Annotated[int, Field(ge=0, le=1000, strict=True)]
    delay: Duration = "2s"
    factor: Annotated[float, Field(ge=1, le=100, strict=True)] = 2
    max_delay: Duration = "1m"
    on: tuple[Literal["failed", "errored"], ...] = ("failed", "errored")


Retry = Annotated[RetryPolicy, BeforeValidator(_read_retry)]


class UndoPolicy(Data):
    """Whose changes are put back when a stage fails: ``on_failure: {undo: [staging]}``."""

    undo: Annotated[tuple[str, ...], BeforeValidator(_read_names), Field(min_length=1)]


class Concurrency(Data):
    """How many runs that share ``group`` may be active, and what happens to the others."""

    group: str
    limit: Annotated[int, Field(ge=1, strict=True)] = 1
    policy: Literal["queue", "supersede", "reject"] = "queue"


class Defaults(Data):
    """What every stage without its own has."""

    timeout: Duration | None = None
    retry: Retry | None = None


class Matrix(Data):
    """A stage's instances: axes beside the options, each axis a list or an expression.

    The axes are the keys that are no option: ``{region: [eu, us], max_parallel: 2}``.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, list[Any] | str]

    include: list[dict[str, Any]] | str | None = None
    exclude: list[dict[str, Any]] | str | None = None
    max_parallel: Annotated[int, Field(ge=1, strict=True)] | None = None
    fail_fast: StrictBool = True

    @property
    def axes(self) -> Mapping[str, list[Any] | str]:
        """Axis name to its values or its expression, in alphabetical order of the names."""
        return dict(sorted((self.__pydantic_extra__ or {}).items()))


class StageDefinition(Data):
    """One node of the DAG, as written."""

    uses: str
    name: str | None = None
    with_: dict[str, Any] = Field(default_factory=dict, alias="with")
    needs: Annotated[tuple[str, ...], BeforeValidator(_read_names)] = ()
    if_: Annotated[str | bool | None, BeforeValidator(_read_condition)] = Field(
        default=None, alias="if"
    )
    matrix: Matrix | None = None
    environment: str | None = None
    timeout: Duration | None = None
    retry: Retry | None = None
    on_failure: OnFailure | UndoPolicy = "branch"

    def list_undone(self, identifier: str) -> tuple[str, ...]:
        """Return whose changes are put back when this stage, called ``identifier``, fails."""
        if isinstance(self.on_failure, UndoPolicy):
            return self.on_failure.undo
        return (identifier,) if self.on_failure == "undo" else ()


STAGE_KEYS = frozenset(field.alias or name for name, field in StageDefinition.model_fields.items())
"""The keys of a stage; an input of a stage type may not be named like one of them."""

DEFAULT_STAGE_TIMEOUT = "1h"


class PipelineDefinition(Data):
    """A whole pipeline, as written: the thing a digest is taken of."""

    name: str
    title: str | None = None
    description: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    parameters: dict[str, Parameter] = Field(default_factory=dict)
    concurrency: Concurrency | None = None
    defaults: Defaults | None = None
    timeout: Duration | None = None
    stages: dict[str, StageDefinition]
    finally_: dict[str, StageDefinition] = Field(default_factory=dict, alias="finally")
    triggers: tuple[dict[str, Any], ...] = ()
    notifications: tuple[dict[str, Any], ...] = ()
    functions: dict[str, str] = Field(default_factory=dict, exclude=True, repr=False)
    """File of each Python function used, to the SHA-256 of its bytes; put in by the loader."""

    def all_stages(self) -> Iterator[tuple[str, StageDefinition, bool]]:
        """Yield id, stage and whether it belongs to ``finally``, in the order written."""
        for identifier, stage in self.stages.items():
            yield identifier, stage, False
        for identifier, stage in self.finally_.items():
            yield identifier, stage, True

    def timeout_of(self, stage: StageDefinition) -> str:
        """The duration that bounds one attempt of ``stage``: its own, the default, or one hour."""
        inherited = self.defaults.timeout if self.defaults else None
        return stage.timeout or inherited or DEFAULT_STAGE_TIMEOUT

    def retry_of(self, stage: StageDefinition) -> RetryPolicy | None:
        """The retry policy of ``stage``: its own or the default."""
        return stage.retry or (self.defaults.retry if self.defaults else None)

    def find_undone(self) -> dict[str, tuple[str, ...]]:
        """Return each stage that may be put back, and the stages whose failure does it."""
        found: dict[str, tuple[str, ...]] = {}
        for identifier, stage in self.stages.items():
            for each in stage.list_undone(identifier):
                if each in self.stages:
                    found[each] = (*found.get(each, ()), identifier)
        return found

    def digest_data(self) -> dict[str, Any]:
        """The data the definition digest is taken of: no descriptions, no defaults.

        Stage keys equal to their documented default count as not written; ``with``, ``defaults``
        and parameter defaults count as written.
        """
        data = self.to_data()
        data.pop("description", None)
        for parameter in data.get("parameters", {}).values():
            parameter.pop("description", None)
        inherited = self.defaults.timeout if self.defaults else None
        for section in ("stages", "finally"):
            for stage in data.get(section, {}).values():
                if stage.get("timeout") == DEFAULT_STAGE_TIMEOUT and inherited is None:
                    del stage["timeout"]
        if self.functions:
            data["functions"] = dict(self.functions)
        return data

    @property
    def digest(self) -> str:
        """``sha256:…`` of the canonical JSON (RFC 8785) of :meth:`digest_data`."""
        from gennaker.canonical import digest_of

        return digest_of(self.digest_data())
