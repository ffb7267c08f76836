"""Pipelines from files: what was written becomes one frozen definition, with a place for every part.

YAML is read here, Python by :mod:`gennaker.pythonfile`; both go through :func:`build_definition`, so
that the same pipeline is the same data and has the same digest. Whether it makes sense is
:mod:`gennaker.validation`'s question.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from gennaker.annotations import list_fields
from gennaker.errors import InvalidInput, Location, Problem
from gennaker.model import (
    Concurrency,
    Defaults,
    Matrix,
    Parameter,
    PipelineDefinition,
    RetryPolicy,
    StageDefinition,
)
from gennaker.paths import join_inside
from gennaker.pipeline_files import SUFFIXES, list_pipeline_files
from gennaker.structure import (
    REMOVED,
    Subject,
    describe_type,
    drop_nulls,
    find_nulls,
    name_path,
    read_model,
)
from gennaker.suggestions import suggest
from gennaker.yamltext import PlaceMap, Places, compose

if TYPE_CHECKING:
    from gennaker.project import Project

__all__ = [
    "Loaded",
    "build_definition",
    "find_pipeline",
    "find_pipelines",
    "list_pipeline_names",
    "load_file",
    "read_file",
]

_NOUNS: Mapping[type[BaseModel], str] = {
    StageDefinition: "a stage",
    Parameter: "a parameter",
    Concurrency: "'concurrency'",
    Defaults: "'defaults'",
    Matrix: "'matrix'",
    RetryPolicy: "'retry'",
}
_OTHERWISE: Mapping[type[BaseModel], str] = {
    StageDefinition: "inputs of its type stand under 'with'; fields of a stage: "
    + ", ".join(sorted(list_fields(StageDefinition)))
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A pipeline that was read.

    Attributes:
        definition: the frozen data; where ``problems`` has errors, what could be understood.
        file: the file's name as shown in problems.
        places: gives the place of every path in ``definition``'s data.
        problems: what is wrong with its form, and warnings.
    """

    definition: PipelineDefinition
    file: str
    places: Places
    problems: tuple[Problem, ...] = ()

    def at(self, *path: str | int, key: bool = False) -> Location:
        """Return the place of a path of keys and indexes in the data."""
        return self.places.at(path, key=key)

    def check(self) -> Loaded:
        """Return this pipeline when its form has no error.

        Raises:
            InvalidInput: with all problems of its form.
        """
        if any(each.severity == "error" for each in self.problems):
            raise InvalidInput.of(self.problems)
        return self


def load_file(path: Path, *, project: Project) -> list[Loaded]:
    """Return the pipelines of a file, one of a YAML file, any number of a Python file.

    Args:
        path: the file.
        project: the project it belongs to.

    Raises:
        InvalidInput: with every problem of its form.
    """
    return [each.check() for each in read_file(path, project=project)]


def read_file(path: Path, *, project: Project) -> list[Loaded]:
    """Return the pipelines of a file as far as they can be understood, problems beside them.

    Raises:
        InvalidInput: when nothing can be understood.
    """
    shown = project.show_path(path)
    if path.suffix not in SUFFIXES:
        raise InvalidInput(
            f"{shown!r} is no pipeline file",
            code="unknown-pipeline",
            hint="a pipeline is in a '.yaml', '.yml' or '.py' file",
        )
    if path.suffix == ".py":
        from gennaker.pythonfile import load_python_file

        if not path.is_file():
            raise _missing_file(shown)
        return load_python_file(path, root=project.root, shown=shown)
    return [_read_yaml(path, shown, project.root)]


def _missing_file(shown: str) -> InvalidInput:
    return InvalidInput(f"there is no file {shown!r}", code="unknown-pipeline")


def _read_yaml(path: Path, shown: str, root: Path) -> Loaded:
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise _missing_file(shown) from None
    except OSError as error:
        raise InvalidInput(
            f"cannot read {shown!r}: {error.strerror}", code="unreadable-file"
        ) from error
    problems: list[Problem] = []
    document = compose(text, file=shown, problems=problems)
    return _build(
        document.data, document.marks, root=root, problems=[*problems, *document.warnings]
    )


def build_definition(
    data: Mapping[str, Any],
    *,
    file: str,
    places: Mapping[tuple[str | int, ...], tuple[str, int, int]],
    root: Path,
) -> Loaded:
    """Return the definition of plain data that did not come from YAML.

    Args:
        data: as a YAML file would hold it; short forms are normalised here.
        file: as shown in problems.
        places: path to file, line and column, of as many paths as are known.
        root: the project root, where the files of functions are.

    Raises:
        InvalidInput: with every problem of its form.
    """
    located = {path: Location(*place) for path, place in places.items()}
    return _build(dict(data), PlaceMap(file, located), root=root, problems=[]).check()


