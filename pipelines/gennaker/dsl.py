"""Pipelines written in Python: the same nouns as YAML, compiled to the same plain data.

::

    with Pipeline("shop") as pipeline:
        version = pipeline.parameter("version", default="1.4.0")
        image = docker.build("image", context="app", tags=[f"registry.test/shop:{version}"])
        kubernetes.deploy("staging", environment="staging", bundle=render.bundle, needs=image)

Stage types are callables (:func:`stage_type`); what they return has the stage's outputs as
attributes, which are references.
"""

from __future__ import annotations

import keyword
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

from gennaker.errors import InvalidInput, Location
from gennaker.references import Reference, to_bare_expression, to_plain_data

if TYPE_CHECKING:
    from gennaker.model import PipelineDefinition

__all__ = ["Pipeline", "StageFunction", "StageHandle", "StageType", "stage_type"]

_current: ContextVar[Pipeline | None] = ContextVar("gennaker_pipeline", default=None)
_STAGE_OPTIONS = (
    "name",
    "needs",
    "if_",
    "matrix",
    "environment",
    "timeout",
    "retry",
    "on_failure",
)
Function = TypeVar("Function", bound=Callable[..., Any])


class StageHandle:
    """A stage that was added; ``handle.digest`` refers to its output ``digest``.

    An output with the name of one of the attributes here is reached through ``outputs``.
    """

    def __init__(self, identifier: str) -> None:
        self._id = identifier

    @property
    def id(self) -> str:
        """The stage's id."""
        return self._id

    @property
    def outcome(self) -> Reference:
        """Refers to the stage's outcome."""
        return Reference("stages")[self._id]["outcome"]

    @property
    def outputs(self) -> Reference:
        """Refers to the mapping of its outputs."""
        return Reference("stages")[self._id]["outputs"]

    def __getattr__(self, name: str) -> Reference:
        if name.startswith("_"):
            raise AttributeError(name)
        return self.outputs[name]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._id!r})"


class StageFunction(StageHandle):
    """A Python function that is a stage; calling it calls the function itself."""

    def __init__(self, identifier: str, function: Callable[..., Any]) -> None:
        super().__init__(identifier)
        self._function = function
        self.__doc__ = function.__doc__
        self.__wrapped__ = function  # so that its signature is the function's

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)


