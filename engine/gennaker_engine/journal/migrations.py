"""The schema of a journal as numbered steps, of which a database has had the first so many.

Both journals upgrade with them when they open: an empty database takes all steps, one of an older
release those that it has not had, all in one transaction. There is no way back: a database that a
newer release has changed is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gennaker_engine.journal.errors import StateError

__all__ = ["Migrations"]

_FOLDER = Path(__file__).parent / "sql"


class Migrations:
    """The steps ``NNNN_what.sql`` of a folder, numbered from 1 without a gap.

    Args:
        folder: where they are.
    """

    def __init__(self, folder: Path) -> None:
        self._files = sorted(folder.glob("[0-9]*_*.sql"))

    @classmethod
    def of(cls, dialect: str) -> Migrations:
        """Return those of this release for ``sqlite`` or ``postgres``."""
        return cls(_FOLDER / dialect)

    @property
    def newest(self) -> int:
        """The version of the schema after all steps."""
        return len(self._files)

    def list_statements(self, *, after: int) -> Iterator[str]:
        """Yield what leads from version ``after`` to the newest, statement by statement.

        Statements of a file stand between lines with only a semicolon.
        """
        for path in self._files[after:]:
            yield from path.read_text(encoding="utf-8").split("\n;\n")

    def is_current(self, version: int, state: str) -> bool:
        """Whether a database needs no step.

        Args:
            version: that of its schema.
            state: what it is, for the message.

        Raises:
            StateError: code ``state-newer``.
        """
        if version > self.newest:
            raise StateError(
                f"{state} was written by a newer Gennaker: its schema is version {version}, "
                f"this one knows {self.newest}",
                code="state-newer",
                hint="use that version of Gennaker, or choose another state",
            )
        return version == self.newest
