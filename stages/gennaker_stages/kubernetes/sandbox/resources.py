"""Which resources the sandbox has: the built-in table, and those that CustomResourceDefinitions add.

Read by routing, discovery, the OpenAPI answer and every operation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from .shapes import OBJECT_META, Field, Type, from_openapi, named

__all__ = ["BUILT_IN", "VERBS", "Registry", "Resource", "from_definition"]

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True)
class Resource:
    """One kind of object. ``storage`` names where its objects live, the same for every version.

    ``created_by_update``: a PUT makes what is not there. ``answered_when_deleted``: a DELETE is answered
    with the object rather than with a Status.
    """

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    short: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    type_name: str = ""
    counts_generation: bool = False
    created_by_update: bool = False
    answered_when_deleted: bool = False
    custom: Mapping[str, Any] | None = field(default=None, hash=False, compare=False)
    singular: str = ""
    list_kind: str = ""

    @property
    def api_version(self) -> str:
        """``apps/v1``, or ``v1`` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def storage(self) -> str:
        """The key of the kind in the store."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def has_status(self) -> bool:
        """Whether status is written through its own subresource."""
        return "status" in self.subresources

    @cached_property
    def type(self) -> Type:
        """The shape of its objects."""
        if self.custom is None:
            return named(self.type_name)
        found = from_openapi({"type": "object", **self.custom})
        top = {
            "apiVersion": Field(Type("s")),
            "kind": Field(Type("s")),
            "metadata": Field(named(OBJECT_META), empty="="),
        }
        found.fields.update(top)
        return found


_STATUS = ("status",)
_SCALED = ("status", "scale")
_ALL = ("all",)


def _core(kind: str, plural: str, *short: str, **more: Any) -> Resource:
    more.setdefault("type_name", f"core.v1.{kind}")
    return Resource("", "v1", kind, plural, short=short, **more)


def _of(group: str, version: str, kind: str, plural: str, *short: str, **more: Any) -> Resource:
    first = group.split(".")[0]
    package = {"rbac": "rbac"}.get(first, first)
    more.setdefault("type_name", f"{package}.{version}.{kind}")
    return Resource(group, version, kind, plural, short=short, **more)


_RBAC = "rbac.authorization.k8s.io"
_NET = "networking.k8s.io"
_G = {"counts_generation": True}
_PUT = {"created_by_update": True}
_TOLD = {"answered_when_deleted": True}
BUILT_IN: tuple[Resource, ...] = (
    _core("Namespace", "namespaces", "ns", namespaced=False, subresources=("status", "finalize")),
    _core("Node", "nodes", "no", namespaced=False, subresources=_STATUS),
    _core("Pod", "pods", "po", categories=_ALL, subresources=("status", "log"), **_G, **_TOLD),
    _core("Service", "services", "svc", categories=_ALL, subresources=_STATUS, **_TOLD, **_PUT),
    _core("ConfigMap", "configmaps", "cm"),
    _core("Secret", "secrets"),
    _core("ServiceAccount", "serviceaccounts", "sa", **_TOLD),
    _core("Event", "events", "ev", **_PUT),
    _core("Endpoints", "endpoints", "ep", **_PUT),
    _core("PersistentVolumeClaim", "persistentvolumeclaims", "pvc", subresources=_STATUS, **_TOLD),
    _core("PersistentVolume", "persistentvolumes", "pv", namespaced=False, subresources=_STATUS, **_TOLD),
    _core("ResourceQuota", "resourcequotas", "quota", subresources=_STATUS, **_TOLD),
    _core("LimitRange", "limitranges", "limits", **_PUT),
    _of("apps", "v1", "Deployment", "deployments", "deploy", categories=_ALL, subresources=_SCALED, **_G),
    _of("apps", "v1", "ReplicaSet", "replicasets", "rs", categories=_ALL, subresources=_SCALED, **_G),
    _of("apps", "v1", "StatefulSet", "statefulsets", "sts", categories=_ALL, subresources=_SCALED, **_G),
    _of("apps", "v1", "DaemonSet", "daemonsets", "ds", categories=_ALL, subresources=_STATUS, **_G),
    _of("apps", "v1", "ControllerRevision", "controllerrevisions"),
    _of("batch", "v1", "Job", "jobs", categories=_ALL, subresources=_STATUS, **_G),
    _of("batch", "v1", "CronJob", "cronjobs", "cj", categories=_ALL, subresources=_STATUS, **_G),
    _of(_NET, "v1", "Ingress", "ingresses", "ing", subresources=_STATUS, **_G),
    _of(_NET, "v1", "IngressClass", "ingressclasses", namespaced=False, **_G),
    _of(_NET, "v1", "NetworkPolicy", "networkpolicies", "netpol", **_G),
    _of(_RBAC, "v1", "Role", "roles", **_PUT),
    _of(_RBAC, "v1", "RoleBinding", "rolebindings", **_PUT),
    _of(_RBAC, "v1", "ClusterRole", "clusterroles", namespaced=False, **_PUT),
    _of(_RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False, **_PUT),
    _of("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", "pdb", subresources=_STATUS, **_G),
    _of("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", "hpa",
        categories=_ALL, subresources=_STATUS),
    _of("coordination.k8s.io", "v1", "Lease", "leases", **_PUT),
    _of("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", **_G),
    _of("storage.k8s.io", "v1", "StorageClass", "storageclasses", "sc", namespaced=False, **_TOLD),
    _of("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", "pc", namespaced=False, **_G),
    _of("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions",
        "crd", "crds", namespaced=False, categories=("api-extensions",), subresources=_STATUS, **_G),
)  # fmt: skip


class Registry:
    """The resources by group, version and plural; custom ones come and go."""

    def __init__(self) -> None:
        self._found = {(each.group, each.version, each.plural): each for each in BUILT_IN}

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._found.values())

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """Return the resource at this place of the API, or None."""
        return self._found.get((group, version, plural))

    def find_kind(self, api_version: str, kind: str) -> Resource | None:
        """Return the resource whose objects say ``apiVersion`` and ``kind``, or None."""
        for each in self._found.values():
            if each.kind == kind and each.api_version == api_version:
                return each
        return None

    def find_storage(self, storage: str) -> Resource | None:
        """Return (one version of) the resource with this store key, or None."""
        return next((each for each in self._found.values() if each.storage == storage), None)

    def groups(self) -> dict[str, list[str]]:
        """Return group → its versions, in order of appearance."""
        found: dict[str, list[str]] = {}
        for group, version, _ in self._found:
            versions = found.setdefault(group, [])
            if version not in versions:
                versions.append(version)
        return found

    def replace_custom(self, definition: Mapping[str, Any], *, serve: bool) -> None:
        """Add (or with ``serve`` false, remove) what a CustomResourceDefinition defines."""
        spec = definition["spec"]
        gone = [
            key
            for key, each in self._found.items()
            if each.custom is not None
            and key[0] == spec["group"]
            and key[2] == spec["names"]["plural"]
        ]
        for key in gone:
            del self._found[key]
        if serve:
            for each in from_definition(definition):
                self._found[each.group, each.version, each.plural] = each


def from_definition(definition: Mapping[str, Any]) -> list[Resource]:
    """Return the served versions of a CustomResourceDefinition as resources."""
    spec = definition["spec"]
    names = spec["names"]
    found = []
    for version in spec.get("versions", []):
        if not version.get("served"):
            continue
        schema = (version.get("schema") or {}).get("openAPIV3Schema") or {"type": "object"}
        found.append(
            Resource(
                spec["group"],
                version["name"],
                names["kind"],
                names["plural"],
                namespaced=spec.get("scope") == "Namespaced",
                short=tuple(names.get("shortNames", ())),
                categories=tuple(names.get("categories", ())),
                subresources=tuple(version.get("subresources") or ()),
                counts_generation=True,
                custom=schema,
                singular=names.get("singular", ""),
                list_kind=names.get("listKind", ""),
            )
        )
    return found
