"""What ``gennaker.yaml`` says of environments, secrets, groups and retention, and how it is read.

:class:`gennaker.project.Project` reads it, when it is asked for it: who only looks at runs is not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from gennaker.errors import InvalidInput, Problem, sort_problems
from gennaker.model import Duration
from gennaker.names import NAME_HINT, NAME_PATTERN
from gennaker.project import DEFAULT_STATE, SETTINGS_FILE
from gennaker.records import dataclass
from gennaker.structure import Subject, drop_nulls, find_nulls, name_path, read_model
from gennaker.suggestions import find_nearest
from gennaker.yamltext import Document, Marks, compose

__all__ = [
    "ApprovalRule",
    "EnvironmentSettings",
    "ProjectSettings",
    "RetentionSettings",
    "SecretSource",
    "examine_settings",
]

_APPROVER_KINDS = ("local", "user", "group")
_ENVIRONMENT_KEYS = ("variables", "secrets", "url", "approval")


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ApprovalRule(_Settings):
    """Who is asked before an environment changes."""

    approvers: tuple[str, ...]
    required: Annotated[int, Field(ge=1, le=100, strict=True)] = 1
    self_allowed: Annotated[bool, Field(alias="self", strict=True)] = True
    expires: Duration | None = None


@dataclass(frozen=True, slots=True)
class SecretSource:
    """Where a secret's value comes from: ``provider`` is a plugin, ``setting`` is its own."""

    provider: str
    setting: Any


class EnvironmentSettings(_Settings):
    """One environment.

    Attributes:
        target: name of the target plugin, None for an environment without one.
        settings: the target's settings as written, plain data.
        variables: ``environment.variables`` in expressions.
        secrets: name to its source.
        url: ``environment.url`` in expressions.
        approval: who is asked before the first stage that changes it.
    """

    target: str | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    variables: dict[str, Any] = Field(default_factory=dict)
    secrets: dict[str, SecretSource] = Field(default_factory=dict)
    url: str | None = None
    approval: ApprovalRule | None = None

    def to_data(self) -> dict[str, Any]:
        """Return the environment as written, as JSON data: what an approval's digest counts."""
        data = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        target = data.pop("target", None)
        settings = data.pop("settings", {})
        if target is not None:
            data[target] = settings
        if "secrets" in data:
            data["secrets"] = {
                name: {each.provider: each.setting} for name, each in self.secrets.items()
            }
        return data


_S = TypeVar("_S", bound=_Settings)


class _SourceSettings(_Settings):
    exclude: tuple[str, ...] = ()


class RetentionSettings(_Settings):
    """Which ended runs ``gc`` lets go: those that none of the rules keeps.

    Attributes:
        keep: newest ended runs of each pipeline.
        older_than: what ended later than so long ago is kept.
        deploys: newest runs that deployed to each environment.
    """

    keep: Annotated[int, Field(ge=0, le=1_000_000, strict=True)] = 50
    older_than: Duration = "90d"
    deploys: Annotated[int, Field(ge=1, le=1_000_000, strict=True)] = 10


class _Written(_Settings):
    """``gennaker.yaml`` as it is written."""

    project: Annotated[str, Field(pattern=NAME_PATTERN, max_length=63)] | None = None
    pipelines: tuple[str, ...] = ("pipelines",)
    state: str = DEFAULT_STATE
    environments: dict[str, dict[str, Any]] = Field(default_factory=dict)
    secrets: dict[str, dict[str, Any]] = Field(default_factory=dict)
    source: _SourceSettings = _SourceSettings()
    groups: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    retention: RetentionSettings = RetentionSettings()


class _WrittenEnvironment(_Settings):
    """An environment without its target."""

    variables: dict[str, Any] = Field(default_factory=dict)
    secrets: dict[str, dict[str, Any]] = Field(default_factory=dict)
    url: str | None = None
    approval: ApprovalRule | None = None


