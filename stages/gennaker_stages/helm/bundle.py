"""From Helm's rendered templates to one bundle: the objects in the order in which Helm installs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from gennaker.errors import InvalidInput, PermanentError
from gennaker.yamltext import MANIFEST_LIMITS, compose
from gennaker_stages.kubernetes.bundle.documents import Document
from gennaker_stages.kubernetes.bundle.objects import name_of

__all__ = ["split_templates"]

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
# As Helm splits: three dashes that begin a line end a document, whatever comes after them. What Helm
# takes away before them too is stripped afterwards: a pattern that begins with blanks tries each of them.
_SEPARATOR = re.compile(r"^---\s*", re.MULTILINE)
_TESTS = frozenset({"test", "test-success", "test-failure"})


def split_templates(rendered: Mapping[str, str], *, include_tests: bool = False) -> list[Document]:
    """Return the objects of all templates in install order, notes left out.

    Ordinary objects come first, then the hooks, as ``helm template`` prints them.

    Args:
        rendered: what each template gives.
        include_tests: whether hooks that are tests belong to it.

    Raises:
        PermanentError: code ``helm-output`` naming the template whose output is no object.
    """
    found = []
    for source in sorted(rendered):
        if source.endswith("NOTES.txt") or source.rpartition("/")[2].startswith("_"):
            continue
        for text in _split(rendered[source]):
            data = _read(source, text)
            if data is None:
                continue
            hooks = _list_hooks(data)
            if include_tests or not hooks & _TESTS:
                document = Document(source, text, [name_of(data)], _write_data(text, data))
                found.append((_make_key(data, source, is_hook=bool(hooks)), document))
    return [document for _, document in sorted(found, key=lambda each: each[0])]


def _split(text: str) -> list[str]:
    *ended, last = _SEPARATOR.split(text)
    return [*(each.lstrip("\n").rstrip() for each in ended), last.strip("\n")]


def _read(source: str, text: str) -> dict[str, Any] | None:
    if not any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines()):
        return None
    try:
        # With the end of line that it has in a bundle, which may be part of its last value.
        data = compose(f"{text}\n", file=source, schema="1.1", limits=MANIFEST_LIMITS).data
    except InvalidInput as error:
        line = f"line {error.location.line} of the document: " if error.location else ""
        raise PermanentError(
            f"the output of template {source!r} is not YAML: {line}{error.message}",
            code="helm-output",
        ) from error
    if data is None:
        return None
    if not isinstance(data, dict) or not data.get("kind") or not data.get("apiVersion"):
        raise PermanentError(
            f"the output of template {source!r} is no object with apiVersion and kind",
            code="helm-output",
        )
    return data


def _write_data(text: str, data: Any) -> str | None:
    """Return what a document will be read as in a bundle; None when that is not worth its size."""
    if "\ufeff" in text or text.startswith("%"):  # it means something only where a text begins
        return None
    written = json.dumps([data], separators=(",", ":"))
    return written if len(written) <= 2 * len(text) else None  # aliases make it large


def _list_hooks(body: Mapping[str, Any]) -> frozenset[str]:
    """The Helm hooks an object is for; empty for an ordinary one."""
    metadata = body.get("metadata") or {}
    found = (metadata.get("annotations") or {}).get("helm.sh/hook", "")
    return frozenset(each.strip() for each in str(found).split(",") if each.strip())


def _make_key(body: Mapping[str, Any], source: str, *, is_hook: bool) -> tuple[Any, ...]:
    kind = str(body["kind"])
    rank = _RANK.get(kind, len(_RANK))
    name = str((body.get("metadata") or {}).get("name", ""))
    return (is_hook, rank, kind if rank == len(_RANK) else "", name, source)
