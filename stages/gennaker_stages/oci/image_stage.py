"""``oci.build``: files on a base, without a daemon, the same bytes every time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from gennaker.errors import PermanentError
from gennaker.stage import (
    Artifact,
    Change,
    Check,
    Context,
    Outcome,
    Plan,
    PlanContext,
    Stage,
    StageInputs,
    StageOutputs,
    Succeeded,
)
from gennaker_stages.oci.base_files import BaseFiles
from gennaker_stages.oci.layer import LAYER_MEDIA_TYPE, make_layer
from gennaker_stages.oci.layout import (
    LAYOUT_MEDIA_TYPE,
    MANIFEST_MEDIA_TYPE,
    Image,
    assemble_image,
    digest_of_bytes,
    write_layout,
)
from gennaker_stages.registry.client import RegistryClient
from gennaker_stages.registry.credentials import CredentialsInput, check_logins, find_credentials
from gennaker_stages.registry.reference import ImageReference, parse_reference, parse_tag

__all__ = ["OciBuild"]


class OciBuild(Stage):
    """Build a reproducible container image from files, without a daemon and without root."""

    name = "oci.build"
    effect = "build"

    class Inputs(StageInputs):
        """What goes into the image and where it goes."""

        files: dict[str, str] = Field(
            description="Path in the image to a file or folder, relative to the project root"
        )
        base: str = Field(
            default="scratch", description="'scratch', or the reference of the image to build on"
        )
        tags: tuple[str, ...] = Field(
            min_length=1, description="References of the image; the first gives its repository"
        )
        push: bool = Field(default=False, description="Whether the image is pushed to its tags")
        entrypoint: tuple[str, ...] | None = Field(default=None, description="The entry point")
        command: tuple[str, ...] | None = Field(default=None, description="The command")
        env: dict[str, str] = Field(default_factory=dict, description="Environment variables")
        workdir: str | None = Field(default=None, description="The working directory")
        user: str | None = Field(default=None, description="The user, 'uid' or 'uid:gid'")
        ports: tuple[int, ...] = Field(default=(), description="TCP ports it listens on")
        labels: dict[str, str] = Field(default_factory=dict, description="Labels")
        platform: str = Field(
            default="linux/amd64",
            pattern=r"^[a-z0-9]+/[a-z0-9]+$",
            description="Operating system and architecture; of a base for several, which is taken",
        )
        credentials: CredentialsInput | None = Field(
            default=None, description="For the registry; the Docker configuration unless given"
        )

    class Outputs(StageOutputs):
        """The image that was built."""

        digest: str = Field(description="Digest of the image's manifest")
        reference: str = Field(description="The first tag's repository with that digest")
        layout: Artifact = Field(description="The image as a tar of an OCI layout")

    @classmethod
    def check_machine(cls, *, seconds: float) -> Iterator[Check]:
        """Look for credentials of registries."""
        return check_logins()

    def list_sources(self, inputs: Inputs) -> list[str]:
        """The files that go into the image."""
        return list(inputs.files.values())

    def plan(self, inputs: Inputs, ctx: PlanContext) -> Plan:
        """Say what would be built; without a base in a registry the digest is known already."""
        what = f"build {inputs.tags[0]}"
        changes = [Change("build", what, f"on {inputs.base}, with {', '.join(inputs.files)}")]
        if inputs.push:
            changes += [Change("run", f"push {each}") for each in inputs.tags]
        if inputs.base != "scratch":
            return Plan(changes, desired=inputs.model_dump(mode="json", exclude={"credentials"}))
        image = _assemble(inputs, ctx.source)
        content = write_layout(image)
        layout = Artifact(
            digest=digest_of_bytes(content), size=len(content), media_type=LAYOUT_MEDIA_TYPE
        )
        outputs = _describe_outputs(inputs, image, layout)
        return Plan(changes, desired={"digest": image.digest}, outputs=outputs)

    def run(self, inputs: Inputs, ctx: Context) -> Outcome:
        """Assemble, keep the layout as an artifact, push."""
        image = _assemble(inputs, ctx.source)
        ctx.log(f"built {image.digest}")
        for tag in inputs.tags if inputs.push else ():
            _push(image, parse_tag(tag), inputs.credentials, ctx)
        layout = ctx.artifacts.put(write_layout(image), media_type=LAYOUT_MEDIA_TYPE)
        return Succeeded(_describe_outputs(inputs, image, layout))


def _describe_outputs(inputs: OciBuild.Inputs, image: Image, layout: Artifact) -> dict[str, Any]:
    return {
        "digest": image.digest,
        "reference": f"{parse_reference(inputs.tags[0]).name}@{image.digest}",
        "layout": layout.model_dump(mode="json"),
    }


def _assemble(inputs: OciBuild.Inputs, source: Path) -> Image:
    for tag in inputs.tags:
        parse_tag(tag)
    base = None if inputs.base == "scratch" else _pull(inputs)
    settings: dict[str, Any] = {
        "Entrypoint": list(inputs.entrypoint) if inputs.entrypoint is not None else None,
        "Cmd": list(inputs.command) if inputs.command is not None else None,
        "Env": [f"{name}={value}" for name, value in sorted(inputs.env.items())],
        "WorkingDir": inputs.workdir,
        "User": inputs.user,
        "ExposedPorts": {f"{port}/tcp": {} for port in inputs.ports},
        "Labels": dict(inputs.labels),
    }
    return assemble_image(
        make_layer(inputs.files, source, BaseFiles.read(base) if base is not None else None),
        LAYER_MEDIA_TYPE,
        {name: value for name, value in settings.items() if value},
        base=base,
        platform=inputs.platform,
    )


def _pull(inputs: OciBuild.Inputs) -> Image:
    reference = parse_reference(inputs.base)
    client = RegistryClient(reference, find_credentials(reference.host, _own(inputs, reference)))
    content, media_type = client.pull_manifest(reference.digest or reference.tag or "latest")
    data = json.loads(content)
    if "manifests" in data:
        content = _choose(data, inputs, client)
        data = json.loads(content)
    if "layers" not in data:
        raise PermanentError(
            f"base {inputs.base!r} is a {media_type!r}, which is no image", code="image-missing"
        )
    names = [data["config"]["digest"], *(each["digest"] for each in data["layers"])]
    return Image(content, {name: client.pull_blob(name) for name in names})


def _choose(index: dict[str, Any], inputs: OciBuild.Inputs, client: RegistryClient) -> bytes:
    for each in index["manifests"]:
        found = each.get("platform") or {}
        if f"{found.get('os')}/{found.get('architecture')}" == inputs.platform:
            return client.pull_manifest(each["digest"])[0]
    raise PermanentError(
        f"base {inputs.base!r} has no image for {inputs.platform}", code="image-missing"
    )


def _push(
    image: Image, target: ImageReference, given: CredentialsInput | None, ctx: Context
) -> None:
    client = RegistryClient(target, find_credentials(target.host, given))
    for digest, content in image.blobs.items():
        ctx.check_cancelled()
        if client.push_blob(digest, content):
            ctx.log(f"pushed {digest}, {len(content)} bytes")
    client.push_manifest(target.tag or "latest", image.manifest, MANIFEST_MEDIA_TYPE)
    ctx.log(f"pushed {target}")


def _own(inputs: OciBuild.Inputs, reference: ImageReference) -> CredentialsInput | None:
    """The given credentials belong to the tags' registry; a base elsewhere does not get them."""
    same = parse_reference(inputs.tags[0]).host == reference.host
    return inputs.credentials if same else None
