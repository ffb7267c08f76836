"""What a rendering may cost, and running a renderer's command within it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from gennaker.process import Completed, run
from gennaker.records import dataclass

__all__ = ["LIMITS", "RenderLimits", "run_bounded"]

# The limits are set by the child itself, which then becomes the renderer; one that is above what
# this machine allows anyway is left as it is.
_BOUND = 'ulimit -c 0; ulimit -t "$1" 2>/dev/null; ulimit -v "$2" 2>/dev/null; shift 2; exec "$@"'


@dataclass(frozen=True, slots=True)
class RenderLimits:
    """What one rendering may cost: seconds of CPU and of time, bytes of memory and of output."""

    cpu: int = 10
    wall: int = 30
    memory: int = 4 << 30
    output: int = 10 << 20

    def describe(self) -> str:
        """Say them: ``10 s of CPU, 30 s, 4 GiB``."""
        gibibytes = self.memory >> 30
        memory = f"{gibibytes} GiB" if gibibytes else f"{self.memory >> 20} MiB"
        return f"{self.cpu} s of CPU, {self.wall} s, {memory}"


LIMITS = RenderLimits()


def run_bounded(
    argv: Sequence[str],
    limits: RenderLimits,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Completed:
    """Run a renderer's command to its end within limits; a limit that is met ends it alone.

    Args:
        argv: the program, by its path or as ``PATH`` of ``env`` finds it, and its arguments.
        limits: what it may cost.
        cwd: where it starts.
        env: its whole environment, what has no credentials unless said.

    Raises:
        StageError: codes ``program-timeout`` and ``program-output``; what ``gennaker.process`` raises.
    """
    bounded = ["/bin/sh", "-c", _BOUND, "sh", str(limits.cpu), str(limits.memory >> 10), *argv]
    return run(bounded, cwd=cwd, env=env, timeout=limits.wall, max_bytes=limits.output + 4096)
