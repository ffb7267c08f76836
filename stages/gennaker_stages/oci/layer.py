"""Reproducible layers: a tar whose bytes depend on names, modes and contents only."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from gennaker.errors import PermanentError
from gennaker.paths import join_inside
from gennaker_stages.oci.base_files import BaseFiles

__all__ = ["LAYER_MEDIA_TYPE", "make_layer"]

# Uncompressed: gzip's bytes differ between versions of zlib and Python, and so would the digest.
LAYER_MEDIA_TYPE = "application/vnd.oci.image.layer.v1.tar"


def make_layer(files: Mapping[str, str], source: Path, base: BaseFiles | None = None) -> bytes:
    """Return the tar of the files, sorted by name, owned by root, without times.

    Args:
        files: absolute path in the image to a file or folder of ``source``.
        source: the folder the values are relative to.
        base: what is below the layer; its folders keep their modes and owners.

    Raises:
        PermanentError: code ``oci-file`` when a file is missing or is no file.
    """
    below = base or BaseFiles()
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
            inside = str(PurePosixPath(name) / inner) if inner else name
            entries[below.resolve(inside)] = found
    for name in list(entries):
        for parent in list(PurePosixPath(name).parents)[:-1]:
            above = entries.setdefault(str(parent), None)
            if above is not None and not _is_folder(above):
                raise PermanentError(
                    f"{f'/{parent}'!r} is a file, so {f'/{name}'!r} cannot be below it",
                    code="oci-file",
                )
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(entries):
            _add(tar, _make_entry(name, below), entries[name], source)
    return stream.getvalue()


def _check_target(target: str) -> str:
    path = PurePosixPath(target)
    if not path.is_absolute() or ".." in path.parts or len(path.parts) < 2:
        raise PermanentError(
            f"{target!r} is not an absolute path in the image", code="oci-file", hint="write '/www'"
        )
    return str(path.relative_to("/"))


def _walk(path: Path) -> Iterator[tuple[str, Path]]:
    yield "", path
    if _is_folder(path):
        for each in sorted(path.rglob("*")):
            yield each.relative_to(path).as_posix(), each


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _make_entry(name: str, below: BaseFiles) -> tarfile.TarInfo:
    """A folder as the base has it, else one of root's; :func:`_add` makes a file of it."""
    info = tarfile.TarInfo(name)
    info.type = tarfile.DIRTYPE
    info.mode = 0o755
    known = below.find_folder(name)
    if known is not None:
        info.mode, info.uid, info.gid = known.mode, known.uid, known.gid
    return info


def _add(tar: tarfile.TarFile, info: tarfile.TarInfo, path: Path | None, source: Path) -> None:
    if path is None or _is_folder(path):
        tar.addfile(info)
        return
    info.uid = info.gid = 0
    if path.is_symlink():
        if not path.resolve().is_relative_to(source.resolve()):
            raise PermanentError(
                f"{path.relative_to(source).as_posix()!r} is a link that leaves the source",
                code="oci-file",
                hint="copy the file into the source",
            )
        info.type = tarfile.SYMTYPE
        info.linkname = str(path.readlink())
        info.mode = 0o777
        tar.addfile(info)
    elif path.is_file():
        content = path.read_bytes()
        info.type = tarfile.REGTYPE
        info.size = len(content)
        info.mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
        tar.addfile(info, io.BytesIO(content))
    else:
        raise PermanentError(
            f"{path.relative_to(source).as_posix()!r} is neither a file nor a folder",
            code="oci-file",
        )
