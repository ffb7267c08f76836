"""StatefulSets: numbered pods in order, their claims, and updates from the last to the first."""

from __future__ import annotations

from typing import Any

from ..decode import clone
from .base import REACTION, Controller, Object, hash_of, is_ready, owner_reference
from .replicas import count_available
from .revisions import keep_revision

__all__ = ["StatefulSets"]

HASH = "controller-revision-hash"


class StatefulSets(Controller):
    """Keeps pods ``NAME-0`` … with an identity that outlives them."""

    storages = ("statefulsets.apps",)
    owned = ("pods",)

    def reconcile(self, storage: str, obj: Object) -> None:
        """Make or delete the next pod, then count."""
        revision = f"{obj['metadata']['name']}-{hash_of(obj['spec']['template'])}"
        current = obj["status"].get("currentRevision") or revision
        pods = {pod["metadata"]["name"]: pod for pod in self.children(obj, "pods")}
        if not obj["metadata"].get("deletionTimestamp"):
            mark = revision.removeprefix(f"{obj['metadata']['name']}-")
            keep_revision(self, obj, revision, {"controller.kubernetes.io/hash": mark})
            self._step(obj, pods, revision)
        self._count(storage, obj, revision, current)

    def _step(self, obj: Object, pods: dict[str, Object], revision: str) -> None:
        spec = obj["spec"]
        ordered = spec["podManagementPolicy"] == "OrderedReady"
        start = (spec.get("ordinals") or {}).get("start", 0)
        names = [
            f"{obj['metadata']['name']}-{number}"
            for number in range(start, start + spec["replicas"])
        ]
        for number, name in enumerate(names):
            pod = pods.get(name)
            if pod is None:
                self._make(obj, name, number + start, revision)
                if ordered:
                    return
            elif pod["status"].get("phase") in ("Failed", "Succeeded"):
                self.delete("pods", pod, grace=0)
                return
            elif ordered and (not is_ready(pod) or pod["metadata"].get("deletionTimestamp")):
                # An update of a pod that is not ready may be what heals it.
                if not self._outdated(pod, revision):
                    return
                break
        surplus = sorted((name for name in pods if name not in names), key=_number, reverse=True)
        for name in surplus:
            if not pods[name]["metadata"].get("deletionTimestamp"):
                self.delete("pods", pods[name])
            if ordered:
                return
        if spec["updateStrategy"]["type"] == "RollingUpdate":
            self._roll(obj, pods, names, revision)

    def _roll(self, obj: Object, pods: dict[str, Object], names: list[str], revision: str) -> None:
        partition = (obj["spec"]["updateStrategy"].get("rollingUpdate") or {}).get("partition", 0)
        for name in reversed(names[partition:]):
            pod = pods.get(name)
            if pod is None or pod["metadata"].get("deletionTimestamp"):
                return
            if self._outdated(pod, revision):
                self.delete("pods", pod)
                return
            if not is_ready(pod):
                return

    @staticmethod
    def _outdated(pod: Object, revision: str) -> bool:
        return bool(pod["metadata"].get("labels", {}).get(HASH) != revision)

    def _make(self, obj: Object, name: str, number: int, revision: str) -> None:
        template = clone(obj["spec"]["template"])
        namespace = obj["metadata"]["namespace"]
        for claim in obj["spec"].get("volumeClaimTemplates", []):
            base = claim["metadata"]["name"]
            self._claim(obj, claim, f"{base}-{name}", namespace)
            volumes = template["spec"].setdefault("volumes", [])
            source = {"claimName": f"{base}-{name}"}
            volumes.append({"name": base, "persistentVolumeClaim": source})
        template["spec"]["hostname"] = name
        if obj["spec"].get("serviceName"):
            template["spec"]["subdomain"] = obj["spec"]["serviceName"]
        labels = {
            HASH: revision,
            "statefulset.kubernetes.io/pod-name": name,
            "apps.kubernetes.io/pod-index": str(number),
        }
        self.make_pod(obj, template, name=name, labels=labels)

    def _claim(self, obj: Object, claim: Object, name: str, namespace: str) -> None:
        if self.store.get("persistentvolumeclaims", namespace, name) is not None:
            return
        body = clone(claim)
        labels = (obj["spec"].get("selector") or {}).get("matchLabels") or {}
        body["metadata"] = {**claim["metadata"], "name": name, "namespace": namespace}
        body["metadata"]["labels"] = {**labels, **claim["metadata"].get("labels", {})}
        retention = obj["spec"].get("persistentVolumeClaimRetentionPolicy", {})
        if retention.get("whenDeleted") == "Delete":
            body["metadata"]["ownerReferences"] = [owner_reference(obj)]
        self.create("persistentvolumeclaims", body)

    def _count(self, storage: str, obj: Object, revision: str, current: str) -> None:
        pods = [
            pod
            for pod in self.children(obj, "pods")
            if not pod["metadata"].get("deletionTimestamp")
        ]
        minimum = obj["spec"].get("minReadySeconds", 0)
        available, wait = count_available(pods, minimum, self.scheduler.clock.now())
        updated = sum(not self._outdated(pod, revision) for pod in pods)
        ready = sum(is_ready(pod) for pod in pods)
        wanted = obj["spec"]["replicas"]
        if updated == wanted == ready == len(pods):
            current = revision
        status: dict[str, Any] = {
            "observedGeneration": obj["metadata"]["generation"],
            "replicas": len(pods),
            "readyReplicas": ready,
            "availableReplicas": available,
            "updatedReplicas": updated,
            "currentReplicas": sum(pod["metadata"]["labels"].get(HASH) == current for pod in pods),
            "currentRevision": current,
            "updateRevision": revision,
            "collisionCount": 0,
        }
        self.set_status(storage, obj, status)
        if wait is not None:
            self.plan(storage, obj, max(wait, REACTION))


def _number(name: str) -> int:
    return int(name.rpartition("-")[2])
