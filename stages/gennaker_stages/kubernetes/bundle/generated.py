"""Names for hooks that leave theirs to the API server, as Argo CD's examples do.

Everything here finds an object by its name: a hook that was made before is replaced, one that a crash
interrupted is gone on with. So the server is not asked for one: a hook with ``generateName`` alone is
called by what it is, the same in the plan, in the deploy, and in a delivery after a crash.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

__all__ = ["HOOK_MARKS", "name_hook"]

HOOK_MARKS = ("argocd.argoproj.io/hook", "helm.sh/hook")
"""The annotations that make an object a hook."""
_SUFFIX = 8
# A Job's name is the value of a label of its Pods, too, which has 63 characters at most.
_LONGEST = 63 - _SUFFIX


def name_hook(body: Any) -> Any:
    """Return an object with a name made of its content when it is a hook with ``generateName`` alone.

    Args:
        body: what a document holds; anything else is returned as it is.
    """
    metadata = body.get("metadata") if isinstance(body, dict) else None
    if not isinstance(metadata, dict) or metadata.get("name"):
        return body
    prefix, annotations = metadata.get("generateName"), metadata.get("annotations")
    if not isinstance(prefix, str) or not prefix or not isinstance(annotations, dict):
        return body
    if not any(annotations.get(mark) for mark in HOOK_MARKS):
        return body
    content = json.dumps(body, sort_keys=True)
    suffix = hashlib.sha256(content.encode()).hexdigest()[:_SUFFIX]
    rest = {name: value for name, value in metadata.items() if name != "generateName"}
    return {**body, "metadata": {**rest, "name": f"{prefix[:_LONGEST]}{suffix}"}}
