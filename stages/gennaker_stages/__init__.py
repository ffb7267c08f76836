"""The built-in stage types, registered through the same entry points as anybody's.

In a pipeline file they are callables: ``from gennaker_stages import docker, shell`` and then
``shell("greet", run="echo hello")`` or ``docker.build("image", context="app")``. Modules here are
never named like a stage type, so that the callable is what an import finds.
"""

from __future__ import annotations

from gennaker.dsl import stage_type

__all__ = ["approval", "python", "shell", "wait"]

approval = stage_type("approval")
python = stage_type("python")
shell = stage_type("shell")
wait = stage_type("wait")
