"""OCI images as values: configuration, manifest, and the layout that holds them.

After the OCI image specification 1.1 (image-layout.md, manifest.md, config.md). All JSON has sorted
keys and no times, so the same input gives the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from gennaker.errors import PermanentError
from gennaker.records import dataclass

__all__ = [
    "LAYOUT_MEDIA_TYPE",
    "MANIFEST_MEDIA_TYPE",
    "Image",
    "assemble_image",
    "digest_of_bytes",
    "read_layout",
    "write_layout",
]

MANIFEST_MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_MEDIA_TYPE = "application/vnd.oci.image.config.v1+json"
INDEX_MEDIA_TYPE = "application/vnd.oci.image.index.v1+json"
LAYOUT_MEDIA_TYPE = "application/vnd.oci.image.layout.v1+tar"
_LAYERS = {
    "application/vnd.docker.image.rootfs.diff.tar.gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.docker.image.rootfs.diff.tar": "application/vnd.oci.image.layer.v1.tar",
}


def digest_of_bytes(content: bytes) -> str:
    """Return ``sha256:HEX`` of the bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Image:
    """An image: its manifest's exact bytes and every blob the manifest names, by digest."""

    manifest: bytes
    blobs: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The digest by which registries and clusters know the image."""
        return digest_of_bytes(self.manifest)

    @property
    def data(self) -> dict[str, Any]:
        """The manifest as data."""
        data: dict[str, Any] = json.loads(self.manifest)
        return data

    @property
    def config(self) -> dict[str, Any]:
        """The image's configuration."""
        data: dict[str, Any] = json.loads(self.blobs[self.data["config"]["digest"]])
        return data


def assemble_image(
    layer: bytes,
    layer_media_type: str,
    settings: Mapping[str, Any],
    *,
    base: Image | None,
    platform: str,
) -> Image:
    """Return ``base`` with one more layer and the settings on top.

    Args:
        settings: the ``config`` section: ``Cmd``, ``Env``, ``Labels`` … as the specification names
            them; ``Env`` and ``Labels`` are added to the base's, the others replace them, and an
            ``Entrypoint`` takes the base's ``Cmd`` away.
        platform: ``os/architecture`` for an image without a base.
    """
    system, _, architecture = platform.partition("/")
    config: dict[str, Any] = (
        {"os": system, "architecture": architecture, "config": {}, "rootfs": {}}
        if base is None
        else dict(base.config)
    )
    config.pop("created", None)
    config.pop("history", None)
    before = dict(config.get("config") or {})
    if "Entrypoint" in settings:
        before.pop("Cmd", None)  # it was meant for another program, as a Dockerfile has it
    config["config"] = {**before, **settings}
    for name, merge in (("Labels", _merge_labels), ("Env", _merge_env)):
        merged = merge(before.get(name), settings.get(name))
        if merged:
            config["config"][name] = merged
    layers = [_as_oci(each) for each in base.data["layers"]] if base is not None else []
    blobs = {each["digest"]: base.blobs[each["digest"]] for each in layers} if base else {}
    known = (config.get("rootfs") or {}).get("diff_ids", [])
    config["rootfs"] = {"type": "layers", "diff_ids": [*known, digest_of_bytes(layer)]}
    layers.append(_describe(layer, layer_media_type))
    blobs[digest_of_bytes(layer)] = layer
    config_bytes = _encode(config)
    blobs[digest_of_bytes(config_bytes)] = config_bytes
    manifest = _encode(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_MEDIA_TYPE,
            "config": _describe(config_bytes, CONFIG_MEDIA_TYPE),
            "layers": layers,
        }
    )
    return Image(manifest, blobs)


def write_layout(image: Image) -> bytes:
    """Return the image as a tar of an OCI layout; ``docker load`` and ``skopeo`` read it."""
    descriptor = {**_describe(image.manifest, MANIFEST_MEDIA_TYPE)}
    files = {
        "oci-layout": _encode({"imageLayoutVersion": "1.0.0"}),
        "index.json": _encode(
            {"schemaVersion": 2, "mediaType": INDEX_MEDIA_TYPE, "manifests": [descriptor]}
        ),
    }
    for digest, content in {**image.blobs, image.digest: image.manifest}.items():
        files[f"blobs/sha256/{digest.removeprefix('sha256:')}"] = content
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(files):
            info = tarfile.TarInfo(name)
            info.size = len(files[name])
            info.mode = 0o644
            tar.addfile(info, io.BytesIO(files[name]))
    return stream.getvalue()


def read_layout(content: bytes) -> Image:
    """Return the one image of a layout's tar; every blob is checked against its digest.

    Raises:
        PermanentError: code ``oci-layout``.
    """
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
            for member in tar:
                stream = tar.extractfile(member) if member.isfile() else None
                if stream is not None:
                    files[member.name] = stream.read()
        index = json.loads(files["index.json"])
        digest = index["manifests"][0]["digest"]
        manifest = files[_blob_name(digest)]
        data = json.loads(manifest)
        names = [data["config"]["digest"], *(each["digest"] for each in data["layers"])]
        blobs = {name: files[_blob_name(name)] for name in names}
    except (KeyError, IndexError, ValueError, tarfile.TarError) as error:
        raise PermanentError(f"not an OCI layout: {error}", code="oci-layout") from error
    for name, blob in {**blobs, digest: manifest}.items():
        if digest_of_bytes(blob) != name:
            raise PermanentError(f"blob {name} of the layout was changed", code="oci-layout")
    return Image(manifest, blobs)


def _blob_name(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def _as_oci(descriptor: Mapping[str, Any]) -> dict[str, Any]:
    """The descriptor with OCI's media type: an OCI manifest may not name Docker's."""
    media_type = descriptor["mediaType"]
    return {**descriptor, "mediaType": _LAYERS.get(media_type, media_type)}


def _describe(content: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of_bytes(content), "size": len(content)}


def _encode(data: Any) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


def _merge_labels(before: Mapping[str, str] | None, after: Mapping[str, str] | None) -> Any:
    return {**(before or {}), **(after or {})}


def _merge_env(before: list[str] | None, after: list[str] | None) -> Any:
    merged = dict(each.partition("=")[::2] for each in (*(before or ()), *(after or ())))
    return [f"{name}={value}" for name, value in merged.items()]
