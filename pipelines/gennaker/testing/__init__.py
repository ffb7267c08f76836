"""For who tests pipelines and stage types; nothing that ships imports it.

``simulate`` runs a pipeline on virtual time and returns what would happen. :class:`FakeContext` is a
context to call a stage with, and :class:`StageContract` the tests every stage type passes. Each
loads what it needs on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gennaker.testing.context import AttemptCancelled as AttemptCancelled
    from gennaker.testing.context import FakeContext as FakeContext
    from gennaker.testing.contract import StageContract as StageContract
    from gennaker.testing.simulate import simulate as simulate

_HOMES = {
    "AttemptCancelled": "context",
    "FakeContext": "context",
    "StageContract": "contract",
    "simulate": "simulate",
}

__all__ = ["AttemptCancelled", "FakeContext", "StageContract", "simulate"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    # Also over the module of the same name, which its import has put here.
    globals()[name] = found
    return found
