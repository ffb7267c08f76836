"""Bundles: read, placed, ordered; what of it needs no cluster."""

from __future__ import annotations

import re
from typing import Any

import pytest

from gennaker.errors import Location
from gennaker_stages.kubernetes.bundle.fields import check_fields, drop_nulls
from gennaker_stages.kubernetes.bundle.generated import HOOK_MARKS
from gennaker_stages.kubernetes.bundle.images import find_images, is_pinned
from gennaker_stages.kubernetes.bundle.masking import hide_secret, mask_secrets
from gennaker_stages.kubernetes.bundle.memory import Memory
from gennaker_stages.kubernetes.bundle.objects import name_of
from gennaker_stages.kubernetes.bundle.openapi import compact_document, compact_schema
from gennaker_stages.kubernetes.bundle.ordering import group_waves, read_wave
from gennaker_stages.kubernetes.bundle.preparing import normalize_object
from gennaker_stages.kubernetes.bundle.reading import read_items
from gennaker_stages.kubernetes.bundle.removed import find_replacement


def read(text: str) -> list[str]:
    """The names of a text's objects; fails when something is wrong with it."""
    items, problems = read_items(text.encode(), "bundle")
    assert problems == []
    return [name_of(each.body) for each in items]


def test_checklist_35_lists_are_flattened() -> None:
    """A List is its items, also inside another; a typed list says what its items are."""
    text = """\
# nothing
---
apiVersion: v1
kind: List
items:
  - {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}
  - apiVersion: v1
    kind: List
    items:
      - {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}
---
apiVersion: v1
kind: ConfigMapList
items:
  - metadata: {name: c}
---
apiVersion: example.test/v1
kind: AllowList
metadata: {name: d}
items: []
---
"""
    assert read(text) == ["ConfigMap/a", "ConfigMap/b", "ConfigMap/c", "AllowList/d"]


def test_scalars_are_read_as_kubernetes_reads_them() -> None:
    """YAML 1.1's yes is true, as kubectl has it."""
    text = b"{apiVersion: v1, kind: X, metadata: {name: a}, spec: {on: yes}}"
    items, _ = read_items(text, "bundle")
    assert items[0].body["spec"] == {"true": True}


def test_checklist_35_every_fault_of_a_bundle_is_told_at_its_place() -> None:
    """What is no object, in YAML or in Kubernetes, is told with its line and where it was rendered."""
    text = """\
{apiVersion: v1, kind: ConfigMap, metadata: {}}
---
# Source: web/templates/map.yaml
kind: ConfigMap
metadata: {name: a}
---
apiVersion: batch/v1
kind: Job
metadata:
  generateName: migrate-
---
[]
---
{a: b
---
apiVersion: v1
kind: ConfigMap
metadata: {name: 1, annotations: {}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: labelled, labels: {tier: yes}}
"""
    _, problems = read_items(text.encode(), "bundle")
    assert [str(each).split("; ")[0] for each in problems] == [
        "bundle:1:24: bundle-object: ConfigMap has no metadata.name",
        "bundle:4:1: bundle-object: ConfigMap/a has no apiVersion (in web/templates/map.yaml)",
        "bundle:10:17: bundle-object: Job has generateName and no name: each deploy would make "
        "another one",
        "bundle:12:1: bundle-object: a document is not a mapping",
        "bundle:14:6: yaml-syntax: did not find expected ',' or '}'",
        "bundle:18:18: bundle-object: ConfigMap: metadata.name is 1, not text",
        "bundle:22:43: bundle-object: ConfigMap/labelled: metadata.labels['tier'] is true, not text",
    ]


@pytest.mark.parametrize("mark", HOOK_MARKS)
def test_a_hook_without_a_name_is_named_by_its_content(mark: str) -> None:
    """The same content has the same name, another has another; it fits into a label of its Pods."""
    hook = "{apiVersion: v1, kind: Pod, metadata: {generateName: %s, annotations: {%s: x}}, a: %s}"

    def read_metadata(prefix: str, value: str) -> Any:
        (item,), problems = read_items((hook % (prefix, mark, value)).encode(), "bundle")
        assert problems == []
        return item.body["metadata"]

    names = {read_metadata("migrate-", value)["name"] for value in ("1", "1", "2")}
    assert len(names) == 2
    assert all(re.fullmatch("migrate-[0-9a-f]{8}", each) for each in names)
    assert "generateName" not in read_metadata("migrate-", "1")
    assert len(read_metadata(99 * "m", "1")["name"]) == 63


def test_an_object_knows_its_place() -> None:
    """The place of a field inside a list of a later document is its line in the whole bundle."""
    text = b"""\
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}
--- # the second
kind: List
items:
  - apiVersion: v1
    kind: ConfigMap
    metadata: {name: b}
    data:
      key: value
"""
    items, _ = read_items(text, "bundle")
    assert items[1].locate(("data", "key")) == Location("bundle", 10, 12)
    assert items[1].locate(("data", "key"), key=True) == Location("bundle", 10, 7)


