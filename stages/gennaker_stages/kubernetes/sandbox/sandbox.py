"""The sandbox in the process: a server with one cluster, for pytest and for programs.

Called by users' tests, ``gennaker.testing`` and our own tests.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .api import Api
from .clock import Clock
from .cluster import Cluster
from .controllers.faults import Fault
from .kubeconfig import make_kubeconfig, write_config
from .server import Server

__all__ = ["Sandbox"]


class Sandbox:
    """A cluster and its server on 127.0.0.1; a context manager.

    Args:
        folder: where its state is kept; None keeps it in memory.
        clock: :class:`.VirtualClock` to move its time by hand, else the machine's.
        port: where to listen; 0 takes a free one.
    """

    def __init__(
        self, folder: Path | None = None, *, clock: Clock | None = None, port: int = 0
    ) -> None:
        self.cluster = Cluster(folder, clock=clock)
        self.token = secrets.token_urlsafe(24)
        self._server = Server(self._find, token=self.token, port=port)
        self.url = self._server.url

    def _find(self, parts: tuple[str, ...]) -> tuple[Api, tuple[str, ...]]:
        return self.cluster.api, parts

    def start(self) -> None:
        """Serve, and let the controllers work."""
        self._server.start()
        self.cluster.start()

    def stop(self) -> None:
        """End all connections and write the state down."""
        self._server.stop()
        self.cluster.stop()

    def __enter__(self) -> Sandbox:
        self.start()
        return self

    def __exit__(self, *details: object) -> None:
        self.stop()

    @property
    def kubeconfig(self) -> dict[str, Any]:
        """The kubeconfig that points at it, as data; its context is called ``sandbox``."""
        return make_kubeconfig(self.url, self.token)

    def write_kubeconfig(self, path: Path) -> None:
        """Write the kubeconfig, readable by its owner only."""
        write_config(path, self.kubeconfig)

    def inject(
        self,
        fault: str,
        *,
        kind: str = "Pod",
        namespace: str | None = None,
        name: str | None = None,
        delay: float = 10.0,
    ) -> None:
        """Let pods fail that are, or belong to, the matching objects (None matches all).

        Args:
            fault: ``image-pull-error``, ``crash-loop``, ``never-ready`` or ``slow``.
            kind: of the pod itself or of what made it (``Deployment``).
            namespace: where.
            name: of the object of that kind.
            delay: how many seconds a slow pod takes.

        Raises:
            ValueError: for a fault that does not exist.
        """
        made = Fault(fault, delay)
        with self.cluster.store.lock:
            self.cluster.faults.inject(made, kind=kind, namespace=namespace, name=name)
            self.cluster.wake_pods()

    def heal(self) -> None:
        """Forget every injected fault; what waits for a restart gets well at its next try."""
        with self.cluster.store.lock:
            self.cluster.faults.clear()
            self.cluster.wake_pods()

    def objects(self, kind: str, namespace: str | None = None) -> list[Mapping[str, Any]]:
        """Return all objects of a kind (``Deployment``), as they are stored now.

        Raises:
            ValueError: for a kind the cluster does not have.
        """
        for resource in self.cluster.registry:
            if resource.kind == kind:
                return list(self.cluster.store.list(resource.storage, namespace))
        raise ValueError(f"the sandbox has no kind {kind!r}")

    def expire_watches(self) -> None:
        """Drop the history: watches from before now are answered 410 Gone."""
        self.cluster.store.forget_history()
