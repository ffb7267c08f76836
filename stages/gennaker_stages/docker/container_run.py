"""``docker.run``: a command in an image, the usual way to test what was built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from gennaker.durations import parse_size
from gennaker.errors import InvalidInput, PermanentError
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
    Check,
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
from gennaker_stages.registry.credentials import CredentialsInput, check_logins
from gennaker_stages.registry.reference import parse_reference
from gennaker_stages.workspace.folder import (
    SourceInput,
    keep_artifacts,
    list_copied,
    prepare_folder,
)

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = ["DockerRun"]

GUARD = "container"
WORKSPACE = "/workspace"
OUTPUT = "/gennaker/output"
MIN_MEMORY = 6 << 20


def _check_memory(memory: str | None) -> str | None:
    try:
        if memory is not None and parse_size(memory) < MIN_MEMORY:
            raise ValueError(f"{memory!r} is less than the 6MiB a container needs")
    except InvalidInput as error:
        raise ValueError(f"{error.message}; {error.hint}") from None
    return memory


class DockerRun(Stage):
    """Run a command in a container of an image, and remove the container afterwards.

    A command that is text is run with ``/bin/sh -e -c``; a list is given to the image's entry point.
    It starts in ``/workspace``, a writable copy of the source, and sees ``env`` and GENNAKER_RUN,
    _STAGE, _ATTEMPT, _KEY and _OUTPUT. An exit code other than 0 fails the stage.
    """

    name = "docker.run"
    scripts = frozenset({"command"})

    class Inputs(StageInputs):
        """The image, the command, what it sees and what is kept of it."""

        image: str = Field(description="Reference of the image")
        command: str | tuple[str, ...] | None = Field(
            default=None,
            description="A script, or a list of arguments; the image's own unless given",
        )
        env: EnvValues = Field(
            default_factory=dict,
            description="Environment variables; the way to give values and secrets to it",
        )
        source: SourceInput = Field(
            default=True,
            description="Whether /workspace is a copy of the source, else empty; a list: of these "
            "files and folders of it",
        )
        files: dict[str, Artifact] = Field(
            default_factory=dict, description="Artifacts to lay into /workspace: path to artifact"
        )
        outputs: DeclaredOutputs = Field(
            default_factory=dict,
            description="What it writes to the file GENNAKER_OUTPUT: name to type, or names",
        )
        artifacts: dict[str, str] = Field(
            default_factory=dict,
            description="Files and folders of /workspace to keep: output name to path",
        )
        memory: Annotated[str | None, AfterValidator(_check_memory)] = Field(
            default=None, description="What it may use, like '512MiB'"
        )
        cpus: float | None = Field(
            default=None, gt=0, description="Processors it may use, like 1.5"
        )
        network: str | None = Field(
            default=None, description="The engine's network it is in: 'none', 'host' or a name"
        )
        user: str | None = Field(default=None, description="The user, 'uid' or 'uid:gid'")
        workdir: str | None = Field(
            default=None, description="Where it starts; relative to /workspace"
        )
        pull: Literal["missing", "always", "never"] = Field(
            default="missing", description="When the image is pulled"
        )
        credentials: CredentialsInput | None = Field(
            default=None, description="For the registry; the Docker configuration unless given"
        )
        effect: Literal["none", "deploy"] | None = Field(
            default=None, description="What it does; deploy when the stage has an environment"
        )

        @model_validator(mode="after")
        def _check(self) -> DockerRun.Inputs:
            twice = sorted(self.outputs.keys() & self.artifacts.keys())
            if twice:
                raise ValueError(f"{twice[0]!r} is both an output and an artifact")
            if self.command is not None and not "".join(self.command).strip():
                raise ValueError("'command' is empty; leave it out for the image's own")
            return self

    @classmethod
    def check_machine(cls, *, seconds: float) -> Iterator[Check]:
        """Look for an engine, and for credentials of registries."""
        from gennaker_stages.docker.engine import check_engine

        yield from check_engine(seconds)
        yield from check_logins()

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
        """Show the image and the command."""
        command = inputs.command
        shown = command if isinstance(command, str) else " ".join(command or ())
        return Plan([Change("run", f"run {inputs.image}", detail=shown.strip())])

    def run(self, inputs: Inputs, ctx: Context) -> Outcome:
        """Create the container, follow it to its end, keep what is asked for, remove it."""
        from gennaker_stages.docker.container import Container, ensure_image, name_container
        from gennaker_stages.docker.container_files import pack_files
        from gennaker_stages.docker.engine import connect_engine, translate_errors

        parse_reference(inputs.image)
        folder = prepare_folder(ctx, source=inputs.source, files=inputs.files)
        aside = ctx.workspace / "gennaker"
        aside.mkdir()
        (aside / "output").touch()
        name = name_container(ctx)
        what = f"run {inputs.image}"
        with connect_engine() as client, translate_errors(what):
            ensure_image(client, inputs.image, inputs.pull, inputs.credentials, ctx)
            with (
                ctx.guard(GUARD, name),
                Container(client, name, _make_settings(inputs, ctx)) as container,
            ):
                trees = {WORKSPACE[1:]: folder, str(PurePosixPath(OUTPUT).parent)[1:]: aside}
                with pack_files(trees) as content:
                    client.api.put_archive(name, "/", content)
                ended = container.follow(ctx)
                if ended is not None:
                    return Failed(ended)
                return Succeeded(_collect(inputs, ctx, client, name))

    def clean_up(self, kind: str, name: str) -> None:
        """Remove a container whose run died."""
        from gennaker_stages.docker.container import remove_container
        from gennaker_stages.docker.engine import connect_engine, translate_errors

        if kind == GUARD:
            with connect_engine() as client, translate_errors(f"remove the container {name}"):
                remove_container(client, name)


def _make_settings(inputs: DockerRun.Inputs, ctx: Context) -> dict[str, Any]:
    """What the engine is told of the container, in its API's words."""
    environment = {
        **reveal_environment(inputs.env),
        "GENNAKER_RUN": ctx.run.id,
        "GENNAKER_STAGE": ctx.stage,
        "GENNAKER_ATTEMPT": str(ctx.attempt),
        "GENNAKER_KEY": ctx.key,
        "GENNAKER_OUTPUT": OUTPUT,
    }
    settings: dict[str, Any] = {
        "Image": inputs.image,
        "Env": [f"{name}={value}" for name, value in environment.items()],
        "Labels": {"gennaker.run": ctx.run.id, "gennaker.key": ctx.key},
        "WorkingDir": str(PurePosixPath(WORKSPACE) / (inputs.workdir or ".")),
        "HostConfig": {
            "Memory": parse_size(inputs.memory) if inputs.memory else 0,
            "NanoCpus": round((inputs.cpus or 0) * 1_000_000_000),
            "NetworkMode": inputs.network or "default",
        },
    }
    if isinstance(inputs.command, str):
        settings |= {"Entrypoint": ["/bin/sh", "-e", "-c"], "Cmd": [inputs.command]}
    elif inputs.command is not None:
        settings["Cmd"] = list(inputs.command)
    if inputs.user is not None:
        settings["User"] = inputs.user
    return settings


