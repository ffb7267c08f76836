"""What is kept between runs: archives by their digests, unpacked charts, indexes of repositories."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from gennaker.files import write_private
from gennaker_stages.helm.archive import unpack_chart

__all__ = ["find_archive", "keep_archive", "keep_file", "unpack_kept"]


def keep_file(path: Path, content: bytes) -> None:
    """Write a file of a cache at once, whoever else writes it now."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_private(path, content)


def keep_archive(cache: Path, content: bytes) -> str:
    """Keep an archive and return its digest."""
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    path = _archive(cache, digest)
    if not path.exists():
        keep_file(path, content)
    return digest


def find_archive(cache: Path, digest: str) -> bytes | None:
    """Return a kept archive, None when there is none, or it is no longer what it was."""
    try:
        content = _archive(cache, digest).read_bytes()
    except OSError:
        return None
    return content if f"sha256:{hashlib.sha256(content).hexdigest()}" == digest else None


def unpack_kept(cache: Path, content: bytes, shown: str) -> Path:
    """Return the folder of a chart that is unpacked once and kept by its archive's digest.

    Raises:
        PermanentError: code ``helm-archive``.
    """
    target = cache / "charts" / hashlib.sha256(content).hexdigest()
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(dir=target.parent, prefix=".new-"))
        try:
            unpack_chart(content, new, shown)
            with suppress(OSError):  # another stage was quicker
                new.rename(target)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    return next(each for each in target.iterdir() if each.is_dir())


def _archive(cache: Path, digest: str) -> Path:
    return cache / "archives" / f"{digest.removeprefix('sha256:')}.tgz"
