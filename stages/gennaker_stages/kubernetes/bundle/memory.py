"""What was made of texts, kept for a while: JSON of YAML, which is read again in a tenth of the time."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

__all__ = ["Memory"]


class Memory:
    """Texts by the texts they were made of; those used last are kept. Safe to use from threads.

    Args:
        size: how many bytes those may have that were made.
    """

    def __init__(self, size: int) -> None:
        self._left = size
        self._lock = threading.Lock()
        self._held: OrderedDict[bytes, bytes] = OrderedDict()

    def recall(self, text: str) -> str | None:
        """Return what was kept for a text, None when nothing was."""
        mark = _mark(text)
        with self._lock:
            found = self._held.get(mark)
            if found is None:
                return None
            self._held.move_to_end(mark)
        return found.decode()

    def keep(self, text: str, made: str) -> None:
        """Keep what was made of a text; what was not used for the longest time makes room for it."""
        mark, content = _mark(text), made.encode()
        with self._lock:
            self._left += len(self._held.pop(mark, b""))
            self._held[mark] = content
            self._left -= len(content)
            while self._left < 0:
                _, gone = self._held.popitem(last=False)
                self._left += len(gone)


def _mark(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).digest()
