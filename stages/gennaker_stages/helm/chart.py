"""What must hold of a chart before it is rendered; Helm's library does not look at these."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from gennaker.errors import InvalidInput, PermanentError
from gennaker.yamltext import compose
from gennaker_stages.helm.versions import is_compatible, parse_version

__all__ = [
    "check_chart",
    "check_links",
    "is_vendored",
    "list_dependencies",
    "read_mapping",
    "read_metadata",
]

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")


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
    check_links(chart, shown)
    metadata = read_metadata(chart, shown)
    if metadata.get("type") == "library":
        raise PermanentError(
            f"{shown!r} is a library chart, which renders nothing",
            code="helm-chart",
            hint="name a chart that uses it",
        )
    _check_kube_version(metadata.get("kubeVersion"), shown, kube_version)
    for each in list_dependencies(chart, shown):
        if not is_vendored(chart / "charts", each["name"]):
            raise PermanentError(
                f"chart {shown!r} declares the dependency {each['name']!r}, which is not in "
                f"{shown}/charts",
                code="helm-dependency",
                hint=f"run 'helm dependency build {shown}' and commit the result",
            )


def read_metadata(chart: Path, shown: str) -> dict[str, Any]:
    """Return what ``Chart.yaml`` says.

    Raises:
        PermanentError: code ``helm-chart``.
    """
    try:
        return read_mapping(chart / "Chart.yaml", f"{shown}/Chart.yaml")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise PermanentError(
            f"{shown!r} is no chart: it has no Chart.yaml",
            code="helm-chart",
            hint="name the chart's folder, relative to the project root",
        ) from None


def list_dependencies(chart: Path, shown: str) -> list[dict[str, Any]]:
    """Return the dependencies that a chart declares, each with its ``name`` as text.

    Raises:
        PermanentError: code ``helm-chart``.
    """
    metadata = read_metadata(chart, shown)
    older = chart / "requirements.yaml"
    if metadata.get("apiVersion") == "v1" and older.is_file():
        metadata = read_mapping(older, f"{shown}/requirements.yaml")
    declared = metadata.get("dependencies")
    found = [each for each in (declared or ()) if isinstance(each, dict)]
    for each in found:
        if not _NAME.fullmatch(str(each.get("name"))):
            raise PermanentError(
                f"chart {shown!r} has a dependency with the name {each.get('name')!r}",
                code="helm-chart",
                hint="names have letters, digits, '-', '_' and '.'",
            )
    return [{**each, "name": str(each["name"])} for each in found]


def is_vendored(folder: Path, name: str) -> bool:
    """Return whether a dependency is in a chart's ``charts/``, as a folder or packed."""
    packed = re.compile(rf"{re.escape(name)}-v?\d.*\.tgz")
    return (folder / name / "Chart.yaml").is_file() or (
        folder.is_dir() and any(packed.fullmatch(each.name) for each in folder.iterdir())
    )


def read_mapping(path: Path, shown: str) -> dict[str, Any]:
    """Return the mapping that a YAML file holds, empty for an empty file; it is not to be changed.

    Raises:
        PermanentError: code ``helm-chart``.
    """
    return _parse(path.read_bytes(), shown)


@lru_cache(maxsize=1024)
def _parse(content: bytes, shown: str) -> dict[str, Any]:
    """Parse a file's content; each is looked at several times, and rendered again and again."""
    if not content.strip():
        return {}
    try:
        data = compose(content, file=shown, schema="1.1").data
    except InvalidInput as error:
        raise PermanentError(str(error.problems[0]), code="helm-chart") from error
    if data is not None and not isinstance(data, dict):
        raise PermanentError(f"{shown!r} is not a mapping", code="helm-chart")
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


def check_links(chart: Path, shown: str) -> None:
    """Refuse a chart with a symbolic link that leaves it: code ``helm-link``."""
    root = chart.resolve()
    for link in _list_links(chart):
        path = Path(link)
        if not path.resolve().is_relative_to(root):
            inside = path.relative_to(chart).as_posix()
            raise PermanentError(
                f"{shown}/{inside} is a symbolic link that leaves the chart",
                code="helm-link",
                hint="copy the file into the chart",
            )


def _list_links(folder: str | Path) -> Iterator[str]:
    """Every symbolic link below a folder; what a folder's list says of each entry costs no look at it."""
    try:
        entries = os.scandir(folder)
    except OSError:  # neither there nor readable: reading it says so
        return
    with entries:
        for each in entries:
            if each.is_symlink():
                yield each.path
            elif each.is_dir(follow_symlinks=False):
                yield from _list_links(each.path)
