"""The tests that every stage type passes; a plugin's author runs them with pytest::

class TestGreet(StageContract):
    stage = Greet
    inputs = {"who": "world"}
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from gennaker.errors import GennakerError
from gennaker.model import STAGE_KEYS
from gennaker.stage import Failed, Outcome, Plan, Stage, StageInputs, Succeeded, Waiting
from gennaker.testing.context import AttemptCancelled, FakeContext

__all__ = ["StageContract"]

_NAME = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*(\.[a-z][a-z0-9]*([_-][a-z0-9]+)*)*")
_STOP_SECONDS = 15.0
# Slow to import: every command that lists stage types would pay for them.
_HEAVY = ("asyncio", "boto3", "docker", "kubernetes", "networkx", "numpy", "pandas", "requests",
          "sqlalchemy", "structlog", "urllib3")  # fmt: skip
_IMPORT = """
import json, sys
sys.path[:] = json.loads(sys.argv[2])
import gennaker.stage
before = set(sys.modules)
__import__(sys.argv[1])
sys.stdout.write(json.dumps(sorted(set(sys.modules) - before)))
"""


class StageContract:
    """Subclass it as ``Test…`` and give ``stage`` and ``inputs``.

    Attributes:
        stage: the stage type.
        inputs: inputs as written under ``with`` (plain data), with which ``run`` ends soon.
        long_inputs: inputs with which ``run`` works until it is told to stop, when there are such.
        volatile: outputs that may differ between two deliveries of one attempt (a time of day).
    """

    stage: ClassVar[type[Stage]]
    inputs: ClassVar[Mapping[str, Any]] = {}
    long_inputs: ClassVar[Mapping[str, Any] | None] = None
    volatile: ClassVar[frozenset[str]] = frozenset()

    def make_context(self, folder: Path) -> FakeContext:
        """Return the context to call the stage with; override it to give a source or a target."""
        return FakeContext(folder)

    def make_inputs(self, folder: Path) -> Mapping[str, Any]:
        """Return ``inputs``; override it when they are known only when the test runs."""
        return self.inputs

    def test_name(self) -> None:
        """The name is lower-case words joined by '.', '_' or '-'."""
        assert _NAME.fullmatch(self.stage.name), f"{self.stage.name!r} is no name for a stage type"

    def test_says_what_it_does(self) -> None:
        """The first line of its docstring is what ``gennaker stages`` shows."""
        assert self.stage.__doc__, f"{self.stage.__name__} has no docstring"
        first = self.stage.__doc__.strip().splitlines()[0].strip()
        assert first, f"the docstring of {self.stage.__name__} begins with an empty line"
        assert len(first) <= 120, f"the first line of the docstring has {len(first)} characters"
        assert first.endswith("."), f"the first line of the docstring is no sentence: {first!r}"

    def test_schemas(self) -> None:
        """Inputs and outputs have a JSON Schema, for editors and the documentation."""
        for model in (self.stage.Inputs, self.stage.Outputs):
            json.dumps(model.model_json_schema(by_alias=True))

    def test_inputs_are_strict(self) -> None:
        """No input is named like a key of every stage, and a misspelt one is refused."""
        fields = self.stage.Inputs.model_fields
        names = {info.alias or name for name, info in fields.items()}
        taken = sorted(names & STAGE_KEYS)
        assert not taken, f"input {taken[0]!r} is a key of every stage"
        unknown = sorted(self.stage.scripts - names)
        assert not unknown, f"{unknown[0]!r} in 'scripts' is no input"
        assert self.stage.Inputs.model_config.get("extra") == "forbid", (
            "Inputs takes unknown keys; leave the model_config of StageInputs as it is"
        )

    def test_declarations_are_pure(self, tmp_path: Path) -> None:
        """What it does and gives is told from the inputs as written, twice the same."""
        inputs = self.make_inputs(tmp_path)
        for environment in (False, True):
            effect = self.stage.find_effect(inputs, environment)
            assert effect in ("none", "build", "deploy"), f"{effect!r} is no effect"
            assert effect == self.stage.find_effect(inputs, environment), "find_effect() changes"
        declared = self.stage.declare_outputs(inputs)
        assert dict(declared) == dict(self.stage.declare_outputs(inputs)), (
            "declare_outputs() changes"
        )
        self.stage.declare_outputs({})

    def test_plan_changes_nothing(self, tmp_path: Path) -> None:
        """A plan has no side effect, and is data."""
        context = self.make_context(tmp_path)
        before = _list_files(context)
        plan = self.stage().plan(self._read(self.make_inputs(tmp_path)), context)
        assert isinstance(plan, Plan), f"plan() gave a {type(plan).__name__}"
        assert _list_files(context) == before, "plan() changed a file"
        json.dumps([plan.desired, dict(plan.outputs)])
        strange = sorted(plan.outputs.keys() - self.stage.declare_outputs(self.inputs).keys())
        assert not strange, f"plan() gives the output {strange[0]!r}, which is not declared"

    def test_runs_twice_with_one_key(self, tmp_path: Path) -> None:
        """A second delivery of an attempt does its work again, or knows it is done: same outcome."""
        context = self.make_context(tmp_path)
        inputs = self.make_inputs(tmp_path)
        first = self.stage().run(self._read(inputs), context)
        second = self.stage().run(self._read(inputs), context.redeliver())
        once, again = self._describe(first), self._describe(second)
        assert once == again, f"the second delivery of an attempt ends otherwise: {once}, {again}"

    def test_outputs(self, tmp_path: Path) -> None:
        """What it gives is declared, as declared, and JSON within the limits."""
        from gennaker_engine.runtime.outputs import check_outputs, check_value

        inputs = self.make_inputs(tmp_path)
        outcome = self.stage().run(self._read(inputs), self.make_context(tmp_path))
        assert isinstance(outcome, Succeeded | Failed | Waiting), (
            f"run() gave a {type(outcome).__name__}, not an outcome"
        )
        if isinstance(outcome, Succeeded):
            check_outputs(self.stage, inputs, outcome.outputs, lambda _text: False)
        if isinstance(outcome, Waiting):
            check_value(outcome.state, "the state of a wait", lambda _text: False)

    def test_import_is_light(self) -> None:
        """Importing its module loads no client library: that belongs into ``run``."""
        from gennaker.process import capture

        code, out, err = capture(
            [sys.executable, "-c", _IMPORT, self.stage.__module__, json.dumps(sys.path)]
        )
        if code != 0 and "No module named" in err:
            return  # made in a test, which nothing else can import
        assert code == 0, err
        heavy = sorted(set(json.loads(out)) & set(_HEAVY))
        assert not heavy, f"importing {self.stage.__module__} loads {', '.join(heavy)}"

    def test_stops_when_told_before_it_begins(self, tmp_path: Path) -> None:
        """A cancelled attempt ends soon, in whatever way."""
        context = self.make_context(tmp_path)
        context.cancel()
        self._run_to_the_end(self.make_inputs(tmp_path), context, cancel_after=None)

    def test_stops_when_told_while_it_works(self, tmp_path: Path) -> None:
        """A stage that works long looks whether it is to stop."""
        if self.long_inputs is not None:
            context = self.make_context(tmp_path)
            self._run_to_the_end(self.long_inputs, context, cancel_after=0.5)

    def _run_to_the_end(
        self, inputs: Mapping[str, Any], context: FakeContext, *, cancel_after: float | None
    ) -> None:
        def work() -> None:
            with suppress(GennakerError, AttemptCancelled):  # both are ends
                self.stage().run(read, context)

        read = self._read(inputs)
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        if cancel_after is not None:
            thread.join(cancel_after)
            assert thread.is_alive(), "run() ended by itself; give long_inputs that work longer"
            context.cancel()
        thread.join(_STOP_SECONDS)
        assert not thread.is_alive(), f"run() did not end within {_STOP_SECONDS:g} s of the stop"

    def _read(self, inputs: Mapping[str, Any]) -> StageInputs:
        return self.stage.Inputs.model_validate(dict(inputs))

    def _describe(self, outcome: Outcome) -> Any:
        """What must be equal of two outcomes; moments are those of the call."""
        if isinstance(outcome, Waiting):
            return "waiting", type(outcome.on).__name__, outcome.state
        if isinstance(outcome, Failed):
            return "failed", outcome.reason, outcome.code
        outputs = outcome.outputs
        plain = outputs if isinstance(outputs, Mapping) else outputs.model_dump()
        kept = {name: value for name, value in plain.items() if name not in self.volatile}
        return "succeeded", kept


def _list_files(context: FakeContext) -> dict[str, tuple[int, int]]:
    found = {}
    for folder in {context.workspace, context.source, context.project}:
        for path in folder.rglob("*"):
            facts = path.lstat()
            found[str(path)] = (facts.st_size, facts.st_mtime_ns)
    return found
