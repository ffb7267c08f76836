"""Several requests at once, bounded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["PARALLEL", "work_in_parallel"]

# More does not help: the server and this process each keep a core busy with eight.
PARALLEL = 8
T = TypeVar("T")
R = TypeVar("R")


def work_in_parallel(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Return what ``work`` makes of each item, in order; after an error no more is begun."""
    if len(items) < 2:
        return [work(each) for each in items]
    with ThreadPoolExecutor(PARALLEL, thread_name_prefix="kubernetes") as pool:
        try:
            return list(pool.map(work, items))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
