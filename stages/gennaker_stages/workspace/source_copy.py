"""A writable copy of the read-only source, sharing its blocks where the file system can."""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path

__all__ = ["copy_source"]

_FICLONE = 0x40049409


def copy_source(source: Path, target: Path) -> None:
    """Copy the file or tree at ``source`` to ``target``, which is made with the folders above it.

    Files and folders become writable for their owner, links are kept as links (a source has none
    that leave it).
    """
    if source.is_dir():
        _copy(source, target, _Cloner())
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        _copy_file(source, target, _Cloner())


def _copy(source: Path, target: Path, cloner: _Cloner) -> None:
    target.mkdir(mode=0o755, parents=True, exist_ok=True)
    with os.scandir(source) as entries:
        for entry in entries:
            to = target / entry.name
            if entry.is_symlink():
                to.symlink_to(Path(entry.path).readlink())
            elif entry.is_dir():
                _copy(Path(entry.path), to, cloner)
            elif entry.is_file():
                _copy_file(Path(entry.path), to, cloner)


def _copy_file(source: Path, target: Path, cloner: _Cloner) -> None:
    cloner.copy(source, target)
    target.chmod(stat.S_IMODE(source.stat().st_mode) | stat.S_IRUSR | stat.S_IWUSR)


class _Cloner:
    """Copies files by reflink; after the first that cannot be, by content."""

    def __init__(self) -> None:
        self._can_clone = True

    def copy(self, source: Path, target: Path) -> None:
        if not (self._can_clone and self._clone(source, target)):
            shutil.copyfile(source, target)

    def _clone(self, source: Path, target: Path) -> bool:
        # Not on every system, and refused by most file systems (ext4, tmpfs) and between two.
        with suppress(ImportError, OSError):
            import fcntl

            with source.open("rb") as reading, target.open("wb") as writing:
                fcntl.ioctl(writing.fileno(), _FICLONE, reading.fileno())
            return True
        self._can_clone = False
        return False
