"""Who watches a drive: the command line's tree, plain lines, CI annotations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gennaker_engine.core.events import Event
from gennaker_engine.core.run import Run

__all__ = ["Observer", "QuietObserver"]


class Observer(Protocol):
    """Called in the driver's thread, after the commit; must be quick and not raise."""

    def on_events(self, run: Run, events: Sequence[Event]) -> None:
        """These events of the run are durable; ``run`` is as they left it."""

    def on_log(self, run: str, instance: str, attempt: int, stream: str, text: str) -> None:
        """An attempt wrote this line (masked). A flood is thinned out; the log file has all."""


class QuietObserver:
    """Watches nothing."""

    def on_events(self, run: Run, events: Sequence[Event]) -> None:
        """Do nothing."""

    def on_log(self, run: str, instance: str, attempt: int, stream: str, text: str) -> None:
        """Do nothing."""
