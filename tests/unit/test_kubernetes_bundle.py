"""Bundles: read, checked, ordered; and what would change."""

from __future__ import annotations

import pytest

from gennaker.errors import PermanentError
from gennaker_stages.kubernetes.bundle.objects import name_of, read_bundle, sort_objects
from gennaker_stages.kubernetes.planning.difference import describe_difference, find_differences


def test_lists_are_flattened_and_empty_documents_left_out() -> None:
    """A List is its items; a document of comments is none."""
    text = b"""\
# nothing
---
apiVersion: v1
kind: List
items:
  - {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}
  - {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}
---
"""
    assert [name_of(each) for each in read_bundle(text, "bundle")] == ["ConfigMap/a", "ConfigMap/b"]


def test_scalars_are_read_as_kubernetes_reads_them() -> None:
    """YAML 1.1's yes is true, as kubectl has it."""
    (body,) = read_bundle(
        b"{apiVersion: v1, kind: X, metadata: {name: a}, spec: {on: yes}}", "bundle"
    )
    assert body["spec"] == {"true": True}


def test_every_fault_is_told_at_once() -> None:
    """Objects without kind or name, and duplicates, are all named in one error."""
    text = b"""\
{apiVersion: v1, kind: ConfigMap, metadata: {}}
---
{kind: ConfigMap, metadata: {name: a}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}
---
[]
"""
    with pytest.raises(PermanentError) as caught:
        read_bundle(text, "bundle")
    assert caught.value.message == (
        "the bundle is wrong: object 1 (ConfigMap) has no metadata.name; object 2 has no apiVersion; "
        "object 5 is not a mapping; ConfigMap/a is there twice"
    )


def test_what_others_need_comes_first() -> None:
    """Namespaces and definitions come before the rest, unknown kinds last, ties as written."""
    kinds = ["Widget", "Deployment", "Secret", "CustomResourceDefinition", "ConfigMap", "Namespace"]
    objects = [{"kind": kind, "metadata": {"name": "x"}} for kind in kinds]
    assert [each["kind"] for each in sort_objects(objects)] == [
        "Namespace",
        "CustomResourceDefinition",
        "Secret",
        "ConfigMap",
        "Deployment",
        "Widget",
    ]


def test_differences_leave_out_what_the_server_writes() -> None:
    """Status and the server's metadata are no difference; a field is named by its path."""
    live = {
        "metadata": {"name": "x", "resourceVersion": "1", "uid": "u"},
        "spec": {"a": [1, 2]},
        "status": {},
    }
    wanted = {"metadata": {"name": "x", "labels": {"l": "v"}}, "spec": {"a": [1, 3]}}
    found = find_differences(live, wanted)
    assert [each[0] for each in found] == ["metadata.labels", "spec.a[1]"]
    assert describe_difference(found, secret=False) == (
        "metadata.labels: nothing → {'l': 'v'}, spec.a[1]: 2 → 3"
    )


def test_values_of_secrets_are_never_described() -> None:
    """That a Secret's value changes is told, the values are not."""
    found = find_differences(
        {"metadata": {}, "data": {"password": "b2xk"}},
        {"metadata": {}, "data": {"password": "bmV3"}},
    )
    assert describe_difference(found, secret=True) == "data.password: changed"
