"""A build context: the files Docker is sent, as a tar that depends on contents only."""

from __future__ import annotations

import tarfile
import tempfile
from pathlib import Path
from typing import BinaryIO

from gennaker.errors import PermanentError
from gennaker.paths import join_inside

__all__ = ["make_context"]


def make_context(folder: Path, dockerfile: str, shown: str) -> BinaryIO:
    """Return the context's tar; ``.dockerignore`` is respected.

    Args:
        folder: the context.
        dockerfile: relative to the context.
        shown: how the user named the context.

    Raises:
        PermanentError: code ``docker-context`` when there is no such folder or no Dockerfile.
    """
    # Never a part of `docker` before the whole: another stage's thread may be importing that just now.
    from docker import utils

    if not folder.is_dir():
        raise PermanentError(
            f"there is no folder {shown!r} in the source",
            code="docker-context",
            hint="'context' is relative to the project root",
        )
    if not join_inside(folder, dockerfile).is_file():
        raise PermanentError(
            f"there is no Dockerfile {dockerfile!r} in {shown!r}",
            code="docker-context",
            hint="'dockerfile' is relative to the context",
        )
    ignore = folder / ".dockerignore"
    patterns = ignore.read_text().splitlines() if ignore.is_file() else []
    patterns = [each.strip() for each in patterns if each.strip() and not each.startswith("#")]
    names = sorted(utils.exclude_paths(str(folder), patterns, dockerfile=dockerfile))
    stream = tempfile.TemporaryFile()  # noqa: SIM115  # the caller closes what it is given
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name in names:
            _add(tar, folder / name, name)
    stream.seek(0)
    return stream


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    info = tarfile.TarInfo(name)
    if path.is_symlink():
        info.type = tarfile.SYMTYPE
        info.linkname = str(path.readlink())
        info.mode = 0o777
        tar.addfile(info)
    elif path.is_dir():
        info.type = tarfile.DIRTYPE
        info.mode = 0o755
        tar.addfile(info)
    elif path.is_file():
        stat = path.stat()
        info.size = stat.st_size
        info.mode = 0o755 if stat.st_mode & 0o100 else 0o644
        with path.open("rb") as content:
            tar.addfile(info, content)
