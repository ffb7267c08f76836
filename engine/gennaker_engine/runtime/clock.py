"""The clock of the runtime: seconds since the epoch, replaced by tests."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Clock", "read_system_clock"]

Clock = Callable[[], float]
"""Returns seconds since the epoch."""

read_system_clock: Clock = time.time
