"""The shop's way from image build to production with a real engine, registry and cluster."""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from gennaker.http import request
from gennaker.process import run
from tests.fixtures.control_plane import ControlPlane
from tests.fixtures.docker_engine import BaseImage, DockerEngine
from tests.fixtures.registry import Registry

ROOT = Path(__file__).parents[2]
GENNAKER = str(Path(sys.executable).parent / "gennaker")
SECRETS = {"STAGING_DB_PASSWORD": "staging-password", "PRODUCTION_DB_PASSWORD": "live-password"}


@pytest.fixture(name="shop")
def make_shop(tmp_path: Path) -> Path:
    """A copy of the example, as a user has it."""
    folder = tmp_path / "shop"
    shutil.copytree(ROOT / "examples" / "shop", folder, ignore=shutil.ignore_patterns(".gennaker"))
    return folder


class Shop:
    """Types commands in the shop's folder."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment

    def type(self, *words: str, code: int = 0) -> str:
        done = run([GENNAKER, *words], cwd=self.folder, env=self.environment, timeout=110)
        assert done.code == code, (done.stdout + done.stderr).decode()
        return done.stdout.decode()

    def status(self, name: str) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(self.type("status", name, "-o", "json"))
        return data


def write_kubeconfig(control_plane: ControlPlane, folder: Path) -> Path:
    """Two contexts, as the shop's environments name them, on the one control plane."""
    config = yaml.safe_load(Path(control_plane.kubeconfig).read_text())
    (one,) = config["contexts"]
    config["contexts"] = [{**one, "name": name} for name in ("staging", "production")]
    config["current-context"] = "staging"
    path = folder / "kubeconfig.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def ask_image(engine: DockerEngine, reference: str, password: str | None) -> tuple[int, int, str]:
    """Start the image and return the status of its page and of its health check, and its words."""
    container = engine.client.containers.run(
        reference,
        detach=True,
        ports={"8080/tcp": ("127.0.0.1", None)},
        environment={"DB_PASSWORD": password} if password else {},
    )
    try:
        container.reload()
        port = container.ports["8080/tcp"][0]["HostPort"]
        base = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 10
        while True:
            try:
                page = request("GET", f"{base}/", timeout=(1.0, 2.0))
                break
            except Exception:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        health = request("GET", f"{base}/cgi-bin/healthz", timeout=(1.0, 5.0))
        return page.status, health.status, page.body.decode() + health.body.decode()
    finally:
        container.remove(force=True)


@pytest.mark.parametrize("pipeline", ["shop", "shop_oci"])
def test_real_shop_goes_to_production(
    pipeline: str,
    shop: Path,
    tmp_path: Path,
    docker_engine: DockerEngine,
    registry: Registry,
    busybox_image: BaseImage,
    control_plane: ControlPlane,
) -> None:
    """What was built is what runs in staging and, after an approval, in production; and it answers."""
    here = Shop(
        shop,
        {
            **SECRETS,
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "DOCKER_HOST": docker_engine.url,
            "KUBECONFIG": str(write_kubeconfig(control_plane, tmp_path)),
        },
    )
    settings = (shop / "gennaker.yaml").read_text()
    unique = pipeline.replace("_", "-")
    (shop / "gennaker.yaml").write_text(
        settings.replace("namespace: shop-staging", f"namespace: {unique}-staging").replace(
            "namespace: shop,", f"namespace: {unique}-live,"
        )
    )
    words = ["-p", f"registry={registry.host}", "-p", f"base={busybox_image.reference}"]
    here.type("run", pipeline, *words, "-p", "push=true", "--detach-on-wait", code=6)
    (waiting,) = here.status("@last")["waiting"]
    assert [each["id"] for each in waiting["subject"]] == ["production"]
    here.type("approve", "@last", "go_live", "--comment", "fine")
    status = here.status("@last")
    assert status["outcome"] == "succeeded"
    image = status["stages"]["image"]["outputs"]
    assert status["stages"]["staging"]["outputs"]["images"] == [image["reference"]]
    assert status["stages"]["production"]["outputs"]["images"] == [image["reference"]]
    repository = image["reference"].partition("/")[2].partition("@")[0]
    assert image["reference"].startswith(registry.host)
    assert registry.read_manifest(repository, image["digest"])[0] == image["digest"]
    pods = json.loads(
        control_plane.run_kubectl("get", "pods", "-n", f"{unique}-live", "-o", "json")
    )
    assert {each["spec"]["containers"][0]["image"] for each in pods["items"]} == {
        image["reference"]
    }
    secret = control_plane.run_kubectl(
        "get", "secret", "shop-db", "-n", f"{unique}-live", "-o", "jsonpath={.data.password}"
    )
    assert secret == "bGl2ZS1wYXNzd29yZA=="
    assert ask_image(docker_engine, image["reference"], "x")[:2] == (200, 200)
    page, health, said = ask_image(docker_engine, image["reference"], None)
    assert (page, health) == (200, 503)
    assert "Sails, sheets and shackles." in said
    assert "no database password" in said
