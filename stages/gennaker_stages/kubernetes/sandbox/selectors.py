"""Label and field selectors, of queries and of objects. Pure; called by lists, watches, controllers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from .problems import bad_request

__all__ = ["matches_selector", "parse_field_selector", "parse_label_selector"]

Test = Callable[[Mapping[str, Any]], bool]
_SET = re.compile(r"\s*([^\s!=,()]+)\s+(in|notin)\s*\(([^)]*)\)\s*")
_EQUAL = re.compile(r"\s*([^\s!=,()]+)\s*(==|=|!=)\s*([^\s,()!=]*)\s*")
_EXISTS = re.compile(r"\s*(!?)\s*([^\s!=,()<>]+)\s*")
_SPLIT = re.compile(r",(?![^(]*\))")


def parse_label_selector(text: str) -> Test:
    """Return a test of an object's labels for ``a=b,c!=d,e in (f,g),h,!i``.

    Raises:
        ApiProblem: 400 when it is none.
    """
    parts = _SPLIT.split(text) if text.strip() else []
    tests = [_parse_label(part) for part in parts]

    def test(obj: Mapping[str, Any]) -> bool:
        labels = obj.get("metadata", {}).get("labels", {})
        return all(each(labels) for each in tests)

    return test


def _parse_label(part: str) -> Callable[[Mapping[str, str]], bool]:
    if match := _SET.fullmatch(part):
        key, verb, listed = match.groups()
        values = {each.strip() for each in listed.split(",")}
        if verb == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if match := _EQUAL.fullmatch(part):
        key, sign, value = match.groups()
        if sign == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if match := _EXISTS.fullmatch(part):
        negated, key = match.groups()
        return lambda labels: (key in labels) != bool(negated)
    if not part.strip():
        raise bad_request("found '', expected: identifier after ','")
    raise bad_request(f"unable to parse requirement: found '{part.strip()}'")


_COMMON = ("metadata.name", "metadata.namespace")
_FIELDS: dict[str, tuple[str, ...]] = {
    "pods": (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "status.phase",
        "status.podIP",
    ),
    "events": (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    "secrets": ("type",),
    "namespaces": ("status.phase",),
    "nodes": ("spec.unschedulable",),
    "replicasets.apps": ("status.replicas",),
    "jobs.batch": ("status.successful",),
    "services": ("spec.clusterIP", "spec.type"),
}


def parse_field_selector(text: str, storage: str) -> Test:
    """Return a test for ``metadata.name=web,status.phase!=Failed``.

    Raises:
        ApiProblem: 400 for a field that cannot be selected by.
    """
    terms = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*([^!=]+?)\s*(==|=|!=)\s*(.*?)\s*", part)
        if not match:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
        field, sign, value = match.groups()
        if field not in _COMMON and field not in _FIELDS.get(storage, ()):
            if storage not in _FIELDS:
                known = ", ".join(f'"{each}"' for each in _COMMON)
                raise bad_request(f'"{field}" is not a known field selector: only {known}')
            raise bad_request(f"field label not supported: {field}")
        terms.append((field.split("."), value, sign != "!="))

    def test(obj: Mapping[str, Any]) -> bool:
        return all((_read(obj, path) == value) == wanted for path, value, wanted in terms)

    return test


def _read(obj: Any, path: list[str]) -> str:
    if path == ["source"]:
        return str((obj.get("source") or {}).get("component", ""))
    for part in path:
        obj = obj.get(part, "") if isinstance(obj, Mapping) else ""
    return str(obj).lower() if isinstance(obj, bool) else str(obj)


def matches_selector(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a ``LabelSelector`` object matches; an empty one matches everything."""
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for term in selector.get("matchExpressions") or []:
        key, verb = term.get("key"), term.get("operator")
        values = term.get("values") or []
        found = {
            "In": labels.get(key) in values,
            "NotIn": labels.get(key) not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }.get(verb, False)
        if not found:
            return False
    return True
