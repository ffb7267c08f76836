"""One message being handled: what is known of the outside, and what came of it so far."""

from __future__ import annotations

from gennaker_engine.core.commands import Command
from gennaker_engine.core.events import Event
from gennaker_engine.core.evolve import evolve
from gennaker_engine.core.messages import World
from gennaker_engine.core.state import RunState

__all__ = ["Turn"]


class Turn:
    """Collects events (each takes effect at once) and commands.

    Attributes:
        run: read it as you like; change it through :meth:`emit` alone.
        world: what the core may know of the outside.
        now: seconds since the epoch.
    """

    __slots__ = ("commands", "events", "now", "run", "world")

    def __init__(self, run: RunState, world: World, now: float) -> None:
        self.run = run
        self.world = world
        self.now = now
        self.events: list[Event] = []
        self.commands: list[Command] = []

    def emit(self, event: Event) -> None:
        """Record a fact and apply it."""
        evolve(self.run, event)
        self.events.append(event)

    def ask(self, command: Command) -> None:
        """Ask the runtime for something."""
        self.commands.append(command)
