"""Removing files that nothing refers to any more: artifacts, sources, and what belongs to gone runs.

``gennaker gc`` marks what the journal mentions and sweeps the rest here. A file that somebody may be
about to mention is safe twice: it is younger than the cut (who stores what is there already makes it
young again), and storing and sweeping never happen at the same moment (:func:`hold_off_sweep`).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gennaker_engine.storage.folder import make_private
from gennaker_engine.storage.workspaces import remove_tree

__all__ = [
    "Swept",
    "hold_off_sweep",
    "sweep_artifacts",
    "sweep_cache",
    "sweep_runs",
    "sweep_sources",
]

_GONE = "gone-"
"""Begins the name of a folder that is being removed: nobody finds half of one by its own name."""


@dataclass(slots=True)
class Swept:
    """What was removed, or would be.

    Attributes:
        count: artifacts, files, or folders of runs.
        size: their bytes.
    """

    count: int = 0
    size: int = 0

    def add(self, size: int) -> None:
        """Count one more."""
        self.count += 1
        self.size += size


@contextlib.contextmanager
def hold_off_sweep(folder: Path) -> Iterator[None]:
    """Let nothing be swept from a folder of the state during the block; many may hold at once."""
    with _locked(folder, fcntl.LOCK_SH):
        yield


@contextlib.contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    path = make_private(folder).with_name(f".{folder.name}.lock")
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, how)
        yield
    finally:
        os.close(handle)


def sweep_artifacts(
    folder: Path, marked: Collection[str], *, before: float, dry_run: bool = False
) -> Swept:
    """Remove artifacts that are not marked.

    Args:
        folder: of the artifacts.
        marked: SHA-256 digests in hexadecimal that are kept.
        before: seconds since the epoch; what was stored later is kept.
        dry_run: only count.
    """
    swept = Swept()
    for group in _list(folder / "sha256"):
        files = (each for each in _list(group) if each.name not in marked)
        _sweep(folder, files, before=before, dry_run=dry_run, swept=swept)
    # What a process that died had not finished writing.
    left = (each for each in _list(folder) if each.is_file())
    _sweep(folder, left, before=before, dry_run=dry_run, swept=Swept())
    return swept


def sweep_sources(
    folder: Path, marked: Collection[str], *, before: float, dry_run: bool = False
) -> Swept:
    """Remove snapshots that are not marked: manifests, then the blobs no manifest names, and trees.

    Args:
        folder: of the sources.
        marked: digests of sources that are kept.
        before: seconds since the epoch; what was used later is kept.
        dry_run: only count.
    """
    swept = Swept()

    def sweep(
        paths: Iterable[Path], remove: Callable[[Path], None] = Path.unlink, count: int = 0
    ) -> None:
        found = Swept()
        _sweep(folder, paths, before=before, dry_run=dry_run, swept=found, remove=remove)
        swept.count += found.count * count
        swept.size += found.size

    manifests = _list(folder / "manifests")
    loose = [each for each in manifests if each.stem not in marked]
    sweep(loose, count=1)
    # What is still there is named by a manifest that is kept, or was made young again meanwhile.
    kept = manifests if not dry_run else [each for each in manifests if each not in set(loose)]
    named = {blob for each in kept for blob in _list_blobs(each)}
    for group in _list(folder / "blobs"):
        sweep(each for each in _list(group) if each.name not in named)
    sweep((each for each in _list(folder / "trees") if each.name not in marked), _remove_whole)
    return swept


def sweep_runs(
    folder: Path, list_known: Callable[[], Collection[str]], *, dry_run: bool = False
) -> Swept:
    """Remove the folders of runs that are not known: logs or workspaces.

    Args:
        folder: has a folder for each run.
        list_known: gives the runs to keep; asked after the folders were listed, so that none of
            them can be of a run that is too new to be known.
        dry_run: only count.
    """
    swept = Swept()
    found = [each for each in _list(folder) if each.is_dir()]
    known = list_known() if found else ()
    for each in found:
        if each.name not in known:
            if any(path.is_file() for path in each.rglob("*")):
                swept.add(_measure(each))
            if not dry_run:
                remove_tree(each)
    return swept


def sweep_cache(folder: Path, *, before: float, dry_run: bool = False) -> Swept:
    """Remove the files of stage types' caches that nobody wrote or read since ``before``."""
    swept = Swept()
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            with contextlib.suppress(FileNotFoundError):
                found = path.lstat()
                if max(found.st_mtime, found.st_atime) < before:
                    swept.add(found.st_size)
                    if not dry_run:
                        path.unlink()
    return swept


def _sweep(
    folder: Path,
    paths: Iterable[Path],
    *,
    before: float,
    dry_run: bool,
    swept: Swept,
    remove: Callable[[Path], None] = Path.unlink,
) -> None:
    """Remove what is older, each between two moments in which somebody may store it anew."""
    for path in paths:
        with _locked(folder, fcntl.LOCK_EX), contextlib.suppress(FileNotFoundError):
            if path.name.startswith(_GONE) or path.lstat().st_mtime < before:
                swept.add(_measure(path))
                if not dry_run:
                    remove(path)


def _remove_whole(path: Path) -> None:
    """Remove a folder that others find by its name: it is gone at once, or not at all."""
    if not path.name.startswith(_GONE):
        path = path.rename(path.with_name(_GONE + path.name))
    remove_tree(path)


def _list(folder: Path) -> list[Path]:
    """Return what is in a folder, nothing when there is none."""
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _list_blobs(manifest: Path) -> Iterator[str]:
    try:
        entries = json.loads(manifest.read_bytes())
        yield from (blob for _path, _mode, blob in entries)
    except FileNotFoundError:
        return


def _measure(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder."""
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    total = 0
    for parent, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += Path(parent, name).lstat().st_size
    return total
