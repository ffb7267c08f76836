"""The files that a project's pipelines are in, as ``pipelines`` of its settings names them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gennaker.errors import InvalidInput, Problem
from gennaker.paths import join_inside

if TYPE_CHECKING:
    from gennaker.project import Project

__all__ = ["SUFFIXES", "find_pipeline_files", "list_pipeline_files"]

SUFFIXES = (".yaml", ".yml", ".py")


def list_pipeline_files(project: Project) -> list[Path]:
    """Return every pipeline file of the project's folders, in alphabetical order.

    Raises:
        InvalidInput: with every wrong entry of ``pipelines``.
    """
    files, problems = find_pipeline_files(project)
    if problems:
        raise InvalidInput.of(problems)
    return files


def find_pipeline_files(project: Project) -> tuple[list[Path], list[Problem]]:
    """Return every pipeline file, and what is wrong with the entries of ``pipelines``.

    That other settings are wrong is no matter here: who checks a pipeline tells that with all the rest.

    Raises:
        InvalidInput: the settings cannot be read at all.
    """
    settings, _problems = project.examine_settings()
    files: dict[Path, None] = {}
    problems = []
    for index, entry in enumerate(settings.pipelines):
        location = settings.marks.at(("pipelines", index)) if settings.marks else None
        try:
            place = join_inside(project.root, entry)
        except InvalidInput as error:
            problems.append(error.problem.at(location))
            continue
        if place.is_file():
            files[place] = None
        elif place.is_dir():
            files.update(dict.fromkeys(sorted(_list_folder(place))))
        elif settings.pipelines != ("pipelines",):
            told = f"there is no file or folder {entry!r}"
            problems.append(Problem("no-folder", told, location))
    return list(files), problems


def _list_folder(folder: Path) -> Iterator[Path]:
    for each in folder.rglob("*"):
        # Helpers of Python pipelines start with an underscore, as private modules do.
        if each.suffix in SUFFIXES and not each.name.startswith(("_", ".")) and each.is_file():
            hidden = any(
                part.startswith((".", "__")) for part in each.relative_to(folder).parts[:-1]
            )
            if not hidden:
                yield each
