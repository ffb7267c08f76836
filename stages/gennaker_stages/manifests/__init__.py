"""Stage types of plain manifests, as callables: ``manifests.load("objects", files=["k8s/**"])``."""

from __future__ import annotations

from gennaker.dsl import stage_type

__all__ = ["load"]

load = stage_type("manifests.load")
