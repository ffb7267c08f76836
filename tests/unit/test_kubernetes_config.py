"""Versions of ConfigMaps and Secrets, and images put into bundles; no cluster."""

from __future__ import annotations

from typing import Any

import pytest

from gennaker_stages.kubernetes.applying.provenance import RUN, carry_run, stamp_run
from gennaker_stages.kubernetes.bundle.binding import BOUND, bind_images, list_bound
from gennaker_stages.kubernetes.bundle.reading import Item, read_items
from gennaker_stages.kubernetes.bundle.references import find_references
from gennaker_stages.kubernetes.bundle.versions import VERSION_OF, name_versions
from gennaker_stages.kubernetes.inventory.applyset import ApplySet
from gennaker_stages.kubernetes.inventory.prune import PruneRules, find_prunable

POD = """\
serviceAccountName: web
imagePullSecrets: [{name: s}, {name: other}]
volumes:
  - {name: a, configMap: {name: c, items: [{key: x, path: x}]}}
  - {name: b, secret: {secretName: s}}
  - name: c
    projected: {sources: [{configMap: {name: c}}, {secret: {name: s}}, {serviceAccountToken: {path: t}}]}
  - {name: d, csi: {driver: x, nodePublishSecretRef: {name: s}}}
  - {name: e, azureFile: {secretName: s, shareName: x}}
  - {name: f, persistentVolumeClaim: {claimName: c}}
initContainers:
  - {name: i, image: i, envFrom: [{configMapRef: {name: c}}, {secretRef: {name: s}}]}
containers:
  - name: w
    image: w
    env:
      - {name: A, valueFrom: {configMapKeyRef: {name: c, key: x}}}
      - {name: B, valueFrom: {secretKeyRef: {name: s, key: x}}}
      - {name: C, value: c}
"""
WORKLOADS = {
    "Pod": ("v1", "spec"),
    "Deployment": ("apps/v1", "spec.template.spec"),
    "StatefulSet": ("apps/v1", "spec.template.spec"),
    "DaemonSet": ("apps/v1", "spec.template.spec"),
    "ReplicaSet": ("apps/v1", "spec.template.spec"),
    "Job": ("batch/v1", "spec.template.spec"),
    "CronJob": ("batch/v1", "spec.jobTemplate.spec.template.spec"),
    "Rollout": ("argoproj.io/v1alpha1", "spec.template.spec"),
}
CONFIG = """\
{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: ns}, data: {x: "1"}}
---
{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: ns}, data: {x: MQ==}}
"""


def read(text: str) -> list[Item]:
    """The items of a bundle that is right."""
    items, problems = read_items(text.encode(), "bundle")
    assert problems == []
    return items


def write_workload(kind: str, pod: str = POD) -> str:
    """A workload of this kind in namespace ``n``, as a document."""
    version, path = WORKLOADS[kind]
    text, indent = (
        f"---\napiVersion: {version}\nkind: {kind}\nmetadata: {{name: w, namespace: ns}}\n",
        "",
    )
    for part in path.split("."):
        text += f"{indent}{part}:\n"
        indent += "  "
    return text + "".join(f"{indent}{line}\n" for line in pod.splitlines())


def rename(text: str) -> list[dict[str, Any]]:
    """The objects after their configuration was given versions."""
    return [each.body for each in name_versions(read(text))]


@pytest.mark.parametrize("kind", WORKLOADS)
def test_references_follow_in_every_workload(kind: str) -> None:
    """Volumes, projected ones, drivers', env, envFrom and pull secrets get the new names; no claim does."""
    config, secret, workload = rename(CONFIG + write_workload(kind))
    assert (config["metadata"]["name"], secret["metadata"]["name"]) == (
        "c-vzx62gdn98",
        "s-4dtw4fb4s7",
    )
    found = [(what, name) for _, what, name in find_references(workload)]
    assert found.count(("ConfigMap", config["metadata"]["name"])) == 4
    assert found.count(("Secret", secret["metadata"]["name"])) == 7
    assert [each for each in found if each[1] in ("c", "s", "other")] == [("Secret", "other")]
    assert "claimName': 'c'" in str(workload)


def test_an_ingress_and_a_service_account_follow() -> None:
    """What they list gets the new names, in their own namespace only."""
    text = (
        CONFIG
        + """\
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: w, namespace: ns}
spec: {tls: [{hosts: [a], secretName: s}]}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: w, namespace: ns}
imagePullSecrets: [{name: s}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: w, namespace: other}
imagePullSecrets: [{name: s}]
"""
    )
    _, secret, ingress, account, other = rename(text)
    name = secret["metadata"]["name"]
    assert ingress["spec"]["tls"][0]["secretName"] == name
    assert account["imagePullSecrets"] == [{"name": name}]
    assert other["imagePullSecrets"] == [{"name": "s"}]


def test_the_name_follows_the_content_alone() -> None:
    """Labels and annotations move no name; a value, a key and the type of a Secret do."""

    def name(config: str) -> str:
        found = rename(f"{config}\n{write_workload('Pod')}")[0]["metadata"]
        assert found["annotations"][VERSION_OF] == found["name"].rpartition("-")[0]
        return str(found["name"])

    plain = "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: ns}, data: {x: '1'}}"
    assert name(plain.replace("ns}", "ns, labels: {a: b}}")) == name(plain)
    assert name(plain.replace("'1'", "'2'")) != name(plain)
    assert name(plain.replace("x:", "z:")) != name(plain)
    assert name(plain.replace(" data:", " binaryData:").replace("'1'", "MQ==")) != name(plain)
    secret = "{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: ns}, data: {x: MQ==}}"
    assert name(secret) != name(secret.replace(" data:", " type: example.test/x, data:"))


