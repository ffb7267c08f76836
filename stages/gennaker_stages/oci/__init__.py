"""Stage types of OCI images, as callables: ``oci.build("image", files={"/www": "www"})``."""

from __future__ import annotations

from gennaker.dsl import stage_type

__all__ = ["build"]

build = stage_type("oci.build")
