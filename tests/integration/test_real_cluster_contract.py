"""One contract for both servers: what holds on a real control plane holds on the sandbox.

Every test runs on each; the differential tests ask both the same and compare the answers.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from gennaker_stages.kubernetes.sandbox import Sandbox
from tests.fixtures.cluster_client import MERGE, STRATEGIC
from tests.fixtures.cluster_pairs import Cluster, establish
from tests.fixtures.cluster_scenarios import (
    SCENARIOS,
    config_map,
    deployment,
    find_differences,
    simplify,
)

pytestmark = pytest.mark.real("control_plane")


@pytest.fixture(scope="module")
def sandbox_kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of a sandbox that runs for this module."""
    path = tmp_path_factory.mktemp("sandbox") / "kubeconfig"
    with Sandbox() as sandbox:
        sandbox.write_kubeconfig(path)
        yield path


@pytest.fixture(params=["sandbox", "real"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Each of the two servers in turn."""
    found = open_cluster(request, request.param)
    yield found
    found.close()


@pytest.fixture
def both(request: pytest.FixtureRequest) -> Iterator[tuple[Cluster, Cluster]]:
    """The real server and the sandbox, each with the custom kind of the scenarios."""
    pair = open_cluster(request, "real"), open_cluster(request, "sandbox")
    for each in pair:
        establish(each)
    yield pair
    for each in pair:
        each.close()


def open_cluster(request: pytest.FixtureRequest, name: str) -> Cluster:
    """Return the server of this name."""
    if name == "real":
        return Cluster(request.getfixturevalue("control_plane").kubeconfig)
    return Cluster(request.getfixturevalue("sandbox_kubeconfig"))


def run_steps(cluster: Cluster, steps: list[tuple[Any, ...]]) -> list[Any]:
    """Return the simplified answers to the steps."""
    answers = []
    for method, path, *rest in steps:
        answer = cluster.client.call(method, path.replace("NS", cluster.namespace, 1), *rest)
        answers.append(simplify(list(answer), cluster.namespace))
    return answers


def compare_answers(pair: tuple[Cluster, Cluster], steps: list[tuple[Any, ...]]) -> list[str]:
    """Return what differs between the two servers' answers."""
    real, sandbox = (run_steps(each, steps) for each in pair)
    return [
        f"step {index} {steps[index][0]} {steps[index][1]}: {line}"
        for index, (one, other) in enumerate(zip(real, sandbox, strict=True))
        for line in find_differences(one, other)
    ]


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_real_server_and_sandbox_answer_alike(both: tuple[Cluster, Cluster], name: str) -> None:
    """Objects, managed fields, conflicts and errors are the same, times and uids aside."""
    assert compare_answers(both, SCENARIOS[name]) == []


def test_real_types_are_those_of_the_table(both: tuple[Cluster, Cluster]) -> None:
    """Fields, types and merge keys of every kind are what the real server publishes."""
    from gennaker_stages.kubernetes.sandbox.schema.generate import express, shorten

    published = both[0].client.get("/openapi/v2")["definitions"]
    by_name = {shorten(name): body for name, body in published.items() if name.count(".") > 2}
    table = files("gennaker_stages.kubernetes.sandbox") / "schema" / "kinds.txt"
    wrong = []
    lines = [each for each in table.read_text("utf-8").splitlines() if not each.startswith("#")]
    for name, *words in (line.split(" ") for line in lines):
        wanted = {
            field: express(spec, []) for field, spec in by_name[name].get("properties", {}).items()
        }
        fields = [word.partition("%")[0] for word in words if word != "@atomic"]
        known = dict(word.rstrip("?=").split(":", 1) for word in fields)
        atomic = by_name[name].get("x-kubernetes-map-type") == "atomic"
        if known != wanted or ("@atomic" in words) != atomic:
            wrong.append(name)
    assert wrong == []
    assert len(lines) > 300


def list_served(cluster: Cluster) -> dict[str, tuple[str, str]]:
    """Return, by group version and resource, a path of it (or of its subresource) and a verb it has."""
    groups = cluster.client.get("/apis")["groups"]
    versions = [each["groupVersion"] for group in groups for each in group["versions"]]
    found = {}
    for version in ("v1", *versions):
        base = "/api/v1" if version == "v1" else f"/apis/{version}"
        for each in cluster.client.get(base)["resources"]:
            plural, _, sub = each["name"].partition("/")
            home = "/namespaces/default" if each["namespaced"] else ""
            path = f"{base}{home}/{plural}" + (f"/x/{sub}" if sub else "")
            reads = {"get", "list"} & set(each["verbs"])
            found[f"{version} {each['name']}"] = path, "GET" if reads else "POST"
    return found


def test_real_sandbox_says_of_all_it_lacks_that_it_does(both: tuple[Cluster, Cluster]) -> None:
    """Whatever the real server has and the sandbox has not is answered 501, and on the page."""
    real, sandbox = both
    page = (Path(__file__).parents[2] / "docs" / "reference" / "sandbox.md").read_text("utf-8")
    listed = set(re.findall(r"`([^`]+)`", page.partition("## What it does not offer")[2]))
    offered = list_served(sandbox)
    # Kinds that other tests define have groups of their own.
    lacking = {
        name: at
        for name, at in list_served(real).items()
        if name not in offered and ("." not in name.split("/")[0] or ".k8s.io/" in name)
    }
    assert len(lacking) > 30
    wrong = []
    for name, (path, method) in lacking.items():
        version, _, resource = name.partition(" ")
        status, answer = sandbox.client.call(method, path, {} if method == "POST" else None)
        names = {version, version.partition("/")[0], resource, resource.partition("/")[0]}
        if status != 501 or answer["reason"] != "NotImplemented" or not names & listed:
            wrong.append(name)
    assert wrong == []


def test_real_conflict_names_manager_and_field(cluster: Cluster) -> None:
    """A refused apply says who owns the field, as cause and in words; force takes it."""
    path = f"{cluster.core}/configmaps/c"
    cluster.client.apply(path, config_map(a="1"), manager="first")
    status, answer = cluster.client.apply(path, config_map(a="2"), manager="second")
    taken, _ = cluster.client.apply(path, config_map(a="2"), manager="second", force=True)
    cause = {
        "reason": "FieldManagerConflict",
        "message": 'conflict with "first"',
        "field": ".data.a",
    }
    assert (status, answer["reason"]) == (409, "Conflict")
    assert answer["message"] == 'Apply failed with 1 conflict: conflict with "first": .data.a'
    assert [cause] == answer["details"]["causes"]
    assert taken == 200


def test_real_watch_tells_each_change_in_order(cluster: Cluster) -> None:
    """A watch from a list's version gives what came after it, and the versions rise."""
    path = f"{cluster.core}/configmaps"
    version = cluster.client.get(path)["metadata"]["resourceVersion"]
    cluster.client.call("POST", path, config_map(a="1"))
    cluster.client.call("PATCH", f"{path}/c", {"data": {"a": "2"}}, MERGE)
    cluster.client.call("DELETE", f"{path}/c")
    seen = []
    query = f"&resourceVersion={version}&fieldSelector=metadata.name%3Dc"
    for event in cluster.client.watch(path, query):
        seen.append((event["type"], event["object"]["data"]["a"]))
        if event["type"] == "DELETED":
            break
    assert seen == [("ADDED", "1"), ("MODIFIED", "2"), ("DELETED", "2")]


def test_real_watch_follows_a_selector(cluster: Cluster) -> None:
    """An object that stops matching is told as deleted, one that starts as added."""
    path = f"{cluster.core}/configmaps"
    version = cluster.client.get(path)["metadata"]["resourceVersion"]
    cluster.client.call("POST", path, config_map(a="1"))
    for label in ("yes", "no"):
        patch = {"metadata": {"labels": {"watched": label}}}
        cluster.client.call("PATCH", f"{path}/c", patch, MERGE)
    query = f"&resourceVersion={version}&labelSelector=watched%3Dyes"
    events = cluster.client.watch(path, query)
    seen = [next(events)["type"], next(events)["type"]]
    events.close()
    assert seen == ["ADDED", "DELETED"]


def test_real_list_comes_in_pages(cluster: Cluster) -> None:
    """``limit`` and ``continue`` give every object once, of one moment."""
    path = f"{cluster.core}/configmaps"
    for number in range(5):
        cluster.client.call("POST", path, config_map(f"p{number}", a="1"))
    first = cluster.client.get(f"{path}?limit=2&labelSelector=a!%3Db")
    names = [each["metadata"]["name"] for each in first["items"]]
    token = first["metadata"]["continue"]
    cluster.client.call("POST", path, config_map("p9", a="1"))
    while token:
        page = cluster.client.get(f"{path}?limit=2&labelSelector=a!%3Db&continue={token}")
        names += [each["metadata"]["name"] for each in page["items"]]
        token = page["metadata"].get("continue")
    assert [f"p{number}" for number in range(5)] == [n for n in names if n != "kube-root-ca.crt"]


def test_real_rollout_becomes_available(cluster: Cluster) -> None:
    """A Deployment gets ready pods, a second image replaces them, and its status says so."""
    path = f"{cluster.apps}/deployments/web"
    cluster.wait_for(
        lambda: cluster.client.call("GET", f"{cluster.core}/serviceaccounts/default")[0] == 200
    )
    for image in ("web:1", "web:2"):
        status, answer = cluster.client.apply(path, deployment(image, 2), force=True)
        assert status in (200, 201), answer

        def is_done() -> bool:
            found = cluster.client.get(path)
            now = found.get("status", {})
            fresh = now.get("observedGeneration") == found["metadata"]["generation"]
            counts = [now.get(key) for key in ("replicas", "updatedReplicas", "availableReplicas")]
            return fresh and counts == [2, 2, 2]

        cluster.wait_for(is_done)
    conditions = {
        each["type"]: (each["status"], each["reason"])
        for each in cluster.client.get(path)["status"]["conditions"]
    }
    pods = [
        pod
        for pod in cluster.client.get(f"{cluster.core}/pods?labelSelector=app%3Dweb")["items"]
        if "deletionTimestamp" not in pod["metadata"]
    ]
    revisions = cluster.client.get(path)["metadata"]["annotations"]
    assert conditions["Progressing"] == ("True", "NewReplicaSetAvailable")
    assert conditions["Available"] == ("True", "MinimumReplicasAvailable")
    assert [pod["spec"]["containers"][0]["image"] for pod in pods] == ["web:2", "web:2"]
    assert revisions["deployment.kubernetes.io/revision"] == "2"


def test_real_deletion_takes_dependents_along(cluster: Cluster) -> None:
    """Deleting a Deployment in the foreground ends when its ReplicaSet and pods are gone."""
    path = f"{cluster.apps}/deployments/web"
    cluster.wait_for(
        lambda: cluster.client.call("GET", f"{cluster.core}/serviceaccounts/default")[0] == 200
    )
    cluster.client.apply(path, deployment("web:1", 1))
    cluster.wait_for(lambda: cluster.client.get(path).get("status", {}).get("availableReplicas"))
    cluster.client.call("DELETE", path, {"propagationPolicy": "Foreground"})
    cluster.wait_for(lambda: cluster.client.call("GET", path)[0] == 404)
    sets = cluster.client.get(f"{cluster.apps}/replicasets")["items"]
    cluster.wait_for(lambda: not cluster.client.get(f"{cluster.core}/pods")["items"])
    assert sets == []


def test_real_namespace_goes_with_its_content(cluster: Cluster) -> None:
    """A deleted namespace takes no more objects, and is gone when it is empty."""
    path = f"{cluster.core}/configmaps"
    cluster.client.call("POST", path, config_map(a="1"))
    patch = {"metadata": {"finalizers": ["example.com/hold"]}}
    cluster.client.call("PATCH", f"{path}/c", patch, MERGE)
    _, marked = cluster.client.call("DELETE", cluster.core)
    status, refused = cluster.client.call("POST", path, config_map("d"))
    free = {"metadata": {"finalizers": None}}
    cluster.wait_for(lambda: cluster.client.get(f"{path}/c")["metadata"].get("deletionTimestamp"))
    cluster.client.call("PATCH", f"{path}/c", free, MERGE)
    cluster.wait_for(lambda: cluster.client.call("GET", cluster.core)[0] == 404)
    assert marked["status"]["phase"] == "Terminating"
    assert (status, refused["details"]["causes"][0]["reason"]) == (403, "NamespaceTerminating")


def test_real_status_is_a_subresource(cluster: Cluster) -> None:
    """A write of the object leaves the status alone, a write of the status the object."""
    path = f"{cluster.core}/services/s"
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}}
    cluster.client.apply(path, {**body, "spec": {"ports": [{"port": 80}], "type": "LoadBalancer"}})
    status = {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}
    _, written = cluster.client.call(
        "PATCH",
        f"{path}/status?fieldManager=lb",
        {"status": status, "spec": {"sessionAffinity": "ClientIP"}},
        STRATEGIC,
    )
    _, after = cluster.client.call("PATCH", path, {"status": {"loadBalancer": None}}, MERGE)
    manager = next(m for m in written["metadata"]["managedFields"] if m["manager"] == "lb")
    assert written["status"]["loadBalancer"]["ingress"][0]["ip"] == "192.0.2.7"
    assert written["spec"]["sessionAffinity"] == "None"
    assert manager["subresource"] == "status"
    assert written["status"] == after["status"]


