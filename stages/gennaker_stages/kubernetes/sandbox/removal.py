"""Deleting: grace periods, finalizers, propagation, and what goes with an object.

Called by :mod:`.operations` and the housekeeping controller, under the store's lock.
"""

from __future__ import annotations

from typing import Any

from .clock import Clock, format_time
from .problems import conflict
from .resources import Registry, Resource
from .store import Store

__all__ = ["Removal"]

Object = dict[str, Any]
FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


class Removal:
    """Deletes objects of one cluster."""

    def __init__(self, store: Store, registry: Registry, clock: Clock) -> None:
        self.store = store
        self.registry = registry
        self.clock = clock

    def delete(
        self, resource: Resource, live: Object, wishes: Object, *, dry_run: bool
    ) -> tuple[Object, bool]:
        """Delete, or begin to; returns the object and whether it is gone."""
        self._check_preconditions(resource, live, wishes.get("preconditions") or {})
        marked = self._mark(resource, live, wishes)
        if marked is None:
            return (live, True) if dry_run else (self.remove(resource, live), True)
        if dry_run or marked is live:
            return marked, False
        return self.store.put(resource.storage, marked), False

    def _check_preconditions(self, resource: Resource, live: Object, wanted: Object) -> None:
        metadata = live["metadata"]
        for field, word in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
            if wanted.get(field) and wanted[field] != metadata[field]:
                end = "deleted and then recreated" if word == "UID" else "modified"
                why = (
                    f"the {word} in the precondition ({wanted[field]}) does not match the {word} in"
                    f" record ({metadata[field]}). The object might have been {end}"
                )
                raise conflict(resource.kind, metadata["name"], resource.group, why)

    def _mark(self, resource: Resource, live: Object, wishes: Object) -> Object | None:
        """Return the object marked as being deleted, or None when nothing holds it."""
        metadata = live["metadata"]
        finalizers = [
            each for each in metadata.get("finalizers", []) if each not in (FOREGROUND, ORPHAN)
        ]
        policy = wishes.get("propagationPolicy")
        if wishes.get("orphanDependents"):
            policy = "Orphan"
        if policy == "Foreground":
            finalizers.append(FOREGROUND)
        elif policy == "Orphan":
            finalizers.append(ORPHAN)
        elif not policy:
            finalizers += [e for e in metadata.get("finalizers", []) if e in (FOREGROUND, ORPHAN)]
        grace = self._grace(resource, live, wishes)
        held = bool(finalizers) or grace > 0 or resource.kind == "Namespace"
        if not held:
            return None
        known = metadata.get("deletionTimestamp")
        if known and finalizers == metadata.get("finalizers", []):
            return live
        marked = {**metadata}
        if finalizers:
            marked["finalizers"] = finalizers
        else:
            marked.pop("finalizers", None)
        if not known:
            marked["deletionTimestamp"] = format_time(self.clock.now() + grace)
            if resource.kind != "Namespace":
                marked["deletionGracePeriodSeconds"] = grace
            if marked.get("generation"):
                marked["generation"] += 1
        found = {**live, "metadata": marked}
        if resource.kind == "Namespace":
            found["status"] = {**live.get("status", {}), "phase": "Terminating"}
        return found

    @staticmethod
    def _grace(resource: Resource, live: Object, wishes: Object) -> int:
        if resource.kind != "Pod" or not live["spec"].get("nodeName"):
            return 0
        if live["status"].get("phase") in ("Succeeded", "Failed"):
            return 0
        asked = wishes.get("gracePeriodSeconds")
        return int(
            live["spec"].get("terminationGracePeriodSeconds", 30) if asked is None else asked
        )

    @staticmethod
    def is_free(resource: Resource, obj: Object) -> bool:
        """Whether an object being deleted may go once its finalizers are gone."""
        if resource.kind == "Namespace":
            return not obj["spec"].get("finalizers")
        return not obj["metadata"].get("deletionGracePeriodSeconds")

    def remove(self, resource: Resource, obj: Object) -> Object:
        """Forget the object now; a definition takes its custom objects with it."""
        if resource.kind == "CustomResourceDefinition":
            spec = obj["spec"]
            storage = f"{spec['names']['plural']}.{spec['group']}"
            for each in self.store.list(storage):
                self.store.remove(storage, each)
            self.registry.replace_custom(obj, serve=False)
        return self.store.remove(resource.storage, obj)
