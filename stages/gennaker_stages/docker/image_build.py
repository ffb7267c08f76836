"""``docker.build``: an image from a Dockerfile, on a Docker engine, pushed when asked.

Through the engine's classic builder, the one its Python client speaks. What only BuildKit has
(``RUN --mount``) is refused by the engine with its own words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from pydantic import Field

from gennaker.errors import StageError
from gennaker.paths import join_inside
from gennaker.stage import (
    Change,
    Check,
    Context,
    Failed,
    Outcome,
    Plan,
    PlanContext,
    Stage,
    StageInputs,
    StageOutputs,
    Succeeded,
)
from gennaker_stages.registry.credentials import CredentialsInput, check_logins
from gennaker_stages.registry.reference import ImageReference, parse_tag

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = ["DockerBuild"]


class DockerBuild(Stage):
    """Build an image from a Dockerfile on a Docker engine and push it."""

    name = "docker.build"
    effect = "build"

    class Inputs(StageInputs):
        """What is built, how it is called and where it goes."""

        context: str = Field(default=".", description="Folder that is sent, from the project root")
        dockerfile: str = Field(default="Dockerfile", description="Relative to the context")
        target: str | None = Field(default=None, description="Stage of the Dockerfile to build")
        build_args: dict[str, str] = Field(default_factory=dict, description="Values for its ARGs")
        tags: tuple[str, ...] = Field(
            min_length=1, description="References of the image; the first gives its repository"
        )
        labels: dict[str, str] = Field(default_factory=dict, description="Labels")
        cache: bool = Field(default=True, description="Whether layers may come from the cache")
        cache_from: tuple[str, ...] = Field(default=(), description="Images to take layers from")
        pull: bool = Field(default=False, description="Whether a newer base is looked for")
        push: bool = Field(default=False, description="Whether the image is pushed to its tags")
        credentials: CredentialsInput | None = Field(
            default=None, description="For the registry; the Docker configuration unless given"
        )

    class Outputs(StageOutputs):
        """The image that was built.

        ``digest`` is the registry's manifest digest when it was pushed, else the image's id, by
        which only this engine knows it.
        """

        digest: str = Field(
            description="Digest of the manifest at the registry when it was pushed, else the image's id"
        )
        reference: str = Field(
            description="The repository with that digest when it was pushed, else the first tag"
        )
        image_id: str = Field(description="The id by which the engine knows it")

    @classmethod
    def check_machine(cls, *, seconds: float) -> Iterator[Check]:
        """Look for an engine, and for credentials of registries."""
        from gennaker_stages.docker.engine import check_engine

        yield from check_engine(seconds)
        yield from check_logins()

    def list_sources(self, inputs: Inputs) -> list[str]:
        """The context."""
        return [inputs.context]

    def plan(self, inputs: Inputs, ctx: PlanContext) -> Plan:
        """Say what would be built; digest and reference are known only by building."""
        del ctx
        changes = [Change("build", f"build {inputs.tags[0]}", f"from {inputs.context}")]
        if inputs.push:
            changes += [Change("run", f"push {each}") for each in inputs.tags]
        return Plan(changes, desired=inputs.model_dump(mode="json", exclude={"credentials"}))

    def run(self, inputs: Inputs, ctx: Context) -> Outcome:
        """Build, tag, push."""
        from gennaker_stages.docker.context import make_context
        from gennaker_stages.docker.engine import connect_engine, translate_errors

        tags = [parse_tag(each) for each in inputs.tags]
        folder = join_inside(ctx.source, inputs.context)
        with (
            make_context(folder, inputs.dockerfile, inputs.context) as content,
            connect_engine() as client,
            translate_errors("build"),
        ):
            image_id = _build(client, inputs, ctx, content)
            if isinstance(image_id, Failed):
                return image_id
            for tag in tags:
                client.api.tag(image_id, _engine_name(tag), tag.tag)
            pushed = [_push(client, each, inputs, ctx) for each in (tags if inputs.push else ())]
            digest = pushed[0] if pushed else image_id
        reference = f"{tags[0].name}@{digest}" if inputs.push else inputs.tags[0]
        return Succeeded({"digest": digest, "reference": reference, "image_id": image_id})


def _build(
    client: DockerClient, inputs: DockerBuild.Inputs, ctx: Context, content: Any
) -> str | Failed:
    lines = client.api.build(
        fileobj=content,
        custom_context=True,
        dockerfile=inputs.dockerfile,
        target=inputs.target,
        buildargs=dict(inputs.build_args),
        labels=dict(inputs.labels) or None,
        nocache=not inputs.cache,
        cache_from=list(inputs.cache_from) or None,
        pull=inputs.pull,
        rm=True,
        forcerm=True,
        decode=True,
    )
    image_id = None
    for line in lines:
        ctx.check_cancelled()
        if "error" in line:
            return Failed(f"the build failed: {str(line['error']).strip()}", code="build-failed")
        if "stream" in line and line["stream"].strip():
            ctx.log(line["stream"].rstrip("\n"), stream="stdout")
        if "aux" in line and "ID" in line["aux"]:
            image_id = line["aux"]["ID"]
    if image_id is None:
        raise StageError("the engine ended the build without an image", code="docker-error")
    return str(image_id)


def _push(
    client: DockerClient, tag: ImageReference, inputs: DockerBuild.Inputs, ctx: Context
) -> str:
    from gennaker_stages.docker.engine import find_auth, log_progress

    lines: Iterable[dict[str, Any]] = client.api.push(
        _engine_name(tag),
        tag=tag.tag,
        stream=True,
        decode=True,
        auth_config=find_auth(tag.host, inputs.credentials),
    )
    digest = None
    for line in lines:
        log_progress(line, f"push {tag}", ctx)
        digest = (line.get("aux") or {}).get("Digest", digest)
    if digest is None:
        raise StageError(f"the push of {tag} gave no digest", code="docker-error")
    return str(digest)


def _engine_name(tag: ImageReference) -> str:
    """The engine's own spelling: Docker Hub is the registry without a host."""
    return tag.name.removeprefix("docker.io/")
