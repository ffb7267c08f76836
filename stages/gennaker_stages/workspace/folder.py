"""The folder a script works in: a copy of the source, artifacts laid into it, artifacts kept of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field

from gennaker.errors import PermanentError
from gennaker.paths import join_inside
from gennaker.stage import Artifact, Context

__all__ = ["SourceInput", "keep_artifacts", "list_copied", "prepare_folder"]

SourceInput = bool | Annotated[tuple[str, ...], Field(min_length=1)]
"""The input ``source`` of a script: all of it, nothing, or the files and folders that it gets."""


def prepare_folder(ctx: Context, *, source: SourceInput, files: Mapping[str, Artifact]) -> Path:
    """Make the folder ``work`` in the workspace and return it.

    Args:
        ctx: whose workspace, source and artifacts.
        source: whether it is a writable copy of the source, or of which files and folders of it.
        files: artifacts to lay into it, by path.

    Raises:
        PermanentError: code ``source-path`` when there is no such file or folder in the source.
    """
    folder = ctx.workspace / "work"
    folder.mkdir()
    for path in list_copied(source):
        _copy(ctx.source, path, folder)
    for path, artifact in files.items():
        target = join_inside(folder, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        ctx.artifacts.lay(artifact, target)
    return folder


def list_copied(source: SourceInput) -> tuple[str, ...]:
    """Return the files and folders of the source that a script gets, ``.`` for all of it."""
    if isinstance(source, bool):
        return (".",) if source else ()
    return source


def _copy(source: Path, path: str, folder: Path) -> None:
    from gennaker_stages.workspace.source_copy import copy_source

    origin = join_inside(source, path)
    if not origin.exists():
        raise PermanentError(
            f"there is no file or folder {path!r} in the source",
            code="source-path",
            hint="'source' has paths relative to the project root",
        )
    copy_source(origin, join_inside(folder, path))


def keep_artifacts(ctx: Context, folder: Path, artifacts: Mapping[str, str]) -> dict[str, Artifact]:
    """Store files and folders of ``folder`` and return them by output name.

    Raises:
        PermanentError: code ``artifact-missing`` when there is nothing at a path.
    """
    return {name: _keep(ctx, folder, name, path) for name, path in artifacts.items()}


def _keep(ctx: Context, folder: Path, name: str, path: str) -> Artifact:
    found = join_inside(folder, path)
    if found.is_dir():
        return ctx.artifacts.put_tree(found, name=name)
    if found.is_file():
        return ctx.artifacts.put(found, name=name)
    raise PermanentError(
        f"artifact {name!r}: the script left nothing at {path!r}",
        code="artifact-missing",
        hint="look at the path, which is relative to the folder the script starts in",
    )
