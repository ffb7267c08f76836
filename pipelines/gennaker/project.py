"""The project: where it is, and the settings of its ``gennaker.yaml``.

Commands load it once; the engine asks for the settings again whenever a stage is resolved, which
reads the file only when it has changed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gennaker.errors import InvalidInput, Problem

if TYPE_CHECKING:
    from gennaker.settings import EnvironmentSettings, ProjectSettings

__all__ = ["DEFAULT_STATE", "SETTINGS_FILE", "Project", "find_root", "load_project"]

SETTINGS_FILE = "gennaker.yaml"
DEFAULT_STATE = "sqlite:///.gennaker/state.db"


class Project:
    """A project root and its settings, which are read again when their file has changed."""

    def __init__(self, root: Path, *, file: Path | None) -> None:
        self.root = root
        """The folder that paths in pipelines, the state and the source snapshot belong to."""
        self.file = file
        """``gennaker.yaml``, None when there is none."""
        self._examined: tuple[ProjectSettings, tuple[Problem, ...]] | None = None
        self._stamp: tuple[int, int, int] | None = None

    @property
    def state_folder(self) -> Path:
        """``.gennaker`` in the root: the only folder that is written to."""
        return self.root / ".gennaker"

    @property
    def name(self) -> str:
        """The project's name."""
        return self.load_settings().project

    @property
    def environments(self) -> Mapping[str, EnvironmentSettings]:
        """The environments as they are now."""
        return self.load_settings().environments

    def load_settings(self) -> ProjectSettings:
        """Return the settings as they are now; the file is read only when it has changed.

        Raises:
            InvalidInput: with every problem of the file.
        """
        settings, problems = self.examine_settings()
        if problems:
            raise InvalidInput.of(problems)
        return settings

    def examine_settings(self) -> tuple[ProjectSettings, tuple[Problem, ...]]:
        """Return what of the settings can be read, and every problem of their form.

        Raises:
            InvalidInput: the file is no YAML at all.
        """
        stamp = self._look()
        if self._examined is None or stamp != self._stamp:
            from gennaker.settings import examine_settings

            shown = "" if self.file is None else self.show_path(self.file)
            self._examined = examine_settings(self.root, self.file, shown=shown)
            self._stamp = stamp
        return self._examined

    def state_url(self, override: str | None = None) -> str:
        """Return the address of the state, a relative SQLite path made absolute from the root.

        Args:
            override: ``--state``, which wins over ``GENNAKER_STATE`` and the settings.

        Raises:
            InvalidInput: the file is no YAML, or what it says of the state is wrong; who looks at
                runs needs nothing else of it.
        """
        url = override or os.environ.get("GENNAKER_STATE") or self._find_state()
        scheme, separator, path = url.partition(":///")
        if scheme != "sqlite" or not separator or path.startswith("/"):
            return url
        return f"sqlite:////{str(self.root / path).lstrip('/')}"

    def _find_state(self) -> str:
        """Return the state's address as written, without the models of all settings: half a start."""
        if self.file is None:
            return DEFAULT_STATE
        if self._examined is None or self._examined[1]:
            from gennaker.yamltext import compose

            problems: list[Problem] = []
            with suppress(OSError, InvalidInput):  # told below, with whatever else is wrong
                data = compose(self.file.read_bytes(), file="", problems=problems).data
                written = data.get("state", DEFAULT_STATE) if isinstance(data, dict) else None
                if isinstance(written, str) and not problems:
                    return written
        return self.load_settings().state

    def show_path(self, path: Path) -> str:
        """Return how a file is named in problems: as the user in the current folder would type it."""
        try:
            return str(path.relative_to(Path.cwd()))
        except (ValueError, OSError):
            return str(path)

    def _look(self) -> tuple[int, int, int] | None:
        if self.file is None:
            return None
        try:
            found = self.file.stat()
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_size, found.st_ino)


def find_root(start: Path) -> Path:
    """Return the project root: the nearest parent with ``gennaker.yaml``, the git root, or ``start``."""
    folder = start.resolve()
    parents = (folder, *folder.parents)
    for each in parents:
        if (each / SETTINGS_FILE).is_file():
            return each
    for each in parents:
        if (each / ".git").exists():
            return each
    return folder


def load_project(start: Path) -> Project:
    """Return the project that ``start`` belongs to; its settings are read when they are asked for.

    Args:
        start: an existing folder.

    Raises:
        InvalidInput: code ``no-folder`` when there is no such folder.
    """
    if not start.is_dir():
        raise InvalidInput(f"there is no folder {str(start)!r}", code="no-folder")
    root = find_root(start)
    file = root / SETTINGS_FILE
    return Project(root, file=file if file.is_file() else None)