def _build(data: Any, places: Places, *, root: Path, problems: list[Problem]) -> Loaded:
    if not isinstance(data, dict):
        problems.append(
            Problem(
                "wrong-type",
                f"a pipeline is a mapping, not {describe_type(data)}",
                places.at(),
                "begin with 'name: …' and 'stages:'",
            )
        )
        raise InvalidInput.of(problems)
    data = {key: value for key, value in data.items() if not key.startswith("x-")}
    for path in find_nulls(data, skip=_is_inputs):
        problems.append(
            Problem(
                "null-value",
                f"{name_path(path)!r} has no value",
                places.at(path, key=True),
                "give it one, or remove it",
            )
        )
    data = drop_nulls(data, skip=_is_inputs)
    subject = Subject(PipelineDefinition, "a pipeline", places, nouns=_NOUNS, otherwise=_OTHERWISE)
    definition, found = read_model(PipelineDefinition, data, subject, stand_in=_stand_in)
    problems.extend(found)
    if definition is None:
        raise InvalidInput.of(problems)
    functions, found = hash_functions(definition, places=places, root=root)
    problems.extend(found)
    if functions:
        definition = definition.model_copy(update={"functions": functions})
    return Loaded(
        definition=definition,
        file=places.file,
        places=places,
        problems=tuple(problems),
    )


def _is_inputs(path: tuple[str | int, ...]) -> bool:
    return len(path) == 3 and path[0] in ("stages", "finally") and path[2] == "with"


def _stand_in(path: tuple[str | int, ...]) -> Any:
    """What to put for a wrong value so that the rest of the pipeline can still be checked."""
    match path:
        case ("name",):
            return ""
        case ("stages",) | ("parameters", _):
            return {}
        case ("stages" | "finally", _):
            return {"uses": ""}
        case ("stages" | "finally", _, "uses"):
            return ""
    return REMOVED


def hash_functions(
    definition: PipelineDefinition, *, places: Places, root: Path
) -> tuple[dict[str, str], list[Problem]]:
    """Return the file of each function used, to ``sha256:HEX`` of its bytes, and what is wrong.

    Args:
        definition: the pipeline; its stages that use ``python`` name ``FILE:FUNCTION``.
        places: of its data.
        root: the project root, which the files are relative to.
    """
    hashes: dict[str, str] = {}
    contents: dict[str, str] = {}
    problems: list[Problem] = []
    for identifier, stage, final in definition.all_stages():
        written = stage.with_.get("function") if stage.uses == "python" else None
        if not isinstance(written, str) or "${{" in written:
            continue
        section = "finally" if final else "stages"
        location = places.at((section, identifier, "with", "function"))
        file, separator, name = written.rpartition(":")
        if not separator or not name.isidentifier():
            problems.append(
                Problem(
                    "function",
                    f"{written!r} does not name a function",
                    location,
                    "write it as 'FILE.py:FUNCTION', the file relative to the project",
                )
            )
        elif file not in hashes:
            try:
                content = join_inside(root, file).read_bytes()
            except InvalidInput as error:
                problems.append(error.problem.at(location))
            except OSError:
                problems.append(
                    Problem(
                        "function",
                        f"there is no file {file!r} in the project",
                        location,
                        f"it is looked for in {str(root)!r}",
                    )
                )
            else:
                hashes[file] = f"sha256:{hashlib.sha256(content).hexdigest()}"
                contents[file] = content.decode("utf-8", "replace")
        if name.isidentifier() and not _may_have(contents.get(file), name):
            known = re.findall(r"^(?:async )?def (\w+)", contents[file], re.MULTILINE)
            problems.append(
                Problem(
                    "function",
                    f"{file!r} has no function {name!r}",
                    location,
                    suggest(name, known),
                )
            )
    return dict(sorted(hashes.items())), problems


def _may_have(content: str | None, name: str) -> bool:
    """Whether a file may define ``name``: it may do so in any way, but not without the word."""
    if content is None or "import *" in content:
        return True
    return re.search(rf"\b{name}\b", content) is not None


# Finding ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Found:
    """The pipelines of a project by name, and files that could not be read."""

    by_name: dict[str, list[Loaded]] = field(default_factory=dict)
    errors: list[InvalidInput] = field(default_factory=list)


