"""The sandbox's HTTP front: what clients of every kind are answered."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gennaker_stages.kubernetes.sandbox import Sandbox, VirtualClock
from gennaker_stages.kubernetes.sandbox.api import (
    FOREIGN_GROUPS,
    FOREIGN_RESOURCES,
    FOREIGN_VERSIONS,
)
from tests.fixtures.cluster_client import ClusterClient
from tests.fixtures.cluster_scenarios import config_map, deployment

CORE = "/api/v1/namespaces/default"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox that serves."""
    with Sandbox() as running:
        yield running


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[ClusterClient]:
    """A client of it."""
    found = ClusterClient(sandbox.kubeconfig)
    yield found
    found.close()


def read_not_offered() -> dict[str, set[str]]:
    """Return the table of the reference page: what is answered 501, by its sort."""
    page = (Path(__file__).parents[2] / "docs" / "reference" / "sandbox.md").read_text("utf-8")
    section = page.partition("## What it does not offer")[2]
    rows = re.findall(r"^\| (\w[\w ]*) \| (.+) \|$", section, re.MULTILINE)
    return {name: set(re.findall(r"`([^`]+)`", told)) for name, told in rows}


def test_what_is_not_offered_is_listed(client: ClusterClient) -> None:
    """The page names the groups, versions and resources of the code, and each has its 501."""
    listed = read_not_offered()
    assert listed["API groups"] == FOREIGN_GROUPS
    assert listed["resources"] == FOREIGN_RESOURCES
    assert listed["versions"] == {"/".join(each) for each in FOREIGN_VERSIONS}
    asked = {f"/apis/{group}/v1/things" for group in listed["API groups"]}
    asked |= {f"/apis/{version}/things" for version in listed["versions"]}
    asked |= {f"/api/v1/{plural}" for plural in listed["resources"]}
    asked |= listed["paths"]
    for name in listed["subresources"]:
        plural, _, sub = name.partition("/")
        home = "" if plural in ("namespaces", "nodes") else "/namespaces/default"
        asked.add(f"/api/v1{home}/{plural}/x/{sub}")
    answers = {path: client.call("GET", path) for path in asked}
    assert {path: status for path, (status, _) in answers.items() if status != 501} == {}
    assert {(told["kind"], told["reason"]) for _, told in answers.values()} == {
        ("Status", "NotImplemented")
    }
    assert all("the sandbox does not offer" in told["message"] for _, told in answers.values())


@pytest.mark.parametrize(
    ("method", "path", "what"),
    [
        (
            "GET",
            "/apis/admissionregistration.k8s.io",
            "the API group 'admissionregistration.k8s.io'",
        ),
        (
            "GET",
            "/apis/certificates.k8s.io/v1/certificatesigningrequests",
            "'certificatesigningrequests' of certificates.k8s.io/v1",
        ),
        ("GET", f"{CORE}/replicationcontrollers", "'replicationcontrollers' of core/v1"),
        ("POST", f"{CORE}/pods/x/exec", "the subresource pods/exec"),
        ("GET", "/openapi/v2", "/openapi/v2"),
    ],
)
def test_what_is_not_offered_is_said(
    client: ClusterClient, method: str, path: str, what: str
) -> None:
    """501 with a Status that names it and the page that lists what there is."""
    status, answer = client.call(method, path)
    expected = (
        f"the sandbox does not offer {what}; see docs/reference/sandbox.md for what it offers"
    )
    assert (status, answer["reason"], answer["message"]) == (501, "NotImplemented", expected)


def test_stranger_is_refused(sandbox: Sandbox) -> None:
    """Without the token there is nothing but health and version."""
    stranger = ClusterClient(
        {**sandbox.kubeconfig, "clusters": [{"cluster": {"server": sandbox.url}}]}
    )
    assert stranger.call("GET", "/api/v1/secrets")[0] == 401
    assert stranger.call("GET", "/healthz") == (200, "ok")
    stranger.close()


def test_bearer_token_is_accepted(sandbox: Sandbox) -> None:
    """Clients that send one need no secret in the address."""
    config = sandbox.kubeconfig
    config["clusters"][0]["cluster"]["server"] = sandbox.url
    config["users"][0]["user"] = {"token": sandbox.token}
    client = ClusterClient(config)
    assert client.call("GET", f"{CORE}/pods")[0] == 200
    client.close()


def test_kubeconfig_is_private(sandbox: Sandbox, tmp_path: Path) -> None:
    """It holds the token."""
    sandbox.write_kubeconfig(tmp_path / "kubeconfig")
    assert (tmp_path / "kubeconfig").stat().st_mode & 0o777 == 0o600


def test_yaml_is_read_as_kubernetes_reads_it(client: ClusterClient) -> None:
    """An apply body in YAML 1.1: dates stay text, a bare ``on`` is true."""
    body = (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {day: 2026-01-02, on: 'yes'}\n"
    )
    status, answer = client.apply(f"{CORE}/configmaps/c", body)
    assert (status, answer.get("data")) == (201, {"day": "2026-01-02", "true": "yes"})


