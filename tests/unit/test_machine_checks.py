"""What stage types need of a machine: a Docker engine, logins, Helm, Kustomize; found, missing or broken."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from gennaker.checks import Check
from gennaker_stages.docker.container_run import DockerRun
from gennaker_stages.docker.image_build import DockerBuild
from gennaker_stages.helm.template_stage import HelmTemplate
from gennaker_stages.kustomize.build_stage import KustomizeBuild
from gennaker_stages.oci.image_stage import OciBuild

VERSION = b'HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{"Version": "27.5.1"}'
ADVICE = "start Docker, or set DOCKER_HOST; 'oci.build' needs no engine"


@pytest.fixture(autouse=True)
def docker_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the user's Docker configuration would be; there is none."""
    folder = tmp_path / "docker"
    folder.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    return folder


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Give a function that puts a script on the otherwise empty PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def write(name: str, script: str) -> Path:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    return write


def serve(folder: Path, answer: bytes) -> str:
    """The path of a socket that says this once."""
    path = str(folder / "s")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()

    def reply() -> None:
        link, _ = listener.accept()
        with listener, link:
            link.recv(1 << 16)
            link.sendall(answer)

    threading.Thread(target=reply, daemon=True).start()
    return path


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (VERSION, ("ok", "27.5.1 at {}", "")),
        (b"HTTP/1.0 500 Oops\r\n\r\n", ("missing", "what answers at {} is no engine", ADVICE)),
        (
            b"HTTP/1.0 200 OK\r\n\r\n[]",
            ("missing", "what answers at {} is no engine", ADVICE),
        ),
        (b"", ("missing", "what answers at {} is no engine", ADVICE)),
    ],
)
def test_an_engine_tells_its_version(
    answer: bytes, found: tuple[str, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its client is not loaded for that; what is no engine is told."""
    path = serve(tmp_path, answer)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    state, text, advice = found
    check = next(iter(DockerBuild.check_machine(seconds=5)))
    assert check == Check("docker", state, text.format(path), advice)  # type: ignore[arg-type]


def test_no_engine_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a socket, and at an address elsewhere; an empty DOCKER_HOST is none."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none")
    found = f"no engine at {tmp_path}/none: no such file or directory"
    assert next(iter(DockerRun.check_machine(seconds=5))) == Check(
        "docker", "missing", found, ADVICE
    )
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    check = next(iter(DockerRun.check_machine(seconds=5)))
    assert (check.state, check.advice) == ("missing", ADVICE)
    assert check.found.startswith("no engine at tcp://127.0.0.1:1: ")
    assert "connection refused" in check.found.lower()
    monkeypatch.setenv("DOCKER_HOST", "")
    assert "/var/run/docker.sock" in next(iter(DockerRun.check_machine(seconds=5))).found


def test_logins_are_listed_and_helpers_looked_for(
    docker_folder: Path, programs: Callable[[str, str], Path]
) -> None:
    """Which registries, by name only; a helper that is not there would fail every push."""
    file = docker_folder / "config.json"
    (check,) = OciBuild.check_machine(seconds=5)
    assert check == Check(
        "registry logins",
        "missing",
        f"none in {file}",
        "'docker login REGISTRY', or give 'credentials'; what is public needs neither",
    )
    auths = {"https://index.docker.io/v1/": {"auth": "c2VjcmV0"}, "ghcr.io": {}}
    file.write_text(json.dumps({"auths": auths, "credHelpers": {"ecr.test": "ours"}}))
    assert list(OciBuild.check_machine(seconds=5)) == [
        Check(
            "registry logins",
            "wrong",
            f"{file} needs 'docker-credential-ours', which is not on the PATH",
            "put it on the PATH, or take it out of that file and log in again",
        ),
        Check("registry logins", "ok", f"docker.io, ecr.test, ghcr.io (in {file})"),
    ]
    programs("docker-credential-ours", "exit 1")
    assert [each.state for each in OciBuild.check_machine(seconds=5)] == ["ok"]
    file.write_text('{"credsStore": "ours"}')
    assert list(OciBuild.check_machine(seconds=5)) == []
    for broken in ("{", "[]", '{"credHelpers": 1}'):
        file.write_text(broken)
        (check,) = OciBuild.check_machine(seconds=5)
        assert check.state == "wrong"
        assert check.found.startswith(f"the Docker configuration '{file}' cannot be read: ")
        assert check.advice == "log in again, or give credentials from a secret"


def test_helm_is_its_library_or_its_command(
    programs: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever charts are rendered with; a command that does not run is told with its words."""
    (check,) = HelmTemplate.check_machine(seconds=5)
    assert (check.name, check.state) == ("helm", "ok")
    assert check.found.startswith("the library helm-python-sdk ")
    monkeypatch.setitem(sys.modules, "helm_python", None)
    advice = "install the package 'helm-python-sdk', or put 'helm' on the PATH"
    (check,) = HelmTemplate.check_machine(seconds=5)
    assert check == Check("helm", "missing", "there is no Helm to render with", advice)
    path = programs("helm", "echo v3.19.0+gabc")
    (check,) = HelmTemplate.check_machine(seconds=5)
    assert check == Check("helm", "ok", f"v3.19.0+gabc of {path}")
    programs("helm", "echo wrong machine >&2; exit 1")
    (check,) = HelmTemplate.check_machine(seconds=5)
    assert check == Check("helm", "wrong", f"{path} does not run: wrong machine", advice)


def test_kustomize_is_its_own_program_or_kubectl(programs: Callable[[str, str], Path]) -> None:
    """Whichever builds; its version is asked, so that one that does not run is found."""
    (check,) = KustomizeBuild.check_machine(seconds=5)
    assert check == Check(
        "kustomize",
        "missing",
        "there is neither 'kustomize' nor 'kubectl' to build with",
        "put one of them on the PATH",
    )
    path = programs("kubectl", "echo 'Client Version: v1.32.0'; echo 'Kustomize Version: v5.5.0'")
    (check,) = KustomizeBuild.check_machine(seconds=5)
    assert check == Check("kustomize", "ok", f"v5.5.0 of {path}")
    path = programs("kustomize", "echo v5.7.1")
    (check,) = KustomizeBuild.check_machine(seconds=5)
    assert check == Check("kustomize", "ok", f"v5.7.1 of {path}")
    programs("kustomize", "exit 3")
    (check,) = KustomizeBuild.check_machine(seconds=5)
    assert check == Check(
        "kustomize", "wrong", f"{path} does not run: it ended with 3", "install it again"
    )
    path.write_text("no program")
    (check,) = KustomizeBuild.check_machine(seconds=5)
    assert (check.state, check.advice) == ("wrong", "install it again")
