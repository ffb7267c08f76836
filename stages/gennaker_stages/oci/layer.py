"""Reproducible layers: a tar whose bytes depend on names, modes and contents only."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from gennaker.errors import PermanentError
from gennaker.paths import join_inside

__all__ = ["LAYER_MEDIA_TYPE", "make_layer"]

# Uncompressed: gzip's bytes differ between versions of zlib and Python, and so would the digest.
LAYER_MEDIA_TYPE = "application/vnd.oci.image.layer.v1.tar"


def make_layer(files: Mapping[str, str], source: Path) -> bytes:
    """Return the tar of the files, sorted by name, owned by root, without times.

    Args:
        files: absolute path in the image to a file or folder of ``source``.
        source: the folder the values are relative to.

    Raises:
        PermanentError: code ``oci-file`` when a file is missing or is no file.
    """
    entries: dict[str, Path | None] = {}
    for target, origin in files.items():
        name = _check_target(target)
        path = join_inside(source, origin)
        if not path.exists():
            raise PermanentError(
                f"there is no file or folder {origin!r} in the source",
                code="oci-file",
                hint="name it relative to the project root",
            )
        for inner, found in _walk(path):
            entries[str(PurePosixPath(name) / inner) if inner else name] = found
    for name in list(entries):
        for parent in PurePosixPath(name).parents:
            if str(parent) != ".":
                entries.setdefault(str(parent), None)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(entries):
            _add(tar, name, entries[name], source)
    return stream.getvalue()


def digest_of_bytes(content: bytes) -> str:
    """Return ``sha256:HEX`` of the bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _check_target(target: str) -> str:
    path = PurePosixPath(target)
    if not path.is_absolute() or ".." in path.parts or len(path.parts) < 2:
        raise PermanentError(
            f"{target!r} is not an absolute path in the image", code="oci-file", hint="write '/www'"
        )
    return str(path.relative_to("/"))


def _walk(path: Path) -> Iterator[tuple[str, Path]]:
    yield "", path
    if path.is_dir() and not path.is_symlink():
        for each in sorted(path.rglob("*")):
            yield each.relative_to(path).as_posix(), each


def _add(tar: tarfile.TarFile, name: str, path: Path | None, source: Path) -> None:
    info = tarfile.TarInfo(name)
    info.mtime = 0
    info.uid = info.gid = 0
    if path is None or (path.is_dir() and not path.is_symlink()):
        info.type = tarfile.DIRTYPE
        info.mode = 0o755
        tar.addfile(info)
    elif path.is_symlink():
        if not path.resolve().is_relative_to(source.resolve()):
            raise PermanentError(f"{name!r} is a link that leaves the source", code="oci-file")
        info.type = tarfile.SYMTYPE
        info.linkname = str(path.readlink())
        info.mode = 0o777
        tar.addfile(info)
    elif path.is_file():
        content = path.read_bytes()
        info.size = len(content)
        info.mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
        tar.addfile(info, io.BytesIO(content))
    else:
        raise PermanentError(f"{name!r} is neither a file nor a folder", code="oci-file")
