"""One way to a cluster: what all of Gennaker's Kubernetes stages ask of an API server.

All of them go through :class:`Cluster`; nothing else talks to an API server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gennaker.errors import PermanentError, StageError
from gennaker_stages.kubernetes.client.connection import (
    APPLY,
    JSON_PATCH,
    MERGE,
    Connection,
    Request,
)
from gennaker_stages.kubernetes.client.discovery import Discovery, Resource
from gennaker_stages.kubernetes.client.kubeconfig import Access
from gennaker_stages.kubernetes.client.patience import Patience
from gennaker_stages.kubernetes.client.problems import has_status, read_continue

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.client.silence import Silences
    from gennaker_stages.kubernetes.settings import KubernetesSettings

__all__ = ["FIELD_MANAGER", "Cluster", "Resource"]

FIELD_MANAGER = "gennaker"
PAGE = 500
# Of an attempt's time kept back from requests: what became of each object is recorded in it.
RECORD_SECONDS = 1.0
Object = Mapping[str, Any]
Query = list[tuple[str, str]]


class Attempt(Protocol):
    """What a cluster needs to know of the attempt that uses it: a stage's ``Context``."""

    def log(self, text: str) -> None:
        """Write a line to the log."""

    def wait_cancelled(self, seconds: float) -> bool:
        """Sleep; return True when the attempt is to stop."""

    @property
    def remaining(self) -> float:
        """Seconds that are left."""


