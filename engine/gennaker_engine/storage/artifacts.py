"""The content-addressed artifact store of the embedded runtime, a folder of files.

Implements :class:`gennaker.stage.ArtifactStore`. The same bytes are stored once; a stored file is
on disk before its artifact is returned, so that an outcome never names what is lost.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from gennaker.errors import PermanentError, StageError
from gennaker.stage import Artifact
from gennaker_engine.storage.folder import make_private
from gennaker_engine.storage.sweeping import hold_off_sweep

__all__ = ["TREE_MEDIA_TYPE", "ArtifactFolder"]

TREE_MEDIA_TYPE = "application/x-tar"
MAX_UNPACKED = 1 << 30
_CHUNK = 1 << 20


class ArtifactFolder:
    """Artifacts below one folder, by digest."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(
        self,
        content: Path | bytes,
        *,
        media_type: str = "application/octet-stream",
        name: str = "",
    ) -> Artifact:
        """Store bytes or a file and return its artifact.

        Raises:
            PermanentError: code ``artifact-missing`` when there is no such file.
        """
        if isinstance(content, bytes):
            digest = _digest(io.BytesIO(content))
            artifact = Artifact(digest=digest, size=len(content), media_type=media_type)
            if self._is_stored(artifact):
                return artifact
            return self._store(io.BytesIO(content), media_type)
        if not content.is_file():
            raise PermanentError(
                f"artifact {name or content.name!r}: there is no file {str(content)!r}",
                code="artifact-missing",
            )
        with content.open("rb") as stream:
            return self._store(stream, media_type)

    def put_tree(self, folder: Path, *, name: str = "") -> Artifact:
        """Store a folder as one tar whose bytes depend on names, modes and contents only."""
        if not folder.is_dir():
            raise PermanentError(
                f"artifact {name or folder.name!r}: there is no folder {str(folder)!r}",
                code="artifact-missing",
            )
        with tempfile.TemporaryFile(dir=self._make_folder()) as stream:
            with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as tar:
                for path in _walk(folder):
                    _add(tar, folder, path)
            stream.seek(0)
            return self._store(stream, TREE_MEDIA_TYPE)

    def path_of(self, artifact: Artifact) -> Path:
        """Return the file that holds the artifact's bytes (it may be missing)."""
        algorithm, _, value = artifact.digest.partition(":")
        if algorithm != "sha256" or len(value) != 64 or not value.isalnum():
            raise PermanentError(f"{artifact.digest!r} is not a digest", code="artifact-missing")
        return self.folder / "sha256" / value[:2] / value

    def open(self, artifact: Artifact) -> BinaryIO:
        """Open an artifact's bytes; they are checked against the digest first.

        Raises:
            StageError: code ``artifact-missing`` or ``artifact-corrupt``.
        """
        try:
            stream = self.path_of(artifact).open("rb")
        except FileNotFoundError:
            raise StageError(
                f"artifact {artifact.digest} is not in {str(self.folder)!r}",
                code="artifact-missing",
                hint="run the stage that makes it again",
            ) from None
        if _digest(stream) != artifact.digest:
            stream.close()
            raise StageError(
                f"artifact {artifact.digest} was changed on disk",
                code="artifact-corrupt",
                hint="remove it and run the stage that makes it again",
            )
        stream.seek(0)
        return stream

    def lay(self, artifact: Artifact, target: Path) -> None:
        """Write the artifact to ``target``: a file, or the folder when it is a tar of one."""
        with self.open(artifact) as stream:
            if artifact.media_type == TREE_MEDIA_TYPE:
                _extract(stream, target)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as out:
                    shutil.copyfileobj(stream, out, _CHUNK)

    def _make_folder(self) -> Path:
        return make_private(self.folder)

    def _is_stored(self, artifact: Artifact) -> bool:
        """Whether it is there, unchanged; then it is made young again, which costs no disk its time."""
        path = self.path_of(artifact)
        with contextlib.suppress(OSError), hold_off_sweep(self.folder), path.open("rb") as stream:
            if _digest(stream) == artifact.digest:
                os.utime(path)
                return True
        return False

    def _store(self, stream: BinaryIO, media_type: str) -> Artifact:
        hasher = hashlib.sha256()
        size = 0
        handle, temporary = tempfile.mkstemp(dir=self._make_folder(), prefix="put-")
        try:
            with os.fdopen(handle, "wb") as out:
                while chunk := stream.read(_CHUNK):
                    hasher.update(chunk)
                    size += len(chunk)
                    out.write(chunk)
                out.flush()
                os.fsync(out.fileno())
            artifact = Artifact(
                digest=f"sha256:{hasher.hexdigest()}", size=size, media_type=media_type
            )
            final = self.path_of(artifact)
            make_private(final.parent)
            with hold_off_sweep(self.folder):
                Path(temporary).replace(final)  # also when it is there: it is young again then
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        return artifact


def _digest(stream: BinaryIO) -> str:
    hasher = hashlib.sha256()
    while chunk := stream.read(_CHUNK):
        hasher.update(chunk)
    return f"sha256:{hasher.hexdigest()}"


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)


def _add(tar: tarfile.TarFile, root: Path, path: Path) -> None:
    info = tarfile.TarInfo(path.relative_to(root).as_posix())
    if path.is_symlink():
        if not path.resolve().is_relative_to(root.resolve()):
            raise PermanentError(
                f"{info.name!r} is a link that leaves the folder", code="artifact-link"
            )
        info.type = tarfile.SYMTYPE
        info.linkname = str(path.readlink())
        tar.addfile(info)
    elif path.is_dir():
        info.type = tarfile.DIRTYPE
        info.mode = 0o755
        tar.addfile(info)
    elif path.is_file():
        stat = path.stat()
        info.size = stat.st_size
        info.mode = 0o755 if stat.st_mode & 0o100 else 0o644
        with path.open("rb") as stream:
            tar.addfile(info, stream)
    else:
        raise PermanentError(f"{info.name!r} is neither a file nor a folder", code="artifact-link")


def _extract(stream: BinaryIO, target: Path) -> None:
    """Unpack a tar below ``target``; a name or link that leaves it is refused.

    By hand, since ``tarfile``'s own filters are missing from some 3.11 releases.
    """
    target.mkdir(parents=True, exist_ok=True)
    root = target.resolve()
    total = 0
    with tarfile.open(fileobj=stream, mode="r:") as tar:
        for member in tar:
            name = PurePosixPath(member.name)
            path = root / name
            if (
                name.is_absolute()
                or ".." in name.parts
                or not path.parent.resolve().is_relative_to(root)
            ):
                raise PermanentError(f"{member.name!r} leaves the folder", code="artifact-link")
            total += member.size
            if total > MAX_UNPACKED:
                raise PermanentError("unpacks to more than 1 GiB", code="artifact-size")
            _extract_member(tar, member, path, root)


def _extract_member(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path, root: Path) -> None:
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True)
    elif member.issym():
        if not (path.parent / member.linkname).resolve().is_relative_to(root):
            raise PermanentError(f"{member.name!r} leaves the folder", code="artifact-link")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(member.linkname)
    elif member.isfile():
        path.parent.mkdir(parents=True, exist_ok=True)
        content = tar.extractfile(member)
        assert content is not None  # a regular file always has content
        with content, path.open("wb") as out:
            shutil.copyfileobj(content, out, _CHUNK)
        path.chmod(member.mode & 0o755)
    else:
        raise PermanentError(
            f"{member.name!r} is neither a file nor a folder", code="artifact-link"
        )
