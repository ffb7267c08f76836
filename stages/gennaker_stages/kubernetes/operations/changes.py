"""``kubernetes.patch``, ``kubernetes.scale`` and ``kubernetes.restart``: changes of one live object."""

from __future__ import annotations

import hashlib
from typing import Any

from pydantic import Field

from gennaker.stage import Stage
from gennaker_stages.kubernetes.operations.base import Aim, ChangeInputs, ChangeStage

__all__ = ["ROLLED", "KubernetesPatch", "KubernetesRestart", "KubernetesScale"]

RESTARTED = "kubectl.kubernetes.io/restartedAt"
"""What kubectl sets on the Pod template; its own value is a time."""
ROLLED = ("Deployment", "StatefulSet", "DaemonSet")
"""Kinds that replace their Pods by a rollout, and keep revisions."""


class KubernetesPatch(ChangeStage):
    """Change some fields of a live object, and wait until it is ready."""

    name = "kubernetes.patch"

    class Inputs(ChangeInputs):
        """Which object, and what of it."""

        patch: dict[str, Any] = Field(
            description="A merge patch: the fields to set; null takes one out, lists are whole"
        )

    def make_patch(self, inputs: Inputs, live: dict[str, Any], aim: Aim) -> Any:
        """Return it as written."""
        return inputs.patch


class KubernetesScale(ChangeStage):
    """Set how many replicas a workload has, and wait until they are ready."""

    name = "kubernetes.scale"

    class Inputs(ChangeInputs):
        """Which workload, and how many."""

        kinds = ("Deployment", "StatefulSet", "ReplicaSet", "ReplicationController")
        lack = "has no replicas to set"
        replicas: int = Field(ge=0, description="How many Pods it is to have")

    def make_patch(self, inputs: Inputs, live: dict[str, Any], aim: Aim) -> Any:
        """Return the patch of ``spec.replicas``."""
        return {"spec": {"replicas": inputs.replicas}}


class KubernetesRestart(ChangeStage):
    """Replace all Pods of a workload as a rollout does, and wait until the new ones are ready."""

    name = "kubernetes.restart"

    class Inputs(ChangeInputs):
        """Which workload."""

        kinds = ROLLED
        lack = "is not restarted by a rollout"

    # Putting the mark back would be one more restart.
    undo = Stage.undo
    plan_undo = Stage.plan_undo

    def make_patch(self, inputs: Any, live: dict[str, Any], aim: Aim) -> Any:
        """Return the patch that kubectl makes, with a mark of the attempt instead of a time."""
        mark = hashlib.sha256(aim.key.encode()).hexdigest()[:16]
        return {"spec": {"template": {"metadata": {"annotations": {RESTARTED: mark}}}}}
