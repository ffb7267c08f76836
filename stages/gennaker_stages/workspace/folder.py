"""The folder a script works in: a copy of the source, artifacts laid into it, artifacts kept of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gennaker.errors import PermanentError
from gennaker.paths import join_inside
from gennaker.stage import Artifact, Context

__all__ = ["keep_artifacts", "prepare_folder"]


def prepare_folder(ctx: Context, *, source: bool, files: Mapping[str, Artifact]) -> Path:
    """Make the folder ``work`` in the workspace and return it.

    Args:
        ctx: whose workspace, source and artifacts.
        source: whether it is a writable copy of the source, else empty.
        files: artifacts to lay into it, by path.
    """
    folder = ctx.workspace / "work"
    if source:
        from gennaker_stages.workspace.source_copy import copy_source

        copy_source(ctx.source, folder)
    else:
        folder.mkdir()
    for path, artifact in files.items():
        target = join_inside(folder, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        ctx.artifacts.lay(artifact, target)
    return folder


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
