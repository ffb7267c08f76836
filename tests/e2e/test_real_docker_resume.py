"""A container of a run that was killed: gone when the run is taken up again, which goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fixtures.docker_engine import BaseImage, DockerEngine

PIPELINE = """name: killed
stages:
  work:
    uses: docker.run
    with:
      image: {image}
      network: none
      source: false
      command: echo up $GENNAKER_KEY; sleep 4
"""
GENNAKER = Path(sys.executable).parent / "gennaker"


def test_real_container_of_a_killed_run_is_replaced(
    docker_engine: DockerEngine,
    busybox_image: BaseImage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """KILL leaves the container; `resume` removes it, runs another to its end and leaves none."""
    monkeypatch.setenv("DOCKER_HOST", docker_engine.url)
    (tmp_path / "gennaker.yaml").write_text("project: killed\n")
    (tmp_path / "pipelines").mkdir()
    pipeline = tmp_path / "pipelines" / "killed.yaml"
    pipeline.write_text(PIPELINE.format(image=busybox_image.reference))
    containers = docker_engine.client.containers

    def list_containers() -> list[str]:
        found = containers.list(all=True, filters={"label": "gennaker.key"})
        return [each.id for each in found if each.labels["gennaker.key"].split("/")[1] == "work"]

    with subprocess.Popen(
        [GENNAKER, "run", "killed"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as first:
        while not containers.list(filters={"label": "gennaker.key"}) and first.poll() is None:
            time.sleep(0.05)
        os.kill(first.pid, signal.SIGKILL)
        assert first.stdout is not None
        said = first.stdout.read().decode()
    left = list_containers()
    assert len(left) == 1, said
    done = subprocess.run(
        [GENNAKER, "resume", "@last"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert list_containers() == []
    log = subprocess.run(
        [GENNAKER, "logs", "@last", "work"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert log.stdout.count("up killed-1/work/1") >= 1, log.stdout
