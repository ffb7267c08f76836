"""What the global options said, and the lazy door from it to project, plugins and engine.

Every command gets one :class:`Settings`; nothing is read or imported before a command asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gennaker_engine.cli.render.console import Console

if TYPE_CHECKING:
    from gennaker.plugins import Registry
    from gennaker.project import Project
    from gennaker_engine.runtime import Engine
    from gennaker_engine.storage.folder import StateFolder

__all__ = ["Settings", "pass_settings"]


@dataclass
class Settings:
    """The global options of one call, and what is opened from them on first use.

    Attributes:
        project_folder: ``--project``, None to search from the current folder.
        state: ``--state`` or ``GENNAKER_STATE``, None for the project's own.
        color: ``auto``, ``always`` or ``never``.
        debug: whether an unexpected error shows its traceback.
    """

    project_folder: Path | None = None
    state: str | None = None
    color: str = "auto"
    debug: bool = False
    _engine: Engine | None = field(default=None, repr=False)

    @cached_property
    def console(self) -> Console:
        """Where this call writes: data to stdout, progress and messages to stderr."""
        return Console.detect(color=self.color)

    @cached_property
    def project(self) -> Project:
        """The project of ``--project`` or of the current folder."""
        from gennaker.project import load_project

        return load_project(self.start)

    @cached_property
    def registry(self) -> Registry:
        """The installed plugins, listed but not imported."""
        from gennaker.plugins import Registry

        return Registry.installed()

    @property
    def start(self) -> Path:
        """The folder the search for the project begins in."""
        return self.project_folder or Path.cwd()

    def open_engine(self, *, reading: bool = False) -> Engine:
        """Open the engine of the project's state once; :meth:`close` ends it.

        Args:
            reading: nothing will be written, so that a state that cannot be will do.
        """
        if self._engine is None:
            from gennaker_engine.runtime import Engine

            self._engine = Engine.open(
                self.project, self.registry, state=self.state, reading=reading
            )
        return self._engine

    def close(self) -> None:
        """Release what was opened."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    @property
    def state_url(self) -> str:
        """The address of the state."""
        return self.project.state_url(self.state)

    @cached_property
    def state_folder(self) -> StateFolder:
        """Where logs and artifacts of the state are."""
        from gennaker_engine.journal.opening import find_state_folder
        from gennaker_engine.storage.folder import StateFolder

        root = self.project.root
        return StateFolder(root, find_state_folder(self.state_url, project=root))

    @property
    def actor(self) -> str:
        """Who acts here: ``local:NAME`` of the operating-system user; nobody has checked it."""
        from gennaker_engine.journal.ownership import find_user

        return f"local:{find_user()}"


pass_settings = click.make_pass_decorator(Settings)