class Pipeline:
    """A pipeline being written; inside ``with`` its stage types add to it.

    Args:
        name: the pipeline's name; the other arguments are the keys of a pipeline of the same name.
    """

    def __init__(
        self,
        name: str,
        *,
        title: str | None = None,
        description: str | None = None,
        labels: Mapping[str, str] | None = None,
        concurrency: Mapping[str, Any] | None = None,
        defaults: Mapping[str, Any] | None = None,
        timeout: str | None = None,
        triggers: Sequence[Mapping[str, Any]] = (),
        notifications: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.name = name
        self._location = _find_caller()
        self._keys = {
            "name": name,
            "title": title,
            "description": description,
            "labels": labels,
            "concurrency": concurrency,
            "defaults": defaults,
            "timeout": timeout,
            "triggers": list(triggers) or None,
            "notifications": list(notifications) or None,
        }
        self._parameters: dict[str, dict[str, Any]] = {}
        self._stages: dict[str, dict[str, Any]] = {}
        self._finally: dict[str, dict[str, Any]] = {}
        self._into = self._stages
        self._functions: dict[str, Path] = {}
        self._locations: dict[tuple[str, ...], Location] = {(): self._location}
        self._tokens: list[Any] = []

    def __enter__(self) -> Pipeline:
        self._tokens.append(_current.set(self))
        return self

    def __exit__(self, *_error: object) -> None:
        _current.reset(self._tokens.pop())

    def parameter(self, name: str, **declaration: Any) -> Reference:
        """Declare a parameter (keys as in YAML) and return the reference to its value."""
        location = _find_caller()
        self._refuse_twice("parameter", name, ("parameters", name), location)
        self._parameters[name] = to_plain_data(declaration)
        return Reference("params")[name]

    @contextmanager
    def finally_(self) -> Iterator[None]:
        """Stages added inside run when all others have ended."""
        self._into = self._finally
        try:
            yield
        finally:
            self._into = self._stages

    def stage(
        self, function: Function | None = None, /, *, id: str | None = None, **keys: Any
    ) -> Any:
        """Make a module-level function a stage: ``@pipeline.stage`` or with keys.

        ``args`` are the function's arguments, by name; the other keys are those of a stage and the
        inputs of the stage type ``python``.
        """

        def decorate(function: Function) -> StageFunction:
            identifier = id or function.__name__
            file = Path(function.__code__.co_filename)
            if function.__qualname__ != function.__name__:
                raise InvalidInput(
                    f"function {function.__qualname__!r} is not at the top of its module",
                    code="python-function",
                    location=_find_caller(),
                    hint="move it out, so that the stage's process can import it",
                )
            self._functions[identifier] = file
            self.add(identifier, "python", {**keys, "function": f"{file}:{function.__name__}"})
            return StageFunction(identifier, function)

        return decorate if function is None else decorate(function)

    def add(self, identifier: str, uses: str, keys: Mapping[str, Any]) -> StageHandle:
        """Add a stage of any type; ``keys`` are the stage's keys and the type's inputs together."""
        location = _find_caller()
        self._refuse_twice("stage", identifier, ("stages", identifier), location)
        stage: dict[str, Any] = {"uses": uses}
        inputs: dict[str, Any] = {}
        for name, value in keys.items():
            if name in _STAGE_OPTIONS:
                _add_option(stage, name, value)
            else:
                inputs[_strip_underscore(name)] = to_plain_data(value)
        if inputs:
            stage["with"] = inputs
        self._into[identifier] = stage
        section = "finally" if self._into is self._finally else "stages"
        self._locations[section, identifier] = location
        return StageHandle(identifier)

    @property
    def locations(self) -> Mapping[tuple[str, ...], Location]:
        """Path in the data to the line that wrote it."""
        return self._locations

    def to_data(self, root: Path | None = None) -> dict[str, Any]:
        """Return the plain data, as the YAML loader has it before it is checked.

        Args:
            root: the project root that function files are written relative to; by default that
                of the file itself.
        """
        data = {
            name: value for name, value in to_plain_data(self._keys).items() if value is not None
        }
        if self._parameters:
            data["parameters"] = self._parameters
        data["stages"] = self._relate(self._stages, root)
        if self._finally:
            data["finally"] = self._relate(self._finally, root)
        return data

    @property
    def definition(self) -> PipelineDefinition:
        """The frozen definition; functions count by the hash of their files.

        Raises:
            InvalidInput: when the data is no pipeline.
        """
        from gennaker.pythonfile import define_pipeline

        return define_pipeline(self).definition

    def _relate(self, stages: dict[str, dict[str, Any]], root: Path | None) -> dict[str, Any]:
        related = {}
        for identifier, stage in stages.items():
            file = self._functions.get(identifier)
            if file is not None:
                from gennaker.project import find_root

                base = root or find_root(file.parent)
                function = stage["with"]["function"].rpartition(":")[2]
                name = file.resolve().relative_to(base.resolve()).as_posix()
                stage = {**stage, "with": {**stage["with"], "function": f"{name}:{function}"}}
            related[identifier] = stage
        return related

    def _refuse_twice(
        self, what: str, name: str, path: tuple[str, ...], location: Location
    ) -> None:
        known = self._locations.get(path) or self._locations.get(("finally", name))
        if known is not None and (what == "stage" or path in self._locations):
            raise InvalidInput(
                f"{what} {name!r} is there already, at {known}",
                code="duplicate-key",
                location=location,
                hint="give it another id",
            )
        self._locations[path] = location


class StageType:
    """A stage type as a callable: ``build("image", context="app")`` adds a stage.

    Args of the call: the stage's id, then stage keys (``needs``, ``if_``, ``matrix`` …) and inputs
    by name; a name that is a Python keyword gets an underscore (``for_``).
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, identifier: str, /, **keys: Any) -> StageHandle:
        pipeline = _current.get()
        if pipeline is None:
            raise InvalidInput(
                f"stage {identifier!r} is outside a pipeline",
                code="python-file",
                location=_find_caller(),
                hint='write it inside "with Pipeline(…):"',
            )
        return pipeline.add(identifier, self.name, keys)

    def __repr__(self) -> str:
        return f"stage_type({self.name!r})"


def stage_type(name: str) -> StageType:
    """Return the callable of an installed stage type, ``stage_type("acme.load_test")``.

    The type is looked up when the pipeline is validated, so that writing one imports no plugin.
    """
    return StageType(name)


def _add_option(stage: dict[str, Any], name: str, value: Any) -> None:
    if value is None:
        return
    if name == "if_":
        stage["if"] = to_bare_expression(value)
    elif name == "needs":
        several = value if isinstance(value, list | tuple) else [value]
        stage["needs"] = [each.id if isinstance(each, StageHandle) else each for each in several]
    else:
        stage[name] = to_plain_data(value)


def _strip_underscore(name: str) -> str:
    return name[:-1] if name.endswith("_") and keyword.iskeyword(name[:-1]) else name


def _find_caller() -> Location:
    """The line outside this module that is being written."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__") == __name__:
        frame = frame.f_back
    if frame is None:
        return Location("<unknown>")
    return Location(frame.f_code.co_filename, frame.f_lineno)
