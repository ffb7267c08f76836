"""The state folder ``.gennaker``: the only place Gennaker writes to besides a stage's own doing."""

from __future__ import annotations

import os
from pathlib import Path

from gennaker.errors import GennakerError

__all__ = ["StateFolder"]


class StateFolder:
    """Where the state of one project lives; folders are 0700, files 0600.

    Args:
        root: the project's root.
        folder: the state folder, ``.gennaker`` in the root unless the state is elsewhere.
    """

    def __init__(self, root: Path, folder: Path | None = None) -> None:
        self.root = root
        self.folder = folder or root / ".gennaker"
        self.logs = self.folder / "logs"
        self.artifacts = self.folder / "artifacts"
        self.sources = self.folder / "sources"
        self.workspaces = self.folder / "workspaces"
        self.owners = self.folder / "owners"
        self.cache = self.folder / "cache"

    def ensure(self) -> None:
        """Make the folder with its own ``.gitignore``; nothing happens when it is there.

        Raises:
            GennakerError: code ``state-unwritable`` when it cannot be made.
        """
        ignore = self.folder / ".gitignore"
        if ignore.exists():
            return
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            ignore.write_text("*\n")
        except OSError as error:
            raise GennakerError(
                f"cannot write {str(self.folder)!r}: {error.strerror}",
                code="state-unwritable",
                hint="run in a folder you may write to, or name another state with --state",
            ) from error

    def make(self, folder: Path) -> Path:
        """Make a folder below the state folder (0700) and return it."""
        self.ensure()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder


def open_private(path: Path, flags: int) -> int:
    """Open a file that only its owner may read; a symlink in its place is refused."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
