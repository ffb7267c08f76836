"""The world as the core may see it: settings read now, and what stage types say of themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gennaker.durations import parse_duration
from gennaker.errors import GennakerError, InvalidInput
from gennaker.plugins import Registry
from gennaker.project import Project
from gennaker.settings import EnvironmentSettings, ProjectSettings
from gennaker.target import Target
from gennaker_engine.core.messages import EnvironmentFacts, World

__all__ = ["WorldReader", "lock_scope", "validate_target"]

Json = Any


def lock_scope(project: str, sandbox: bool) -> str:
    """Return the scope of a run's locks and groups; no project can be called like a sandbox's."""
    return f"{project}+sandbox" if sandbox else project


class WorldReader:
    """Makes the :class:`World` of now, a new one only when the settings have changed.

    Args:
        project: whose settings are read.
        registry: the stage types and targets.
        state: the state folder, where sandboxes live.
    """

    def __init__(self, project: Project, registry: Registry, state: Path) -> None:
        self._project = project
        self._registry = registry
        self._state = state
        self._settings: ProjectSettings | None = None
        self._worlds: dict[bool, World] = {}
        self._sandboxes: dict[tuple[str, str], Mapping[str, Json]] = {}

    def read(self, *, sandbox: bool = False) -> World:
        """Return the world of now.

        A settings file that is broken while a run goes on is not an answer to anything: until it is
        repaired the settings read last are used.

        Raises:
            InvalidInput: the settings are wrong and were never right in this process.
        """
        try:
            settings = self._project.load_settings()
        except InvalidInput:
            if self._settings is None:
                raise
            settings = self._settings
        if settings is not self._settings:
            self._settings = settings
            self._worlds.clear()
        if sandbox not in self._worlds:
            self._worlds[sandbox] = self._make(settings, sandbox)
        return self._worlds[sandbox]

    def preload(self, uses: Iterable[str]) -> None:
        """Import the stage types now, so that it does not happen inside a transaction."""
        for name in uses:
            try:
                self._registry.stage(name)
            except InvalidInput:
                continue  # told when the stage is delivered

    def enter_sandbox(self) -> None:
        """Start the sandbox of every environment that has a target, and point there from now on.

        Raises:
            InvalidInput: code ``no-sandbox``, when a target has none.
        """
        for name, settings in self._project.load_settings().environments.items():
            key = (name, repr(settings.settings))
            if settings.target is not None and key not in self._sandboxes:
                target = self._registry.target(settings.target)
                self._sandboxes[key] = target().sandbox(
                    validate_target(target, name, settings), environment=name, state=self._state
                )
        self._worlds.pop(True, None)

    def _make(self, settings: ProjectSettings, sandbox: bool) -> World:
        return World(
            environments={
                name: self._read_environment(name, each, sandbox)
                for name, each in settings.environments.items()
            },
            secrets={name: (s.provider, s.setting) for name, s in settings.secrets.items()},
            groups=settings.groups,
            find_effect=self._find_effect,
            declare_outputs=self._declare_outputs,
        )

    def _read_environment(
        self, name: str, written: EnvironmentSettings, sandbox: bool
    ) -> EnvironmentFacts:
        settings: Mapping[str, Json] = written.settings
        if sandbox:
            settings = self._sandboxes.get((name, repr(written.settings)), settings)
        rule = written.approval
        return EnvironmentFacts(
            name=name,
            target=written.target,
            settings=dict(settings),
            variables=written.variables,
            secrets={key: (s.provider, s.setting) for key, s in written.secrets.items()},
            url=written.url,
            namespace=self._find_namespace(written.target, settings),
            approval=None
            if rule is None
            else {
                "approvers": list(rule.approvers),
                "required": rule.required,
                "self": rule.self_allowed,
                "expires": None if rule.expires is None else parse_duration(rule.expires),
            },
        )

    def _find_namespace(self, name: str | None, settings: Mapping[str, Json]) -> str | None:
        if name is None:
            return None
        try:
            target = self._registry.target(name)
            return target().namespace(target.Settings.model_validate(dict(settings)))
        except (GennakerError, ValidationError):
            return None  # told, with the reason, by the stage that connects to it

    def _find_effect(self, uses: str, inputs: Mapping[str, Json], environment: bool) -> str:
        try:
            return self._registry.stage(uses).find_effect(inputs, environment)
        except InvalidInput:
            return "none"  # it cannot be loaded, so it will do nothing
        except Exception:  # noqa: BLE001 - a plugin's code: what it does not know is the worst
            return "deploy" if environment else "none"

    def _declare_outputs(self, uses: str, written: Mapping[str, Json]) -> tuple[str, ...]:
        try:
            return tuple(self._registry.stage(uses).declare_outputs(written))
        except Exception:  # noqa: BLE001 - a plugin's code: its own delivery tells what is wrong
            return ()


def validate_target(target: type[Target], name: str, written: EnvironmentSettings) -> Any:
    """Return the target's settings of the environment called ``name``.

    Raises:
        InvalidInput: code ``invalid-environment``, when they are wrong.
    """
    try:
        return target.Settings.model_validate(dict(written.settings))
    except ValidationError as error:
        from gennaker_engine.runtime.outputs import describe_validation

        raise InvalidInput(
            f"the {target.name!r} settings of environment {name!r} are wrong: "
            f"{describe_validation(error)}",
            code="invalid-environment",
        ) from None
