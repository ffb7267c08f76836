"""Stage types of Kustomize, as callables: ``kustomize.build("objects", folder="overlays/prod")``."""

from __future__ import annotations

from gennaker.dsl import stage_type

__all__ = ["build"]

build = stage_type("kustomize.build")
