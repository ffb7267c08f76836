"""What a base image's file system looks like, as far as a layer on top of it must know.

A layer that puts ``/bin/app`` on a base where ``/bin`` is a link to ``usr/bin`` would replace the
link by a folder, and one that puts ``/tmp/x`` would take ``/tmp`` its sticky bit, unless the layer
says of each folder what the base says.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import PurePosixPath

from gennaker.errors import PermanentError
from gennaker_stages.oci.layout import Image

__all__ = ["BaseFiles"]

MAX_ENTRIES = 1_000_000
MAX_LINKS = 40
_HIDDEN = ".wh."
_OPAQUE = ".wh..wh..opq"


class BaseFiles:
    """The folders and links of an image, by path without a leading slash."""

    def __init__(self, entries: Mapping[str, tarfile.TarInfo] | None = None) -> None:
        self._entries = dict(entries or {})

    @classmethod
    def read(cls, image: Image) -> BaseFiles:
        """Return what the layers of an image make together.

        Raises:
            PermanentError: code ``oci-base`` when a layer is no tar this Python can read.
        """
        found = cls()
        for layer in image.data["layers"]:
            try:
                content = io.BytesIO(image.blobs[layer["digest"]])
                with tarfile.open(fileobj=content, mode="r:*") as tar:
                    for member in tar:
                        found._add(member)
            except (tarfile.TarError, OSError, EOFError) as error:
                raise PermanentError(
                    f"layer {layer['digest']} of the base ({layer['mediaType']}) cannot be read: "
                    f"{error}",
                    code="oci-base",
                    hint="use a base whose layers are tar or gzip",
                ) from error
        return found

    def find_folder(self, path: str) -> tarfile.TarInfo | None:
        """Return the base's folder of this path, None when it has none."""
        entry = self._entries.get(path)
        return entry if entry is not None and entry.isdir() else None

    def resolve(self, path: str) -> str:
        """Return where a file of this path really is: links above it are followed."""
        left = list(PurePosixPath(path).parts)
        done: list[str] = []
        links = 0
        while len(left) > 1:
            part = left.pop(0)
            if part == "..":
                done = done[:-1]
                continue
            entry = self._entries.get("/".join([*done, part]))
            if entry is None or not entry.issym():
                done.append(part)
                continue
            links += 1
            if links > MAX_LINKS:
                raise PermanentError(f"links of the base go round at {path!r}", code="oci-base")
            target = PurePosixPath(entry.linkname)
            done = [] if target.is_absolute() else done
            left = [*(each for each in target.parts if each != "/"), *left]
        return "/".join([*done, *left])

    def _add(self, member: tarfile.TarInfo) -> None:
        path = PurePosixPath("/", member.name).relative_to("/")
        name, folder = path.name, str(path.parent)
        if name == _OPAQUE:
            self._remove(folder, itself=False)
        elif name.startswith(_HIDDEN):
            self._remove(str(path.parent / name.removeprefix(_HIDDEN)))
        elif member.isdir() or member.issym():
            self._entries[str(path)] = member
        else:
            self._entries.pop(str(path), None)
        if len(self._entries) > MAX_ENTRIES:
            raise PermanentError(
                f"the base has more than {MAX_ENTRIES} folders and links", code="oci-base"
            )

    def _remove(self, path: str, *, itself: bool = True) -> None:
        inside = [each for each in self._entries if each.startswith(f"{path}/")]
        for each in [*inside, *([path] if itself else [])]:
            self._entries.pop(each, None)
