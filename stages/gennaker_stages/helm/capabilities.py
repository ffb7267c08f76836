"""What charts see of the cluster: the versions that the environment's own offers."""

from __future__ import annotations

from gennaker.records import dataclass
from gennaker.stage import PlanContext

__all__ = ["Capabilities", "read_capabilities"]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The cluster's version, and its API versions with and without kinds (``apps/v1/Deployment``)."""

    kube_version: str
    api_versions: tuple[str, ...]


def read_capabilities(ctx: PlanContext) -> Capabilities | None:
    """Return what the environment's cluster offers, None where there is no cluster.

    Raises:
        StageError: when the cluster cannot be asked.
    """
    if ctx.environment is None or ctx.environment.target != "kubernetes":
        return None
    from gennaker_stages.kubernetes.client.connection import Request
    from gennaker_stages.kubernetes.connecting import connect

    cluster = connect(ctx)
    version = cluster.connection.request(Request("GET", "/version", "read its version"))
    offered = sorted(cluster.discovery.list_kinds())
    return Capabilities(str(version["gitVersion"]).removeprefix("v"), tuple(offered))
