"""``shell``: run a script or a program on a copy of the source."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from gennaker.process import clean_environment, describe_exit
from gennaker.script import (
    DeclaredOutputs,
    EnvValues,
    declare_script_outputs,
    find_script_effect,
    read_output_file,
    reveal_environment,
)
from gennaker.stage import (
    Artifact,
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
from gennaker_stages.workspace.folder import (
    SourceInput,
    keep_artifacts,
    list_copied,
    prepare_folder,
)

__all__ = ["Shell"]

_SHOWN_LINES = 3
_SHOWN_WIDTH = 300


def _check_run(run: str | tuple[str, ...]) -> str | tuple[str, ...]:
    if not (run.strip() if isinstance(run, str) else run and run[0]):
        raise ValueError("is empty; write a script, or a list of a program and its arguments")
    return run


class Shell(Stage):
    """Run a script, or a program with arguments, on a copy of the source.

    A script is run with ``bash -eo pipefail`` where there is a bash, else with ``sh -e``; an exit
    code other than 0 fails the stage. It sees a clean environment: PATH, HOME, the language and
    proxies of the machine, ``env``, and GENNAKER_RUN, _STAGE, _ATTEMPT, _KEY and _OUTPUT.
    """

    name = "shell"
    scripts = frozenset({"run"})

    class Inputs(StageInputs):
        run: Annotated[
            str | tuple[str, ...],
            AfterValidator(_check_run),
            Field(description="A script, or a list of a program and its arguments."),
        ]
        env: EnvValues = Field(
            default_factory=dict,
            description="Environment variables; the way to give values and secrets to a script.",
        )
        outputs: DeclaredOutputs = Field(
            default_factory=dict,
            description="What the script writes to the file GENNAKER_OUTPUT: name to type, or names.",
        )
        artifacts: dict[str, str] = Field(
            default_factory=dict,
            description="Files and folders to keep: output name to path. They become outputs.",
        )
        files: dict[str, Artifact] = Field(
            default_factory=dict, description="Artifacts to lay into the folder: path to artifact."
        )
        source: SourceInput = Field(
            default=True,
            description="Whether it starts in a copy of the source, else in an empty folder; a list: "
            "of these files and folders of it.",
        )
        effect: Literal["none", "deploy"] | None = Field(
            default=None, description="What it does; deploy when the stage has an environment."
        )
        shell: Literal["bash", "sh"] | None = Field(
            default=None, description="Which shell runs a script."
        )

        @model_validator(mode="after")
        def _refuse_one_name_twice(self) -> Shell.Inputs:
            twice = sorted(self.outputs.keys() & self.artifacts.keys())
            if twice:
                raise ValueError(f"{twice[0]!r} is both an output and an artifact")
            return self

    @classmethod
    def find_effect(cls, inputs: Mapping[str, Any], environment: bool) -> Effect:
        """``deploy`` when the stage has an environment, unless ``effect`` says otherwise."""
        return find_script_effect(inputs, environment)

    @classmethod
    def declare_outputs(cls, inputs: Mapping[str, Any]) -> Mapping[str, OutputType]:
        """The declared outputs and the artifacts."""
        return declare_script_outputs(inputs)

    def list_sources(self, inputs: Inputs) -> tuple[str, ...]:
        """What it gets a copy of."""
        return list_copied(inputs.source)

    def plan(self, inputs: Inputs, ctx: PlanContext) -> Plan:
        """Show the script."""
        if isinstance(inputs.run, str):
            lines = inputs.run.strip().splitlines() or [""]
            what = lines[0] if len(lines) == 1 else f"a script of {len(lines)} lines: {lines[0]} …"
            return Plan([Change("run", what)])
        return Plan([Change("run", " ".join(inputs.run))])

    def run(self, inputs: Inputs, ctx: Context) -> Outcome:
        """Run it, then read its outputs and keep its artifacts."""
        folder = prepare_folder(ctx, source=inputs.source, files=inputs.files)
        # Beside the folder, so that what the script lists, packs or commits is its own.
        aside = ctx.workspace / "gennaker"
        aside.mkdir()
        written = aside / "output"
        written.touch()
        last: deque[str] = deque(maxlen=_SHOWN_LINES)

        def take(stream: str, line: str) -> None:
            if stream == "stderr" and line.strip():
                last.append(line.strip()[:_SHOWN_WIDTH])
            ctx.log(line, stream="stderr" if stream == "stderr" else "stdout")

        code = ctx.run_process(
            _make_argv(inputs, folder, aside / "script"),
            cwd=folder,
            env=clean_environment(
                {
                    **reveal_environment(inputs.env),
                    "PWD": str(folder),
                    "GENNAKER_RUN": ctx.run.id,
                    "GENNAKER_STAGE": ctx.stage,
                    "GENNAKER_ATTEMPT": str(ctx.attempt),
                    "GENNAKER_KEY": ctx.key,
                    "GENNAKER_OUTPUT": str(written),
                }
            ),
            on_line=take,
        )
        ctx.check_cancelled()
        if code != 0:
            return Failed(": ".join([describe_exit(code), *([" | ".join(last)] if last else [])]))
        outputs, extra = read_output_file(written, inputs.outputs)
        for name in extra:
            ctx.log(f"output {name!r} is not declared under 'outputs' and was left out")
        return Succeeded({**outputs, **keep_artifacts(ctx, folder, inputs.artifacts)})


def _make_argv(inputs: Shell.Inputs, folder: Path, script: Path) -> list[str]:
    if not isinstance(inputs.run, str):
        program, *arguments = inputs.run
        # A path is one in the folder; a bare name is looked up on PATH.
        return [str(folder / program) if "/" in program else program, *arguments]
    script.write_text(inputs.run if inputs.run.endswith("\n") else f"{inputs.run}\n", "utf-8")
    shell = inputs.shell or ("bash" if shutil.which("bash") else "sh")
    if shell == "bash":
        return ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)]
    return ["sh", "-e", str(script)]
