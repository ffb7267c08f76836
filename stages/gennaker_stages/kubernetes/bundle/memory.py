"""What texts were read as, for a while: reading JSON again costs a tenth of reading YAML."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from typing import Any

__all__ = ["Memory"]


class Memory:
    """Plain data by the text it was read from; what was used last is kept. Safe to use from threads.

    It is kept as text, so that everybody gets data of their own, and so much of it fits.

    Args:
        size: how many bytes it may have.
    """

    def __init__(self, size: int) -> None:
        self._left = size
        self._lock = threading.Lock()
        self._held: OrderedDict[bytes, bytes] = OrderedDict()

    def recall(self, text: str) -> Any:
        """Return the data that was kept for a text, None when there is none."""
        mark = _mark(text)
        with self._lock:
            found = self._held.get(mark)
            if found is None:
                return None
            self._held.move_to_end(mark)
        return json.loads(found)

    def keep(self, text: str, data: Any) -> None:
        """Keep the data of a text; what was not used for the longest time makes room for it."""
        mark, content = _mark(text), json.dumps(data, separators=(",", ":")).encode()
        with self._lock:
            self._left += len(self._held.pop(mark, b""))
            self._held[mark] = content
            self._left -= len(content)
            while self._left < 0:
                _, gone = self._held.popitem(last=False)
                self._left += len(gone)


def _mark(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).digest()
