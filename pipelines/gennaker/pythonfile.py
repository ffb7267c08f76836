"""Pipelines from Python files: the module-level ``Pipeline`` objects, compiled to plain data.

The file is run as a module of its own; what goes wrong in it is told with its line.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gennaker.errors import GennakerError, InvalidInput, Location, Problem
from gennaker.watchdog import LOADING_SECONDS, TookTooLong, limit_time

if TYPE_CHECKING:
    from gennaker.dsl import Pipeline
    from gennaker.loader import Loaded

__all__ = ["define_pipeline", "load_python_file"]


def load_python_file(path: Path, *, root: Path, shown: str | None = None) -> list[Loaded]:
    """Run a Python file and return its module-level pipelines, in the order written.

    Args:
        path: the file.
        root: the project root; function stages are named relative to it, and it is importable.
        shown: the file's name in problems, the path unless given.

    Raises:
        InvalidInput: code ``python-file`` when the file cannot be run, with file and line.
    """
    from gennaker.dsl import Pipeline

    name = shown or str(path)
    path = path.absolute()  # as the file's own frames, and so its lines, name it
    namespace = _run_file(path, root, name)
    found: dict[int, Pipeline] = {}
    for value in namespace.values():
        if isinstance(value, Pipeline):
            found.setdefault(id(value), value)
    return [define_pipeline(each, root=root, shown={str(path): name}) for each in found.values()]


def define_pipeline(
    pipeline: Pipeline, *, root: Path | None = None, shown: dict[str, str] | None = None
) -> Loaded:
    """Compile a written pipeline to its definition, with the lines that wrote it.

    Raises:
        InvalidInput: with all problems, when the data is no pipeline.
    """
    from gennaker.loader import build_definition
    from gennaker.project import find_root

    file = Path(pipeline.locations[()].file)
    base = root or find_root(file.parent)
    names = shown or {}
    places: dict[tuple[str | int, ...], tuple[str, int, int]] = {
        path: (names.get(each.file, each.file), each.line or 1, 1)
        for path, each in pipeline.locations.items()
    }
    return build_definition(
        pipeline.to_data(base),
        file=names.get(str(file), str(file)),
        places=places,
        root=base,
    )


def _run_file(path: Path, root: Path, shown: str) -> dict[str, object]:
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    spec = importlib.util.spec_from_file_location(f"_gennaker_pipeline_{digest}", path)
    if spec is None or spec.loader is None:
        raise InvalidInput(f"{shown!r} is not a Python file", code="python-file")
    module = importlib.util.module_from_spec(spec)
    before, bytecode = list(sys.path), sys.dont_write_bytecode
    sys.path.insert(0, str(root))
    sys.dont_write_bytecode = True  # nothing is written into the user's repository
    sys.modules[spec.name] = module
    try:
        with limit_time(LOADING_SECONDS):
            spec.loader.exec_module(module)
    except SyntaxError as error:
        raise InvalidInput(
            f"not valid Python: {error.msg}",
            code="python-file",
            location=Location(shown, error.lineno, error.offset),
        ) from error
    except InvalidInput as error:
        raise InvalidInput.of(_show(each, path, shown) for each in error.problems) from error
    except GennakerError:
        raise
    except FileNotFoundError as error:
        if error.filename == str(path):
            raise InvalidInput(f"there is no file {shown!r}", code="unknown-pipeline") from error
        raise _explain(error, path, shown) from error
    except TookTooLong as error:
        raise _explain(
            error, path, shown, "a file only describes pipelines: let a stage do the work"
        ) from error
    except (Exception, SystemExit) as error:  # the boundary to a user's code
        raise _explain(error, path, shown) from error
    finally:
        sys.path[:] = before
        sys.dont_write_bytecode = bytecode
        sys.modules.pop(spec.name, None)
    return vars(module)


def _show(problem: Problem, path: Path, shown: str) -> Problem:
    """The same problem with the file by the name that people know it by."""
    where = problem.location
    if where is not None and where.file == str(path):
        where = replace(where, file=shown)
    return replace(problem, message=problem.message.replace(str(path), shown), location=where)


def _explain(error: BaseException, path: Path, shown: str, hint: str | None = None) -> InvalidInput:
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == str(path)
    ]
    location = Location(shown, lines[-1] if lines else None)
    return InvalidInput(
        f"{type(error).__name__}: {error}", code="python-file", location=location, hint=hint
    )
