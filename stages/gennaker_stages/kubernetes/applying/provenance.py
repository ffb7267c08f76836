"""Which run put an image into a workload: an annotation of the workload, never of its Pods.

It is no part of what is desired, or every run would write every workload: a run that changes nothing
else of one leaves the annotation of the run before. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gennaker_stages.kubernetes.bundle.binding import BOUND
from gennaker_stages.kubernetes.bundle.objects import Object

__all__ = ["RUN", "carry_run", "stamp_run"]

RUN = "gennaker.dev/run"
"""An annotation: the id of the run that last changed a workload with bound images."""


def carry_run(body: Object, live: Mapping[str, Any] | None) -> Object:
    """Return a desired object with the run that its live state names, to compare the two."""
    annotations = live["metadata"].get("annotations") or {} if live is not None else {}
    return stamp_run(body, str(annotations[RUN])) if RUN in annotations else body


def stamp_run(body: Object, run: str) -> Object:
    """Return a desired object that names the run, when images were put into it."""
    metadata = body["metadata"]
    annotations = metadata.get("annotations") or {}
    if BOUND not in annotations:
        return body
    return {**body, "metadata": {**metadata, "annotations": {**annotations, RUN: run}}}
