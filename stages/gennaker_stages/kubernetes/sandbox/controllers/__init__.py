"""The simulated controllers and kubelet: they bring objects to life on the cluster's clock."""

from __future__ import annotations

from .base import Context, Controller
from .daemons import DaemonSets
from .deployments import Deployments
from .faults import FAULTS, Faults
from .housekeeping import Housekeeping
from .jobs import Jobs
from .pods import Pods
from .replicas import ReplicaSets
from .statefuls import StatefulSets

__all__ = ["FAULTS", "Context", "Controller", "Faults", "make_controllers"]


def make_controllers(context: Context) -> list[Controller]:
    """Return one of each, listening to nothing yet."""
    kinds = (Pods, ReplicaSets, Deployments, StatefulSets, DaemonSets, Jobs, Housekeeping)
    return [kind(context) for kind in kinds]
