"""From Helm's rendered templates to one bundle: the objects in the order in which Helm installs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gennaker.errors import PermanentError
from gennaker.yamltext import compose

__all__ = ["BUNDLE_MEDIA_TYPE", "Manifest", "join_manifests", "split_templates"]

BUNDLE_MEDIA_TYPE = "application/vnd.gennaker.bundle.v1+yaml"

# The order of Helm v4's install sorter (helm/helm, pkg/release/v1/util/kind_sorter.go).
_ORDER = (
    "PriorityClass Namespace NetworkPolicy ResourceQuota LimitRange PodSecurityPolicy "
    "PodDisruptionBudget ServiceAccount Secret SecretList ConfigMap StorageClass PersistentVolume "
    "PersistentVolumeClaim CustomResourceDefinition ClusterRole ClusterRoleList ClusterRoleBinding "
    "ClusterRoleBindingList Role RoleList RoleBinding RoleBindingList Service DaemonSet Pod "
    "ReplicationController ReplicaSet Deployment HorizontalPodAutoscaler StatefulSet Job CronJob "
    "IngressClass Ingress APIService MutatingWebhookConfiguration ValidatingWebhookConfiguration"
)
_RANK = {kind: index for index, kind in enumerate(_ORDER.split())}
# As Helm splits: three dashes that begin a line end a document, whatever comes after them.
_SEPARATOR = re.compile(r"(?:\A|\s*\n)---\s*")
_TESTS = frozenset({"test", "test-success", "test-failure"})


@dataclass(frozen=True, slots=True)
class Manifest:
    """One rendered object: its text as rendered, its data, the template it came from."""

    source: str
    text: str
    data: Mapping[str, Any]

    @property
    def name(self) -> str:
        """``Kind/name``, for people."""
        return f"{self.data.get('kind')}/{self.data.get('metadata', {}).get('name')}"

    @property
    def hooks(self) -> frozenset[str]:
        """The Helm hooks the object is for; empty for an ordinary one."""
        metadata = self.data.get("metadata") or {}
        found = (metadata.get("annotations") or {}).get("helm.sh/hook", "")
        return frozenset(each.strip() for each in str(found).split(",") if each.strip())


def split_templates(rendered: Mapping[str, str]) -> list[Manifest]:
    """Return the objects of all templates in install order; tests and notes are left out.

    Ordinary objects come first, then the hooks, as ``helm template --skip-tests`` prints them.

    Raises:
        PermanentError: code ``helm-output`` naming the template whose output is no object.
    """
    found = []
    for source in sorted(rendered):
        if source.endswith("NOTES.txt") or source.rpartition("/")[2].startswith("_"):
            continue
        for text in _SEPARATOR.split(rendered[source]):
            manifest = _read(source, text.strip("\n"))
            if manifest is not None and not manifest.hooks & _TESTS:
                found.append(manifest)
    return sorted(found, key=_sort_key)


def join_manifests(manifests: Iterable[Manifest]) -> bytes:
    """Return the bundle's bytes: one document an object, each with its source."""
    return "".join(f"---\n# Source: {each.source}\n{each.text}\n" for each in manifests).encode()


def _read(source: str, text: str) -> Manifest | None:
    from gennaker.errors import InvalidInput
    from gennaker.yamltext import MANIFEST_LIMITS

    if not any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines()):
        return None
    try:
        data = compose(text, file=source, schema="1.1", limits=MANIFEST_LIMITS).data
    except InvalidInput as error:
        raise PermanentError(
            f"the output of template {source!r} is not YAML: {error.message}", code="helm-output"
        ) from error
    if data is None:
        return None
    if not isinstance(data, dict) or not data.get("kind") or not data.get("apiVersion"):
        raise PermanentError(
            f"the output of template {source!r} is no object with apiVersion and kind",
            code="helm-output",
        )
    return Manifest(source, text, data)


def _sort_key(manifest: Manifest) -> tuple[Any, ...]:
    kind = str(manifest.data["kind"])
    rank = _RANK.get(kind, len(_RANK))
    name = str((manifest.data.get("metadata") or {}).get("name", ""))
    return (bool(manifest.hooks), rank, kind if rank == len(_RANK) else "", name, manifest.source)
