"""``python``: functions of the source, called in a process of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gennaker.errors import PermanentError, StageError, TemporaryError
from gennaker.stage import Failed, Outcome, Secret, Succeeded
from gennaker.testing import FakeContext
from gennaker_stages.scripts.python_stage import Python

TASKS = """
import os, sys
import helpers.words
from gennaker.stage import Failed, PermanentError, Succeeded, TemporaryError

def add(a, b=1):
    print("adding", a, b)
    return a + b

def greet(who):
    return helpers.words.greeting(who)

def refuse():
    return Failed("3 tests failed", code="tests")

def give():
    return Succeeded({"result": [1, 2]})

def two():
    return {"tag": "v1", "count": 2}

def later():
    raise TemporaryError("busy", delay=3)

def never():
    raise PermanentError("no such thing", code="gone", hint="look elsewhere")

def broken():
    assert 1 == 2, "numbers differ"

def leave():
    sys.exit(3)

def crash():
    os.kill(os.getpid(), 11)

def odd():
    return {1, 2}

def look():
    return [os.environ.get("TOKEN", ""), os.getcwd(), sys.path[0], os.listdir(".")]
"""
PIPELINE = """
from gennaker.dsl import Pipeline

with Pipeline("shop") as pipeline:
    pass

@pipeline.stage(id="check")
def check(limit):
    return limit > 3
"""


@pytest.fixture
def context(tmp_path: Path) -> FakeContext:
    """A source with functions in it."""
    found = FakeContext(tmp_path, secrets=["hunter22"])
    (found.source / "helpers").mkdir()
    (found.source / "helpers" / "words.py").write_text("def greeting(who): return 'hello ' + who")
    (found.source / "tasks.py").write_text(TASKS)
    (found.source / "pipelines").mkdir()
    (found.source / "pipelines" / "shop.py").write_text(PIPELINE)
    (found.source / "wrong.py").write_text("import no_such_module\n")
    return found


def call(context: FakeContext, function: str, **inputs: Any) -> Outcome:
    """Run a python stage."""
    given = {"function": function if ":" in function else f"tasks.py:{function}", **inputs}
    return Python().run(Python.Inputs.model_validate(given), context)


def test_what_it_returns_is_the_result(context: FakeContext) -> None:
    """Arguments go by name, prints go to the log."""
    assert call(context, "add", args={"a": 2, "b": 3}) == Succeeded({"result": 5})
    assert context.lines == [("stdout", "adding 2 3")]


def test_a_function_can_import_its_neighbours(context: FakeContext) -> None:
    """The source's root is where imports begin."""
    assert call(context, "greet", args={"who": "ann"}) == Succeeded({"result": "hello ann"})
    assert not list(context.source.rglob("__pycache__"))


def test_a_decorated_function_is_called_itself(context: FakeContext) -> None:
    """A pipeline's own file works, with the arguments of the function."""
    outcome = call(context, "pipelines/shop.py:check", args={"limit": 5})
    assert outcome == Succeeded({"result": True})
    with pytest.raises(PermanentError, match=r"function-arguments: .*missing a required argument"):
        call(context.redeliver(), "pipelines/shop.py:check")


def test_declared_outputs_are_taken_from_the_mapping(context: FakeContext) -> None:
    """Each is of its type."""
    declared = {"tag": "string", "count": "integer"}
    assert call(context, "two", outputs=declared) == Succeeded({"tag": "v1", "count": 2})
    with pytest.raises(StageError, match="output 'count' is declared as string but is integer"):
        call(context.redeliver(), "two", outputs=["tag", "count"])
    with pytest.raises(StageError, match="declares outputs but does not return a mapping"):
        call(context.redeliver(), "add", args={"a": 1}, outputs=["tag"])


