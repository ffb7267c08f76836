"""Which file system a folder is on: a write-ahead log needs shared memory, which networks lack."""

from __future__ import annotations

from pathlib import Path

from gennaker_engine.journal.errors import StateError

__all__ = ["find_file_system", "refuse_network_folder"]

_NETWORKS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "fuse.sshfs", "fuse.glusterfs"}
)
_MOUNTS = Path("/proc/self/mounts")


def find_file_system(folder: Path, mounts: str) -> str | None:
    """Return the type of the file system ``folder`` is on, from the text of ``/proc/mounts``."""
    found: tuple[int, str] | None = None
    for line in mounts.splitlines():
        words = line.split(" ")
        if len(words) < 3:
            continue
        point = Path(words[1].replace("\\040", " "))
        if folder.is_relative_to(point) and (found is None or len(point.parts) >= found[0]):
            found = (len(point.parts), words[2])
    return found[1] if found else None


def refuse_network_folder(folder: Path) -> None:
    """Raise StateError ``state-on-network`` when the folder is on a network file system."""
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return  # not Linux: nothing to ask, SQLite's own checks remain
    kind = find_file_system(folder.resolve(), mounts)
    if kind in _NETWORKS:
        raise StateError(
            f"the state cannot be in {folder}: that is on a network file system ({kind})",
            code="state-on-network",
            hint="put it on a local disk with --state sqlite:///PATH",
        )
