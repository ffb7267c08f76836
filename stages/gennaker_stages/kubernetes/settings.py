"""What an environment's ``kubernetes`` key may say, and the target plugin that reads it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from gennaker.target import Target, TargetSettings

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.client.cluster import Cluster

__all__ = ["KubernetesSettings", "KubernetesTarget"]


class KubernetesSettings(TargetSettings):
    """A cluster and a namespace."""

    context: str | None = Field(
        default=None, description="Context of the kubeconfig; its current one unless given"
    )
    namespace: str = Field(default="default", description="Where objects without one go")
    create_namespace: bool = Field(
        default=False, description="Whether a deploy makes the namespace when it is missing"
    )
    kubeconfig: str | None = Field(
        default=None, description="Kubeconfig file; KUBECONFIG or ~/.kube/config unless given"
    )
    sandbox: str | None = Field(
        default=None,
        description="State folder whose sandbox stands in for the cluster; set by --sandbox",
    )


class KubernetesTarget(Target):
    """A namespace of a Kubernetes cluster."""

    name = "kubernetes"
    Settings = KubernetesSettings

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
        path = Path(settings.kubeconfig) if settings.kubeconfig else None
        return Cluster(path, settings.context, settings, project=project)

    def sandbox(
        self, settings: KubernetesSettings, *, environment: str, state: Path
    ) -> Mapping[str, Any]:
        """Point the settings at this state folder's sandbox; it starts when it is first needed."""
        del environment
        return {**settings.model_dump(mode="json", exclude_defaults=True), "sandbox": str(state)}
