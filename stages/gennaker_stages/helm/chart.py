"""What must hold of a chart before it is rendered; Helm's library does not look at these."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from gennaker.errors import InvalidInput, PermanentError
from gennaker.yamltext import compose
from gennaker_stages.helm.versions import is_compatible, parse_version

__all__ = ["check_chart", "read_values_file"]


def check_chart(chart: Path, shown: str, kube_version: str) -> None:
    """Refuse a chart that must not be rendered.

    Args:
        chart: the folder.
        shown: how the user named it.
        kube_version: what the chart will see as the cluster's version.

    Raises:
        PermanentError: codes ``helm-chart`` (no chart, or a library), ``helm-dependency`` (one is
            declared and not there), ``helm-link`` (a symbolic link that leaves the chart, whose
            target would be rendered), ``helm-version`` (it is for other clusters).
    """
    file = chart / "Chart.yaml"
    if not file.is_file():
        raise PermanentError(
            f"{shown!r} is no chart: it has no Chart.yaml",
            code="helm-chart",
            hint="name the chart's folder, relative to the project root",
        )
    _check_links(chart, shown)
    metadata = _read_mapping(file, f"{shown}/Chart.yaml")
    if metadata.get("type") == "library":
        raise PermanentError(
            f"{shown!r} is a library chart, which renders nothing",
            code="helm-chart",
            hint="name a chart that uses it",
        )
    _check_kube_version(metadata.get("kubeVersion"), shown, kube_version)
    older = chart / "requirements.yaml"
    if metadata.get("apiVersion") == "v1" and older.is_file():
        metadata = _read_mapping(older, f"{shown}/requirements.yaml")
    _check_dependencies(metadata.get("dependencies"), chart / "charts", shown)


def read_values_file(path: Path, shown: str) -> dict[str, Any]:
    """Return the values of a file, read as Helm reads them.

    Raises:
        PermanentError: code ``helm-values``.
    """
    if not path.is_file():
        raise PermanentError(f"there is no values file {shown!r}", code="helm-values")
    if not path.read_bytes().strip():
        return {}
    return _read_mapping(path, shown, code="helm-values")


def _read_mapping(path: Path, shown: str, code: str = "helm-chart") -> dict[str, Any]:
    try:
        data = compose(path.read_bytes(), file=shown, schema="1.1").data
    except InvalidInput as error:
        raise PermanentError(str(error.problems[0]), code=code) from error
    if data is not None and not isinstance(data, dict):
        raise PermanentError(f"{shown!r} is not a mapping", code=code)
    return data or {}


def _check_kube_version(constraint: Any, shown: str, kube_version: str) -> None:
    if not constraint:
        return
    try:
        fits = is_compatible(str(constraint), parse_version(kube_version))
    except ValueError as error:
        raise PermanentError(
            f"kubeVersion of {shown}/Chart.yaml cannot be read: {error}", code="helm-version"
        ) from None
    if not fits:
        raise PermanentError(
            f"chart {shown!r} is for Kubernetes {constraint}, not for {kube_version}",
            code="helm-version",
            hint="give the cluster's version as 'kube_version'",
        )


def _check_dependencies(declared: Any, folder: Path, shown: str) -> None:
    for each in declared if isinstance(declared, list) else ():
        name = str(each.get("name")) if isinstance(each, dict) else str(each)
        if not _has_dependency(folder, name):
            raise PermanentError(
                f"chart {shown!r} declares the dependency {name!r}, which is not in {shown}/charts",
                code="helm-dependency",
                hint=f"run 'helm dependency build {shown}' and commit the result",
            )


def _has_dependency(folder: Path, name: str) -> bool:
    packed = re.compile(rf"{re.escape(name)}-v?\d.*\.tgz")
    return (folder / name / "Chart.yaml").is_file() or (
        folder.is_dir() and any(packed.fullmatch(each.name) for each in folder.iterdir())
    )


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
