"""The plugin registry: what is installed, listed without importing and loaded on first use.

Loaders and the engine ask it for stage types, targets and secret providers by name. A broken,
clashing or too old plugin is reported when it is asked for or listed; the others work.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from gennaker.errors import InvalidInput
from gennaker.model import STAGE_KEYS
from gennaker.records import dataclass
from gennaker.secret_provider import SecretProvider
from gennaker.stage import API_VERSION, Stage, StageInputs, StageOutputs
from gennaker.suggestions import suggest
from gennaker.target import Target, TargetSettings
from gennaker.watchdog import LOADING_SECONDS, TookTooLong, limit_time

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

__all__ = ["GROUPS", "PluginGroup", "PluginInfo", "Registry"]

PluginGroup = Literal["stages", "targets", "secrets"]
GROUPS: tuple[PluginGroup, ...] = ("stages", "targets", "secrets")

_BASES: Mapping[PluginGroup, type] = {
    "stages": Stage,
    "targets": Target,
    "secrets": SecretProvider,
}
_NOUNS: Mapping[PluginGroup, str] = {
    "stages": "stage type",
    "targets": "target",
    "secrets": "secret provider",
}
_NAME = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*(\.[a-z][a-z0-9]*([_-][a-z0-9]+)*)*")

P = TypeVar("P")


@dataclass(frozen=True, slots=True, order=True)
class PluginInfo:
    """One plugin that was found.

    Attributes:
        group: ``stages``, ``targets`` or ``secrets``.
        name: what files call it.
        distribution: the installed distribution that brings it, with its ``version``.
        value: where it is, ``module:Class``.
        summary: the first line of its documentation, empty when it could not be loaded.
        error: why it cannot be used, None when it can; its ``code`` is ``broken-plugin``,
            ``plugin-clash``, ``plugin-api`` or ``plugin-invalid``.
    """

    group: PluginGroup
    name: str
    distribution: str
    version: str
    value: str
    summary: str = ""
    error: InvalidInput | None = None


class Registry:
    """The plugins that can be used, by group and name; make it with :meth:`installed` or :meth:`of`."""

    def __init__(
        self,
        entries: Mapping[PluginGroup, Mapping[str, tuple[EntryPoint, ...]]],
        loaded: Mapping[tuple[PluginGroup, str], type] | None = None,
    ) -> None:
        self._entries = entries
        self._loaded: dict[tuple[PluginGroup, str], type] = dict(loaded or {})
        self._broken: dict[tuple[PluginGroup, str], InvalidInput] = {}

    @classmethod
    def installed(cls) -> Registry:
        """Return the registry of everything installed; nothing is imported yet."""
        from importlib.metadata import entry_points

        # Asked once for all groups: each question reads a file of every installed distribution.
        everything = entry_points()
        found: dict[PluginGroup, dict[str, tuple[EntryPoint, ...]]] = {}
        for group in GROUPS:
            by_name: dict[str, tuple[EntryPoint, ...]] = {}
            for entry in everything.select(group=f"gennaker.{group}"):
                by_name[entry.name] = (*by_name.get(entry.name, ()), entry)
            found[group] = by_name
        return cls(found)

    @classmethod
    def of(
        cls,
        *,
        stages: Iterable[type[Stage]] = (),
        targets: Iterable[type[Target]] = (),
        secrets: Iterable[type[SecretProvider]] = (),
    ) -> Registry:
        """Return a registry of just these classes, checked as installed ones are.

        Raises:
            InvalidInput: a class is no valid plugin, or two have one name.
        """
        loaded: dict[tuple[PluginGroup, str], type] = {}
        given: Mapping[PluginGroup, Iterable[type]] = {
            "stages": stages,
            "targets": targets,
            "secrets": secrets,
        }
        for group, classes in given.items():
            for plugin in classes:
                name = getattr(plugin, "name", "")
                check_plugin(plugin, group=group, name=name, find_origin=lambda: "this process")
                if (group, name) in loaded:
                    raise _clash(group, name, [plugin.__module__, loaded[group, name].__module__])
                loaded[group, name] = plugin
        return cls({group: {} for group in GROUPS}, loaded)

    def stage(self, name: str) -> type[Stage]:
        """Return the stage type called ``name``.

        Raises:
            InvalidInput: code ``unknown-plugin``, ``broken-plugin``, ``plugin-clash``,
                ``plugin-api`` or ``plugin-invalid``.
        """
        return self._get("stages", name, Stage)

    def target(self, name: str) -> type[Target]:
        """Return the target called ``name``; raises as :meth:`stage` does."""
        return self._get("targets", name, Target)

    def secret_provider(self, name: str) -> type[SecretProvider]:
        """Return the secret provider called ``name``; raises as :meth:`stage` does."""
        return self._get("secrets", name, SecretProvider)

    def names(self, group: PluginGroup) -> tuple[str, ...]:
        """Return the names of a group in alphabetical order, the broken ones too; no import."""
        given = (name for kind, name in self._loaded if kind == group)
        return tuple(sorted({*self._entries[group], *given}))

    def is_own(self, group: PluginGroup, name: str) -> bool:
        """Return whether the plugin comes with Gennaker itself; no import."""
        entries = self._entries[group].get(name, ())
        return bool(entries) and all(_distribution(entry)[0] == "gennaker" for entry in entries)

    def list(self) -> tuple[PluginInfo, ...]:
        """Return every plugin found, the broken ones with the reason; loads them all."""
        return tuple(
            info
            for group in GROUPS
            for name in self.names(group)
            for info in self._info(group, name)
        )

    def _info(self, group: PluginGroup, name: str) -> tuple[PluginInfo, ...]:
        try:
            plugin: type | None = self._get(group, name, object)
            error = None
        except InvalidInput as found:
            plugin, error = None, found
        summary = _summary(plugin)
        entries = self._entries[group].get(name, ())
        if not entries and plugin is not None:
            value = f"{plugin.__module__}:{plugin.__qualname__}"
            return (PluginInfo(group, name, "", "", value, summary),)
        return tuple(
            replace(
                PluginInfo(group, name, *_distribution(entry), entry.value),
                summary=summary,
                error=error,
            )
            for entry in entries
        )

    def _get(self, group: PluginGroup, name: str, _kind: type[P]) -> type[P]:
        key = (group, name)
        if key in self._broken:
            raise self._broken[key]
        if key not in self._loaded:
            try:
                self._loaded[key] = self._load(group, name)
            except InvalidInput as error:
                if error.code != "unknown-plugin":
                    self._broken[key] = error
                raise
        return cast("type[P]", self._loaded[key])

    def _load(self, group: PluginGroup, name: str) -> type:
        entries = self._entries[group].get(name, ())
        if not entries:
            listing = "gennaker stages" if group == "stages" else "gennaker plugins"
            raise InvalidInput(
                f"{name!r} is not an installed {_NOUNS[group]}",
                code="unknown-plugin",
                hint=suggest(
                    name, self.names(group), otherwise=f"'{listing}' lists what is installed"
                ),
            )
        if len(entries) > 1:
            raise _clash(group, name, [_distribution(entry)[0] for entry in entries])

        def find_origin() -> str:
            # Reads a distribution's metadata file: only for who has something to complain about.
            return " ".join(part for part in _distribution(entries[0]) if part)

        try:
            with limit_time(LOADING_SECONDS):
                plugin = entries[0].load()
        # A plugin is anybody's code: whatever it raises on import is its own fault, and told so.
        except (Exception, SystemExit, TookTooLong) as error:
            origin = find_origin()
            raise InvalidInput(
                f"the {_NOUNS[group]} {name!r} of {origin!r} cannot be loaded: "
                f"{type(error).__name__}: {_first_line(error)}",
                code="broken-plugin",
                hint=f"repair or uninstall {origin!r}",
            ) from error
        return check_plugin(plugin, group=group, name=name, find_origin=find_origin)


def check_plugin(
    plugin: Any, *, group: PluginGroup, name: str, find_origin: Callable[[], str]
) -> type:
    """Return ``plugin`` when it keeps the contract of its group.

    Args:
        plugin: what the entry point names.
        group: the group it is registered under.
        name: the name it is registered under.
        find_origin: gives the distribution that brings it, for messages.

    Raises:
        InvalidInput: code ``plugin-api`` when it is written for another version of the contract,
            else ``plugin-invalid``.
    """
    noun = _NOUNS[group]
    version = getattr(plugin, "api_version", API_VERSION)
    if version != API_VERSION:
        age = "an older" if isinstance(version, int) and version < API_VERSION else "another"
        raise InvalidInput(
            f"{noun} {name!r} of {find_origin()!r} is written for {age} version of the plugin "
            f"contract: {version!r}, not {API_VERSION}",
            code="plugin-api",
            hint=f"install a version of {find_origin()!r} that fits",
        )
    fault = _find_fault(plugin, base=_BASES[group], name=name)
    if fault is not None:
        message, hint = fault
        raise InvalidInput(
            f"{noun} {name!r} of {find_origin()!r} {message}", code="plugin-invalid", hint=hint
        )
    return cast("type", plugin)


def _find_fault(plugin: Any, *, base: type, name: str) -> tuple[str, str | None] | None:
    if not _is_kind(plugin, base):
        return f"is not a subclass of {base.__name__}", None
    if getattr(plugin, "name", None) != name:
        return (
            f"calls itself {getattr(plugin, 'name', None)!r}",
            "the entry point and the class say the same name",
        )
    if not _NAME.fullmatch(name):
        return "has an unusable name", "a name is lower-case words joined by '.', '_' or '-'"
    if issubclass(plugin, Stage):
        return _find_stage_fault(plugin)
    if issubclass(plugin, Target) and not _is_kind(plugin.Settings, TargetSettings):
        return "has Settings that are no TargetSettings", None
    return None


def _find_stage_fault(plugin: type[Stage]) -> tuple[str, str | None] | None:
    if not _is_kind(plugin.Inputs, StageInputs):
        return "has Inputs that are no StageInputs", None
    if not _is_kind(plugin.Outputs, StageOutputs):
        return "has Outputs that are no StageOutputs", None
    if plugin.run is Stage.run:
        return "has no run()", None
    names = {info.alias or name for name, info in plugin.Inputs.model_fields.items()}
    taken = sorted(names & STAGE_KEYS)
    if taken:
        return f"has an input {taken[0]!r}, which is a key of every stage", "give it another name"
    unknown = sorted(plugin.scripts - names)
    if unknown:
        return f"lists {unknown[0]!r} in scripts, which is no input", None
    return None


def _is_kind(found: Any, base: type) -> bool:
    return isinstance(found, type) and issubclass(found, base)


def _clash(group: PluginGroup, name: str, origins: Iterable[str]) -> InvalidInput:
    listed = " and ".join(repr(each) for each in sorted(origins))
    return InvalidInput(
        f"the {_NOUNS[group]} {name!r} is defined more than once, by {listed}",
        code="plugin-clash",
        hint="uninstall all but one of them",
    )


def _distribution(entry: EntryPoint) -> tuple[str, str]:
    return _read_distribution(entry.dist) if entry.dist is not None else (entry.module, "")


@lru_cache(maxsize=64)
def _read_distribution(found: Distribution) -> tuple[str, str]:
    """Return name and version; each question would parse its file of metadata anew."""
    metadata = found.metadata
    return metadata["Name"], metadata["Version"]


def _summary(plugin: type | None) -> str:
    return ((plugin.__doc__ if plugin else None) or "").strip().partition("\n")[0]


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or "no message"