def test_broken_bodies_are_refused(client: ClusterClient) -> None:
    """Malformed JSON and YAML, no object, protobuf, too much: each with its status."""
    path = f"{CORE}/configmaps"
    answers = [
        client.call("POST", path, "{bad")[0],
        client.call("POST", path, "[1]")[0],
        client.call("POST", path, "[" * 100_000)[0],
        client.apply(f"{path}/c", "a: [")[0],
        client.call("POST", path, "k8s\0", "application/vnd.kubernetes.protobuf")[0],
        client.call("POST", path, config_map(a="x" * 3_200_000))[0],
    ]
    assert answers == [400, 400, 400, 400, 415, 413]


def test_unknown_fields_warn_or_fail(client: ClusterClient) -> None:
    """``Warn`` stores the rest, ``Strict`` refuses with the path."""
    body = {**config_map(a="1"), "dta": {}}
    warned, stored = client.call("POST", f"{CORE}/configmaps", body)
    path = f"{CORE}/configmaps?fieldValidation=Strict"
    refused, answer = client.call("POST", path, body)
    assert (warned, "dta" in stored) == (201, False)
    assert refused == 400
    assert answer["message"].endswith('strict decoding error: unknown field "dta"')


def test_expired_watch_is_answered_410(sandbox: Sandbox, client: ClusterClient) -> None:
    """As the real server answers a version it has compacted."""
    client.call("POST", f"{CORE}/configmaps", config_map(a="1"))
    sandbox.expire_watches()
    status, answer = client.call("GET", f"{CORE}/configmaps?watch=1&resourceVersion=1")
    assert (status, answer["reason"]) == (410, "Expired")


def test_discovery_lists_kinds_with_short_names(client: ClusterClient) -> None:
    """What kubectl and the dynamic client look for."""
    listed = client.get("/apis/apps/v1")["resources"]
    found = next(each for each in listed if each["name"] == "deployments")
    groups = [each["name"] for each in client.get("/apis")["groups"]]
    assert (found["kind"], found["shortNames"], found["namespaced"]) == (
        "Deployment",
        ["deploy"],
        True,
    )
    assert "deployments/scale" in [each["name"] for each in listed]
    assert {"apps", "batch", "apiextensions.k8s.io"} <= set(groups)


def test_fault_shows_through_the_api(sandbox: Sandbox, client: ClusterClient) -> None:
    """A Deployment whose image cannot be pulled says why, on real time too."""
    sandbox.inject("image-pull-error", kind="Deployment", name="web", namespace="default")
    client.apply("/apis/apps/v1/namespaces/default/deployments/web", deployment("web:1", 1))
    deadline = time.monotonic() + 10
    reason = None
    while reason not in ("ErrImagePull", "ImagePullBackOff") and time.monotonic() < deadline:
        time.sleep(0.02)
        for pod in client.get(f"{CORE}/pods")["items"]:
            for each in pod["status"].get("containerStatuses", []):
                reason = each["state"].get("waiting", {}).get("reason")
    assert reason in ("ErrImagePull", "ImagePullBackOff")


def test_requests_are_quick(client: ClusterClient) -> None:
    """Medians over one connection: a read under 2 ms, an apply under 5 ms (three times that here)."""
    path = "/apis/apps/v1/namespaces/default/deployments/web"
    client.apply(path, deployment(replicas=0))
    reads, applies = [], []
    for number in range(60):
        start = time.perf_counter()
        client.get(f"{CORE}/configmaps")
        reads.append(time.perf_counter() - start)
        start = time.perf_counter()
        client.apply(path, deployment(f"web:{number}", 0))
        applies.append(time.perf_counter() - start)
    assert statistics.median(reads) < 0.006
    assert statistics.median(applies) < 0.015


def test_healed_pods_get_well() -> None:
    """After ``heal`` what crashed runs at its next try, and what could not be pulled is pulled."""
    clock = VirtualClock()
    with Sandbox(clock=clock) as sandbox:
        client = ClusterClient(sandbox.kubeconfig)
        for name, fault in (("web", "crash-loop"), ("side", "image-pull-error")):
            sandbox.inject(fault, kind="Deployment", namespace="default", name=name)
            body = deployment("web:1", 1)
            body["metadata"]["name"] = name
            client.apply(f"/apis/apps/v1/namespaces/default/deployments/{name}", body)
        clock.advance(30)
        sick = [each["status"].get("readyReplicas", 0) for each in sandbox.objects("Deployment")]
        sandbox.heal()
        clock.advance(600)
        well = [each["status"].get("readyReplicas", 0) for each in sandbox.objects("Deployment")]
        client.close()
    assert (sick, well) == ([0, 0], [1, 1])
