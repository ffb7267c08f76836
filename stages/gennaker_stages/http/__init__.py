"""Stage types over HTTP, as callables: ``http.request("smoke", url=…)``."""

from __future__ import annotations

from gennaker.dsl import stage_type

__all__ = ["request"]

request = stage_type("http.request")
