"""The one way to write a file that others may read meanwhile: whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

__all__ = ["write_private"]


def write_private(path: Path, content: bytes) -> None:
    """Write a file whole that only its owner may read; who reads it sees all of it or nothing.

    Threads and processes may write the same file at once: each has a temporary file of its own
    beside it, named by the system, and the last to finish wins.

    Raises:
        OSError: the folder is missing or cannot be written; then nothing is left behind.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix="write-")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
