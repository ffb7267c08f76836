"""A real API server killed, and a real etcd held, in the middle of a deploy: what the command line says.

etcd and API server are the module's own. The moment is chosen by the number of objects that were
applied; what happens then is done to the programs, not to Gennaker.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from gennaker_stages.kubernetes.client.cluster import Cluster
from gennaker_stages.kubernetes.settings import KubernetesSettings
from tests.fixtures.control_plane import ControlPlane
from tests.fixtures.typed_project import TypedProject

pytestmark = pytest.mark.faults
NAMES = [f"part-{number:02}" for number in range(20)]
PIPELINE = """\
name: shop
parameters: {{value: {{default: "1"}}}}
stages:
  load: {{uses: manifests.load, with: {{files: [k8s]}}}}
  deploy:
    uses: kubernetes.deploy
    needs: load
    environment: staging
    timeout: {timeout}
    with: {{bundle: "${{{{ stages.load.outputs.bundle }}}}"}}
"""
CONFIG = """\
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: {0}, annotations: {{gennaker.dev/wave: "{1}"}}}}
data: {{x: "1"}}
"""


class Shop(TypedProject):
    """A project that deploys twenty objects in two waves, typed at; and looks behind its back."""

    def __init__(
        self, folder: Path, plane: ControlPlane, capsys: pytest.CaptureFixture[str]
    ) -> None:
        super().__init__(folder, capsys)
        self.namespace = f"t-{uuid.uuid4().hex[:10]}"
        self._kubeconfig = plane.kubeconfig
        kubernetes = {"kubeconfig": str(plane.kubeconfig), "create_namespace": True}
        environments = {"staging": {"kubernetes": {**kubernetes, "namespace": self.namespace}}}
        settings = {"project": "shop", "environments": environments}
        bundle = "".join(CONFIG.format(name, index // 10) for index, name in enumerate(NAMES))
        self.write("gennaker.yaml", yaml.safe_dump(settings))
        self.write("k8s/parts.yaml", bundle)

    def run(self, timeout: str, code: int = 0) -> tuple[str, float]:
        """Run the pipeline whose deploy has so much time; what it said and how long it took."""
        self.write("pipelines/shop.yaml", PIPELINE.format(timeout=timeout))
        started = time.monotonic()
        said = self.type("run", "shop", code=code)
        return said, time.monotonic() - started

    def read_record(self, run: str) -> list[str]:
        """What the journal has of each object, sorted: its fate and its name."""
        events = json.loads(self.type("events", run, "-o", "json"))["items"]
        records = [each["result"] for each in events if each.get("name") == "record 1"]
        assert len(records) == 1, events
        return sorted(each.partition(" v1 ConfigMap/")[0] for each in records[0])

    def read_versions(self) -> dict[str, str]:
        """The resourceVersion of each of the objects that there are."""
        settings = KubernetesSettings(namespace=self.namespace)
        cluster = Cluster(self._kubeconfig, None, settings, project=self.folder)
        found = cluster.list_objects(cluster.find_resource("v1", "ConfigMap"), self.namespace)
        versions = {
            each["metadata"]["name"]: each["metadata"]["resourceVersion"] for each in found["items"]
        }
        return {name: version for name, version in versions.items() if name in NAMES}


@pytest.fixture(name="shop")
def make_shop(
    fragile_plane: ControlPlane, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Shop:
    """A project on a running API server, which each test leaves running."""
    return Shop(tmp_path / "project", fragile_plane, capsys)


Strike = Callable[[int, Callable[[], Any]], None]


@pytest.fixture(name="strike")
def make_strike(monkeypatch: pytest.MonkeyPatch) -> Strike:
    """A function: do something in the middle of the deploy, when so many objects were applied."""

    def strike(number: int, do: Callable[[], Any]) -> None:
        numbers, apply = itertools.count(), Cluster.apply

        def apply_after(cluster: Cluster, resource: Any, body: Any, **options: Any) -> Any:
            if body["metadata"]["name"] in NAMES and next(numbers) == number:
                do()
            return apply(cluster, resource, body, **options)

        monkeypatch.setattr(Cluster, "apply", apply_after)

    return strike


@pytest.fixture(name="helper", scope="module")
def make_helper(fragile_plane: ControlPlane) -> Iterator[ThreadPoolExecutor]:
    """A thread that lives as long as the module: a program dies with the thread that started it."""
    with ThreadPoolExecutor(1) as helper:
        yield helper


def test_real_cluster_faults_a_server_that_is_killed_and_comes_back(
    shop: Shop, strike: Strike, fragile_plane: ControlPlane, helper: ThreadPoolExecutor
) -> None:
    """Killed between two applies and started again, it only makes the deploy longer."""
    started: list[Future[None]] = []
    start = fragile_plane.start_apiserver
    strike(6, lambda: (fragile_plane.stop_apiserver(), started.append(helper.submit(start))))
    try:
        said, seconds = shop.run("60s")
    finally:
        for each in started:
            each.result()
    assert f"the cluster at {fragile_plane.url} does not answer" in said
    assert "trying again" in said
    assert seconds < 50
    assert list(shop.read_versions()) == NAMES
    assert shop.read_record("shop-1") == ["applied"] * 20


def test_real_cluster_faults_a_server_that_is_killed_and_stays_away(
    shop: Shop, strike: Strike, fragile_plane: ControlPlane
) -> None:
    """The deploy ends within its time with a record of every object; a retry goes on with the rest."""
    strike(12, fragile_plane.stop_apiserver)
    try:
        said, seconds = shop.run("6s", code=7)
    finally:
        fragile_plane.start_apiserver()
    assert "deploy: errored" in said
    told = f"the cluster at {fragile_plane.url} does not answer"
    assert "cannot apply ConfigMap/part-1" in said and told in said
    assert seconds < 6 + 8
    record = shop.read_record("shop-1")
    applied = record.count("applied")
    assert applied >= 10 and record.count("failed (cluster-unreachable)") >= 1
    assert len(record) == 20
    assert set(record) <= {"applied", "failed (cluster-unreachable)", "not-tried"}
    before = shop.read_versions()
    assert 10 <= applied <= len(before) < 20
    shop.type("retry", "shop-1")
    after = shop.read_versions()
    assert list(after) == NAMES
    assert {name: after[name] for name in before} == before
    counts = [len(before), 20 - len(before)]
    assert shop.read_record("shop-2") == ["applied"] * counts[1] + ["unchanged"] * counts[0]


def test_real_cluster_faults_a_slow_etcd_is_waited_for(
    shop: Shop, strike: Strike, fragile_plane: ControlPlane
) -> None:
    """While etcd stands still nothing is lost; when it goes on, so does the deploy."""
    go_on = threading.Timer(3, fragile_plane.resume_etcd)
    strike(6, lambda: (fragile_plane.hold_etcd(), go_on.start()))
    try:
        _, seconds = shop.run("60s")
    finally:
        go_on.join()
    assert 3 <= seconds < 30
    assert list(shop.read_versions()) == NAMES
    assert shop.read_record("shop-1") == ["applied"] * 20


def test_real_cluster_faults_a_plan_does_not_wait_for_an_etcd_that_stands_still(
    shop: Shop, fragile_plane: ControlPlane
) -> None:
    """The stage cannot be planned, within its time, and the reason is told."""
    shop.write("pipelines/shop.yaml", PIPELINE.format(timeout="2s"))
    fragile_plane.hold_etcd()
    started = time.monotonic()
    try:
        said = shop.type("plan", "shop", code=7)
    finally:
        fragile_plane.resume_etcd()
    assert time.monotonic() - started < 2 + 8
    assert "deploy  kubernetes.deploy in staging  cannot be planned: cluster-unreachable: " in said
    assert "does not answer (Read timed out" in said
    assert "; no more than 2 s is spent on it" in said


def test_real_cluster_faults_an_etcd_that_stands_still_is_left_in_time(
    shop: Shop, strike: Strike, fragile_plane: ControlPlane
) -> None:
    """No request waits past the time of its stage; what is known of each object is recorded."""
    strike(12, fragile_plane.hold_etcd)
    try:
        said, seconds = shop.run("6s", code=7)
    finally:
        fragile_plane.resume_etcd()
    assert "deploy: errored" in said
    assert "does not answer (Read timed out" in said
    assert seconds < 6 + 8
    record = shop.read_record("shop-1")
    assert record.count("applied") >= 10
    assert len(record) == 20
    shop.type("retry", "shop-1")
    assert list(shop.read_versions()) == NAMES
