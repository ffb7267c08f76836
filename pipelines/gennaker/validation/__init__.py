"""All that can be known to be wrong with a pipeline before it runs, found at once.

``gennaker validate`` tells it; a run does not start while there is an error.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gennaker.errors import InvalidInput, Problem, sort_problems
from gennaker.loader import Loaded, read_file
from gennaker.names import find_twins
from gennaker.pipeline_files import find_pipeline_files
from gennaker.plugins import Registry
from gennaker.project import Project
from gennaker.settings import ProjectSettings
from gennaker.validation.approvals import check_approvals
from gennaker.validation.expressions import check_expressions
from gennaker.validation.findings import Findings
from gennaker.validation.matrix import check_matrix
from gennaker.validation.settings import validate_project
from gennaker.validation.shape import check_shape, is_too_large
from gennaker.validation.undo import check_undo

__all__ = ["check_pipeline", "validate", "validate_files", "validate_project"]


def validate(loaded: Loaded, *, registry: Registry, project: Project) -> list[Problem]:
    """Return every problem of a pipeline, errors and warnings, in the order of the file.

    Args:
        loaded: the pipeline, as far as it could be read.
        registry: the stage types there are.
        project: its environments and secrets count; what is wrong with them is
            :func:`validate_project`'s answer.
    """
    unsure = True
    try:
        settings, wrong = project.examine_settings()
        unsure = bool(wrong)
    except InvalidInput:
        settings = ProjectSettings(project.root.name)
    found = Findings(loaded, registry, settings, list(loaded.problems), unsure=unsure)
    if not is_too_large(found):
        check_shape(found)
        for identifier, (stage, _final) in found.stages.items():
            if stage.matrix is not None:
                check_matrix(found, stage.matrix, (*found.path_of(identifier), "matrix"))
        check_undo(found)
        check_expressions(found)
        if not any(each.severity == "error" for each in found.problems):
            check_approvals(found)
    return sort_problems(found.problems)


def check_pipeline(loaded: Loaded, *, registry: Registry, project: Project) -> list[Problem]:
    """Return the warnings of a pipeline that may run.

    Raises:
        InvalidInput: with all problems when one of them, or of the project, is an error.
    """
    problems = [
        *validate_project(project, registry=registry),
        *validate(loaded, registry=registry, project=project),
    ]
    if any(each.severity == "error" for each in problems):
        raise InvalidInput.of(problems)
    return problems


def validate_files(
    project: Project, *, registry: Registry, files: Iterable[Path] = ()
) -> list[Problem]:
    """Return every problem of the project and of files, by default all of its pipelines.

    Args:
        project: the project.
        registry: the plugins there are.
        files: the files to look at.
    """
    problems = validate_project(project, registry=registry)
    chosen = list(files)
    if not chosen:
        try:
            chosen, wrong = find_pipeline_files(project)
        except InvalidInput:
            return problems  # the settings are no YAML: that is told
        problems = sort_problems([*problems, *wrong])
    places: dict[str, list[Loaded]] = {}
    for file in chosen:
        try:
            several = read_file(file, project=project)
        except InvalidInput as error:
            problems.extend(error.problems)
            continue
        for loaded in several:
            problems.extend(validate(loaded, registry=registry, project=project))
            places.setdefault(loaded.definition.name, []).append(loaded)
    problems.extend(
        Problem(
            "ambiguous-pipeline",
            f"pipeline {name!r} is defined twice, at {several[0].at('name')} and here",
            each.at("name"),
            "rename one of them",
        )
        for name, several in places.items()
        for each in several[1:]
        if name
    )
    problems.extend(
        Problem(
            "ambiguous-pipeline",
            f"pipeline names {first!r} and {second!r} differ only in '-' and '_'; "
            f"the other is at {places[first][0].at('name')}",
            places[second][0].at("name"),
            "rename one of them",
        )
        for first, second in find_twins(places)
    )
    return problems