def obj(kind: str, name: str = "x", version: str = "v1", **more: object) -> dict[str, object]:
    """A small object."""
    metadata = {"name": name, **{key: more.pop(key) for key in ("namespace",) if key in more}}
    if "annotations" in more:
        metadata["annotations"] = more.pop("annotations")
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **more}


def test_checklist_35_what_others_need_comes_first() -> None:
    """Namespaces and definitions first, custom kinds after the built-in ones, webhooks last."""
    objects = [
        obj("ValidatingWebhookConfiguration", version="admissionregistration.k8s.io/v1"),
        obj("Widget", version="example.test/v1"),
        obj("Deployment", version="apps/v1"),
        # A custom kind that is called like a built-in one is none.
        obj("Service", "custom", "serving.example.test/v1"),
        obj("Secret"),
        obj("CustomResourceDefinition", version="apiextensions.k8s.io/v1"),
        obj("ConfigMap"),
        obj("Namespace"),
    ]
    (wave,) = group_waves(objects)
    assert [name_of(each) for each in wave] == [
        "Namespace/x",
        "CustomResourceDefinition/x",
        "Secret/x",
        "ConfigMap/x",
        "Deployment/x",
        "Widget/x",
        "Service/custom",
        "ValidatingWebhookConfiguration/x",
    ]


@pytest.mark.parametrize(
    ("annotations", "wave"),
    [
        ({}, 0),
        ({"gennaker.dev/wave": "-2"}, -2),
        ({"argocd.argoproj.io/sync-wave": "5"}, 5),
        ({"helm.sh/hook-weight": " 3 "}, 3),
        ({"gennaker.dev/wave": "1", "argocd.argoproj.io/sync-wave": "5"}, 1),
        ({"argocd.argoproj.io/sync-wave": "5", "helm.sh/hook-weight": "3"}, 5),
    ],
)
def test_waves_of_others_are_understood(annotations: dict[str, str], wave: int) -> None:
    """Ours wins, then Argo CD's, then Helm's weight."""
    assert read_wave(obj("ConfigMap", annotations=annotations)) == wave


def test_waves_are_in_order_and_pull_forward_what_they_need() -> None:
    """A namespace or a definition of a later wave goes with the first object that needs it."""
    late = {"gennaker.dev/wave": "5"}
    early = {"gennaker.dev/wave": "-1"}
    names = {"group": "example.test", "names": {"kind": "Widget"}}
    objects = [
        obj("Deployment", "last", "apps/v1", annotations=late),
        obj("Namespace", "shop", annotations=late),
        obj("CustomResourceDefinition", "widgets", annotations=late, spec=names),
        obj("Widget", "one", "example.test/v1", namespace="shop"),
        obj("ConfigMap", "first", namespace="shop", annotations=early),
    ]
    assert [[name_of(each) for each in wave] for wave in group_waves(objects)] == [
        ["Namespace/shop", "ConfigMap/first"],
        ["CustomResourceDefinition/widgets", "Widget/one"],
        ["Deployment/last"],
    ]


def test_a_wave_that_is_no_number_is_told() -> None:
    """The annotation and its value are named."""
    body = obj("ConfigMap", annotations={"gennaker.dev/wave": "first"})
    with pytest.raises(ValueError, match=r"'gennaker\.dev/wave' is 'first', not a whole number"):
        read_wave(body)


def test_what_servers_write_is_taken_out() -> None:
    """Objects read from a cluster can be deployed; stringData becomes data, and wins over it."""
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "db",
            "uid": "1",
            "resourceVersion": "7",
            "managedFields": [],
            "creationTimestamp": None,
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "a": "b"},
        },
        "data": {"user": "YQ==", "password": "YQ=="},
        "stringData": {"password": "hunter22"},
    }
    assert normalize_object(body) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "db", "annotations": {"a": "b"}},
        "data": {"user": "YQ==", "password": "aHVudGVyMjI="},
    }


def test_checklist_36_secret_values_are_hidden_and_masked() -> None:
    """Keys stay; what a server repeats of a value is masked, encoded or not."""
    body = {"apiVersion": "v1", "kind": "Secret", "data": {"password": "aHVudGVyMjI="}}
    assert hide_secret(body)["data"] == {"password": "***"}
    said = 'denied: "hunter22" (aHVudGVyMjI=) is weak'
    assert mask_secrets(said, body) == 'denied: "***" (***) is weak'
    assert mask_secrets(said, {**body, "kind": "ConfigMap"}) == said


DOCUMENT = {
    "components": {
        "schemas": {
            "test.Thing": {
                "type": "object",
                "x-kubernetes-group-version-kind": [
                    {"group": "apps", "version": "v1", "kind": "Thing"}
                ],
                "properties": {
                    "apiVersion": {"type": "string"},
                    "kind": {"type": "string"},
                    "spec": {"allOf": [{"$ref": "#/components/schemas/test.Spec"}], "default": {}},
                },
            },
            "test.Spec": {
                "type": "object",
                "properties": {
                    "replicas": {"type": "integer", "format": "int32"},
                    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                    "items": {
                        "type": "array",
                        "items": {"$ref": "#/components/schemas/test.Spec"},
                    },
                    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                    "cpu": {"$ref": "#/components/schemas/io.k8s.api.resource.Quantity"},
                    "port": {"x-kubernetes-int-or-string": True},
                    "on": {"type": "boolean"},
                },
            },
            "io.k8s.api.resource.Quantity": {"type": "string"},
        }
    }
}