@pytest.mark.parametrize(
    "config",
    [
        "metadata: {name: unused, namespace: ns}, data: {x: '1'}",
        "metadata: {name: c, namespace: other}, data: {x: '1'}",
        "metadata: {name: c, namespace: ns}",
        "metadata: {name: c, namespace: ns, annotations: {gennaker.dev/versioned: 'false'}}, data: {x: '1'}",
        "metadata: {name: c, namespace: ns, annotations: {strategy.spinnaker.io/versioned: 'false'}}, data: {x: '1'}",
    ],
)
def test_some_keep_their_names(config: str) -> None:
    """What nothing refers to, what a controller fills, and what says so keeps its name."""
    text = f"{{apiVersion: v1, kind: ConfigMap, {config}}}\n{write_workload('Pod')}"
    assert rename(text) == [each.body for each in read(text)]


def member(name: str, family: str = "", made: int = 0, kind: str = "ConfigMap") -> dict[str, Any]:
    """A live object of the set."""
    metadata = {"name": name, "namespace": "n", "creationTimestamp": f"2026-01-0{made}T00:00:00Z"}
    annotations = {VERSION_OF: family} if family else {}
    return {"apiVersion": "v1", "kind": kind, "metadata": {**metadata, "annotations": annotations}}


def test_old_versions_go_by_count() -> None:
    """The desired version counts, the newest stay, and so do those that were in use before."""
    applyset = ApplySet("parent", "n", "the test")
    members = [member(f"c-{made}", "c", made) for made in (3, 1, 5, 2, 4)]
    members += [member("plain"), member("d-1", "d", 1)]
    used = frozenset({("ConfigMap", "n", "c-2")})

    def prune(rules: PruneRules) -> set[str]:
        found = find_prunable(applyset, members, [member("c-1", "c", 1)], rules)
        return {each["metadata"]["name"] for each in found.delete}

    assert prune(PruneRules(others=False, versions=3, used=used)) == {"c-3", "c-4"}
    assert prune(PruneRules(others=False, versions=1, used=used)) == {"c-3", "c-4", "c-5"}
    assert prune(PruneRules(others=False, versions=1)) == {"c-2", "c-3", "c-4", "c-5"}
    assert prune(PruneRules(others=True, versions=9)) == {"plain", "d-1"}
    assert len(prune(PruneRules())) == 6


REFERENCE = "registry.test/shop@sha256:" + "a" * 64


@pytest.mark.parametrize("kind", WORKLOADS)
def test_images_are_put_into_every_container(kind: str) -> None:
    """Containers, init containers and volumes that are images, whatever tag they have; others stay."""
    pod = """\
initContainers: [{name: i, image: "registry.test/shop:1"}, {name: o, image: "registry.test/shop-other:1"}]
containers: [{name: w, image: registry.test/shop}, {name: o2, image: "nginx:1"}]
volumes: [{name: v, image: {reference: "registry.test/shop:2"}}]
"""
    images = {"registry.test/shop": REFERENCE, "docker.io/library/nginx": "nginx:2"}
    (item,), problems = bind_images(read(write_workload(kind, pod)), images)
    assert problems == []
    assert str(item.body).count(REFERENCE) == 4  # three times, and once in the annotation
    assert "'nginx:2'" in str(item.body) and "registry.test/shop-other:1" in str(item.body)
    assert item.body["metadata"]["annotations"] == {BOUND: f"nginx:2,{REFERENCE}"}
    assert list_bound([item.body]) == {"nginx:2": [f"{kind}/w"], REFERENCE: [f"{kind}/w"]}


def test_an_image_that_nothing_runs_is_told() -> None:
    """The near name is suggested; a key with a tag and a value that is no reference are told, too."""
    bundle = read(write_workload("Pod", "containers: [{name: w, image: 'registry.test/shop:1'}]"))
    images = {"registry.test/shops": REFERENCE, "registry.test/shop:1": REFERENCE, "a": "b@c"}
    items, problems = bind_images(bundle, images)
    assert items == bundle
    assert sorted(str(each) for each in problems) == [
        "image-reference: images: 'b@c' is no image reference: the digest is not 'sha256:' and 64 "
        "hexadecimal digits; write it like 'registry.test/shop:1.4.0'",
        "image-reference: images: 'registry.test/shop:1' has a tag or a digest; write the name alone: "
        "'registry.test/shop'",
        "image-unused: no container of the bundle runs an image of the name 'registry.test/shops'; "
        "did you mean 'registry.test/shop'?",
    ]


def test_the_run_is_named_where_images_were_put() -> None:
    """The run of the live object counts as desired, so that a run that changes nothing writes nothing."""
    plain = member("plain")
    bound = {**plain, "metadata": {**plain["metadata"], "annotations": {BOUND: "x"}}}
    assert stamp_run(plain, "web-1") == plain
    live = stamp_run(bound, "web-1")
    assert live["metadata"]["annotations"] == {BOUND: "x", RUN: "web-1"}
    assert carry_run(bound, live) == live
    assert carry_run(bound, None) == bound == carry_run(bound, plain)
