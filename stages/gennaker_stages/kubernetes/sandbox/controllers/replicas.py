"""ReplicaSets: as many pods as asked for, and a status that counts them."""

from __future__ import annotations

from datetime import datetime

from .base import REACTION, Controller, Object, is_live, is_ready

__all__ = ["ReplicaSets", "count_available", "seconds_ready"]


class ReplicaSets(Controller):
    """Makes and deletes pods until there are ``spec.replicas``."""

    storages = ("replicasets.apps",)
    owned = ("pods",)

    def reconcile(self, storage: str, obj: Object) -> None:
        """Create or delete pods, then count."""
        pods = [pod for pod in self.children(obj, "pods") if is_live(pod)]
        if not obj["metadata"].get("deletionTimestamp"):
            missing = obj["spec"]["replicas"] - len(pods)
            for _ in range(missing):
                prefix = f"{obj['metadata']['name']}-"
                pods.append(self.make_pod(obj, obj["spec"]["template"], generateName=prefix))
            if missing < 0:
                # Those that are not ready go first, then the youngest.
                pods.sort(key=_worth)
                for pod in pods[:-missing]:
                    self.delete("pods", pod)
                    text = f"Deleted pod: {pod['metadata']['name']}"
                    self.tell(obj, "Normal", "SuccessfulDelete", text, "replicaset-controller")
                pods = pods[-missing:]
        self._count(storage, obj, pods)

    def _count(self, storage: str, obj: Object, pods: list[Object]) -> None:
        labels = obj["spec"]["template"]["metadata"].get("labels", {}).items()
        minimum = obj["spec"].get("minReadySeconds", 0)
        ready = sum(is_ready(pod) for pod in pods)
        available, wait = count_available(pods, minimum, self.scheduler.clock.now())
        status = {
            "replicas": len(pods),
            "fullyLabeledReplicas": sum(
                labels <= pod["metadata"].get("labels", {}).items() for pod in pods
            ),
            "readyReplicas": ready,
            "availableReplicas": available,
            "observedGeneration": obj["metadata"]["generation"],
        }
        self.set_status(storage, obj, status)
        if wait is not None:
            self.plan(storage, obj, max(wait, REACTION))


def _worth(pod: Object) -> tuple[bool, bool, str]:
    age = str(pod["metadata"]["creationTimestamp"])
    return (
        is_ready(pod),
        bool(pod["spec"].get("nodeName")),
        "".join(chr(255 - ord(c)) for c in age),
    )


def seconds_ready(pod: Object, now: float) -> float:
    """Return since how many seconds a pod has been ready (-1 when it is not)."""
    for each in pod.get("status", {}).get("conditions", []):
        if each["type"] == "Ready" and each["status"] == "True":
            return now - datetime.fromisoformat(each["lastTransitionTime"]).timestamp()
    return -1.0


def count_available(pods: list[Object], minimum: int, now: float) -> tuple[int, float | None]:
    """Return how many pods have been ready for ``minimum`` seconds, and when to count again."""
    available = 0
    waits = []
    for pod in pods:
        since = seconds_ready(pod, now)
        if since < 0:
            continue
        if since >= minimum:
            available += 1
        else:
            waits.append(minimum - since)
    return available, min(waits, default=None)
