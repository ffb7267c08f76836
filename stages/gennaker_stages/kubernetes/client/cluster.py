"""One way to a cluster: the official client with timeouts on every request and errors of ours.

All of Gennaker's Kubernetes stages go through :class:`Cluster`; nothing else talks to an API server.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from gennaker.errors import PermanentError, StageError, TemporaryError
from gennaker_stages.kubernetes.client.problems import ApiError, translate_error

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.settings import KubernetesSettings

__all__ = ["FIELD_MANAGER", "Cluster", "Resource"]

FIELD_MANAGER = "gennaker"
CONNECT_TIMEOUT, READ_TIMEOUT = 5.0, 30.0
WATCH_SECONDS = 20
APPLY = "application/apply-patch+yaml"
Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Resource:
    """Where objects of a kind live: ``prefix`` is ``/api/v1`` or ``/apis/GROUP/VERSION``."""

    prefix: str
    plural: str
    kind: str
    namespaced: bool

    def path(self, namespace: str | None, name: str | None = None) -> str:
        """Return the path of the collection, or of one object."""
        inside = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{self.prefix}{inside}/{self.plural}{f'/{name}' if name else ''}"


class Cluster:
    """A cluster, as one context of a kubeconfig reaches it.

    Args:
        kubeconfig: the file; ``KUBECONFIG`` or ``~/.kube/config`` when None.
        context: the context; the file's current one when None.
        settings: the environment's settings.
        project: the project root. A kubeconfig inside it came with the repository, so it may not
            run commands or read other files.

    Raises:
        PermanentError: codes ``kubeconfig`` and ``unknown-context``.
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
        self._client = _connect(kubeconfig, context, project)
        self._resources: dict[str, dict[str, Resource]] = {}

    def find_resource(self, api_version: str, kind: str) -> Resource:
        """Return where a kind lives, from discovery.

        Raises:
            PermanentError: code ``unknown-kind``.
        """
        for fresh in (False, True):
            if fresh or api_version not in self._resources:
                self._resources[api_version] = self._discover(api_version)
            found = self._resources[api_version].get(kind)
            if found is not None:
                return found
        raise PermanentError(
            f"the cluster does not know kind {kind!r} of {api_version!r}",
            code="unknown-kind",
            hint="install its CustomResourceDefinition first, or correct apiVersion and kind",
        )

    def read(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any] | None:
        """Return an object, None when there is none."""
        what = f"read {resource.kind}/{name}"
        try:
            return self._request("GET", resource.path(namespace, name), what=what)
        except StageError as error:
            if _is_missing(error):
                return None
            raise

    def list_objects(
        self, resource: Resource, namespace: str | None, *, labels: str = "", fields: str = ""
    ) -> dict[str, Any]:
        """Return a list object; ``labels`` and ``fields`` are selectors."""
        query = [("labelSelector", labels), ("fieldSelector", fields)]
        return self._request(
            "GET",
            resource.path(namespace),
            query=[each for each in query if each[1]],
            what=f"list {resource.plural}",
        )

    def apply(
        self, resource: Resource, body: Object, *, dry_run: bool = False, force: bool = False
    ) -> dict[str, Any]:
        """Apply an object by server-side apply and return it as it is now.

        Raises:
            FieldConflict: another manager owns a field that is set here.
        """
        metadata = body["metadata"]
        query = [("fieldManager", FIELD_MANAGER), ("force", str(force).lower())]
        if dry_run:
            query.append(("dryRun", "All"))
        return self._request(
            "PATCH",
            resource.path(metadata.get("namespace"), metadata["name"]),
            query=query,
            body=body,
            what=f"apply {body['kind']}/{metadata['name']}",
        )

    def watch(
        self, resource: Resource, namespace: str | None, version: str
    ) -> Iterator[dict[str, Any]]:
        """Yield watch events after a resourceVersion until the server ends the watch.

        An event of type ERROR with code 410 means that the version is too old: list again.
        """
        import urllib3

        query = [
            ("watch", "true"),
            ("resourceVersion", version),
            ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", str(WATCH_SECONDS)),
        ]
        read = WATCH_SECONDS + READ_TIMEOUT
        what = f"watch {resource.plural}"
        answer = self._send("GET", resource.path(namespace), query, None, read, what)
        try:
            pending = b""
            for chunk in answer.stream(1 << 14, decode_content=False):
                *lines, pending = (pending + chunk).split(b"\n")
                for line in lines:
                    if line.strip():
                        yield json.loads(line)
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise TemporaryError(
                f"the {what} broke off ({_explain(error)})", code="cluster-unreachable"
            ) from error
        finally:
            answer.close()
            answer.release_conn()

    def _discover(self, api_version: str) -> dict[str, Resource]:
        prefix = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        try:
            found = self._request("GET", prefix, what=f"discover {api_version}")
        except StageError as error:
            if _is_missing(error):
                return {}
            raise
        return {
            each["kind"]: Resource(prefix, each["name"], each["kind"], each["namespaced"])
            for each in found["resources"]
            if "/" not in each["name"]
        }

    def _request(
        self,
        method: str,
        path: str,
        *,
        what: str,
        query: list[tuple[str, str]] | None = None,
        body: Object | None = None,
    ) -> dict[str, Any]:
        answer = self._send(method, path, query or [], body, READ_TIMEOUT, what)
        try:
            data: dict[str, Any] = json.loads(answer.data)
        except ValueError as error:
            raise StageError(
                f"cannot {what}: the answer is not JSON", code="cluster-answer"
            ) from error
        finally:
            answer.release_conn()
        return data

    def _send(
        self,
        method: str,
        path: str,
        query: list[tuple[str, str]],
        body: Object | None,
        read: float,
        what: str,
    ) -> Any:
        """Send one request; a status of 400 and above becomes an error, all others are returned."""
        import urllib3

        configuration = self._client.configuration
        headers = {"Accept": "application/json", "User-Agent": "gennaker"}
        for setting in configuration.auth_settings().values():
            headers["Authorization"] = setting["value"]
        if configuration.username:
            headers["Authorization"] = configuration.get_basic_auth_token()
        if body is not None:
            headers["Content-Type"] = APPLY
        url = configuration.host.rstrip("/") + path + (f"?{urlencode(query)}" if query else "")
        try:
            answer = self._client.rest_client.pool_manager.request(
                method,
                url,
                body=json.dumps(body).encode() if body is not None else None,
                headers=headers,
                timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT, read=read),
                retries=urllib3.Retry(connect=2, read=0, redirect=0, status=0, other=0),
                preload_content=False,
            )
            if answer.status >= 400:
                raise ApiError(answer.status, answer.data)
        except ApiError as error:
            raise translate_error(error, what) from error
        except urllib3.exceptions.HTTPError as error:
            raise TemporaryError(
                f"cannot {what}: the cluster at {configuration.host} does not answer "
                f"({_explain(error)})",
                code="cluster-unreachable",
                hint="look whether it runs and whether the context is the right one",
            ) from error
        return answer


