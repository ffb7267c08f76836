"""Releases of Helm's as their records tell of them; no cluster."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest

from gennaker_stages.kubernetes.applying.adoption import take_over
from gennaker_stages.kubernetes.applying.rules import ConflictRules
from gennaker_stages.kubernetes.inventory.release import (
    Release,
    find_managers,
    plan_release,
    read_record,
)

MARKS = {"meta.helm.sh/release-name": "web", "meta.helm.sh/release-namespace": "n"}
RELEASE = Release("Helm release 'n/web'", "sh.helm.release.v1.web.v2", 2, ("A/a", "B/b"))


def encode(content: bytes) -> dict[str, Any]:
    """A record with this content."""
    return {"data": {"release": base64.b64encode(base64.b64encode(content)).decode()}}


def live(manager: str, operation: str = "Update", **marks: Any) -> dict[str, Any]:
    """A ConfigMap that a manager wrote whole."""
    annotations = {f"f:{each}": {} for each in marks.get("annotations", {})}
    fields = {"f:metadata": {"f:annotations": annotations}, "f:data": {"f:a": {}}}
    entry = {"manager": manager, "operation": operation, "fieldsV1": fields}
    metadata = {"name": "a", "namespace": "n", "managedFields": [entry], **marks}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "1"}}


def test_a_record_tells_its_objects() -> None:
    """Twice base64, gzip, JSON, YAML."""
    manifest = "---\n# Source: a\n{apiVersion: v1, kind: A, metadata: {name: a}}\n---\n"
    record = encode(gzip.compress(json.dumps({"manifest": manifest}).encode()))
    assert read_record(record) == ("A/a",)


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"data": {"release": "!"}},
        {"data": {"release": 3}},
        encode(b"no gzip"),
        encode(gzip.compress(b"[]")),
        encode(gzip.compress(b"{}")),
        encode(gzip.compress(b" " * (17 << 20) + b"{}")),
    ],
)
def test_a_record_that_cannot_be_read_tells_none(record: dict[str, Any]) -> None:
    """It may have been edited, be another version's, or be far too large; it is for telling only."""
    assert read_record(record) == ()


def test_helm_works_as_who_made_the_marks() -> None:
    """Whatever the program was called; objects of other releases do not count."""
    other = {**MARKS, "meta.helm.sh/release-name": "other"}
    bodies = [
        live("helm", annotations=MARKS),
        live("terraform", annotations=MARKS),
        live("kubectl", annotations=other),
        live("nobody"),
        None,
    ]
    assert find_managers(RELEASE, bodies) == {"helm", "terraform"}
    assert find_managers(None, bodies) == frozenset()


@pytest.mark.parametrize("operation", ["Update", "Apply"])
def test_what_helm_has_becomes_ours(operation: str) -> None:
    """Helm 3 updates, Helm 4 applies; without the rules of an adoption it stays Helm's."""
    rules = ConflictRules().adopt(frozenset({"helm"}))
    body = live("helm", operation, annotations=MARKS)
    entries = take_over(body, rules.adopted)
    assert entries is not None
    assert [(each["manager"], each["operation"]) for each in entries] == [("gennaker", "Apply")]
    assert entries[0]["fieldsV1"]["f:data"] == {"f:a": {}}
    assert take_over(body) is None
    assert (
        rules.decide(body, ".data.a", "helm"),
        ConflictRules().decide(body, ".data.a", "helm"),
    ) == ("take", "fail")
    assert rules.decide(body, ".data.a", "other") == "fail"


def test_a_plan_tells_of_the_release() -> None:
    """Its record, and what it made that the bundle has not."""
    desired = [{"kind": "A", "metadata": {"name": "a"}}]
    assert [(each.action, each.what) for each in plan_release(RELEASE, desired)] == [
        ("leave", "Secret/sh.helm.release.v1.web.v2"),
        ("leave", "B/b"),
    ]
    assert plan_release(None, desired) == []
