"""Files into and out of a container, as tars through the engine.

They are copied, not bound: so it works with an engine on another machine, for images with a user of
their own, and nothing of the container's users is left in the workspace.
"""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from gennaker.errors import PermanentError

__all__ = ["pack_files", "unpack_files"]

MAX_UNPACKED = 1 << 30
_CHUNK = 1 << 20


@contextmanager
def pack_files(trees: Mapping[str, Path]) -> Iterator[BinaryIO]:
    """Give a tar of files and folders that every user of the container may read and write.

    Args:
        trees: path in the container, without the leading slash, to what is put there.
    """
    with tempfile.TemporaryFile() as stream:
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name, path in trees.items():
                tar.add(path, name, filter=_open_to_all)
        stream.seek(0)
        yield stream


def _open_to_all(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mode = 0o777 if info.isdir() or info.mode & 0o100 else 0o666
    return info


def unpack_files(chunks: Iterable[bytes], target: Path) -> None:
    """Unpack what the engine gives of a path into the folder ``target``; nothing gets out of it.

    By hand, since ``tarfile``'s own filters are missing from some 3.11 releases.

    Raises:
        PermanentError: code ``artifact-link`` or ``artifact-size``.
    """
    target.mkdir(parents=True, exist_ok=True)
    root = target.resolve()
    with tempfile.TemporaryFile() as stream:
        size = 0
        for chunk in chunks:
            size += len(chunk)
            if size > MAX_UNPACKED:
                raise PermanentError("the container left more than 1 GiB", code="artifact-size")
            stream.write(chunk)
        stream.seek(0)
        with tarfile.open(fileobj=stream, mode="r:") as tar:
            for member in tar:
                _unpack(tar, member, root)


def _unpack(tar: tarfile.TarFile, member: tarfile.TarInfo, root: Path) -> None:
    name = PurePosixPath(member.name)
    path = root / name
    inside = not name.is_absolute() and ".." not in name.parts
    if not inside or not path.parent.resolve().is_relative_to(root):
        raise PermanentError(f"{member.name!r} leaves the folder", code="artifact-link")
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if member.issym():
        path.symlink_to(member.linkname)
        return
    # A hard link reads as the file it is a link to.
    content = tar.extractfile(member) if member.isfile() or member.islnk() else None
    if content is None:
        raise PermanentError(
            f"{member.name!r} is neither a file nor a folder", code="artifact-link"
        )
    with content, path.open("xb") as out:
        shutil.copyfileobj(content, out, _CHUNK)
    path.chmod(0o755 if member.mode & 0o100 else 0o644)
