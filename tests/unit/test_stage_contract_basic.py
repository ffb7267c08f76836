"""The contract every stage type keeps, for the built-in ones that need nothing but this machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from gennaker.stage import Context, Outcome, Stage, StageInputs, StageOutputs, Succeeded
from gennaker.testing import FakeContext, StageContract
from gennaker_stages.http.request_stage import HttpRequest
from gennaker_stages.scripts.python_stage import Python
from gennaker_stages.scripts.shell_stage import Shell
from gennaker_stages.waits.approval_stage import Approval
from gennaker_stages.waits.wait_stage import Wait
from tests.fixtures.http_server import LocalServer

FUNCTION = """
import time

def count(upto, pause=0):
    time.sleep(pause)
    return {"count": upto}
"""


class TestShell(StageContract):
    """``shell`` with outputs and artifacts."""

    stage = Shell
    inputs: ClassVar[Mapping[str, Any]] = {
        "run": 'echo made > made.txt; echo "count=3" >> "$GENNAKER_OUTPUT"',
        "outputs": {"count": "integer"},
        "artifacts": {"made": "made.txt"},
    }
    long_inputs: ClassVar[Mapping[str, Any]] = {"run": "sleep 60"}


class TestPython(StageContract):
    """``python`` with declared outputs."""

    stage = Python
    inputs: ClassVar[Mapping[str, Any]] = {
        "function": "tasks.py:count",
        "args": {"upto": 3},
        "outputs": {"count": "integer"},
    }
    long_inputs: ClassVar[Mapping[str, Any]] = {
        "function": "tasks.py:count",
        "args": {"upto": 3, "pause": 60},
    }

    def make_context(self, folder: Path) -> FakeContext:
        """A source with the function in it."""
        context = FakeContext(folder)
        (context.source / "tasks.py").write_text(FUNCTION)
        return context


class TestApproval(StageContract):
    """``approval`` of two people."""

    stage = Approval
    inputs: ClassVar[Mapping[str, Any]] = {
        "message": "Ship it?",
        "approvers": ["group:release"],
        "required": 2,
        "self": False,
    }


class TestWait(StageContract):
    """``wait`` for a day."""

    stage = Wait
    inputs: ClassVar[Mapping[str, Any]] = {"for": "1d"}


class TestHttpRequest(StageContract):
    """``http.request`` of a server on loopback."""

    stage = HttpRequest
    inputs: ClassVar[Mapping[str, Any]] = {"url": "http://127.0.0.1:1/"}
    volatile = frozenset({"headers"})

    @pytest.fixture(autouse=True)
    def use_server(self, http_server: LocalServer) -> None:
        """Ask the server of the test."""
        self.server = http_server

    def make_inputs(self, folder: Path) -> Mapping[str, Any]:
        """The server's address is known only now."""
        return {"url": self.server.url}


class Careless(Stage):
    """Break every rule"""

    name = "Careless"

    class Inputs(StageInputs):
        timeout: str = ""

    class Outputs(StageOutputs):
        count: int

    calls = 0

    def plan(self, inputs: Any, ctx: Any) -> Any:
        """Leave a file behind."""
        (ctx.workspace / "left").touch()
        return super().plan(inputs, ctx)

    def run(self, inputs: Any, ctx: Context) -> Outcome:
        """Give another answer each time, and one that is not declared."""
        type(self).calls += 1
        return Succeeded({"calls": self.calls})


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ("test_name", "'Careless' is no name for a stage type"),
        ("test_says_what_it_does", "is no sentence"),
        ("test_inputs_are_strict", "input 'timeout' is a key of every stage"),
        ("test_plan_changes_nothing", r"plan\(\) changed a file"),
        ("test_runs_twice_with_one_key", "the second delivery of an attempt ends otherwise"),
        ("test_outputs", "gave the output 'calls', which it does not declare"),
    ],
)
def test_the_contract_finds_what_is_wrong(test: str, said: str, tmp_path: Path) -> None:
    """A stage type that breaks a rule fails the test of that rule, with the reason."""

    class Contract(StageContract):
        stage = Careless

    check = getattr(Contract(), test)
    wants_folder = check.__code__.co_argcount > 1
    with pytest.raises(Exception, match=said):
        check(tmp_path) if wants_folder else check()
