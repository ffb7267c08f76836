"""Deployments: ReplicaSets by template, rolled over as the strategy says, with conditions and deadline."""

from __future__ import annotations

import math
from datetime import datetime

from ..decode import clone
from ..store import Change
from .base import MANAGER, Controller, Object, hash_of, owner_of, owner_reference

__all__ = ["Deployments"]

HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
SETS = "replicasets.apps"
COMPONENT = "deployment-controller"


class Deployments(Controller):
    """Keeps one ReplicaSet per template and moves the pods from the old ones to the new one."""

    storages = ("deployments.apps",)
    owned = (SETS,)

    def notice(self, change: Change) -> None:
        """React to pods that are gone too: a Recreate waits for the last of them."""
        super().notice(change)
        owner = owner_of(change.last) if change.storage == "pods" and change.new is None else None
        if owner is not None and owner["kind"] == "ReplicaSet":
            namespace = change.last["metadata"]["namespace"]
            replicas = self.store.get(SETS, namespace, owner["name"])
            parent = owner_of(replicas) if replicas is not None else None
            if parent is not None:
                self.plan_key("deployments.apps", namespace, parent["name"])

    def reconcile(self, storage: str, obj: Object) -> None:
        """Take a rollout one step on, then write the status."""
        sets = self.children(obj, SETS)
        if obj["metadata"].get("deletionTimestamp"):
            return
        new = next((each for each in sets if _template(each) == obj["spec"]["template"]), None)
        created = False
        if new is None and not obj["spec"].get("paused"):
            new = self._create_set(obj, sets)
            sets.append(new)
            created = True
        old = [each for each in sets if each is not new]
        if new is not None:
            obj = self._number(storage, obj, new, old)
        if not obj["spec"].get("paused") and new is not None:
            if obj["spec"]["strategy"]["type"] == "Recreate":
                self._recreate(obj, new, old)
            else:
                self._roll(obj, new, old)
            self._forget_history(obj, old)
        self._write_status(storage, obj, new, created)

    def _create_set(self, obj: Object, sets: list[Object]) -> Object:
        template = clone(obj["spec"]["template"])
        mark = hash_of(template)
        template["metadata"].setdefault("labels", {})[HASH] = mark
        selector = clone(obj["spec"]["selector"])
        selector.setdefault("matchLabels", {})[HASH] = mark
        metadata = obj["metadata"]
        body = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": f"{metadata['name']}-{mark}",
                "namespace": metadata["namespace"],
                "labels": dict(template["metadata"]["labels"]),
                "annotations": {REVISION: str(_revision(sets) + 1)},
                "ownerReferences": [owner_reference(obj)],
            },
            "spec": {
                "replicas": 0,
                "selector": selector,
                "template": template,
                "minReadySeconds": obj["spec"].get("minReadySeconds", 0),
            },
        }
        return self.create(SETS, body)

    def _number(self, storage: str, obj: Object, new: Object, old: list[Object]) -> Object:
        """Keep the revision of the newest set and of the Deployment."""
        newest = _revision(old) + 1
        if _revision([new]) < newest:
            new_metadata = clone(new["metadata"])
            new_metadata.setdefault("annotations", {})[REVISION] = str(newest)
            fields = {"metadata": new_metadata}
            self.operations.write_fields(self.resource(SETS), new, fields, MANAGER)
        wanted = str(max(newest, _revision([new])))
        if obj["metadata"].get("annotations", {}).get(REVISION) == wanted:
            return obj
        metadata = clone(obj["metadata"])
        metadata.setdefault("annotations", {})[REVISION] = wanted
        # With the status, as the real controller does: it must not count as a new generation.
        return self.operations.write_status(
            self.resource(storage), {**obj, "metadata": metadata}, obj["status"], MANAGER
        )

    def _scale(self, obj: Object, each: Object, replicas: int) -> None:
        before = each["spec"]["replicas"]
        if before == replicas:
            return
        self.set_spec(SETS, self._fresh(each), replicas=replicas)
        verb = "up" if replicas > before else "down"
        name = each["metadata"]["name"]
        text = f"Scaled {verb} replica set {name} from {before} to {replicas}"
        self.tell(obj, "Normal", "ScalingReplicaSet", text, COMPONENT)

    def _fresh(self, each: Object) -> Object:
        metadata = each["metadata"]
        return self.store.get(SETS, metadata["namespace"], metadata["name"]) or each

    def _recreate(self, obj: Object, new: Object, old: list[Object]) -> None:
        for each in old:
            self._scale(obj, each, 0)
        if not any(self.children(each, "pods") for each in old):
            self._scale(obj, new, obj["spec"]["replicas"])

    def _roll(self, obj: Object, new: Object, old: list[Object]) -> None:
        wanted = obj["spec"]["replicas"]
        surge, unavailable = _bounds(obj)
        total = sum(each["spec"]["replicas"] for each in [new, *old])
        if new["spec"]["replicas"] > wanted:
            self._scale(obj, new, wanted)
            return
        if new["spec"]["replicas"] < wanted:
            room = wanted + surge - total
            if room > 0:
                more = min(room, wanted - new["spec"]["replicas"])
                self._scale(obj, new, new["spec"]["replicas"] + more)
                return
        least = wanted - unavailable
        pending = new["spec"]["replicas"] - new["status"].get("availableReplicas", 0)
        spare = total - least - max(pending, 0)
        if spare <= 0:
            return
        counts = {each["metadata"]["name"]: each["spec"]["replicas"] for each in old}
        old = sorted(old, key=lambda each: _revision([each]))
        # Old pods that do not work go first: nobody misses them.
        left = spare
        for each in old:
            name = each["metadata"]["name"]
            broken = counts[name] - each["status"].get("availableReplicas", 0)
            drop = max(0, min(left, broken))
            counts[name] -= drop
            left -= drop
        working = sum(each["status"].get("availableReplicas", 0) for each in [new, *old])
        left = min(left, working - least)
        for each in old:
            name = each["metadata"]["name"]
            drop = max(0, min(left, counts[name]))
            counts[name] -= drop
            left -= drop
        for each in old:
            self._scale(obj, each, counts[each["metadata"]["name"]])

    def _forget_history(self, obj: Object, old: list[Object]) -> None:
        empty = [
            each for each in old
            if not each["spec"]["replicas"] and not each["status"].get("replicas")
        ]  # fmt: skip
        excess = len(empty) - obj["spec"]["revisionHistoryLimit"]
        for each in sorted(empty, key=lambda e: _revision([e]))[: max(excess, 0)]:
            self.delete(SETS, each)

    def _write_status(self, storage: str, obj: Object, new: Object | None, created: bool) -> None:
        sets = self.children(obj, SETS)
        if new is not None:
            new = self._fresh(new)
        before = obj["status"]

        def total(field: str) -> int:
            return sum(each["status"].get(field, 0) for each in sets)

        status: Object = {
            "observedGeneration": obj["metadata"]["generation"],
            "replicas": total("replicas"),
            "updatedReplicas": new["status"].get("replicas", 0) if new is not None else 0,
            "readyReplicas": total("readyReplicas"),
            "availableReplicas": total("availableReplicas"),
        }
        wanted = sum(each["spec"]["replicas"] for each in sets)
        status["unavailableReplicas"] = max(0, wanted - status["availableReplicas"])
        conditions = [
            self._available(obj, status),
            self._progressing(storage, obj, status, new, created),
        ]
        status["conditions"] = [each for each in conditions if each is not None]
        if "collisionCount" in before:
            status["collisionCount"] = before["collisionCount"]
        self.set_status(storage, obj, status)

    def _available(self, obj: Object, status: Object) -> Object:
        least = obj["spec"]["replicas"] - _bounds(obj)[1]
        if status["availableReplicas"] >= least:
            text = "Deployment has minimum availability."
            return self._condition(obj, "Available", "True", "MinimumReplicasAvailable", text)
        text = "Deployment does not have minimum availability."
        return self._condition(obj, "Available", "False", "MinimumReplicasUnavailable", text)

    def _progressing(
        self, storage: str, obj: Object, status: Object, new: Object | None, created: bool
    ) -> Object | None:
        known = _find(obj, "Progressing")
        if new is None:
            return known
        wanted = obj["spec"]["replicas"]
        name = new["metadata"]["name"]
        complete = (
            status["updatedReplicas"] == wanted
            and status["replicas"] == wanted
            and status["availableReplicas"] == wanted
        )
        if complete:
            text = f'ReplicaSet "{name}" has successfully progressed.'
            return self._condition(obj, "Progressing", "True", "NewReplicaSetAvailable", text)
        if created or known is None:
            text = f'Created new replica set "{name}"'
            found = self._condition(obj, "Progressing", "True", "NewReplicaSetCreated", text)
            found["lastUpdateTime"] = self.now
        elif _moved(obj["status"], status):
            text = f'ReplicaSet "{name}" is progressing.'
            found = self._condition(obj, "Progressing", "True", "ReplicaSetUpdated", text)
            found["lastUpdateTime"] = self.now
        elif known["reason"] == "NewReplicaSetAvailable":
            return known
        else:
            found = known
        if obj["spec"].get("paused") or found["reason"] == "ProgressDeadlineExceeded":
            return found
        deadline = obj["spec"]["progressDeadlineSeconds"]
        since = datetime.fromisoformat(found["lastUpdateTime"]).timestamp()
        left = since + deadline - self.scheduler.clock.now()
        if left > 0:
            self.plan(storage, obj, left + 0.001)
            return found
        text = f'ReplicaSet "{name}" has timed out progressing.'
        return self._condition(obj, "Progressing", "False", "ProgressDeadlineExceeded", text)

    def _condition(self, obj: Object, kind: str, value: str, reason: str, message: str) -> Object:
        known = _find(obj, kind)
        found = {"type": kind, "status": value, "reason": reason, "message": message}
        changed = known is None or known["status"] != value
        same = known is not None and (known["reason"], known["message"]) == (reason, message)
        found["lastTransitionTime"] = (
            self.now if changed or known is None else known["lastTransitionTime"]
        )
        found["lastUpdateTime"] = (
            known["lastUpdateTime"] if known is not None and same and not changed else self.now
        )
        return found


