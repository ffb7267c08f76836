"""The one subprocess wrapper: argument lists only, a process group each, bounded output, no orphans.

``run`` and ``capture`` are for short programs (git, a renderer), :class:`ChildProcess` for what is
followed line by line (scripts), :class:`Helper` for what is asked again and again. A child leads a session of its own, so that it and everything it
starts end together: by TERM, and by KILL when that did not help. Nothing relies on the parent
living: who knows ``(pid, started)`` of a group ends it later with :func:`end_group`. What left a gated
child's session is found by a mark in its environment.
"""

from __future__ import annotations

from gennaker.process.child import (
    ChildProcess,
    Completed,
    capture,
    clean_environment,
    describe_exit,
    run,
)
from gennaker.process.groups import GRACE, end_children, end_group, find_start_time
from gennaker.process.helper import Helper
from gennaker.process.lines import MAX_LINE, Masking

__all__ = [
    "GRACE",
    "MAX_LINE",
    "ChildProcess",
    "Completed",
    "Helper",
    "Masking",
    "capture",
    "clean_environment",
    "describe_exit",
    "end_children",
    "end_group",
    "find_start_time",
    "run",
]
