"""In which order objects are applied: waves, then what others need, then by kind; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gennaker_stages.kubernetes.bundle.objects import Object, group_of

__all__ = ["WAVE", "group_waves", "is_prerequisite", "rank_of", "read_wave"]

WAVE = "gennaker.dev/wave"
# The first that is there counts. Argo CD reads its own before Helm's weight of hooks, too.
_WAVES = (WAVE, "argocd.argoproj.io/sync-wave", "helm.sh/hook-weight")

# What others refer to comes first; a kind that is not listed (custom ones) comes last. The order of
# Helm's installer (helm, pkg/release/v1/util/kind_sorter.go) and of Argo CD (gitops-engine,
# pkg/sync/sync_tasks.go), which agree on all kinds that both know, with namespaces and definitions
# in front; webhooks come last, so that they do not refuse what is deployed with them.
_ORDER = (
    "Namespace CustomResourceDefinition PriorityClass NetworkPolicy ResourceQuota LimitRange "
    "PodSecurityPolicy PodDisruptionBudget ServiceAccount Secret ConfigMap StorageClass "
    "PersistentVolume PersistentVolumeClaim ClusterRole ClusterRoleBinding Role RoleBinding Service "
    "DaemonSet Pod ReplicationController ReplicaSet Deployment HorizontalPodAutoscaler StatefulSet "
    "Job CronJob IngressClass Ingress APIService"
)
_LAST = (
    "MutatingWebhookConfiguration ValidatingWebhookConfiguration "
    "ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding"
)
_RANK = {kind: index for index, kind in enumerate(_ORDER.split())}
_CUSTOM = len(_RANK)
_RANK |= {kind: _CUSTOM + 1 + index for index, kind in enumerate(_LAST.split())}
_OWN_GROUPS = frozenset({"", "apps", "batch", "autoscaling", "policy", "extensions"})


def rank_of(body: Mapping[str, Any]) -> int:
    """Return the place of an object's kind in the order; a custom kind's is after the built-in ones."""
    group = group_of(body["apiVersion"])
    if group in _OWN_GROUPS or group.endswith((".k8s.io",)):
        return _RANK.get(body["kind"], _CUSTOM)
    return _CUSTOM


def is_prerequisite(body: Mapping[str, Any]) -> bool:
    """Return whether others cannot be applied before it is there: a namespace or a definition."""
    return rank_of(body) <= 1


def read_wave(body: Mapping[str, Any]) -> int:
    """Return an object's wave: 0 unless an annotation says another.

    Raises:
        ValueError: for an annotation that is no whole number; says which.
    """
    annotations = (body.get("metadata") or {}).get("annotations") or {}
    for name in _WAVES:
        text = annotations.get(name)
        if text is not None:
            try:
                return int(str(text).strip())
            except ValueError:
                raise ValueError(f"annotation {name!r} is {text!r}, not a whole number") from None
    return 0


def group_waves(objects: Iterable[Object]) -> list[list[Object]]:
    """Return the objects by wave, each wave in the order in which its objects are applied.

    A namespace or a definition is pulled forward into the wave of the first object that needs it.
    Objects of one kind stay as written.
    """
    held = list(objects)
    waves = {id(each): read_wave(each) for each in held}
    for each in held:
        if is_prerequisite(each):
            needed = [waves[id(other)] for other in held if _needs(other, each)]
            waves[id(each)] = min([waves[id(each)], *needed])
    found: dict[int, list[Object]] = {}
    for each in sorted(held, key=rank_of):
        found.setdefault(waves[id(each)], []).append(each)
    return [found[wave] for wave in sorted(found)]


def _needs(body: Object, prerequisite: Object) -> bool:
    if prerequisite["kind"] == "Namespace":
        return bool(body["metadata"].get("namespace") == prerequisite["metadata"]["name"])
    spec = prerequisite.get("spec") or {}
    kind = (spec.get("names") or {}).get("kind")
    return bool(body["kind"] == kind and group_of(body["apiVersion"]) == spec.get("group"))
