"""The cluster of a stage's environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gennaker.errors import PermanentError

if TYPE_CHECKING:
    from gennaker.stage import PlanContext
    from gennaker_stages.kubernetes.client.cluster import Cluster

__all__ = ["connect"]


def connect(ctx: PlanContext, who: str = "the stage") -> Cluster:
    """Return the environment's cluster; it is asked no longer than what is planned, or tried, has.

    Args:
        ctx: the attempt, or what plans it.
        who: needs it, in words.

    Raises:
        PermanentError: code ``no-target``.
        TemporaryError: code ``cluster-unreachable`` when it did not answer another stage of the plan.
    """
    from gennaker_stages.kubernetes.client.cluster import Cluster

    if ctx.environment is None or ctx.environment.target != "kubernetes":
        raise PermanentError(
            f"{who} needs an environment with a 'kubernetes' target",
            code="no-target",
            hint="give the stage 'environment:', and that environment 'kubernetes:' in gennaker.yaml",
        )
    cluster = ctx.connect()
    assert isinstance(cluster, Cluster)  # the kubernetes target connects to nothing else
    cluster.bound(lambda: ctx.remaining, who=ctx.instance)
    return cluster