@dataclass(frozen=True, slots=True)
class ProjectSettings:
    """What ``gennaker.yaml`` says, defaults filled in.

    Attributes:
        project: the project's name, of the folder unless written.
        pipelines: folders and files that hold pipelines, relative to the root.
        state: address of the state, as written.
        environments: by name.
        secrets: for stages outside any environment; an environment's own win.
        exclude: patterns of files that a source snapshot leaves out.
        groups: group name to approver rules.
        retention: which ended runs ``gc`` lets go.
        marks: the place of everything written, None without a file.
    """

    project: str
    pipelines: tuple[str, ...] = ("pipelines",)
    state: str = DEFAULT_STATE
    environments: Mapping[str, EnvironmentSettings] = field(default_factory=dict)
    secrets: Mapping[str, SecretSource] = field(default_factory=dict)
    exclude: tuple[str, ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    marks: Marks | None = field(default=None, compare=False, repr=False)

    def find_secret(self, name: str, environment: str | None) -> SecretSource | None:
        """Return the source of a secret for a stage: the environment's own, else the project's."""
        own = self.environments.get(environment) if environment is not None else None
        if own is not None and name in own.secrets:
            return own.secrets[name]
        return self.secrets.get(name)


def examine_settings(
    root: Path, file: Path | None, *, shown: str
) -> tuple[ProjectSettings, tuple[Problem, ...]]:
    """Return what of a project's file can be read, and every problem of its form.

    What is wrong is left out; an environment of which nothing can be read is there by its name.

    Args:
        root: the project's folder.
        file: None when there is none.
        shown: how the file is named in problems.

    Raises:
        InvalidInput: it is no YAML at all.
    """
    if file is None:
        return ProjectSettings(_name_folder(root)), ()
    try:
        text = file.read_bytes()
    except OSError as error:
        raise InvalidInput(
            f"cannot read {shown!r}: {error.strerror}", code="unreadable-file"
        ) from error
    problems: list[Problem] = []
    try:
        document = compose(text, file=shown, problems=problems)
    except InvalidInput as error:
        if error.code == "yaml-empty":  # everything has a default
            return ProjectSettings(_name_folder(root)), ()
        raise
    settings = _SettingsReader(document, problems).read(root)
    return settings, tuple(sort_problems(problems))


def _name_folder(root: Path) -> str:
    words = re.findall(r"[a-z0-9]+", root.name.lower())
    name = "-".join(words).lstrip("0123456789-")[:63].rstrip("-")
    return name or "project"


class _SettingsReader:
    """Turns one document into settings and adds what is wrong to ``problems``."""

    def __init__(self, document: Document, problems: list[Problem]) -> None:
        self.data = document.data
        self.marks = document.marks
        self.problems = problems

    def read(self, root: Path) -> ProjectSettings:
        if not isinstance(self.data, dict):
            self._tell("wrong-type", f"{SETTINGS_FILE} must be a mapping", ())
            return ProjectSettings(_name_folder(root))
        data = {key: value for key, value in self.data.items() if not key.startswith("x-")}
        for path in find_nulls(data, skip=lambda _path: False):
            self._tell("null-value", f"{name_path(path)!r} has no value", path, "give it one")
        data = drop_nulls(data)
        written = self._validate(_Written, data, (), "gennaker.yaml")
        if written is None:
            return ProjectSettings(_name_folder(root))
        environments = {
            name: found
            for name, value in written.environments.items()
            if (found := self._read_environment(name, value)) is not None
        }
        named = self.data.get("environments")
        for name in named if isinstance(named, dict) else ():
            environments.setdefault(name, EnvironmentSettings())
        for group, rules in written.groups.items():
            self._check_rules(rules, ("groups", group))
        return ProjectSettings(
            project=written.project or _name_folder(root),
            pipelines=written.pipelines,
            state=written.state,
            environments=MappingProxyType(environments),
            secrets=MappingProxyType(self._read_secrets(written.secrets, ("secrets",))),
            exclude=written.source.exclude,
            groups=MappingProxyType(written.groups),
            retention=written.retention,
            marks=self.marks,
        )

    def _read_environment(self, name: str, data: dict[str, Any]) -> EnvironmentSettings | None:
        path = ("environments", name)
        if len(name) > 63 or not re.fullmatch(NAME_PATTERN, name):
            self._tell(
                "invalid-name",
                f"{name!r} is not a name of an environment",
                path,
                hint=NAME_HINT,
                key=True,
            )
        targets = []
        for key in data:
            # Any other key names a target, so only what is very near is taken for a typo.
            near = find_nearest(key, _ENVIRONMENT_KEYS, likeness=0.8)
            if near not in (None, key):
                self._tell(
                    "unknown-field",
                    f"{key!r} is not a field of an environment",
                    (*path, key),
                    f"did you mean {near!r}?",
                    key=True,
                )
            elif key not in _ENVIRONMENT_KEYS:
                targets.append(key)
        for extra in targets[1:]:
            self._tell(
                "environment-target",
                f"environment {name!r} names the targets {targets[0]!r} and {extra!r}",
                (*path, extra),
                hint="an environment has one; its other keys are 'variables', 'secrets', 'url' "
                "and 'approval'",
            )
        target = targets[0] if targets else None
        settings = data.get(target) if target is not None else {}
        if settings is None:
            settings = {}
        if not isinstance(settings, dict):
            self._tell(
                "wrong-type", f"{target!r} must be a mapping of settings", (*path, str(target))
            )
            settings = {}
        own = {key: value for key, value in data.items() if key in _ENVIRONMENT_KEYS}
        written = self._validate(_WrittenEnvironment, own, path, "an environment")
        if written is None:
            return None
        if written.approval is not None:
            self._check_rules(written.approval.approvers, (*path, "approval", "approvers"))
        return EnvironmentSettings(
            target=target,
            settings=settings,
            variables=written.variables,
            secrets=self._read_secrets(written.secrets, (*path, "secrets")),
            url=written.url,
            approval=written.approval,
        )

    def _read_secrets(
        self, written: Mapping[str, dict[str, Any]], path: tuple[str, ...]
    ) -> dict[str, SecretSource]:
        sources = {}
        for name, value in written.items():
            if len(value) != 1:
                self._tell(
                    "secret-source",
                    f"secret {name!r} names {len(value)} providers",
                    (*path, name),
                    hint="write one, like '{env: NAME}' or '{file: PATH}'",
                )
                continue
            ((provider, setting),) = value.items()
            sources[name] = SecretSource(provider, setting)
        return sources

    def _check_rules(self, rules: tuple[str, ...], path: tuple[str, ...]) -> None:
        for index, rule in enumerate(rules):
            kind, _, name = rule.partition(":")
            if kind not in _APPROVER_KINDS or not name:
                self._tell(
                    "approver",
                    f"{rule!r} is not an approver",
                    (*path, index),
                    hint="write 'local:NAME', 'local:*', 'user:NAME' or 'group:NAME'",
                )

    def _validate(
        self, model: type[_S], data: dict[str, Any], base: tuple[str, ...], noun: str
    ) -> _S | None:
        nouns: dict[type[BaseModel], str] = {
            ApprovalRule: "'approval'",
            _SourceSettings: "'source'",
            RetentionSettings: "'retention'",
        }
        subject = Subject(model, noun, self.marks, base, nouns)
        found, problems = read_model(model, data, subject)
        self.problems.extend(problems)
        return found

    def _tell(
        self,
        code: str,
        message: str,
        path: tuple[str | int, ...],
        hint: str | None = None,
        *,
        key: bool = False,
    ) -> None:
        self.problems.append(Problem(code, message, self.marks.at(path, key=key), hint))
