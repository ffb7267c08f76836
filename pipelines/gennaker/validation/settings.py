"""Checks of ``gennaker.yaml`` that need plugins: targets with their settings, secret providers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from gennaker.errors import InvalidInput, Location, Problem, sort_problems
from gennaker.plugins import Registry
from gennaker.project import Project
from gennaker.settings import ProjectSettings, SecretSource
from gennaker.structure import Subject, translate_errors
from gennaker.target import Target
from gennaker.validation.findings import Path

__all__ = ["validate_project"]


def validate_project(project: Project, *, registry: Registry) -> list[Problem]:
    """Return every problem of a project's settings, those of its form included.

    Args:
        project: the project.
        registry: the targets and secret providers there are.
    """
    try:
        settings, wrong = project.examine_settings()
    except InvalidInput as error:
        return list(error.problems)
    problems = [*wrong, *_check_secrets(settings, settings.secrets, ("secrets",), registry)]
    # What cannot be read is told once: not also as what is then missing there.
    told = {each.location for each in wrong}
    for name, environment in settings.environments.items():
        path = ("environments", name)
        problems += _check_secrets(settings, environment.secrets, (*path, "secrets"), registry)
        if environment.target is None:
            continue
        place = (*path, environment.target)
        try:
            target = registry.target(environment.target)
        except InvalidInput as error:
            problems.append(error.problem.at(_locate(settings, place, key=True)))
            continue
        found = _check_target(settings, target, place, environment.settings)
        problems += [
            problem for inside, problem in found if _locate(settings, (*place, *inside)) not in told
        ]
    return sort_problems(problems)


def _check_target(
    settings: ProjectSettings, target: type[Target], place: Path, written: dict[str, Any]
) -> list[tuple[Path, Problem]]:
    """Return what is wrong with an environment's settings for its target, with paths in them."""
    try:
        target.Settings.model_validate(written)
    except ValidationError as error:
        noun = f"target {target.name!r}"
        subject = Subject(target.Settings, noun, settings.marks, place, kind="a setting")
        return translate_errors(error, written, subject)
    return []


def _check_secrets(
    settings: ProjectSettings,
    secrets: Mapping[str, SecretSource],
    path: Path,
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


def _locate(settings: ProjectSettings, path: Path, *, key: bool = False) -> Location | None:
    return None if settings.marks is None else settings.marks.at(path, key=key)
