"""``python``: call a function of the run's source, in a child process."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from gennaker.errors import PermanentError, StageError, TemporaryError
from gennaker.process import clean_environment, describe_exit
from gennaker.script import (
    DeclaredOutputs,
    EnvValues,
    check_outputs,
    declare_script_outputs,
    find_script_effect,
    reveal_environment,
)
from gennaker.stage import (
    Change,
    Context,
    Effect,
    Failed,
    Outcome,
    OutputType,
    Plan,
    PlanContext,
    Stage,
    StageInputs,
    Succeeded,
)

__all__ = ["Python"]

_ERRORS: Mapping[str, type[StageError]] = {
    "temporary": TemporaryError,
    "permanent": PermanentError,
    "stage": StageError,
}


def _check_function(function: str) -> str:
    path, _, name = function.rpartition(":")
    if not path.endswith(".py") or not name.isidentifier():
        raise ValueError(f"{function!r} is not 'FILE.py:FUNCTION', like 'pipelines/shop.py:check'")
    return function


class Python(Stage):
    """Call a Python function of the source, in a process of its own.

    What it returns is the output ``result``, or the declared outputs when it returns a mapping of
    them; returning ``Failed("why")`` fails the stage, an exception makes it errored. What it prints
    is in the log.
    """

    name = "python"

    class Inputs(StageInputs):
        function: Annotated[
            str,
            AfterValidator(_check_function),
            Field(description="The function, as FILE.py:NAME; the file is the source's."),
        ]
        args: dict[str, Any] = Field(
            default_factory=dict, description="Its arguments by name, plain data."
        )
        env: EnvValues = Field(
            default_factory=dict,
            description="Environment variables of its process; the way to give it secrets.",
        )
        outputs: DeclaredOutputs | None = Field(
            default=None,
            description="What the mapping it returns has: name to type, or names.",
        )
        effect: Literal["none", "deploy"] | None = Field(
            default=None, description="What it does; deploy when the stage has an environment."
        )

    @classmethod
    def find_effect(cls, inputs: Mapping[str, Any], environment: bool) -> Effect:
        """``deploy`` when the stage has an environment, unless ``effect`` says otherwise."""
        return find_script_effect(inputs, environment)

    @classmethod
    def declare_outputs(cls, inputs: Mapping[str, Any]) -> Mapping[str, OutputType]:
        """The declared outputs, else ``result``."""
        if inputs.get("outputs") is None:
            return {"result": "any"}
        return declare_script_outputs({"outputs": inputs["outputs"]})

    def plan(self, inputs: Inputs, ctx: PlanContext) -> Plan:
        """Show the call."""
        shown = ", ".join(f"{name}={value!r}" for name, value in inputs.args.items())
        return Plan([Change("run", f"{inputs.function}({shown})")])

    def run(self, inputs: Inputs, ctx: Context) -> Outcome:
        """Call it and read what it returned."""
        folder, aside = ctx.workspace / "work", ctx.workspace / "gennaker"
        folder.mkdir()
        aside.mkdir()
        request, result = aside / "request.json", aside / "result.json"
        request.write_text(
            json.dumps(
                {"source": str(ctx.source), "function": inputs.function, "args": inputs.args}
            ),
            "utf-8",
        )
        child = [sys.executable, "-P", "-B", "-u", "-m", "gennaker_stages.scripts.python_child"]
        code = ctx.run_process(
            [*child, str(request), str(result)],
            cwd=folder,
            env=clean_environment(
                {
                    **reveal_environment(inputs.env),
                    "GENNAKER_RUN": ctx.run.id,
                    "GENNAKER_STAGE": ctx.stage,
                    "GENNAKER_ATTEMPT": str(ctx.attempt),
                    "GENNAKER_KEY": ctx.key,
                }
            ),
        )
        ctx.check_cancelled()
        answer = _read_answer(result, inputs.function, code)
        if answer["kind"] == "failed":
            return Failed(answer["reason"], answer["code"])
        return Succeeded(_find_outputs(answer["value"], inputs, whole=answer["kind"] == "outputs"))


def _read_answer(result: Path, function: str, code: int) -> dict[str, Any]:
    """Return what the child answered; an error it answered is raised here."""
    try:
        answer: dict[str, Any] = json.loads(result.read_text("utf-8"))
    except (OSError, ValueError):
        raise StageError(
            f"the process of {function!r} ended without a result: {describe_exit(code)}",
            code="function-ended",
            hint="the stage's log has what it said",
        ) from None
    if answer["kind"] in _ERRORS:
        options: dict[str, Any] = {"code": answer["code"], "hint": answer["hint"]}
        if answer["kind"] == "temporary":
            options["delay"] = answer["delay"]
        raise _ERRORS[answer["kind"]](answer["message"], **options)
    return answer


def _find_outputs(value: Any, inputs: Python.Inputs, *, whole: bool) -> dict[str, Any]:
    if inputs.outputs is None and not whole:
        return {"result": value}
    if not isinstance(value, dict):
        raise StageError(
            f"{inputs.function!r} declares outputs but does not return a mapping of them",
            code="output-type",
            hint=f"return {{{', '.join(f'{name!r}: …' for name in inputs.outputs or ())}}}",
        )
    return check_outputs(value, {"result": "any"} if inputs.outputs is None else inputs.outputs)
