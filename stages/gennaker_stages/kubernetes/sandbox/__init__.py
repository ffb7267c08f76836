"""A sandbox cluster: an embedded Kubernetes API, stateful, with simulated controllers and faults.

For a team's tests, in the process::

    from gennaker_stages.kubernetes.sandbox import Sandbox, VirtualClock

    with Sandbox(clock=VirtualClock()) as sandbox:
        sandbox.write_kubeconfig(path)
        ...

For the command line there is one helper process per state folder, see :mod:`.process`. What it offers
and what not is in ``docs/reference/sandbox.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .clock import Clock, RealClock, VirtualClock
    from .sandbox import Sandbox

__all__ = ["Clock", "RealClock", "Sandbox", "VirtualClock"]

_HOMES = {"Sandbox": "sandbox", "Clock": "clock", "RealClock": "clock", "VirtualClock": "clock"}


def __getattr__(name: str) -> Any:
    # Loaded on first use: asking for a running helper needs none of the server.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
