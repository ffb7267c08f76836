"""Workspaces: a scratch folder for each call of a stage's ``run``, empty at every call."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gennaker_engine.storage.folder import make_private

__all__ = ["Workspaces", "remove_tree"]


class Workspaces:
    """The scratch folders below one folder, one for each instance of each run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self, run: str, instance: str) -> Path:
        """Return the instance's workspace, emptied."""
        path = self.folder / run / instance
        remove_tree(path)
        return make_private(path)

    def remove(self, run: str, instance: str) -> None:
        """Remove the instance's workspace; what cannot be removed now is removed at its next use."""
        remove_tree(self.folder / run / instance)


def remove_tree(path: Path) -> None:
    """Remove a folder with read-only parts in it; a link is removed, never followed."""

    def make_writable(function: Callable[..., Any], name: str, _error: Any) -> None:
        parent = Path(name).parent
        parent.chmod(parent.stat().st_mode | stat.S_IRWXU)
        if not Path(name).is_symlink():
            Path(name).chmod(stat.S_IRWXU)
        function(name)

    if path.is_symlink():
        path.unlink()
    elif path.exists():
        if not os.access(path, os.W_OK | os.X_OK):
            path.chmod(stat.S_IRWXU)
        shutil.rmtree(path, onerror=make_writable)
