"""The one path join: what a file or plugin names relative to a folder stays inside that folder."""

from __future__ import annotations

from pathlib import Path

from gennaker.errors import InvalidInput

__all__ = ["join_inside", "join_plain"]

# What Linux takes; beyond it every question about a file is an error of its own.
MAX_NAME, MAX_PATH = 255, 4096


def join_inside(root: Path, relative: str) -> Path:
    """Return ``root / relative`` with links resolved, or refuse what would leave ``root``.

    Args:
        root: the folder; it need not exist.
        relative: what a user wrote: forward slashes, ``.`` for the folder itself. It need not exist.

    Raises:
        InvalidInput: code ``path-outside`` for an absolute path, ``..``, a backslash, a drive, a
            NUL, a name that no file can have, or a symbolic link that leads out of ``root``.
    """
    _refuse_fault(relative)
    base = Path(root).resolve()
    if _measure(str(base)) + _measure(relative) >= MAX_PATH - 1:
        raise InvalidInput(f"path {relative!r} is too long", code="path-outside")
    try:
        joined = (base / relative).resolve()
    except (OSError, RuntimeError) as error:  # a loop of links, or a name too long
        raise InvalidInput(
            f"path {relative!r} cannot be followed: {error}", code="path-outside"
        ) from error
    if not joined.is_relative_to(base):
        raise InvalidInput(
            f"path {relative!r} leads out of {str(base)!r} through a symbolic link",
            code="path-outside",
            hint="put the file itself inside the folder",
        )
    return joined


def join_plain(root: Path, relative: str) -> Path:
    """Return ``root / relative`` for a folder without links, where there is nothing to resolve.

    Raises:
        InvalidInput: as :func:`join_inside` does for what is written.
    """
    _refuse_fault(relative)
    return root / relative


def _refuse_fault(relative: str) -> None:
    reason = _find_fault(relative)
    if reason is not None:
        raise InvalidInput(
            f"path {relative!r} {reason}",
            code="path-outside",
            hint="write a path relative to the folder, with '/' and without '..'",
        )


def _find_fault(relative: str) -> str | None:
    if not relative:
        return "is empty"
    if "\x00" in relative:
        return "has a NUL character"
    if "\\" in relative:
        return "has a backslash"
    if relative.startswith(("/", "~")) or (len(relative) > 1 and relative[1] == ":"):
        return "is not relative"
    parts = relative.split("/")
    if ".." in parts:
        return "has '..' in it"
    if any(_measure(each) > MAX_NAME for each in parts):
        return "has a name that is too long"
    return None


def _measure(name: str) -> int:
    return len(name.encode("utf-8", "surrogatepass"))
