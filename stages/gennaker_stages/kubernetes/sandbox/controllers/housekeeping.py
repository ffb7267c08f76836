"""The rest of a cluster's life: garbage, namespaces, load balancers, volumes, new kinds."""

from __future__ import annotations

from typing import Any

from ..problems import ApiProblem
from ..removal import FOREGROUND, ORPHAN
from ..store import Change
from ..strategy import CLAIM_PROTECTION
from .base import MANAGER, Controller, Object, is_live

__all__ = ["Housekeeping"]

DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"
CLAIMS = "persistentvolumeclaims"
VOLUMES = "persistentvolumes"
INGRESSES = "ingresses.networking.k8s.io"
AUTOSCALERS = "horizontalpodautoscalers.autoscaling"


class Housekeeping(Controller):
    """Small controllers, one method a kind."""

    storages = ("namespaces", "services", CLAIMS, DEFINITIONS, INGRESSES, AUTOSCALERS)

    def notice(self, change: Change) -> None:
        """React to the kinds above, and to everything that had dependents or is one."""
        super().notice(change)
        last = change.last["metadata"]
        if change.new is None:
            self._plan_orphans(last["uid"])
            if change.storage == CLAIMS and change.last["spec"].get("volumeName"):
                self._plan_volume_end(change.last["spec"]["volumeName"])
            for owner in last.get("ownerReferences", ()):
                # A foreground deletion waits for its dependents.
                self._plan_owner(owner, last.get("namespace", ""))
            if last.get("namespace"):
                home = self.store.get("namespaces", "", last["namespace"])
                if home is not None and home["metadata"].get("deletionTimestamp"):
                    self.plan("namespaces", home)
            return
        if set(last.get("finalizers", ())) & {FOREGROUND, ORPHAN} and last.get("deletionTimestamp"):
            self.plan(change.storage, change.new)
        if change.old is None and last.get("ownerReferences"):
            self.plan(change.storage, change.new)

    def reconcile(self, storage: str, obj: Object) -> None:
        """Do what this object needs."""
        finalizers = obj["metadata"].get("finalizers", ())
        deleted = bool(obj["metadata"].get("deletionTimestamp"))
        if deleted and FOREGROUND in finalizers:
            self._end_in_foreground(storage, obj)
        elif deleted and ORPHAN in finalizers:
            self._orphan_dependents(storage, obj)
        elif obj["metadata"].get("ownerReferences") and self._is_orphan(obj):
            self.delete(storage, obj)
        elif storage == "namespaces":
            self._keep_namespace(obj)
        elif storage == "services":
            self._give_address(storage, obj, obj["spec"].get("type") == "LoadBalancer")
        elif storage == INGRESSES:
            self._give_address(storage, obj, True)
        elif storage == AUTOSCALERS:
            self._tell_able(obj)
        elif storage == CLAIMS and CLAIM_PROTECTION in finalizers and deleted:
            self._release_claim(storage, obj)
        elif storage == CLAIMS:
            self._bind_claim(obj)
        elif storage == DEFINITIONS:
            self._establish(obj)

    def _is_orphan(self, obj: Object) -> bool:
        """Whether none of the owners an object names exists (any more)."""
        namespace = obj["metadata"].get("namespace", "")
        for owner in obj["metadata"]["ownerReferences"]:
            resource = self.operations.registry.find_kind(owner["apiVersion"], owner["kind"])
            if resource is None:
                return False
            place = namespace if resource.namespaced else ""
            found = self.store.get(resource.storage, place, owner["name"])
            if found is not None and found["metadata"]["uid"] == owner["uid"]:
                return False
        return True

    def _plan_orphans(self, uid: str) -> None:
        for storage, obj in self.store.owned_by(uid):
            self.plan(storage, obj)

    def _plan_owner(self, owner: Object, namespace: str) -> None:
        resource = self.operations.registry.find_kind(owner["apiVersion"], owner["kind"])
        if resource is not None:
            place = namespace if resource.namespaced else ""
            found = self.store.get(resource.storage, place, owner["name"])
            if found is not None and found["metadata"].get("deletionTimestamp"):
                self.plan(resource.storage, found)

    def _end_in_foreground(self, storage: str, obj: Object) -> None:
        dependents = self.store.owned_by(obj["metadata"]["uid"])
        waiting = False
        for kind, each in dependents:
            for owner in each["metadata"]["ownerReferences"]:
                if owner["uid"] == obj["metadata"]["uid"] and owner.get("blockOwnerDeletion"):
                    waiting = True
            if not each["metadata"].get("deletionTimestamp"):
                resource = self.resource(kind)
                wishes = {"propagationPolicy": "Foreground"} if resource.kind != "Pod" else {}
                metadata = each["metadata"]
                place = metadata.get("namespace", "")
                self.operations.delete(resource, place, metadata["name"], wishes)
        if not waiting:
            self._drop_finalizer(storage, obj, FOREGROUND)

    def _orphan_dependents(self, storage: str, obj: Object) -> None:
        uid = obj["metadata"]["uid"]
        for kind, each in self.store.owned_by(uid):
            owners = [owner for owner in each["metadata"]["ownerReferences"] if owner["uid"] != uid]
            metadata = {**each["metadata"], "ownerReferences": owners}
            resource = self.resource(kind)
            self.operations.write_fields(resource, each, {"metadata": metadata}, MANAGER)
        self._drop_finalizer(storage, obj, ORPHAN)

    def _drop_finalizer(self, storage: str, obj: Object, name: str) -> None:
        left = [each for each in obj["metadata"].get("finalizers", []) if each != name]
        metadata = {**obj["metadata"], "finalizers": left}
        self.operations.write_fields(self.resource(storage), obj, {"metadata": metadata}, MANAGER)

    def _keep_namespace(self, obj: Object) -> None:
        name = obj["metadata"]["name"]
        if not obj["metadata"].get("deletionTimestamp"):
            if self.store.get("serviceaccounts", name, "default") is None:
                body = {"metadata": {"name": "default", "namespace": name}}
                self.create(
                    "serviceaccounts", {"apiVersion": "v1", "kind": "ServiceAccount", **body}
                )
            return
        left = [
            (storage, each)
            for storage, each in self.store.everything()
            if each["metadata"].get("namespace") == name
        ]
        for storage, each in left:
            if not each["metadata"].get("deletionTimestamp"):
                self.delete(storage, each)
        left = [
            (storage, each)
            for storage, each in self.store.everything()
            if each["metadata"].get("namespace") == name
        ]
        if not left:
            gone = {**obj, "spec": {**obj["spec"], "finalizers": []}}
            self.operations.removal.remove(self.resource("namespaces"), gone)
            return
        held = [storage for storage, each in left if each["metadata"].get("finalizers")]
        if held:
            self._tell_namespace_waits(obj, left)

    def _tell_namespace_waits(self, obj: Object, left: list[tuple[str, Object]]) -> None:
        counts: dict[str, int] = {}
        for _, each in left:
            for finalizer in each["metadata"].get("finalizers", []):
                counts[finalizer] = counts.get(finalizer, 0) + 1
        listed = ", ".join(
            f"{name} in {count} resource instances" for name, count in counts.items()
        )
        text = f"Some content in the namespace has finalizers remaining: {listed}"
        condition = {"type": "NamespaceFinalizersRemaining", "status": "True", "message": text}
        condition |= {"reason": "SomeFinalizersRemain", "lastTransitionTime": self.now}
        known = obj["status"].get("conditions") or []
        if known and known[0].get("message") == text:
            return
        self.set_status("namespaces", obj, {**obj["status"], "conditions": [condition]})

    def _give_address(self, storage: str, obj: Object, wanted: bool) -> None:
        status = obj.get("status") or {}
        known = (status.get("loadBalancer") or {}).get("ingress")
        if wanted and not known:
            number = int(obj["metadata"]["uid"][:6], 16) % 254 + 1
            address = {"ip": f"203.0.113.{number}"}
            if storage == "services":
                address["ipMode"] = "VIP"
            self.set_status(storage, obj, {**status, "loadBalancer": {"ingress": [address]}})
        elif known and not wanted:
            self.set_status(storage, obj, {**status, "loadBalancer": {}})

    def _tell_able(self, obj: Object) -> None:
        """Let an autoscaler say that it could scale; it does not, for there are no metrics."""
        status = obj.get("status") or {}
        if status.get("conditions"):
            return
        text = "the HPA controller was able to get the target's current scale"
        condition = {"type": "AbleToScale", "status": "True", "reason": "SucceededGetScale"}
        condition |= {"message": text, "lastTransitionTime": self.now}
        self.set_status(AUTOSCALERS, obj, {**status, "conditions": [condition]})

    def _bind_claim(self, obj: Object) -> None:
        if obj["status"].get("phase") == "Bound" or obj["metadata"].get("deletionTimestamp"):
            return
        name = f"pvc-{obj['metadata']['uid']}"
        size = obj["spec"]["resources"]["requests"]
        metadata = obj["metadata"]
        claim = {"kind": "PersistentVolumeClaim", "apiVersion": "v1", "name": metadata["name"]}
        claim |= {"namespace": metadata["namespace"], "uid": metadata["uid"]}
        spec: dict[str, Any] = {
            "capacity": {"storage": size["storage"]},
            "accessModes": obj["spec"]["accessModes"],
            "claimRef": claim,
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": obj["spec"].get("storageClassName", "standard"),
            "hostPath": {"path": f"/sandbox/{name}"},
        }
        body = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}}
        volume = self.store.get(VOLUMES, "", name) or self.create(VOLUMES, {**body, "spec": spec})
        self.set_status(VOLUMES, volume, {"phase": "Bound"})
        more = {"volumeName": name}
        if "storageClassName" not in obj["spec"]:
            more["storageClassName"] = "standard"
        bound = self.set_spec(CLAIMS, obj, **more)
        status = {"phase": "Bound", "accessModes": obj["spec"]["accessModes"]}
        self.set_status(CLAIMS, bound, {**status, "capacity": {"storage": size["storage"]}})

    def _release_claim(self, storage: str, obj: Object) -> None:
        """Let a claim go once no pod uses it."""
        name, namespace = obj["metadata"]["name"], obj["metadata"]["namespace"]
        for pod in self.store.list("pods", namespace):
            for volume in pod["spec"].get("volumes", []):
                claim = volume.get("persistentVolumeClaim") or {}
                if claim.get("claimName") == name and is_live(pod):
                    self.plan(storage, obj, 0.2)
                    return
        self._drop_finalizer(storage, obj, CLAIM_PROTECTION)

    def _plan_volume_end(self, name: str) -> None:
        def run() -> None:
            with self.store.lock:
                volume = self.store.get(VOLUMES, "", name)
                if volume is not None:
                    self.delete(VOLUMES, volume)

        self.scheduler.call(f"volume/{name}", 0.01, run)

    def _establish(self, obj: Object) -> None:
        """Serve the kinds of a definition and say so; its changes too."""
        if obj["metadata"].get("deletionTimestamp"):
            return
        registry = self.operations.registry
        registry.replace_custom(obj, serve=True)
        spec = obj["spec"]
        conditions = []
        known = {each["type"]: each for each in obj["status"].get("conditions") or []}
        for kind, reason, message in (
            ("NamesAccepted", "NoConflicts", "no conflicts found"),
            ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ):
            since = known.get(kind, {}).get("lastTransitionTime", self.now)
            condition = {"type": kind, "status": "True", "reason": reason, "message": message}
            conditions.append({**condition, "lastTransitionTime": since})
        stored = list(obj["status"].get("storedVersions") or [])
        for version in spec["versions"]:
            if version.get("storage") and version["name"] not in stored:
                stored.append(version["name"])
        status = {
            "conditions": conditions,
            "acceptedNames": spec["names"],
            "storedVersions": stored,
        }
        try:
            self.set_status(DEFINITIONS, obj, status, "kube-apiserver")
        except ApiProblem:
            return