def _find(obj: Object, kind: str) -> Object | None:
    for each in obj["status"].get("conditions") or []:
        if each["type"] == kind:
            return dict(each)
    return None


def _moved(before: Object, after: Object) -> bool:
    """Whether a rollout came nearer to its end."""
    gained = any(
        after[field] > before.get(field, 0)
        for field in ("updatedReplicas", "readyReplicas", "availableReplicas")
    )
    old_before = before.get("replicas", 0) - before.get("updatedReplicas", 0)
    return gained or after["replicas"] - after["updatedReplicas"] < old_before


def _template(each: Object) -> Object:
    template: Object = clone(each["spec"]["template"])
    labels = template["metadata"].get("labels", {})
    labels.pop(HASH, None)
    return template


def _revision(sets: list[Object]) -> int:
    found = [each["metadata"].get("annotations", {}).get(REVISION, "0") for each in sets]
    return max((int(each) for each in found if each.isdigit()), default=0)


def _bounds(obj: Object) -> tuple[int, int]:
    """Return how many pods a rollout may have too many, and too few."""
    replicas = obj["spec"]["replicas"]
    rolling = obj["spec"]["strategy"].get("rollingUpdate")
    if rolling is None:
        return 0, replicas
    surge = _resolve(rolling["maxSurge"], replicas, up=True)
    unavailable = _resolve(rolling["maxUnavailable"], replicas, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return surge, min(unavailable, replicas)


def _resolve(value: int | str, replicas: int, *, up: bool) -> int:
    if isinstance(value, int):
        return value
    share = float(value.removesuffix("%")) * replicas / 100
    return math.ceil(share) if up else math.floor(share)
