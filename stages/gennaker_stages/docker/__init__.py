"""Stage types of Docker, as callables: ``docker.build("image", context="app", tags=[…])``."""

from __future__ import annotations

from gennaker.dsl import stage_type

__all__ = ["build", "run"]

build = stage_type("docker.build")
run = stage_type("docker.run")
