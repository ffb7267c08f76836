"""Stage types of Helm, as callables: ``helm.template("manifests", chart="deploy/chart")``."""

from __future__ import annotations

from gennaker.dsl import stage_type

__all__ = ["template", "values"]

template = stage_type("helm.template")
values = stage_type("helm.values")
