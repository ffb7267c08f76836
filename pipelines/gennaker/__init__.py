"""The authoring SDK: what a pipeline is.

::

    from gennaker import Pipeline, environment
    from gennaker_stages import http, shell

    with Pipeline("hello") as pipeline:
        shell("greet", run="echo hello")

Names are imported on first use, so that ``import gennaker`` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gennaker._version import __version__

if TYPE_CHECKING:
    from gennaker.dsl import Pipeline, stage_type
    from gennaker.references import Reference

    environment: Reference
    git: Reference
    matrix: Reference
    run: Reference
    secrets: Reference
    trigger: Reference

__all__ = [
    "Pipeline",
    "__version__",
    "environment",
    "git",
    "matrix",
    "run",
    "secrets",
    "stage_type",
    "trigger",
]

_ROOTS = frozenset({"environment", "git", "matrix", "run", "secrets", "trigger"})


def __getattr__(name: str) -> Any:
    if name in ("Pipeline", "stage_type"):
        from gennaker import dsl

        return getattr(dsl, name)
    if name in _ROOTS:
        from gennaker.references import Reference

        return Reference(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
