"""From a state's URL to its journal."""

from __future__ import annotations

from pathlib import Path

from gennaker.errors import InvalidInput
from gennaker_engine.journal.port import Journal

__all__ = ["DEFAULT_STATE", "find_state_folder", "open_journal"]

DEFAULT_STATE = "sqlite:///.gennaker/state.db"
_SQLITE = "sqlite:///"


def open_journal(url: str, *, project: Path) -> Journal:
    """Open the journal of ``sqlite:///PATH``; a relative path starts at the project's root.

    Raises:
        InvalidInput: code ``state-unsupported``, for a URL this version has no journal for.
        StateError: when the database cannot be used.
    """
    if url.startswith(_SQLITE) and len(url) > len(_SQLITE):
        from gennaker_engine.journal.sqlite import SqliteJournal

        path = project / url.removeprefix(_SQLITE)
        return SqliteJournal(path, find_state_folder(url, project=project) / "owners")
    kind = url.partition(":")[0]
    if kind in ("postgresql", "postgres"):
        # The rest of the URL may hold a password: it is not told.
        raise InvalidInput(
            "a state in PostgreSQL is not offered yet in this version",
            code="state-unsupported",
            hint=f"use {DEFAULT_STATE}",
        )
    raise InvalidInput(
        f"{kind!r} is no kind of state",
        code="state-unsupported",
        hint=f"write it like {DEFAULT_STATE}",
    )


def find_state_folder(url: str, *, project: Path) -> Path:
    """Return the folder of everything that belongs to a state beside its journal.

    For a database in a folder ``.gennaker`` that folder, for another ``FILE.files`` beside it, so
    that two states never share logs or locks.
    """
    if not url.startswith(_SQLITE):
        return project / ".gennaker"
    path = project / url.removeprefix(_SQLITE)
    return path.parent if path.parent.name == ".gennaker" else path.with_name(f"{path.name}.files")