def _is_missing(error: StageError) -> bool:
    return isinstance(error.__cause__, ApiError) and error.__cause__.status == 404


def _explain(error: BaseException) -> str:
    reason = getattr(error, "reason", None) or error
    return str(reason).rpartition(": ")[2][:200] or type(reason).__name__


def _connect(kubeconfig: Path | None, context: str | None, project: Path) -> Any:
    from kubernetes import config
    from kubernetes.config.config_exception import ConfigException

    if kubeconfig is not None:
        kubeconfig = kubeconfig if kubeconfig.is_absolute() else project / kubeconfig
        if kubeconfig.resolve().is_relative_to(project.resolve()):
            _refuse_commands(kubeconfig)
    try:
        return config.new_client_from_config(  # type: ignore[no-untyped-call]
            config_file=str(kubeconfig) if kubeconfig else None,
            context=context,
            persist_config=False,
        )
    except ConfigException as error:
        raise _explain_config(error, kubeconfig, context) from error
    except (OSError, ValueError) as error:
        raise PermanentError(
            f"the kubeconfig cannot be read: {error}", code="kubeconfig"
        ) from error


def _explain_config(
    error: Exception, kubeconfig: Path | None, context: str | None
) -> PermanentError:
    from kubernetes import config
    from kubernetes.config.config_exception import ConfigException

    try:
        known, _ = config.list_kube_config_contexts(  # type: ignore[no-untyped-call]
            str(kubeconfig) if kubeconfig else None
        )
    except ConfigException:
        return PermanentError(
            f"there is no usable kubeconfig: {error}",
            code="kubeconfig",
            hint="set KUBECONFIG, or try it without a cluster: 'gennaker run --sandbox'",
        )
    names = ", ".join(sorted(each["name"] for each in known)) or "none"
    if context is not None and context not in (each["name"] for each in known):
        return PermanentError(
            f"the kubeconfig has no context {context!r}; it has: {names}",
            code="unknown-context",
            hint="correct 'context' in gennaker.yaml, or try it with 'gennaker run --sandbox'",
        )
    return PermanentError(f"context {context!r} cannot be used: {error}", code="kubeconfig")


def _refuse_commands(path: Path) -> None:
    """Refuse what would run a command or read a file for a kubeconfig that came with the source.

    The official client runs ``exec`` when it loads a configuration (compare CVE-2022-24817).
    """
    from gennaker.yamltext import compose

    data = compose(path.read_bytes(), file=str(path), schema="1.1").data or {}
    for each in data.get("users") or ():
        user = each.get("user") or {}
        for key in ("exec", "auth-provider", "tokenFile", "client-key", "client-certificate"):
            if key in user:
                raise PermanentError(
                    f"user {each.get('name')!r} of {path.name!r} has {key!r}, which is refused in a "
                    "kubeconfig inside the project",
                    code="kubeconfig",
                    hint="keep that kubeconfig outside the project and name its context only",
                )
