"""Checks of ``gennaker.yaml`` that need plugins: targets with their settings, secret providers."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from gennaker.errors import InvalidInput, Location, Problem
from gennaker.plugins import Registry
from gennaker.project import Project
from gennaker.settings import ProjectSettings, SecretSource
from gennaker.structure import Subject, translate_errors

__all__ = ["validate_project"]


def validate_project(project: Project, *, registry: Registry) -> list[Problem]:
    """Return every problem of a project's settings, those of its form included.

    Args:
        project: the project.
        registry: the targets and secret providers there are.
    """
    try:
        settings = project.load_settings()
    except InvalidInput as error:
        return list(error.problems)
    problems: list[Problem] = []
    problems += _check_secrets(settings, settings.secrets, ("secrets",), registry)
    for name, environment in settings.environments.items():
        path = ("environments", name)
        problems += _check_secrets(settings, environment.secrets, (*path, "secrets"), registry)
        if environment.target is None:
            continue
        try:
            target = registry.target(environment.target)
        except InvalidInput as error:
            location = _locate(settings, (*path, environment.target), key=True)
            problems.append(error.problem.at(location))
            continue
        try:
            target.Settings.model_validate(environment.settings)
        except ValidationError as error:
            place = (*path, environment.target)
            subject = Subject(
                target.Settings, f"target {target.name!r}", settings.marks, place, kind="a setting"
            )
            found = translate_errors(error, environment.settings, subject)
            problems.extend(problem for _path, problem in found)
    return problems


def _check_secrets(
    settings: ProjectSettings,
    secrets: Mapping[str, SecretSource],
    path: tuple[str, ...],
    registry: Registry,
) -> list[Problem]:
    problems = []
    for name, source in secrets.items():
        place = (*path, name, source.provider)
        try:
            provider = registry.secret_provider(source.provider)
        except InvalidInput as error:
            problems.append(error.problem.at(_locate(settings, place, key=True)))
            continue
        fault = provider().check(source.setting)
        if fault is not None:
            problems.append(
                Problem(
                    "secret-source",
                    f"secret {name!r}: the setting of {source.provider!r} {fault}",
                    _locate(settings, place),
                )
            )
    return problems


def _locate(
    settings: ProjectSettings, path: tuple[str, ...], *, key: bool = False
) -> Location | None:
    return None if settings.marks is None else settings.marks.at(path, key=key)
