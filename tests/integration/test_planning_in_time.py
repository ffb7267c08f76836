"""A cluster that accepts and never answers: planning a stage ends, and says why it did."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from gennaker_engine.planning import stage as planning
from tests.fixtures.http_server import Answer, Asked, LocalServer
from tests.fixtures.typed_project import TypedProject

pytestmark = pytest.mark.faults
PIPELINE = """\
name: shop
stages:
  load: {uses: manifests.load, with: {files: [k8s]}}
  deploy:
    uses: kubernetes.deploy
    environment: staging
    timeout: TIMEOUT
    with: {bundle: "${{ stages.load.outputs.bundle }}"}
  test: {uses: shell, with: {run: "true"}}
"""
CONFIG = "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {x: '1'}}\n"


@pytest.fixture(name="shop")
def make_shop(
    tmp_path: Path, http_server: LocalServer, capsys: pytest.CaptureFixture[str]
) -> Iterator[TypedProject]:
    """A project whose cluster says nothing to whoever asks."""
    release = threading.Event()

    def hold(_asked: Asked) -> Answer:
        release.wait(60)
        return Answer()

    http_server.answer = hold
    kubeconfig = {
        "clusters": [{"name": "c", "cluster": {"server": http_server.url}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    shop = TypedProject(tmp_path / "project", capsys)
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
    kubernetes = {"kubeconfig": str(tmp_path / "kubeconfig"), "namespace": "shop"}
    staging = {"kubernetes": kubernetes, "approval": {"approvers": ["local:*"]}}
    shop.write("gennaker.yaml", yaml.safe_dump({"environments": {"staging": staging}}))
    shop.write("k8s/c.yaml", CONFIG)
    yield shop
    release.set()


def test_a_plan_takes_no_longer_than_the_timeout_of_a_stage(
    shop: TypedProject, http_server: LocalServer
) -> None:
    """The stage cannot be planned, with the reason and the time; the plan goes on with the others."""
    shop.write("pipelines/shop.yaml", PIPELINE.replace("TIMEOUT", "1s"))
    started = time.monotonic()
    said = shop.type("plan", "shop", code=7)
    assert time.monotonic() - started < 8
    told = (
        "deploy  kubernetes.deploy in staging  cannot be planned: cluster-unreachable: "
        f"cannot discover /api: the cluster at {http_server.url} does not answer"
    )
    assert told in said
    assert "; no more than 1 s is spent on it" in said
    assert "test  shell\n" in said
    assert "2 run, 1 cannot be planned" in said


def test_a_cluster_that_does_not_answer_is_waited_for_once(
    shop: TypedProject, http_server: LocalServer
) -> None:
    """The other stages of the plan say at once for which it was tried."""
    import kubernetes  # noqa: F401 - what it takes to load it is no time of the first stage

    deploy = PIPELINE.partition("  deploy:")[2].partition("  test:")[0].replace("TIMEOUT", "2s")
    many = "".join(f"  d{number}:{deploy}" for number in range(9))
    pipeline = PIPELINE.replace("  test:", f"{many}  test:").replace("TIMEOUT", "3s")
    shop.write("pipelines/shop.yaml", pipeline.replace("  d8:", "  last:"))
    started = time.monotonic()
    said = shop.type("plan", "shop", code=7)
    assert time.monotonic() - started < 8
    assert "2 run, 10 cannot be planned" in said
    silent = f"the cluster at {http_server.url} does not answer (Read timed out)"
    assert f"cluster-unreachable: cannot discover /api: {silent}; no more than 3 s is spent" in said
    told = [line for line in said.splitlines() if f"{silent}, which was tried for" in line]
    assert len(told) == 9
    assert told[8].startswith(
        f"last  kubernetes.deploy in staging  cannot be planned: cluster-unreachable: {silent}, which "
        "was tried for 'deploy' already; look whether it runs and whether the context is the right one"
    )


def test_the_plan_that_an_approval_shows_ends_in_time(
    shop: TypedProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stage that may work for long is planned for as long as any; who decides sees why it is not."""
    monkeypatch.setattr(planning, "PLAN_SECONDS", 0.5)
    shop.write("pipelines/shop.yaml", PIPELINE.replace("TIMEOUT", "1h"))
    started = time.monotonic()
    shop.type("run", "shop", "--detach-on-wait", code=6)
    said = shop.type("status", "@last", code=0)
    assert time.monotonic() - started < 8
    assert "cannot be planned: cluster-unreachable: cannot discover /api: " in said
    assert "; no more than 0.5 s is spent on it" in said
