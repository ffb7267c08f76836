"""What the simulated controllers share: reacting to changes, owning pods, writing status and events."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..clock import Scheduler, format_time
from ..operations import Operations, WriteOptions
from ..problems import ApiProblem
from ..resources import Resource
from ..store import Change
from .faults import Faults

__all__ = ["REACTION", "Context", "Controller", "Object", "hash_of", "is_ready", "owner_of"]

Object = dict[str, Any]
REACTION = 0.01
MANAGER = "kube-controller-manager"
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


@dataclass(slots=True)
class Context:
    """What controllers work with."""

    operations: Operations
    scheduler: Scheduler
    faults: Faults


class Controller:
    """Reconciles the objects of the kinds in ``storages`` a moment after they, or what they own, change."""

    storages: tuple[str, ...] = ()
    owned: tuple[str, ...] = ()

    def __init__(self, context: Context) -> None:
        self.context = context
        self.operations = context.operations
        self.store = context.operations.store
        self.scheduler = context.scheduler

    def notice(self, change: Change) -> None:
        """Plan what a change makes necessary; called under the store's lock."""
        if change.storage in self.storages:
            self.plan(change.storage, change.last)
        elif change.storage in self.owned:
            owner = owner_of(change.last)
            if owner is not None:
                storage = self._storage_of(owner)
                if storage in self.storages:
                    namespace = change.last["metadata"].get("namespace", "")
                    self.plan_key(storage, namespace, owner["name"])

    def _storage_of(self, owner: Mapping[str, Any]) -> str:
        resource = self.operations.registry.find_kind(owner["apiVersion"], owner["kind"])
        return resource.storage if resource is not None else ""

    def plan(self, storage: str, obj: Object, delay: float = REACTION) -> None:
        """Reconcile this object in ``delay`` seconds."""
        metadata = obj["metadata"]
        self.plan_key(storage, metadata.get("namespace", ""), metadata["name"], delay)

    def plan_key(self, storage: str, namespace: str, name: str, delay: float = REACTION) -> None:
        """Reconcile the object of this name in ``delay`` seconds, if there is one then."""

        def run() -> None:
            with self.store.lock:
                obj = self.store.get(storage, namespace, name)
                if obj is None:
                    return
                try:
                    self.reconcile(storage, obj)
                except ApiProblem:
                    # Someone deleted or refused what was to be written: the next change plans anew.
                    return

        self.scheduler.call(f"{type(self).__name__}/{storage}/{namespace}/{name}", delay, run)

    def reconcile(self, storage: str, obj: Object) -> None:
        """Bring an object a step further. Runs under the store's lock."""
        raise NotImplementedError

    def resource(self, storage: str) -> Resource:
        """Return the resource of a store key."""
        found = self.operations.registry.find_storage(storage)
        assert found is not None, storage
        return found

    @property
    def now(self) -> str:
        """The time as objects carry it."""
        return format_time(self.scheduler.clock.now())

    def create(self, storage: str, body: Object) -> Object:
        """Create an object as a controller does."""
        options = WriteOptions(manager=MANAGER, field_validation="Ignore")
        namespace = body["metadata"].get("namespace", "")
        return self.operations.create(self.resource(storage), namespace, body, options)

    def delete(self, storage: str, obj: Object, *, grace: int | None = None) -> None:
        """Delete an object, in the background."""
        wishes: Object = {"preconditions": {"uid": obj["metadata"]["uid"]}}
        if grace is not None:
            wishes["gracePeriodSeconds"] = grace
        metadata = obj["metadata"]
        resource = self.resource(storage)
        self.operations.delete(resource, metadata.get("namespace", ""), metadata["name"], wishes)

    def set_status(
        self, storage: str, obj: Object, status: Object, manager: str = MANAGER
    ) -> Object:
        """Write an object's status."""
        return self.operations.write_status(self.resource(storage), obj, status, manager)

    def set_spec(self, storage: str, obj: Object, **fields: Any) -> Object:
        """Change fields of an object's spec."""
        spec = {**obj["spec"], **fields}
        return self.operations.write_fields(self.resource(storage), obj, {"spec": spec}, MANAGER)

    def children(self, obj: Object, storage: str) -> list[Object]:
        """Return the objects of a kind that this one controls, those being deleted included."""
        uid = obj["metadata"]["uid"]
        return [
            each
            for kind, each in self.store.owned_by(uid)
            if kind == storage and (owner_of(each) or {}).get("uid") == uid
        ]

    def make_pod(self, owner: Object, template: Object, **metadata: Any) -> Object:
        """Create a pod of a template for its owner; ``labels`` are added to the template's."""
        labels = {**template["metadata"].get("labels", {}), **metadata.pop("labels", {})}
        annotations = template["metadata"].get("annotations", {})
        head: Object = {"namespace": owner["metadata"]["namespace"], **metadata}
        head["labels"] = labels
        if annotations:
            head["annotations"] = dict(annotations)
        head["ownerReferences"] = [owner_reference(owner)]
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": head, "spec": template["spec"]}
        pod = self.create("pods", body)
        name = pod["metadata"]["name"]
        component = f"{owner['kind'].lower()}-controller"
        self.tell(owner, "Normal", "SuccessfulCreate", f"Created pod: {name}", component)
        return pod

    def tell(
        self, about: Object, kind: str, reason: str, message: str, component: str, **more: Any
    ) -> None:
        """Write an Event, or count one more of an equal one. ``more`` goes into involvedObject."""
        metadata = about["metadata"]
        namespace = metadata.get("namespace") or "default"
        text = f"{metadata['uid']}{reason}{message}{component}"
        name = f"{metadata['name']}.{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        known = self.store.get("events", namespace, name)
        if known is not None:
            counted = {**known, "count": known.get("count", 1) + 1, "lastTimestamp": self.now}
            self.store.put("events", counted)
            return
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": {
                "kind": about["kind"],
                "namespace": metadata.get("namespace", ""),
                "name": metadata["name"],
                "uid": metadata["uid"],
                "apiVersion": about["apiVersion"],
                "resourceVersion": metadata["resourceVersion"],
                **more,
            },
            "reason": reason,
            "message": message,
            "source": {"component": component},
            "firstTimestamp": self.now,
            "lastTimestamp": self.now,
            "count": 1,
            "type": kind,
            "reportingComponent": component,
        }
        try:
            self.create("events", event)
        except ApiProblem:
            # A namespace that goes away takes no more events.
            return


def owner_of(obj: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the ownerReference of an object's controller, or None."""
    for owner in obj["metadata"].get("ownerReferences", ()):
        if owner.get("controller"):
            return dict(owner)
    return None


def owner_reference(owner: Object) -> Object:
    """Return the reference that makes ``owner`` the controller of what carries it."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def hash_of(template: Object, collisions: int = 0) -> str:
    """Return the short hash of a pod template that names what is made of it."""
    text = json.dumps([template, collisions], sort_keys=True)
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    letters = []
    for _ in range(10):
        number, rest = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[rest])
    return "".join(letters)


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Whether a pod's Ready condition is true."""
    conditions = pod.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def is_live(pod: Mapping[str, Any]) -> bool:
    """Whether a pod is neither ended nor being deleted."""
    if pod["metadata"].get("deletionTimestamp"):
        return False
    return pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
