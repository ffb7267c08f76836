"""From a state's URL to its journal."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from urllib.parse import urlsplit

from gennaker.errors import InvalidInput
from gennaker_engine.journal.errors import StateError
from gennaker_engine.journal.port import Journal

__all__ = ["DEFAULT_STATE", "find_sharer", "find_state_folder", "note_server", "open_journal"]

DEFAULT_STATE = "sqlite:///.gennaker/state.db"
_SQLITE = "sqlite:///"
_SERVERS = "servers"
"""File of a state folder with a digest for each server whose runs have files there."""


def open_journal(url: str, *, project: Path, reading: bool = False) -> Journal:
    """Open the journal of ``sqlite:///PATH`` or ``postgresql://HOST/DATABASE``.

    Args:
        url: a relative path in it starts at the project's root.
        project: that root.
        reading: nothing will be written, so that a file that cannot be will do.

    Raises:
        InvalidInput: code ``state-unsupported``, for a URL this version has no journal for,
            ``state-url``, or ``state-driver`` when psycopg is not installed.
        StateError: when the database cannot be used.
    """
    if url.startswith(_SQLITE) and len(url) > len(_SQLITE):
        path = project / url.removeprefix(_SQLITE)
        owners = find_state_folder(url, project=project) / "owners"
        return _open_sqlite(path, owners, reading=reading)
    kind = url.partition(":")[0]
    if kind in ("postgresql", "postgres"):
        return _open_postgres(url)
    raise InvalidInput(
        f"{kind!r} is no kind of state",
        code="state-unsupported",
        hint=f"write it like {DEFAULT_STATE} or postgresql://USER@HOST/DATABASE",
    )


def _open_sqlite(path: Path, owners: Path, *, reading: bool) -> Journal:
    from gennaker_engine.journal.sqlite import SqliteJournal

    try:
        return SqliteJournal(path, owners)
    except StateError as error:
        if not reading or error.code != "state-unwritable" or not path.is_file():
            raise
    from gennaker_engine.journal.sqlite_reading import ReadOnlySqliteJournal

    return ReadOnlySqliteJournal(path, owners)


def _open_postgres(url: str) -> Journal:
    try:
        from gennaker_engine.journal.postgres import PostgresJournal
    except ImportError as error:
        raise InvalidInput(
            f"a state in PostgreSQL needs psycopg, which cannot be loaded ({error})",
            code="state-driver",
            hint="install it with: pip install 'gennaker[postgres]'",
        ) from error
    return PostgresJournal(url)


def find_state_folder(url: str, *, project: Path) -> Path:
    """Return the folder of everything that belongs to a state beside its journal.

    For a file in a folder ``.gennaker`` that folder, for another ``FILE.files`` beside it, so that
    two states never share logs or locks; for a server the project's ``.gennaker``.
    """
    if not url.startswith(_SQLITE):
        return project / ".gennaker"
    path = project / url.removeprefix(_SQLITE)
    return path.parent if path.parent.name == ".gennaker" else path.with_name(f"{path.name}.files")


def note_server(url: str, folder: Path) -> None:
    """Note in a state folder that the runs of a server have files there, if ``url`` is one's."""
    if url.startswith(_SQLITE):
        return
    path, name = folder / _SERVERS, _name_server(url)
    if name not in _read_servers(folder):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        os.write(handle, f"{name}\n".encode())
        os.close(handle)


def find_sharer(url: str, folder: Path, *, project: Path) -> str:
    """Return another state that has files in the state folder of ``url``, empty when none has."""
    own = project / url.removeprefix(_SQLITE) if url.startswith(_SQLITE) else None
    for path in sorted(folder.glob("*.db")):
        if own is None or not own.exists() or not path.samefile(own):
            return str(path)
    servers = _read_servers(folder) - ({_name_server(url)} if own is None else set())
    return "a state in PostgreSQL" if servers else ""


def _read_servers(folder: Path) -> set[str]:
    try:
        return set((folder / _SERVERS).read_text(encoding="ascii").split())
    except FileNotFoundError:
        return set()


def _name_server(url: str) -> str:
    """Return a digest of host, port and database: a URL may hold a password."""
    place = urlsplit(url)
    return hashlib.sha256(f"{place.netloc.rpartition('@')[2]}{place.path}".encode()).hexdigest()