def test_fields_are_checked_against_a_document() -> None:
    """Unknown fields are told with what was meant, wrong types with what to do; the rest passes."""
    document = compact_document(DOCUMENT, "apps/v1")
    node = {"ref": document["kinds"]["Thing"]}
    good = {
        "apiVersion": "apps/v1",
        "kind": "Thing",
        "spec": {
            "replicas": 2.0,
            "labels": None,
            "items": [{"replicas": 1}],
            "free": {"any": {"thing": 1}},
            "cpu": 1,
            "port": "http",
        },
    }
    assert list(check_fields(good, node, document["types"])) == []
    bad = {
        "spec": {"replica": 2, "labels": {"a": 1}, "items": [{"on": "yes"}, 3], "replicas": True}
    }
    found = check_fields(bad, node, document["types"])
    assert [(each.message, each.hint) for each in found] == [
        ("'replica' is not a field of spec", "did you mean 'replicas'?"),
        ("spec.labels.a must be text, not a number", "put it into quotes"),
        ("spec.items[0].on must be true or false, not text", None),
        ("spec.items[1] must be a mapping, not a number", None),
        ("spec.replicas must be a whole number, not true", None),
    ]


def test_a_removed_version_names_its_successor() -> None:
    """Kinds that are gone are known by version, with what to write instead."""
    assert find_replacement("extensions/v1beta1", "Ingress") == ("1.22", "networking.k8s.io/v1")
    assert find_replacement("policy/v1beta1", "PodSecurityPolicy") == ("1.25", None)
    assert find_replacement("apps/v1", "Deployment") is None


def test_images_are_found_wherever_pods_are() -> None:
    """Of Pods, workloads and CronJobs: containers of all three sorts and volumes."""
    pod = {
        "initContainers": [{"name": "init", "image": "a:1"}],
        "containers": [{"name": "web", "image": "b:1"}, {"name": "none"}],
        "volumes": [{"name": "models", "image": {"reference": "c:1"}}],
    }
    cron = obj("CronJob", spec={"jobTemplate": {"spec": {"template": {"spec": pod}}}})
    assert [each[1:] for each in find_images(cron)] == [
        ("container 'init'", "a:1"),
        ("container 'web'", "b:1"),
        ("volume 'models'", "c:1"),
    ]
    assert [each[2] for each in find_images(obj("Pod", spec=pod))] == ["a:1", "b:1", "c:1"]
    assert is_pinned("registry.test/web:1@sha256:" + "a" * 64)
    assert not is_pinned("registry.test/web:1")


def test_a_bundle_that_is_read_again_gives_objects_of_its_own() -> None:
    """What a document holds is kept as text: who changes what was read changes nobody else's."""
    text = (
        b"{apiVersion: v1, kind: ConfigMap, metadata: {name: kept}, data: {a: 'x', b: 1.5, c: ~}}"
    )
    (first,), _ = read_items(text, "bundle")
    first.body["data"]["a"] = "changed"
    (second,), _ = read_items(text, "other")
    assert second.body["data"] == {"a": "x", "b": 1.5, "c": None}
    assert second.origin is not None and second.origin.file == "other"


def test_the_memory_of_texts_has_a_bound() -> None:
    """What was used last is kept, and what is too large by itself is not."""
    memory = Memory(29)
    for each in "abc":
        memory.keep(each, each * 10)
        memory.recall("a")
    assert [memory.recall(each) for each in "abc"] == ["a" * 10, None, "c" * 10]
    memory.keep("d", "d" * 40)
    assert [memory.recall(each) for each in "acd"] == [None, None, None]
    memory.keep("a", "small again")
    memory.keep("a", "small")
    assert memory.recall("a") == "small"


def test_nulls_that_mean_nothing_are_left_out() -> None:
    """Fields that are null are not set, unless null is one of their values, or anything is."""
    document = compact_document(DOCUMENT, "apps/v1")
    types = {**document["types"], "own": {"type": "string", "nullable": True}}
    node = {"properties": {"thing": {"ref": document["kinds"]["Thing"]}, "own": {"ref": "own"}}}
    body = {
        "own": None,
        "thing": {
            "spec": {
                "replicas": None,
                "labels": {"a": None},
                "items": [{"replicas": None, "on": True}, None],
                "free": {"any": None},
            }
        },
    }
    kept = {"labels": {"a": None}, "items": [{"on": True}, None], "free": {"any": None}}
    assert drop_nulls(body, node, types) == {"own": None, "thing": {"spec": kept}}
    assert compact_schema({"type": "object", "nullable": True}) == {}
    assert compact_schema({"type": "string", "nullable": True})["nullable"] is True
