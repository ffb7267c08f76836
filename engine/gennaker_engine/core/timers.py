"""What time alone makes happen: a heap of due moments, each under the key that can cancel it.

Setting a key again replaces its moment. A cancelled entry stays in the heap until it comes up or
until there are more of those than live ones, so every operation costs a logarithm at most.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush

__all__ = ["Timers"]

Key = tuple[str, str]


class Timers:
    """Moments by key; a key is ``(kind, name)``. Equal when the live moments are."""

    __slots__ = ("_due", "_heap")

    def __init__(self) -> None:
        self._due: dict[Key, float] = {}
        self._heap: list[tuple[float, Key]] = []

    def set(self, key: Key, due: float) -> None:
        """Make ``key`` due then, whatever it was before."""
        if self._due.get(key) != due:
            self._due[key] = due
            heappush(self._heap, (due, key))
            if len(self._heap) > 2 * len(self._due) + 64:
                self._heap = [(moment, each) for each, moment in self._due.items()]
                heapify(self._heap)

    def shift(self, key: Key, by: float) -> None:
        """Make ``key`` due ``by`` seconds later; nothing happens when it is not set."""
        due = self._due.get(key)
        if due is not None:
            self.set(key, due + by)

    def cancel(self, key: Key) -> None:
        """Forget ``key``; nothing happens when it is not set."""
        self._due.pop(key, None)

    def get(self, key: Key) -> float | None:
        """The moment of ``key``."""
        return self._due.get(key)

    def first(self) -> tuple[float, Key] | None:
        """Return the earliest live moment and its key."""
        heap = self._heap
        while heap and self._due.get(heap[0][1]) != heap[0][0]:
            heappop(heap)
        return heap[0] if heap else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Timers) and self._due == other._due

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Timers({self._due!r})"
