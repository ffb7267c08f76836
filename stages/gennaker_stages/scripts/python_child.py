"""The child process of ``python``: imports one file of the source, calls one function, answers.

Started by :mod:`gennaker_stages.scripts.python_stage` with two file names: the request and where the
answer goes. The answer is JSON with a ``kind``: ``value``, ``outputs``, ``failed``, or an error's.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from gennaker.errors import GennakerError, PermanentError, StageError, TemporaryError
from gennaker.paths import join_inside
from gennaker.stage import Failed, StageOutputs, Succeeded
from gennaker.suggestions import suggest

Answer = dict[str, Any]


def main(request_file: str, answer_file: str) -> None:
    """Read the request, call the function, write the answer."""
    request = json.loads(Path(request_file).read_text("utf-8"))
    try:
        answer = _call(Path(request["source"]), request["function"], request["args"])
    except GennakerError as error:
        answer = _describe_error(error)
    part = Path(f"{answer_file}.part")
    part.write_text(json.dumps(answer, allow_nan=False), "utf-8")
    part.replace(answer_file)


def _call(source: Path, function: str, args: Mapping[str, Any]) -> Answer:
    path, _, name = function.rpartition(":")
    found = _find_function(_import_file(source, path), name, path)
    try:
        inspect.signature(found).bind(**args)
    except (TypeError, ValueError) as error:
        raise PermanentError(
            f"{function!r} cannot be called with these arguments: {error}",
            code="function-arguments",
            hint="'args' has the function's arguments by name",
        ) from None
    try:
        returned = found(**args)
    except GennakerError:
        raise
    # A function is anybody's code: what it raises makes the stage errored, the log says where.
    except (Exception, SystemExit) as error:  # noqa: BLE001
        _print_traceback(error)
        raise StageError(
            f"{function!r} raised {_name_error(error)}",
            code="function-raised",
            hint="the stage's log has the traceback",
        ) from None
    return _describe_value(returned, function)


def _import_file(source: Path, path: str) -> ModuleType:
    file = join_inside(source, path)
    if not file.is_file():
        raise PermanentError(
            f"there is no file {path!r} in the source",
            code="function-missing",
            hint="a new file must not be ignored by git or excluded from the source",
        )
    # So that it can import its neighbours, as it can from the project's root.
    sys.path.insert(0, str(source))
    name = f"gennaker_function_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None  # a .py file always has one
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    # The file is anybody's code, as the function is.
    except (Exception, SystemExit) as error:  # noqa: BLE001
        _print_traceback(error)
        raise PermanentError(
            f"{path!r} cannot be imported: {_name_error(error)}",
            code="function-import",
            hint="the stage's log has the traceback",
        ) from None
    return module


def _find_function(module: ModuleType, name: str, path: str) -> Callable[..., Any]:
    found = getattr(module, name, None)
    if not callable(found):
        functions = [each for each, value in vars(module).items() if inspect.isfunction(value)]
        raise PermanentError(
            f"{path!r} has no function {name!r}",
            code="function-missing",
            hint=suggest(name, functions),
        )
    function: Callable[..., Any] = found
    return function


def _describe_value(returned: Any, function: str) -> Answer:
    if isinstance(returned, Failed):
        return {"kind": "failed", "reason": str(returned.reason), "code": str(returned.code)}
    answer: Answer = {"kind": "value", "value": returned}
    if isinstance(returned, Succeeded):
        outputs = returned.outputs
        plain = outputs.model_dump(mode="json") if isinstance(outputs, StageOutputs) else outputs
        answer = {"kind": "outputs", "value": dict(plain)}
    try:
        json.dumps(answer, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise StageError(
            f"what {function!r} returned is not JSON: {error}",
            code="function-result",
            hint="return strings, finite numbers, booleans, None, lists and dicts of them",
        ) from None
    return answer


def _describe_error(error: GennakerError) -> Answer:
    kind = "stage"
    if isinstance(error, TemporaryError):
        kind = "temporary"
    elif isinstance(error, PermanentError):
        kind = "permanent"
    return {
        "kind": kind,
        "message": error.message,
        "code": error.code,
        "hint": error.hint,
        "delay": getattr(error, "delay", None),
    }


def _print_traceback(error: BaseException) -> None:
    """Write the traceback to stderr, from the user's first line on."""
    trace = error.__traceback__
    while trace is not None and _is_machinery(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    traceback.print_exception(type(error), error, trace)


def _is_machinery(file: str) -> bool:
    return file == __file__ or file.startswith("<frozen importlib")


def _name_error(error: BaseException) -> str:
    said = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


if __name__ == "__main__":
    main(*sys.argv[1:])
