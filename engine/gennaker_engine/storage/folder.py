"""The state folder ``.gennaker``: the only place Gennaker writes to besides a stage's own doing."""

from __future__ import annotations

from pathlib import Path

from gennaker.errors import GennakerError
from gennaker.files import write_private

__all__ = ["StateFolder", "make_private"]


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
            make_private(self.folder)
            write_private(ignore, b"*\n")
        except OSError as error:
            raise GennakerError(
                f"cannot write {str(self.folder)!r}: {error.strerror}",
                code="state-unwritable",
                hint="run in a folder you may write to, or name another state with --state",
            ) from error

    def make(self, folder: Path) -> Path:
        """Make a folder below the state folder (0700) and return it."""
        self.ensure()
        return make_private(folder)


def make_private(folder: Path) -> Path:
    """Make a folder and the parents it lacks, each 0700, and return it.

    ``mkdir`` gives its mode to the last one only; the parents would follow the umask.
    """
    missing = []
    path = folder
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
    return folder
