"""The verbs on objects: get, list, create, update, patch, apply, delete; with ownership and validation.

The heart of the sandbox: what the HTTP front (:mod:`.api`) and the simulated controllers call. Every
method takes the store's lock itself.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from . import managed, patches
from .clock import Clock, format_time
from .decode import clone
from .fieldset import FieldSet
from .problems import (
    ApiProblem,
    Cause,
    bad_request,
    conflict,
    duplicate,
    forbidden,
    invalid,
    not_found,
)
from .reading import Patch, WriteOptions, check_config, make_blank, read_object
from .removal import Removal
from .resources import Registry, Resource
from .store import Store
from .strategy import prepare_create, prepare_update
from .validation import validate, validate_change

__all__ = ["Operations", "WriteOptions"]

Object = dict[str, Any]
_STATUS = FieldSet.decode({"f:status": {}})
_NOT_STATUS = FieldSet.decode({"f:spec": {}})
_FIXED_METADATA = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")
_GENERATED = "bcdfghjklmnpqrstvwxz2456789"


class Operations:
    """Reads and writes of one cluster."""

    def __init__(self, store: Store, registry: Registry, clock: Clock) -> None:
        self.store = store
        self.registry = registry
        self.clock = clock
        self.removal = Removal(store, registry, clock)

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """Return one object as this version of its kind; raises ApiProblem 404."""
        found = self.store.get(resource.storage, namespace, name)
        if found is None:
            raise not_found(resource.plural, name, resource.group)
        return self.present(resource, found)

    @staticmethod
    def present(resource: Resource, obj: Object) -> Object:
        """Return a stored object under the API version it was asked for."""
        if obj.get("apiVersion") == resource.api_version:
            return obj
        return {**obj, "apiVersion": resource.api_version}

    def create(
        self, resource: Resource, namespace: str, body: Object, options: WriteOptions
    ) -> Object:
        """Store a new object and return it."""
        obj = read_object(resource, body, options)
        metadata = obj["metadata"]
        self._settle_namespace(resource, metadata, namespace)
        if metadata.pop("resourceVersion", ""):
            raise ApiProblem(500, "", "resourceVersion should not be set on objects to be created")
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + self._make_suffix()
        with self.store.lock:
            return self._create(resource, obj, options)

    def update(
        self, resource: Resource, namespace: str, name: str, body: Object, options: WriteOptions
    ) -> tuple[Object, bool]:
        """Replace an object (or its status); returns it and whether it was created, as some kinds are."""
        obj = read_object(resource, body, options)
        metadata = obj["metadata"]
        self._settle_namespace(resource, metadata, namespace)
        if metadata.get("name") != name:
            raise bad_request(
                f"the name of the object ({metadata.get('name', '')}) does not match the name on the"
                f" URL ({name})"
            )
        with self.store.lock:
            live = self.store.get(resource.storage, namespace, name)
            if live is None and resource.created_by_update and not options.subresource:
                return self._create(resource, obj, options), True
            if live is None:
                raise not_found(resource.plural, name, resource.group)
            if resource.custom is not None and not metadata.get("resourceVersion"):
                text = "must be specified for an update"
                cause = Cause(
                    "FieldValueInvalid", "metadata.resourceVersion", f"Invalid value: 0: {text}"
                )
                raise invalid(resource.plural, resource.group, name, [cause])
            return self._track_and_replace(resource, live, obj, options), False

    def change(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        function: Callable[[Object], Any],
        options: WriteOptions,
    ) -> Object:
        """Update an object by what ``function`` returns for (a copy of) it: every kind of patch."""
        with self.store.lock:
            live = self.store.get(resource.storage, namespace, name)
            if live is None:
                raise not_found(resource.plural, name, resource.group)
            patched = function(clone(self.present(resource, live)))
            if not isinstance(patched, dict) or not isinstance(patched.get("metadata"), dict):
                raise ApiProblem(422, "Invalid", "the patch does not give an object")
            obj = read_object(resource, patched, options)
            if obj["metadata"].get("name") != name:
                cause = Cause.wrong(
                    "metadata.name", obj["metadata"].get("name"), "field is immutable"
                )
                raise invalid(resource.kind, resource.group, name, [cause])
            return self._track_and_replace(resource, live, obj, options)

    def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        patch: Any,
        *,
        form: str,
        options: WriteOptions,
    ) -> Object:
        """Apply a ``json``, ``merge`` or ``strategic`` patch."""

        def function(obj: Object) -> Any:
            options.patch = Patch(form, patch, obj)
            if form == "json":
                return patches.apply_json_patch(obj, patch)
            if form == "strategic":
                return patches.strategic_merge(obj, patch, resource.type)
            return patches.merge_patch(obj, patch)

        return self.change(resource, namespace, name, function, options)

    def apply(
        self, resource: Resource, namespace: str, name: str, config: Object, options: WriteOptions
    ) -> tuple[Object, bool]:
        """Server-side apply; returns the object and whether it was created."""
        patch = check_config(resource, namespace, name, config)
        manager = managed.Manager(
            options.manager, "Apply", resource.api_version, options.subresource
        )
        now = format_time(self.clock.now())
        with self.store.lock:
            live = self.store.get(resource.storage, namespace, name)
            if live is None and options.subresource:
                raise not_found(resource.plural, name, resource.group)
            if live is None and config["metadata"].get("uid"):
                why = (
                    f"uid mismatch: the provided object specified uid {config['metadata']['uid']},"
                    " and no existing object was found"
                )
                raise conflict(resource.plural, name, resource.group, why)
            blank = make_blank(resource)
            before = self.present(resource, live) if live is not None else blank
            bare = _without_managed_fields(before)
            merged, managers = managed.apply(
                bare,
                config,
                managed.Write(
                    resource.type,
                    managed.decode(before["metadata"].get("managedFields")),
                    manager,
                    now,
                    self._ignored(resource, options.subresource),
                ),
                force=options.force,
                empty=blank,
            )
            obj = read_object(
                resource, merged, WriteOptions(field_validation="Ignore", patch=patch)
            )
            if live is None:
                self._settle_namespace(resource, obj["metadata"], namespace)
                return self._insert(resource, obj, managers, options), True
            return self._replace(resource, live, obj, managers, options), False

    def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        wishes: Object,
        *,
        dry_run: bool = False,
    ) -> tuple[Object, bool]:
        """Delete an object; returns it (as it is now) and whether it is gone already."""
        with self.store.lock:
            live = self.store.get(resource.storage, namespace, name)
            if live is None:
                raise not_found(resource.plural, name, resource.group)
            return self.removal.delete(resource, live, wishes, dry_run=dry_run)

    def write_status(self, resource: Resource, obj: Object, status: Object, manager: str) -> Object:
        """Set the status of a stored object (what controllers do); no change writes nothing."""
        return self._write_as_controller(resource, obj, {"status": status}, manager, "status")

    def write_fields(self, resource: Resource, obj: Object, fields: Object, manager: str) -> Object:
        """Set top-level fields (``spec``, ``metadata``) of a stored object, as a controller."""
        return self._write_as_controller(resource, obj, fields, manager, "")

    def _write_as_controller(
        self, resource: Resource, obj: Object, fields: Object, manager: str, subresource: str
    ) -> Object:
        with self.store.lock:
            metadata = obj["metadata"]
            live = self.store.get(resource.storage, metadata.get("namespace", ""), metadata["name"])
            if live is None or live["metadata"]["uid"] != metadata["uid"]:
                return obj
            options = WriteOptions(
                manager=manager, subresource=subresource, field_validation="Ignore"
            )
            merged = {**live, **fields}
            if subresource and metadata.get("annotations"):
                merged["metadata"] = {**live["metadata"], "annotations": metadata["annotations"]}
            changed = read_object(resource, merged, options)
            return self._track_and_replace(resource, live, changed, options)

    @staticmethod
    def _ignored(resource: Resource, subresource: str) -> FieldSet:
        if subresource == "status":
            return _NOT_STATUS
        return _STATUS if resource.has_status else FieldSet()

    def _settle_namespace(self, resource: Resource, metadata: Object, namespace: str) -> None:
        if not resource.namespaced:
            metadata.pop("namespace", None)
            return
        if metadata.setdefault("namespace", namespace) != namespace:
            raise bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )

    def _create(self, resource: Resource, obj: Object, options: WriteOptions) -> Object:
        """Store an object that was read; who sent it owns all of it."""
        blank = make_blank(resource)
        manager = managed.Manager(options.manager, "Update", resource.api_version)
        obj["metadata"].pop("managedFields", None)
        managers = managed.track_update(
            blank,
            obj,
            managed.Write(
                resource.type,
                {},
                manager,
                format_time(self.clock.now()),
                self._ignored(resource, ""),
            ),
        )
        return self._insert(resource, obj, managers, options)

    def _insert(
        self, resource: Resource, obj: Object, managers: managed.Managers, options: WriteOptions
    ) -> Object:
        """Store a new object whose owners are known."""
        metadata = obj["metadata"]
        name, namespace = metadata.get("name", ""), metadata.get("namespace", "")
        for field_name in (*_FIXED_METADATA, "generation", "selfLink"):
            metadata.pop(field_name, None)
        metadata["uid"] = str(uuid.uuid4())
        metadata["creationTimestamp"] = format_time(self.clock.now())
        if name and resource.namespaced:
            self._admit_to_namespace(resource, namespace, name)
        prepare_create(resource, obj, self.store.list("services"))
        causes = validate(resource, obj)
        if causes:
            raise invalid(resource.kind, resource.group, name, causes)
        live = self.store.get(resource.storage, namespace, name)
        if live is not None:
            leaving = "deletionTimestamp" in live["metadata"]
            raise duplicate(resource.plural, name, resource.group, leaving=leaving)
        if managers:
            metadata["managedFields"] = managed.encode(managers)
        if options.dry_run:
            return obj
        return self.store.put(resource.storage, obj)

    def _admit_to_namespace(self, resource: Resource, namespace: str, name: str) -> None:
        home = self.store.get("namespaces", "", namespace)
        if home is None:
            raise not_found("namespaces", namespace)
        if home["metadata"].get("deletionTimestamp"):
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            text = f"namespace {namespace} is being terminated"
            causes = [
                {"reason": "NamespaceTerminating", "message": text, "field": "metadata.namespace"}
            ]
            raise forbidden(resource.plural, name, resource.group, why, causes)

    def _track_and_replace(
        self, resource: Resource, live: Object, obj: Object, options: WriteOptions
    ) -> Object:
        self._keep_other_half(resource, live, obj, options.subresource)
        given = obj["metadata"].pop("managedFields", None)
        if given == [] or given == [{}]:
            managers: managed.Managers = {}
        else:
            use = (
                given
                if given and not options.subresource
                else live["metadata"].get("managedFields")
            )
            managers = managed.decode(use)
        manager = managed.Manager(
            options.manager, "Update", resource.api_version, options.subresource
        )
        before = _without_managed_fields(self.present(resource, live))
        if managers or (live["metadata"].get("managedFields") and given is None):
            managers = managed.track_update(
                before,
                obj,
                managed.Write(
                    resource.type,
                    managers,
                    manager,
                    format_time(self.clock.now()),
                    self._ignored(resource, options.subresource),
                ),
            )
        return self._replace(resource, live, obj, managers, options)

    @staticmethod
    def _keep_other_half(resource: Resource, live: Object, obj: Object, subresource: str) -> None:
        """A status write changes nothing else; any other write leaves the status alone."""
        if subresource == "status":
            version, given = obj["metadata"].get("resourceVersion"), obj["metadata"]
            status = obj.get("status")
            metadata = clone(live["metadata"])
            metadata.pop("managedFields", None)
            # A status write of a built-in kind may carry annotations, and mostly labels, along.
            free = () if resource.custom is not None else ("annotations", "labels")
            for name in free:
                if name == "labels" and resource.kind == "Deployment":
                    continue
                metadata.pop(name, None)
                if name in given:
                    metadata[name] = given[name]
            keep = {
                key: clone(value)
                for key, value in live.items()
                if key not in ("metadata", "status")
            }
            obj.clear()
            obj |= keep | {"metadata": metadata}
            if version:
                metadata["resourceVersion"] = version
            if status is not None:
                obj["status"] = status
        elif resource.has_status:
            obj.pop("status", None)
            if "status" in live:
                obj["status"] = clone(live["status"])

    def _replace(
        self,
        resource: Resource,
        live: Object,
        obj: Object,
        managers: managed.Managers,
        options: WriteOptions,
    ) -> Object:
        """Store the changed object whose owners are known; what changes nothing is not stored."""
        self._keep_other_half(resource, live, obj, options.subresource)
        metadata, before = obj["metadata"], live["metadata"]
        name = before["name"]
        self._check_identity(resource, metadata, before, options)
        for field_name in (*_FIXED_METADATA, "generation"):
            metadata.pop(field_name, None)
            if field_name in before:
                metadata[field_name] = before[field_name]
        metadata.pop("managedFields", None)
        if "generateName" in before:
            metadata["generateName"] = before["generateName"]
        services = self.store.list("services")
        prepare_update(resource, live, obj, services, subresource=options.subresource)
        if not options.subresource:
            causes = validate_change(resource, live, obj) + validate(resource, obj)
            if resource.kind == "Deployment":
                causes.sort(key=lambda cause: cause.message.endswith("immutable"))
            if causes:
                raise invalid(resource.kind, resource.group, name, causes)
        metadata["resourceVersion"] = before["resourceVersion"]
        entries = managed.encode(managers)
        old_entries = before.get("managedFields", [])
        bare = _without_managed_fields(self.present(resource, live))
        if bare == obj and managed.same_but_times(old_entries, entries):
            return self.present(resource, live)
        if entries:
            metadata["managedFields"] = entries
        if options.dry_run:
            return obj
        leaving = before.get("deletionTimestamp") and not metadata.get("finalizers")
        if leaving and self.removal.is_free(resource, obj):
            # What goes is what was stored: the last finalizer's end is never written.
            self.removal.remove(resource, live)
            return obj
        return self.store.put(resource.storage, obj)

    @staticmethod
    def _check_identity(
        resource: Resource, metadata: Object, before: Object, options: WriteOptions
    ) -> None:
        name = before["name"]
        uid = metadata.get("uid")
        if uid and uid != before["uid"] and options.patch is not None:
            # Said twice, as the real server does.
            causes = [Cause.wrong("metadata.uid", uid, "field is immutable")] * 2
            raise invalid(resource.kind, resource.group, name, causes)
        if uid and uid != before["uid"]:
            why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {before['uid']}"
            raise conflict(resource.plural, name, resource.group, why)
        version = metadata.get("resourceVersion")
        if version and version != before["resourceVersion"]:
            why = (
                "the object has been modified; please apply your changes to the latest version and try"
                " again"
            )
            raise conflict(resource.plural, name, resource.group, why)

    @staticmethod
    def _make_suffix() -> str:
        number = uuid.uuid4().int
        letters = []
        for _ in range(5):
            number, rest = divmod(number, len(_GENERATED))
            letters.append(_GENERATED[rest])
        return "".join(letters)


def _without_managed_fields(obj: Object) -> Object:
    metadata = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    return {**obj, "metadata": metadata}
