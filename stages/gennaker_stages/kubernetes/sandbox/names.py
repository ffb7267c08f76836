"""The rules for names, labels and annotations, with Kubernetes' own words for what breaks them.

Called by :mod:`.validation`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .problems import Cause

__all__ = ["check_metadata", "check_name", "label_problem"]

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_SERVICE = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")

_LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must"
    " start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for"
    " validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.',"
    " and must start and end with an alphanumeric character (e.g. 'example.com', regex used for"
    " validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_SERVICE_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an"
    " alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123',"
    " regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_QUALIFIED_TEXT = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with"
    " an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for"
    " validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.',"
    " and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or"
    " '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_LABEL_NAMED = frozenset({"Namespace"})
_PATH_NAMED = frozenset({"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"})
_MAX_ANNOTATIONS = 256 * 1024


def check_name(kind: str, name: str) -> list[str]:
    """Return what is wrong with a name of this kind; empty when nothing is."""
    if kind in _PATH_NAMED:
        bad = [f"may not contain '{part}'" for part in ("/", "%") if part in name]
        return bad or ([f"may not be '{name}'"] if name in (".", "..") else [])
    if kind == "Service":
        return _check(name, _SERVICE, _SERVICE_TEXT, 63)
    if kind in _LABEL_NAMED:
        return _check(name, _LABEL, _LABEL_TEXT, 63)
    return _check(name, _SUBDOMAIN, _SUBDOMAIN_TEXT, 253)


def label_problem(name: str) -> list[str]:
    """Return what keeps ``name`` from being a DNS-1123 label (a container's name)."""
    return _check(name, _LABEL, _LABEL_TEXT, 63)


def _check(name: str, pattern: re.Pattern[str], text: str, limit: int) -> list[str]:
    problems = [f"must be no more than {limit} characters"] if len(name) > limit else []
    if not pattern.fullmatch(name):
        problems.append(text)
    return problems


def check_metadata(kind: str, metadata: Mapping[str, Any], path: str = "metadata") -> list[Cause]:
    """Return what is wrong with an object's name, labels, annotations and owners."""
    found: list[Cause] = []
    name = metadata.get("name", "")
    if not name:
        found.append(Cause.required(f"{path}.name", "name or generateName is required"))
    else:
        found += [Cause.wrong(f"{path}.name", name, text) for text in check_name(kind, name)]
    found += check_labels(metadata.get("labels", {}), f"{path}.labels")
    annotations = metadata.get("annotations", {})
    for key in annotations:
        found += _check_key(key.lower(), f"{path}.annotations", key)
    if sum(len(k) + len(v) for k, v in annotations.items()) > _MAX_ANNOTATIONS:
        text = f"Too long: may not be more than {_MAX_ANNOTATIONS} bytes"
        found.append(Cause("FieldValueTooLong", f"{path}.annotations", text))
    for index, owner in enumerate(metadata.get("ownerReferences", [])):
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                where = f"{path}.ownerReferences[{index}].{field}"
                found.append(Cause.wrong(where, "", "must not be empty"))
    for item in metadata.get("finalizers", []):
        found += _check_key(item, f"{path}.finalizers", item)
    return found


def check_labels(labels: Mapping[str, str], path: str) -> list[Cause]:
    """Return what is wrong with a map of labels."""
    found: list[Cause] = []
    for key, value in labels.items():
        found += _check_key(key, path, key)
        if len(value) > 63:
            found.append(Cause.wrong(path, value, "must be no more than 63 bytes"))
        if not _VALUE.fullmatch(value):
            found.append(Cause.wrong(path, value, _VALUE_TEXT))
    return found


def _check_key(key: str, path: str, shown: str) -> list[Cause]:
    prefix, slash, name = key.rpartition("/")
    problems = []
    if slash and not prefix:
        problems.append("prefix part must be non-empty")
    elif slash and not _SUBDOMAIN.fullmatch(prefix):
        problems.append(f"prefix part {_SUBDOMAIN_TEXT}")
    if not name:
        problems.append("name part must be non-empty")
    elif len(name) > 63:
        problems.append("name part must be no more than 63 bytes")
    if not _QUALIFIED.fullmatch(name):
        problems.append(_QUALIFIED_TEXT)
    return [Cause.wrong(path, shown, text) for text in problems]