def _collect(
    inputs: DockerRun.Inputs, ctx: Context, client: DockerClient, name: str
) -> dict[str, Any]:
    """The declared outputs and the artifacts of a container that ended well."""
    kept = ctx.workspace / "kept"
    _fetch(client, name, OUTPUT, kept)
    outputs, extra = read_output_file(kept / "output", inputs.outputs)
    for each in extra:
        ctx.log(f"output {each!r} is not declared under 'outputs' and was left out")
    for key, path in inputs.artifacts.items():
        pure = PurePosixPath(path)
        if pure.is_absolute() or ".." in pure.parts:
            raise PermanentError(
                f"artifact {key!r}: {path!r} is not a path in {WORKSPACE}",
                code="artifact-missing",
                hint="write it relative to /workspace, without '..'",
            )
        found = kept / key
        _fetch(client, name, str(PurePosixPath(WORKSPACE) / pure), found)
        outputs |= keep_artifacts(ctx, found, {key: pure.name or PurePosixPath(WORKSPACE).name})
    return outputs


def _fetch(client: DockerClient, name: str, path: str, target: Path) -> None:
    """Copy a path of the container into a folder; of one that is not there, nothing."""
    from docker.errors import NotFound

    from gennaker_stages.docker.container_files import unpack_files

    target.mkdir(parents=True, exist_ok=True)
    try:
        chunks, _ = client.api.get_archive(name, path)
    except NotFound:
        return
    unpack_files(chunks, target)
