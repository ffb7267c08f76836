"""One simulated cluster: its store, API and controllers, put together. Made by :mod:`.sandbox` and
:mod:`.helper`."""

from __future__ import annotations

from pathlib import Path

from .api import Api
from .clock import Clock, RealClock, Scheduler, format_time
from .controllers import Context, Controller, Faults, make_controllers
from .controllers.podlogs import has_ended, read_log
from .controllers.pods import NODE
from .operations import Operations, WriteOptions
from .resources import Registry
from .store import Change, Store

__all__ = ["Cluster"]

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


class Cluster:
    """A cluster whose state lives in ``folder`` (or, for None, nowhere)."""

    def __init__(self, folder: Path | None = None, *, clock: Clock | None = None) -> None:
        self.clock = clock or RealClock()
        self.store = Store(folder)
        self.registry = Registry()
        self.scheduler = Scheduler(self.clock)
        self.operations = Operations(self.store, self.registry, self.clock)
        self.api = Api(self.operations, read_log, has_ended)
        self.faults = Faults(self.store)
        context = Context(self.operations, self.scheduler, self.faults)
        self._controllers: list[Controller] = make_controllers(context)
        self._restore()
        self.store.listeners.append(self._notice)
        self._furnish()

    def start(self) -> None:
        """Let the controllers work (on a real clock; a virtual one drives them itself)."""
        self.scheduler.start()

    def stop(self) -> None:
        """End the controllers and write the state down."""
        self.scheduler.stop()
        self.store.close()

    def wake_pods(self) -> None:
        """Let every pod look again at what is to become of it (faults came or went)."""
        for pod in self.store.list("pods"):
            self._controllers[0].plan("pods", pod)

    def _notice(self, change: Change) -> None:
        for controller in self._controllers:
            controller.notice(change)

    def _restore(self) -> None:
        """Take up the work on what was loaded: kinds first, then every object once."""
        for definition in self.store.list("customresourcedefinitions.apiextensions.k8s.io"):
            self.registry.replace_custom(
                definition, serve=bool(definition["status"].get("conditions"))
            )
        for storage, obj in self.store.everything():
            for controller in self._controllers:
                if storage in controller.storages:
                    controller.plan(storage, obj)

    def _furnish(self) -> None:
        """Make what every cluster has from the beginning."""
        options = WriteOptions(manager="sandbox", field_validation="Ignore")

        def make(storage: str, kind: str, body: dict[str, object], api_version: str = "v1") -> None:
            resource = self.registry.find_storage(storage)
            name = body["metadata"]["name"]  # type: ignore[index]
            assert resource is not None
            if self.store.get(storage, "", name) is None:
                head = {"apiVersion": api_version, "kind": kind}
                self.operations.create(resource, "", {**head, **body}, options)

        for name in NAMESPACES:
            make("namespaces", "Namespace", {"metadata": {"name": name}})
        labels = {"kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux"}
        make("nodes", "Node", {"metadata": {"name": NODE, "labels": labels}})
        annotations = {"storageclass.kubernetes.io/is-default-class": "true"}
        standard = {"metadata": {"name": "standard", "annotations": annotations}}
        standard |= {"provisioner": "sandbox.gennaker.dev/volumes"}  # type: ignore[dict-item]
        make("storageclasses.storage.k8s.io", "StorageClass", dict(standard), "storage.k8s.io/v1")
        self._ready_node()

    def _ready_node(self) -> None:
        node = self.store.get("nodes", "", NODE)
        resource = self.registry.find_storage("nodes")
        assert node is not None and resource is not None
        if node["status"].get("conditions"):
            return
        now = format_time(self.clock.now())
        room = {"cpu": "32", "memory": "256Gi", "pods": "1k"}
        condition = {
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "message": "simulated",
        }
        condition |= {"lastHeartbeatTime": now, "lastTransitionTime": now}
        addresses = [
            {"type": "InternalIP", "address": "10.0.0.1"},
            {"type": "Hostname", "address": NODE},
        ]
        status = {"capacity": room, "allocatable": room, "conditions": [condition]}
        status["addresses"] = addresses
        self.operations.write_status(resource, node, status, "kubelet")
