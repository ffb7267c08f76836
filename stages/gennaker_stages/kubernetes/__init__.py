"""Stage types of Kubernetes, as callables: ``kubernetes.deploy("staging", bundle=…)``."""

from __future__ import annotations

from gennaker.dsl import stage_type

__all__ = ["deploy"]

deploy = stage_type("kubernetes.deploy")
