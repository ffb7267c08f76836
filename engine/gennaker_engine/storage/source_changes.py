"""Which files that a stage read of its run's source are different in another source."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from gennaker_engine.storage.folder import StateFolder
from gennaker_engine.storage.source import LINK, list_entries, read_contents

__all__ = ["WHOLE", "SourceComparison", "clean_paths"]

WHOLE = "."
"""The path that stands for all of a source."""

Facts = Mapping[str, Any]
Entries = dict[str, tuple[str, str]]
"""Path to mode and name of the content."""


def clean_paths(paths: Iterable[str]) -> tuple[str, ...]:
    """Return files and folders of a source in one form; what leaves it counts as all of it."""
    found = {posixpath.normpath(each) for each in paths}
    if any(each == WHOLE or each.startswith(("/", "..")) for each in found):
        return (WHOLE,)
    return tuple(sorted(found))


class SourceComparison:
    """Compares sources of earlier runs with one of now; a source is listed once.

    Args:
        now: facts of the source of now (``RunCreated.source``).
        state: where snapshots are.
        root: the project, whose repository has the commits.
    """

    def __init__(self, now: Facts, *, state: StateFolder, root: Path) -> None:
        self._now = now
        self._state = state
        self._root = root
        self._listed: dict[str, Entries] = {}

    def list_changed(self, then: Facts, paths: Iterable[str]) -> list[str]:
        """Return the files of ``paths`` (each a file or a folder) that are not the same, sorted.

        Where a symbolic link leads into or out of them all files count, since what is read through
        it may be anywhere in the source.

        Raises:
            GennakerError: code ``source-missing`` when the earlier source is gone.
        """
        if then["digest"] == self._now["digest"]:
            return []
        old, new = self._list(then), self._list(self._now)
        wanted = clean_paths(paths)
        if any(_is_linked(entries, wanted) for entries in (old, new)):
            wanted = (WHOLE,)
        names = sorted(each for each in {*old, *new} if _covers(wanted, each))
        changed = [each for each in names if old.get(each) != new.get(each)]
        if (then["kind"] == "commit") != (self._now["kind"] == "commit"):
            hash_old, hash_new = self._hash(then, old, changed), self._hash(self._now, new, changed)
            changed = [each for each in changed if hash_old(each) != hash_new(each)]
        return changed

    def _list(self, facts: Facts) -> Entries:
        digest = facts["digest"]
        if digest not in self._listed:
            found = list_entries(facts, state=self._state, root=self._root)
            self._listed[digest] = {path: (mode, name) for path, mode, name in found}
        return self._listed[digest]

    def _hash(
        self, facts: Facts, entries: Entries, paths: Collection[str]
    ) -> Callable[[str], tuple[str, str] | None]:
        """Return what gives mode and SHA-256 of a file, whichever way the source is kept."""
        if facts["kind"] != "commit":
            return entries.get
        names = {entries[each][1] for each in paths if each in entries}
        contents = read_contents(facts, names, state=self._state, root=self._root)
        hashed = {name: hashlib.sha256(content).hexdigest() for name, content in contents}

        def find(path: str) -> tuple[str, str] | None:
            found = entries.get(path)
            return None if found is None else (found[0], hashed[found[1]])

        return find


def _covers(paths: Collection[str], name: str) -> bool:
    return any(each in (WHOLE, name) or name.startswith(f"{each}/") for each in paths)


def _is_linked(entries: Entries, paths: Collection[str]) -> bool:
    """Whether a symbolic link is among the paths, or is a folder above one of them."""
    return any(
        mode == LINK and (_covers(paths, name) or _covers((name,), each))
        for name, (mode, _) in entries.items()
        for each in paths
    )