def find_pipelines(project: Project) -> list[Loaded]:
    """Return every pipeline of the project's folders.

    Raises:
        InvalidInput: with the problems of every file, and of every name that is defined twice.
    """
    found = _read_all(project, list_pipeline_files(project))
    problems = [problem for error in found.errors for problem in error.problems]
    for several in found.by_name.values():
        problems.extend(problem for each in several for problem in each.problems)
        if len(several) > 1:
            problems.append(_defined_twice(several).problem)
    if any(each.severity == "error" for each in problems):
        raise InvalidInput.of(problems)
    return [each for several in found.by_name.values() for each in several]


def list_pipeline_names(project: Project) -> list[str]:
    """Return the names of the pipelines that can be read, in alphabetical order; never raises."""
    try:
        found = _read_all(project, list_pipeline_files(project))
    except InvalidInput:
        return []
    return sorted(name for name in found.by_name if name)


def find_pipeline(project: Project, reference: str, *, folder: Path | None = None) -> Loaded:
    """Return the pipeline that a command names; its form may still have problems.

    Args:
        project: the project.
        reference: a name, a file, or ``FILE:NAME``.
        folder: what a file is relative to, the current folder unless given.

    Raises:
        InvalidInput: code ``unknown-pipeline``, or ``ambiguous-pipeline`` naming both places; or
            the problems of the one file.
    """
    file, name = _split(reference)
    if file is not None:
        return _pick(read_file((folder or Path.cwd()) / file, project=project), file, name)
    found = _read_all(project, list_pipeline_files(project), wanted=reference)
    several = found.by_name.get(reference, [])
    if len(several) == 1:
        return several[0]
    if several:
        raise _defined_twice(several)
    if found.errors:
        # It may well be in a file that cannot be read: that is what has to be repaired first.
        raise InvalidInput.of([p for error in found.errors for p in error.problems])
    if nameless := found.by_name.get(""):
        raise InvalidInput.of([p for each in nameless for p in each.problems])
    raise InvalidInput(
        f"there is no pipeline {reference!r}",
        code="unknown-pipeline",
        hint=suggest(
            reference,
            found.by_name,
            otherwise=None
            if found.by_name
            else f"no pipelines were found in {', '.join(map(repr, _folders(project)))}",
        ),
    )


def _folders(project: Project) -> tuple[str, ...]:
    return project.load_settings().pipelines


def _split(reference: str) -> tuple[str | None, str | None]:
    """Return file and name of ``FILE``, ``FILE:NAME`` or ``NAME``."""
    if reference.endswith(SUFFIXES):
        return reference, None
    file, separator, name = reference.rpartition(":")
    if separator and file.endswith(SUFFIXES):
        return file, name
    if "/" in reference:
        return reference, None
    return None, reference


def _pick(several: list[Loaded], file: str, name: str | None) -> Loaded:
    names = [each.definition.name for each in several]
    matching = [each for each in several if name in (None, each.definition.name)]
    if len(matching) == 1:
        return matching[0]
    if not several:
        raise InvalidInput(
            f"{file!r} defines no pipeline",
            code="unknown-pipeline",
            hint="a Python file has a 'Pipeline' object at its top level",
        )
    if not matching and name is not None:
        raise InvalidInput(
            f"{file!r} has no pipeline {name!r}",
            code="unknown-pipeline",
            hint=suggest(name, names),
        )
    if name is not None or len(set(names)) < len(names):
        raise _defined_twice(matching)
    raise InvalidInput(
        f"{file!r} defines {len(several)} pipelines",
        code="ambiguous-pipeline",
        hint=f"name one: '{file}:{names[0]}'",
    )


def _defined_twice(several: list[Loaded]) -> InvalidInput:
    first, second = several[0], several[1]
    name = first.definition.name
    return InvalidInput(
        f"pipeline {name!r} is defined twice, at {first.at('name')} and {second.at('name')}",
        code="ambiguous-pipeline",
        location=second.at("name"),
        hint="rename one of them",
    )


def _read_all(project: Project, files: Iterable[Path], wanted: str | None = None) -> _Found:
    found = _Found()
    for file in files:
        if wanted is not None and not _may_define(file, wanted):
            continue
        try:
            several = read_file(file, project=project)
        except InvalidInput as error:
            found.errors.append(error)
            continue
        for each in several:
            found.by_name.setdefault(each.definition.name, []).append(each)
    if wanted is not None and wanted not in found.by_name and not found.errors:
        return _read_all(project, files)
    return found


def _may_define(file: Path, name: str) -> bool:
    """Whether it is worth reading a file to find a name; Python may make a name of parts."""
    if file.suffix == ".py":
        return True
    try:
        return name.encode() in file.read_bytes()
    except OSError:
        return True