class Cluster:
    """A cluster, as an environment's settings reach it; safe to use from several threads.

    Args:
        kubeconfig: the file; ``KUBECONFIG`` or ``~/.kube/config`` when None.
        context: the context; the file's current one when None.
        settings: the environment's settings.
        project: the project root. A kubeconfig inside it came with the repository, so it may not
            run commands or read other files.

    Attributes:
        settings: the environment's settings.
        connection: sends requests that have no method here.
        discovery: which kinds there are.
        silences: of clusters that did not answer others who share them; None shares nothing.
    """

    def __init__(
        self,
        kubeconfig: Path | None,
        context: str | None,
        settings: KubernetesSettings,
        *,
        project: Path,
    ) -> None:
        self.settings = settings
        self.silences: Silences | None = None
        self.connection = Connection(Access.of(kubeconfig, context, settings, project=project))
        self.discovery = Discovery(self.connection)

    def bound(self, remaining: Callable[[], float], *, who: str = "") -> None:
        """Ask and ask again no longer than so many seconds are left; the kubeconfig is read now.

        Args:
            remaining: gives the seconds.
            who: asks, in words.

        Raises:
            PermanentError: codes ``kubeconfig`` and ``unknown-context``.
            TemporaryError: code ``cluster-unreachable`` when it did not answer another who shares that.
        """
        self.connection.patience = Patience(remaining=remaining)
        self.connection.prepare()
        if self.silences is not None:
            self.silences.watch(self.connection, who, remaining())

    def serve(self, attempt: Attempt) -> None:
        """Ask and ask again no longer than the attempt has, stop when it is to, and tell its log."""
        kept = min(RECORD_SECONDS, attempt.remaining / 4)
        self.connection.patience = Patience(
            wait=attempt.wait_cancelled,
            remaining=lambda: attempt.remaining - kept,
            tell=lambda line: attempt.log(line),
        )

    def find_resource(self, api_version: str, kind: str) -> Resource:
        """Return where a kind lives, from discovery.

        Raises:
            PermanentError: code ``unknown-kind``.
        """
        found = self.discovery.find(api_version, kind)
        if found is None:
            raise PermanentError(
                f"the cluster does not know kind {kind!r} of {api_version!r}",
                code="unknown-kind",
                hint="install its CustomResourceDefinition first, or correct apiVersion and kind",
            )
        return found

    def read(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any] | None:
        """Return an object, None when there is none."""
        path = resource.path(namespace, name)
        try:
            return self.connection.request(Request("GET", path, f"read {resource.kind}/{name}"))
        except StageError as error:
            if has_status(error, 404):
                return None
            raise

    def list_objects(
        self, resource: Resource, namespace: str | None, *, labels: str = "", fields: str = ""
    ) -> dict[str, Any]:
        """Return a list object, complete; ``labels`` and ``fields`` are selectors."""
        pages = list(self.list_pages(resource, namespace, labels=labels, fields=fields))
        return {**pages[0], "items": [item for page in pages for item in page["items"]]}

    def list_pages(
        self, resource: Resource, namespace: str | None, *, labels: str = "", fields: str = ""
    ) -> Iterator[dict[str, Any]]:
        """Yield a list object in pages of 500 objects, of one moment unless it takes minutes."""
        query: Query = [("limit", str(PAGE))]
        query += [
            each for each in (("labelSelector", labels), ("fieldSelector", fields)) if each[1]
        ]
        path, what = resource.path(namespace), f"list {resource.plural}"
        more: Query = []
        while True:
            try:
                page = self.connection.request(Request("GET", path, what, [*query, *more]))
            except StageError as error:
                token = read_continue(error) if more else None
                if token is None:
                    raise
                more = [("continue", token)]
                continue
            yield page
            if not page["metadata"].get("continue"):
                return
            more = [("continue", page["metadata"]["continue"])]

    def apply(
        self, resource: Resource, body: Object, *, dry_run: bool = False, force: bool = False
    ) -> dict[str, Any]:
        """Apply an object by server-side apply and return it as it is now.

        Raises:
            FieldConflict: another manager owns a field that is set here.
        """
        metadata = body["metadata"]
        query: Query = [("fieldManager", FIELD_MANAGER), ("force", str(force).lower())]
        # Unknown fields of an apply are refused whatever this says; all that is left to look for are
        # keys that are there twice, which our JSON has not: a twelfth of the server's time.
        query.append(("fieldValidation", "Ignore"))
        if dry_run:
            query.append(("dryRun", "All"))
        return self.connection.request(
            Request(
                "PATCH",
                resource.path(metadata.get("namespace"), metadata["name"]),
                f"apply {body['kind']}/{metadata['name']}",
                query,
                body,
                APPLY,
                races=True,
            )
        )

    def patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: Any,
        *,
        content_type: str = MERGE,
    ) -> dict[str, Any]:
        """Change an object by a patch and return it as it is now.

        Raises:
            TemporaryError: code ``cluster-unavailable`` when another write came in between.
        """
        return self.connection.request(
            Request(
                "PATCH",
                resource.path(namespace, name),
                f"change {resource.kind}/{name}",
                [("fieldManager", FIELD_MANAGER)],
                body,
                content_type,
            )
        )

    def try_patch(
        self, resource: Resource, live: Object, operations: list[dict[str, Any]]
    ) -> dict[str, Any]:
        """Return what a live object would be after a JSON patch; nothing is written."""
        metadata = live["metadata"]
        return self.connection.request(
            Request(
                "PATCH",
                resource.path(metadata.get("namespace"), metadata["name"]),
                f"try {resource.kind}/{metadata['name']}",
                [("fieldManager", FIELD_MANAGER), ("dryRun", "All")],
                operations,
                JSON_PATCH,
            )
        )

    def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        propagation: str = "Background",
        dry_run: bool = False,
    ) -> bool:
        """Delete an object; return False when it is gone already, or another has its name by now.

        Args:
            resource: its kind.
            namespace: where it is.
            name: its name.
            uid: it is deleted only while it is this very object.
            propagation: what happens to the objects it owns: Background, Foreground or Orphan.
            dry_run: whether the server is only to check it.
        """
        body: dict[str, Any] = {"kind": "DeleteOptions", "apiVersion": "v1"}
        body["propagationPolicy"] = propagation
        if uid is not None:
            body["preconditions"] = {"uid": uid}
        if dry_run:
            body["dryRun"] = ["All"]
        path, what = resource.path(namespace, name), f"delete {resource.kind}/{name}"
        try:
            self.connection.request(Request("DELETE", path, what, body=body))
        except StageError as error:
            if has_status(error, 404) or (
                uid is not None
                and has_status(error, 409)
                and not self._is_there(resource, namespace, name, uid)
            ):
                return False
            raise
        return True

    def delete_object(
        self, live: Object, *, propagation: str = "Background", dry_run: bool = False
    ) -> bool:
        """Delete the very object that ``live`` is, as :meth:`delete` does."""
        metadata = live["metadata"]
        return self.delete(
            self.find_resource(live["apiVersion"], live["kind"]),
            metadata.get("namespace"),
            metadata["name"],
            uid=metadata["uid"],
            propagation=propagation,
            dry_run=dry_run,
        )

    def _is_there(self, resource: Resource, namespace: str | None, name: str, uid: str) -> bool:
        live = self.read(resource, namespace, name)
        return live is not None and live["metadata"]["uid"] == uid
