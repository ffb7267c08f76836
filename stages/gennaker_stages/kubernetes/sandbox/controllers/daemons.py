"""DaemonSets: one pod for every node, replaced node by node."""

from __future__ import annotations

from ..decode import clone
from .base import REACTION, Controller, Object, hash_of, is_live, is_ready
from .replicas import count_available
from .revisions import keep_revision

__all__ = ["DaemonSets"]

HASH = "controller-revision-hash"


class DaemonSets(Controller):
    """Keeps one pod on each node of the sandbox (which has one)."""

    storages = ("daemonsets.apps",)
    owned = ("pods",)

    def reconcile(self, storage: str, obj: Object) -> None:
        """Make missing pods, replace old ones, then count."""
        mark = hash_of(obj["spec"]["template"])
        pods = self.children(obj, "pods")
        nodes = self._nodes(obj)
        if not obj["metadata"].get("deletionTimestamp"):
            keep_revision(self, obj, f"{obj['metadata']['name']}-{mark}", {HASH: mark})
            if len(pods) < len(nodes):
                prefix = f"{obj['metadata']['name']}-"
                labels = {HASH: mark, "pod-template-generation": str(obj["metadata"]["generation"])}
                template = clone(obj["spec"]["template"])
                pods.append(self.make_pod(obj, template, generateName=prefix, labels=labels))
            elif obj["spec"]["updateStrategy"]["type"] == "RollingUpdate":
                for pod in pods:
                    if is_live(pod) and pod["metadata"]["labels"].get(HASH) != mark:
                        self.delete("pods", pod)
        pods = [pod for pod in self.children(obj, "pods") if is_live(pod)]
        self._count(storage, obj, pods, mark, len(nodes))

    def _nodes(self, obj: Object) -> list[Object]:
        wanted = (obj["spec"]["template"]["spec"].get("nodeSelector") or {}).items()
        return [
            node
            for node in self.store.list("nodes")
            if wanted <= node["metadata"].get("labels", {}).items()
        ]

    def _count(self, storage: str, obj: Object, pods: list[Object], mark: str, nodes: int) -> None:
        minimum = obj["spec"].get("minReadySeconds", 0)
        available, wait = count_available(pods, minimum, self.scheduler.clock.now())
        ready = sum(is_ready(pod) for pod in pods)
        status = {
            "currentNumberScheduled": len(pods),
            "numberMisscheduled": 0,
            "desiredNumberScheduled": nodes,
            "numberReady": ready,
            "observedGeneration": obj["metadata"]["generation"],
            "updatedNumberScheduled": sum(
                pod["metadata"]["labels"].get(HASH) == mark for pod in pods
            ),
            "numberAvailable": available,
            "numberUnavailable": nodes - available,
        }
        self.set_status(storage, obj, status)
        if wait is not None:
            self.plan(storage, obj, max(wait, REACTION))