def test_real_dynamic_client_applies(cluster: Cluster) -> None:
    """The official Python client discovers the kind and applies it on the server's side."""
    from kubernetes import config, dynamic

    api_client = config.new_client_from_config(str(cluster.kubeconfig))
    client = dynamic.DynamicClient(api_client)
    api = client.resources.get(api_version="apps/v1", kind="Deployment")
    body = deployment("web:1", 0)
    applied = api.server_side_apply(
        body=body, name="web", namespace=cluster.namespace, field_manager="gennaker"
    )
    found = api.get(name="web", namespace=cluster.namespace)
    client_versions = {each.manager: each.operation for each in found.metadata.managedFields}
    api_client.close()
    assert applied.metadata.uid == found.metadata.uid
    assert client_versions["gennaker"] == "Apply"


def test_real_kubectl_works(cluster: Cluster) -> None:
    """kubectl applies on the server's side, waits for the rollout, shows, and deletes."""
    manifest = deployment("web:1", 1)
    manifest["metadata"]["namespace"] = cluster.namespace

    def run(*arguments: str, text: str = "") -> str:
        command = ["kubectl", f"--kubeconfig={cluster.kubeconfig}", "-n", cluster.namespace]
        done = subprocess.run(
            [*command, *arguments],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    applied = run("apply", "--server-side", "-f", "-", text=json.dumps(manifest))
    rolled = run("rollout", "status", "deployment/web", "--timeout=60s")
    shown = run("get", "deployment", "web")
    ready = run("wait", "--for=condition=Available", "deployment/web", "--timeout=30s")
    deleted = run("delete", "deployment", "web")
    assert applied == "deployment.apps/web serverside-applied\n"
    assert rolled.endswith('deployment "web" successfully rolled out\n')
    assert shown.split()[:5] == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert shown.split()[5:9] == ["web", "1/1", "1", "1"]
    assert ready == "deployment.apps/web condition met\n"
    assert deleted.startswith('deployment.apps "web" deleted')
