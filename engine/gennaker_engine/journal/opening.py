"""From a state's URL to its journal."""

from __future__ import annotations

from pathlib import Path

from gennaker.errors import InvalidInput
from gennaker_engine.journal.port import Journal

__all__ = ["DEFAULT_STATE", "find_state_folder", "open_journal"]

DEFAULT_STATE = "sqlite:///.gennaker/state.db"
_SQLITE = "sqlite:///"


def open_journal(url: str, *, project: Path) -> Journal:
    """Open the journal of ``sqlite:///PATH`` or ``postgresql://HOST/DATABASE``.

    A relative path starts at the project's root.

    Raises:
        InvalidInput: code ``state-unsupported``, for a URL this version has no journal for,
            ``state-url``, or ``state-driver`` when psycopg is not installed.
        StateError: when the database cannot be used.
    """
    if url.startswith(_SQLITE) and len(url) > len(_SQLITE):
        from gennaker_engine.journal.sqlite import SqliteJournal

        path = project / url.removeprefix(_SQLITE)
        return SqliteJournal(path, find_state_folder(url, project=project) / "owners")
    kind = url.partition(":")[0]
    if kind in ("postgresql", "postgres"):
        return _open_postgres(url)
    raise InvalidInput(
        f"{kind!r} is no kind of state",
        code="state-unsupported",
        hint=f"write it like {DEFAULT_STATE} or postgresql://USER@HOST/DATABASE",
    )


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
