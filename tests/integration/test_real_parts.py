"""The real parts themselves: each does what tests of the product will ask of it."""

from __future__ import annotations

import hashlib
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixtures.control_plane import NODES, ControlPlane
from tests.fixtures.docker_engine import BaseImage, DockerEngine
from tests.fixtures.git_repository import GitRepository
from tests.fixtures.processes import find_free_port
from tests.fixtures.registry import Registry

PAUSE = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: registry.test/web:1}]}
"""


def test_real_control_plane_rolls_out_a_deployment(control_plane: ControlPlane) -> None:
    """Pods are scheduled on the nodes and become ready."""
    control_plane.run_kubectl("apply", "-f", "-", manifest=PAUSE)
    control_plane.run_kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    nodes = control_plane.run_kubectl(
        "get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].spec.nodeName}"
    )
    control_plane.run_kubectl("delete", "deployment", "web")
    assert set(nodes.split()) <= set(NODES)
    assert len(nodes.split()) == 2


def test_real_control_plane_keeps_its_data_over_a_restart(control_plane: ControlPlane) -> None:
    """What was written before the API server restarted is read after it."""
    control_plane.run_kubectl("create", "namespace", "kept")
    control_plane.restart_apiserver()
    answer = control_plane.run_kubectl("get", "namespace", "kept", "-o", "name")
    control_plane.run_kubectl("delete", "namespace", "kept", "--wait=false")
    assert answer.strip() == "namespace/kept"


def test_real_helm_renders(helm_binary: Path, tmp_path: Path) -> None:
    """The helm command renders a chart without a cluster."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("apiVersion: v2\nname: tiny\nversion: 0.1.0\n")
    (tmp_path / "templates" / "a.yaml").write_text("kind: {{ .Values.kind }}\n")
    done = subprocess.run(
        [helm_binary, "template", "x", tmp_path, "--set", "kind=Thing"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "kind: Thing" in done.stdout, done.stderr


def test_real_container_answers_on_loopback(
    docker_engine: DockerEngine, busybox_image: BaseImage
) -> None:
    """A port published on 127.0.0.1 reaches the web server inside."""
    port = find_free_port()
    container = docker_engine.client.containers.run(
        busybox_image.reference,
        ["/bin/sh", "-c", "echo hello > /index.html; exec httpd -f -p 80 -h /"],
        ports={"80/tcp": ("127.0.0.1", port)},
        detach=True,
    )
    try:
        answer = b""
        for _ in range(100):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1) as page:
                    answer = page.read()
                break
            except OSError:
                continue
    finally:
        container.remove(force=True)
    assert answer == b"hello\n"


def test_real_registry_keeps_the_base_image(registry: Registry, busybox_image: BaseImage) -> None:
    """The pushed base image is there under its tag, by its digest, with all its bytes."""
    digest, manifest = registry.read_manifest("busybox", "1")
    assert digest == busybox_image.digest
    layer = manifest["layers"][0]["digest"]
    content = registry.read_blob("busybox", layer)
    assert layer == f"sha256:{hashlib.sha256(content).hexdigest()}"


def test_real_registry_asks_for_its_password(registry_with_auth: Registry) -> None:
    """Without credentials it answers 401, with them it looks, and finds nothing."""
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{registry_with_auth.url}/v2/", timeout=5)
    with pytest.raises(urllib.error.HTTPError, match="404"):
        registry_with_auth.read_manifest("nothing", "1")


def test_real_git_repository_commits(git_repository: Callable[..., GitRepository]) -> None:
    """A repository starts with one commit of the given files on main, and takes more."""
    repository = git_repository("shop", {"a/b.txt": "one"})
    first = repository.run("rev-parse", "HEAD")
    second = repository.commit({"a/b.txt": "two"})
    assert repository.run("log", "--format=%H", "main").split() == [second, first]
