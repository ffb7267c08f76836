"""What must hold of a chart before it is rendered; Helm's library does not look at these."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from gennaker.errors import InvalidInput, PermanentError
from gennaker.yamltext import compose

__all__ = ["check_chart", "read_values_file"]


def check_chart(chart: Path, shown: str) -> dict[str, Any]:
    """Return the chart's ``Chart.yaml``.

    Args:
        chart: the folder.
        shown: how the user named it.

    Raises:
        PermanentError: codes ``helm-chart`` (no chart, a declared dependency that is not there) and
            ``helm-link`` (a symbolic link that leaves the chart, whose target would be rendered).
    """
    file = chart / "Chart.yaml"
    if not file.is_file():
        raise PermanentError(
            f"{shown!r} is no chart: it has no Chart.yaml",
            code="helm-chart",
            hint="name the chart's folder, relative to the project root",
        )
    _check_links(chart, shown)
    metadata = _compose(file, f"{shown}/Chart.yaml")
    if not isinstance(metadata, dict):
        raise PermanentError(f"{shown}/Chart.yaml is not a mapping", code="helm-chart")
    for each in metadata.get("dependencies") or ():
        name = str(each.get("name"))
        if not _has_dependency(chart / "charts", name):
            raise PermanentError(
                f"chart {shown!r} declares the dependency {name!r}, which is not in {shown}/charts",
                code="helm-dependency",
                hint=f"run 'helm dependency build {shown}' and commit the result",
            )
    return metadata


def read_values_file(path: Path, shown: str) -> dict[str, Any]:
    """Return the values of a file, read as Helm reads them.

    Raises:
        PermanentError: code ``helm-values``.
    """
    if not path.is_file():
        raise PermanentError(f"there is no values file {shown!r}", code="helm-values")
    if not path.read_bytes().strip():
        return {}
    data = _compose(path, shown)
    if data is not None and not isinstance(data, dict):
        raise PermanentError(f"values file {shown!r} is not a mapping", code="helm-values")
    return data or {}


def _compose(path: Path, shown: str) -> Any:
    try:
        return compose(path.read_bytes(), file=shown, schema="1.1").data
    except InvalidInput as error:
        raise PermanentError(str(error.problems[0]), code="helm-values") from error


def _has_dependency(folder: Path, name: str) -> bool:
    return (folder / name).is_dir() or any(folder.glob(f"{name}-*.tgz"))


def _check_links(chart: Path, shown: str) -> None:
    root = chart.resolve()
    for folder, folders, files in os.walk(chart):
        for name in (*folders, *files):
            path = Path(folder) / name
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                inside = path.relative_to(chart).as_posix()
                raise PermanentError(
                    f"{shown}/{inside} is a symbolic link that leaves the chart",
                    code="helm-link",
                    hint="copy the file into the chart",
                )