def test_outcomes_can_be_returned(context: FakeContext) -> None:
    """``Failed`` fails the stage, ``Succeeded`` gives outputs."""
    assert call(context, "refuse") == Failed("3 tests failed", "tests")
    assert call(context.redeliver(), "give") == Succeeded({"result": [1, 2]})


def test_errors_keep_their_kind(context: FakeContext) -> None:
    """Whether to retry is a type, also over the border of the process."""
    with pytest.raises(TemporaryError, match="temporary: busy") as busy:
        call(context, "later")
    assert busy.value.delay == 3
    with pytest.raises(PermanentError) as gone:
        call(context.redeliver(), "never")
    assert str(gone.value) == "gone: no such thing; look elsewhere"


def test_an_exception_is_told_and_its_traceback_logged(context: FakeContext) -> None:
    """The log says where it was raised, in the user's own lines; the error only what."""
    with pytest.raises(StageError) as caught:
        call(context, "broken")
    assert str(caught.value) == (
        "function-raised: 'tasks.py:broken' raised AssertionError: numbers differ; "
        "the stage's log has the traceback"
    )
    assert 'tasks.py", line 29, in broken' in context.log_text
    assert "python_child" not in context.log_text


def test_an_end_without_a_result_is_told(context: FakeContext) -> None:
    """Leaving and crashing are no success."""
    with pytest.raises(StageError, match=r"'tasks.py:leave' raised SystemExit: 3"):
        call(context, "leave")
    with pytest.raises(StageError, match=r"ended without a result: ended by SIGSEGV"):
        call(context.redeliver(), "crash")


def test_a_result_is_json(context: FakeContext) -> None:
    """A set is none."""
    with pytest.raises(
        StageError, match=r"function-result: what 'tasks.py:odd' returned is not JSON"
    ):
        call(context, "odd")


@pytest.mark.parametrize(
    ("function", "args", "said"),
    [
        ("ad", {}, "function-missing: 'tasks.py' has no function 'ad'; did you mean 'add'?"),
        ("no.py:add", {}, "function-missing: there is no file 'no.py' in the source"),
        ("add", {"c": 1}, "function-arguments: 'tasks.py:add' cannot be called with these"),
        ("wrong.py:x", {}, "function-import: 'wrong.py' cannot be imported: ModuleNotFoundError"),
    ],
)
def test_what_cannot_be_called_is_told(
    context: FakeContext, function: str, args: dict[str, Any], said: str
) -> None:
    """No attempt will ever help, and the message says why."""
    with pytest.raises(PermanentError) as caught:
        call(context, function, args=args)
    assert said in str(caught.value)


def test_a_file_outside_the_source_is_not_imported(context: FakeContext) -> None:
    """The source is all there is."""
    with pytest.raises(StageError, match=r"has '..' in it"):
        call(context, "../tasks.py:add")


def test_a_function_sees_its_environment(context: FakeContext) -> None:
    """Secrets come as environment variables; it works in an empty folder."""
    outcome = call(context, "look", env={"TOKEN": Secret("hunter22")})
    assert isinstance(outcome, Succeeded)
    token, folder, first, files = outcome.outputs["result"]  # type: ignore[index]
    assert (token, files) == ("hunter22", [])
    assert Path(folder).is_relative_to(context.workspace)
    assert first == str(context.source)


@pytest.mark.parametrize("function", ["tasks.py", "tasks:add", "tasks.py:a-b", "tasks.py:"])
def test_a_function_is_named_by_file_and_name(function: str) -> None:
    """Anything else is refused with the form."""
    with pytest.raises(ValidationError, match=r"is not 'FILE.py:FUNCTION', like"):
        Python.Inputs(function=function)


def test_outputs_are_declared_by_what_is_written() -> None:
    """``result`` unless there are declarations."""
    assert Python.declare_outputs({"function": "a.py:b"}) == {"result": "any"}
    assert Python.declare_outputs({"outputs": ["tag"]}) == {"tag": "string"}
    assert Python.find_effect({}, True) == "deploy"
