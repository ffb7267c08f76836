"""What an environment's ``kubernetes`` key may say, and the target plugin that reads it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from gennaker.target import Check, RunningSandbox, Target, TargetSettings
from gennaker_stages.kubernetes.applying.rules import IgnoreRule
from gennaker_stages.kubernetes.bundle.objects import Namespace, check_namespace
from gennaker_stages.kubernetes.client.silence import Silences
from gennaker_stages.kubernetes.health.custom import HealthRule

if TYPE_CHECKING:
    from gennaker.fields import LiveThing
    from gennaker_stages.kubernetes.client.cluster import Cluster

__all__ = ["KubernetesSettings", "KubernetesTarget"]

READ_SECONDS = 60.0
"""So long a live thing is asked for at most, whatever the cluster does."""
_KIND = re.compile(r"(?:[a-z0-9][-a-z0-9.]*/)?[A-Z][A-Za-z0-9]*")


def _check_other(name: str) -> str:
    return name if name == "*" else check_namespace(name)


class NamespaceMarks(BaseModel):
    """What the environment's namespace is to have."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    labels: dict[str, str] = Field(
        default_factory=dict, description="pod-security.kubernetes.io/enforce: restricted, say"
    )
    annotations: dict[str, str] = Field(default_factory=dict, description="Its annotations")


class KubernetesSettings(TargetSettings):
    """A cluster and a namespace."""

    model_config = ConfigDict(populate_by_name=True)

    context: str | None = Field(
        default=None, description="Context of the kubeconfig; its current one unless given"
    )
    namespace: Namespace = Field(default="default", description="Where objects without one go")
    create_namespace: bool | NamespaceMarks = Field(
        default=False,
        description="Whether a deploy makes the namespace when it is missing; with 'labels' and "
        "'annotations' it has them, and is given them when it is there",
    )
    namespaces: tuple[Annotated[str, AfterValidator(_check_other)], ...] = Field(
        default=(),
        description="Other namespaces its objects may be in; '*' for any",
    )
    require_digests: bool = Field(
        default=False, description="Whether images have to be pinned by their digests"
    )
    ignore: tuple[IgnoreRule, ...] = Field(
        default=(),
        description="Fields that deploys, plans and comparisons leave as they are once the object is "
        "there",
    )
    health: dict[str, HealthRule] = Field(
        default_factory=dict,
        description="When objects of a kind are ready: 'GROUP/Kind' to expressions",
    )
    kubeconfig: str | None = Field(
        default=None, description="Kubeconfig file; KUBECONFIG or ~/.kube/config unless given"
    )
    in_cluster: bool = Field(
        default=False,
        description="Use the service account of the Pod that Gennaker runs in; needs no kubeconfig",
    )
    as_user: str | None = Field(
        default=None,
        alias="as",
        description="Who to act as, system:serviceaccount:NAMESPACE:NAME for example",
    )
    as_groups: tuple[str, ...] = Field(
        default=(), description="Groups of who is acted as; needs 'as'"
    )
    sandbox: str | None = Field(
        default=None,
        description="State folder whose sandbox stands in for the cluster; set by --sandbox",
    )

    @property
    def kubeconfig_file(self) -> Path | None:
        """The file of ``kubeconfig``, as written."""
        return Path(self.kubeconfig) if self.kubeconfig else None

    @model_validator(mode="after")
    def _check_access(self) -> Self:
        if self.as_groups and self.as_user is None:
            raise ValueError("'as_groups' needs 'as'")
        if self.in_cluster and (self.context or self.kubeconfig):
            raise ValueError("'in_cluster' needs neither 'context' nor 'kubeconfig'")
        wrong = [each for each in self.health if not _KIND.fullmatch(each)]
        if wrong:
            raise ValueError(
                f"'health' names a kind like 'example.com/Widget' or 'Service', not {wrong[0]!r}"
            )
        return self


class KubernetesTarget(Target):
    """A namespace of a Kubernetes cluster."""

    name = "kubernetes"
    Settings = KubernetesSettings

    def __init__(self) -> None:
        self._silences = Silences()

    def namespace(self, settings: KubernetesSettings) -> str | None:
        """Return the namespace as written."""
        return settings.namespace

    def connect(self, settings: KubernetesSettings, *, environment: str, project: Path) -> Cluster:
        """Return the one way to the cluster."""
        from gennaker_stages.kubernetes.client.cluster import Cluster

        if settings.sandbox is not None:
            from gennaker_stages.kubernetes.sandbox.process import ensure_sandbox

            address = ensure_sandbox(Path(settings.sandbox))
            kubeconfig = address.kubeconfig(environment)
            return Cluster(kubeconfig, None, settings, project=project)
        cluster = Cluster(settings.kubeconfig_file, settings.context, settings, project=project)
        cluster.silences = self._silences
        return cluster

    def check_access(
        self, settings: KubernetesSettings, *, environment: str, project: Path, seconds: float
    ) -> Iterator[Check]:
        """Look at the kubeconfig, the server, who we are there, the namespace and our rights."""
        del environment
        from gennaker_stages.kubernetes.checking.access import check_access

        return check_access(settings, project, seconds)

    def read_fields(self, connection: Cluster, kind: str, name: str) -> LiveThing:
        """Return a live object; ``name`` may be ``NAMESPACE/NAME``."""
        from gennaker_stages.kubernetes.planning.finding import find_object
        from gennaker_stages.kubernetes.planning.ownership import read_thing

        until = time.monotonic() + READ_SECONDS
        connection.bound(lambda: until - time.monotonic())
        live = find_object(connection, kind, name)
        return read_thing(live, connection.settings.namespace)

    def sandbox(
        self, settings: KubernetesSettings, *, environment: str, state: Path
    ) -> Mapping[str, Any]:
        """Point the settings at this state folder's sandbox; it starts when it is first needed."""
        del environment
        return {
            **settings.model_dump(mode="json", exclude_defaults=True, by_alias=True),
            "sandbox": str(state),
        }

    def find_sandbox(
        self, environments: Mapping[str, KubernetesSettings], *, state: Path, start: bool = False
    ) -> RunningSandbox | None:
        """Return the helper process and a kubeconfig with a context for every environment."""
        from gennaker_stages.kubernetes.sandbox import process

        address = (
            process.ensure_sandbox(state, pinned=True) if start else process.read_sandbox(state)
        )
        if address is None:
            return None
        namespaces = {name: each.namespace for name, each in environments.items()}
        path = address.write_contexts(namespaces)
        return RunningSandbox(address.url, address.pid, {"kubeconfig": str(path)})

    def stop_sandbox(self, *, state: Path) -> bool:
        """End the helper process."""
        from gennaker_stages.kubernetes.sandbox.process import stop_sandbox

        return stop_sandbox(state)
