"""`oci.build` with real registries and a real engine: the digest that is computed is the one that runs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar
from urllib.request import urlopen

import pytest

from gennaker.errors import PermanentError, TemporaryError
from gennaker.stage import Environment, Plan, Secret, Succeeded
from gennaker.testing import FakeContext, StageContract
from gennaker_stages.kubernetes.client.cluster import Cluster
from gennaker_stages.kubernetes.deploy_stage import KubernetesDeploy
from gennaker_stages.kubernetes.settings import KubernetesSettings
from gennaker_stages.oci.image_stage import OciBuild
from gennaker_stages.oci.layout import read_layout
from gennaker_stages.registry.client import RegistryClient
from gennaker_stages.registry.credentials import Credentials
from gennaker_stages.registry.reference import parse_reference
from tests.fixtures.control_plane import ControlPlane
from tests.fixtures.docker_engine import BaseImage, DockerEngine
from tests.fixtures.processes import find_free_port
from tests.fixtures.registry import Registry
from tests.fixtures.stage_context import StageContext

FILES = {"www/index.html": "hello\n", "www/cgi-bin/who.sh": "#!/bin/sh\necho\nid -u\n"}


@pytest.fixture(autouse=True)
def nobody_is_logged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration of whoever runs the tests is not used."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "no-docker"))


@pytest.fixture
def context(tmp_path: Path) -> StageContext:
    """A source with FILES."""
    context = StageContext(tmp_path / "context")
    context.write(FILES)
    return context


def build(context: FakeContext, **inputs: Any) -> dict[str, Any]:
    """Run the stage and return its outputs."""
    outcome = OciBuild().run(OciBuild.Inputs.model_validate(inputs), context)
    assert isinstance(outcome, Succeeded)
    return dict(outcome.outputs)


def test_real_registry_keeps_the_digest(context: StageContext, registry: Registry) -> None:
    """What is pushed to two tags has the computed digest, all blobs, and is sent once."""
    tags = [f"{registry.host}/oci/plain:{version}" for version in ("1", "2")]
    outputs = build(context, files={"/www": "www"}, tags=tags, push=True)
    for tag in ("1", "2"):
        digest, manifest = registry.read_manifest("oci/plain", tag)
        assert digest == outputs["digest"]
    assert outputs["reference"] == f"{registry.host}/oci/plain@{digest}"
    image = read_layout(context.read(outputs["layout"]))
    for each in (manifest["config"], *manifest["layers"]):
        assert registry.read_blob("oci/plain", each["digest"]) == image.blobs[each["digest"]]
    assert context.log_text.count(", 10240 bytes") == 1
    context.lines.clear()
    assert build(context, files={"/www": "www"}, tags=tags, push=True) == outputs
    assert "bytes" not in context.log_text


def test_real_registry_takes_the_password(
    context: StageContext, registry_with_auth: Registry
) -> None:
    """Credentials from a secret input push; nothing of them is in the log."""
    host = registry_with_auth.host
    outputs = build(
        context,
        files={"/www": "www"},
        tags=[f"{host}/oci/locked:1"],
        push=True,
        credentials={
            "username": registry_with_auth.username,
            "password": Secret(registry_with_auth.password or ""),
        },
    )
    assert registry_with_auth.read_manifest("oci/locked", "1")[0] == outputs["digest"]
    assert registry_with_auth.password not in context.log_text


def test_real_checklist_51_a_tag_that_moved_since_the_build_is_not_deployed(
    context: StageContext, registry: Registry, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """What is deployed is the image that was built, by its digest, whoever pushes the tag after it."""
    name = f"{registry.host}/oci/moved"
    built = build(context, files={"/www": "www"}, tags=[f"{name}:1"], push=True)
    context.write({"www/index.html": "somebody else's\n"})
    build(context, files={"/www": "www"}, tags=[f"{name}:1"], push=True)
    assert registry.read_manifest("oci/moved", "1")[0] != built["digest"]
    settings = KubernetesSettings(
        namespace="oci-moved", create_namespace=True, require_digests=True
    )
    cluster = Cluster(control_plane.kubeconfig, None, settings, project=tmp_path)
    environment = Environment("staging", target="kubernetes", settings={"namespace": "oci-moved"})
    deploy = FakeContext(tmp_path / "deploy", environment=environment, connection=cluster)
    pod = {"image": f"{name}:1", "name": "web"}
    labels = {"app": "web"}
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [pod]}},
        },
    }
    bundle = deploy.artifacts.put(json.dumps(body).encode())
    with pytest.raises(
        PermanentError, match="image-digest: "
    ):  # a tag may be another image by then
        KubernetesDeploy().run(KubernetesDeploy.Inputs(bundle=bundle), deploy)
    inputs = KubernetesDeploy.Inputs(bundle=bundle, images={name: built["reference"]})
    done = KubernetesDeploy().run(inputs, deploy.redeliver())
    assert isinstance(done, Succeeded)
    assert done.outputs["images"] == [f"{name}@{built['digest']}"]


@pytest.mark.parametrize("password", [None, "wrong"])
def test_real_checklist_51_a_registry_denies_others(
    context: StageContext, registry_with_auth: Registry, password: str | None
) -> None:
    """Without a password, or with a wrong one, the error says what to do and shows none."""
    given = {"username": "tester", "password": Secret(password)} if password else None
    name = f"{registry_with_auth.host}/oci/denied"
    with pytest.raises(PermanentError) as caught:
        build(context, files={"/www": "www"}, tags=[f"{name}:1"], push=True, credentials=given)
    assert caught.value.code == "registry-denied"
    assert caught.value.message.startswith(f"not allowed to push to {name}: ")
    assert caught.value.hint == "give credentials from a secret, or log in with 'docker login'"
    assert "wrong" not in str(caught.value)


def test_real_registry_that_is_down_may_come_back(
    context: StageContext, registry: Registry
) -> None:
    """A registry that does not answer is a temporary error, so a retry makes sense."""
    host = f"127.0.0.1:{find_free_port()}"
    assert host != registry.host
    with pytest.raises(TemporaryError) as caught:
        build(context, files={"/www": "www"}, tags=[f"{host}/a:1"], push=True)
    assert caught.value.code == "registry-unavailable"
    assert caught.value.message.startswith(f"the registry {host} does not answer: ")


def test_real_registry_has_no_such_base(context: StageContext, registry: Registry) -> None:
    """A base that is not there is named, by tag and by digest."""
    for tail in (":9", f"@sha256:{'0' * 64}"):
        base = f"{registry.host}/nothing{tail}"
        with pytest.raises(PermanentError) as caught:
            build(context, files={"/www": "www"}, tags=["r.test/a"], base=base)
        assert str(caught.value) == (
            f"image-missing: there is no image {base}; "
            "look at the name and the tag, or push it first"
        )


def test_real_registry_tells_a_tags_digest(context: StageContext, registry: Registry) -> None:
    """A tag's digest can be asked for, with or without credentials; None where there is none."""
    name = f"{registry.host}/oci/found"
    outputs = build(context, files={"/www": "www"}, tags=[f"{name}:1"], push=True)
    client = RegistryClient(parse_reference(name), Credentials("unasked", Secret("never-sent")))
    assert client.find_digest("1") == outputs["digest"]
    assert client.find_digest("2") is None


def read_page(port: int, path: str) -> bytes:
    """The page, once the server in the container listens."""
    for _ in range(100):
        try:
            with urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as page:
                return bytes(page.read())
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the container does not answer")


@pytest.fixture
def built_on_busybox(
    context: StageContext, registry: Registry, busybox_image: BaseImage, docker_engine: DockerEngine
) -> Iterator[dict[str, Any]]:
    """Outputs of an image on the busybox base with a web server; removed from the engine afterwards."""
    outputs = build(
        context,
        files={"/www": "www", "/tmp/note": "www/index.html"},
        base=busybox_image.pinned,
        tags=[f"{registry.host}/oci/web:1"],
        push=True,
        entrypoint=["/bin/httpd", "-f", "-h", "/www", "-p"],
        command=["8080"],
        user="1000:1000",
        ports=[8080],
    )
    yield outputs
    docker_engine.client.images.remove(outputs["reference"], force=True)


def test_real_engine_runs_what_was_built(
    built_on_busybox: dict[str, Any], docker_engine: DockerEngine
) -> None:
    """The engine pulls it by digest and runs it; it serves its page, its script, as its user."""
    port = find_free_port()
    engine = docker_engine.client
    engine.images.pull(built_on_busybox["reference"])
    container = engine.containers.run(
        built_on_busybox["reference"], ports={"8080/tcp": ("127.0.0.1", port)}, detach=True
    )
    try:
        assert read_page(port, "/index.html") == b"hello\n"
        assert read_page(port, "/cgi-bin/who.sh") == b"1000\n"
        _, told = container.exec_run(["/bin/stat", "-c", "%a %u", "/tmp", "/www", "/bin/sh"])
        assert told.decode().splitlines()[:2] == ["1777 0", "755 0"]
    finally:
        container.remove(force=True)


def test_real_base_by_tag_and_by_digest_give_one_image(
    context: StageContext, registry: Registry, busybox_image: BaseImage
) -> None:
    """What counts is the base's content; the plan says that the digest is not known yet."""
    inputs: ClassVar[dict[str, Any]] = {
        "files": {"/www": "www"},
        "tags": [f"{registry.host}/oci/same:1"],
    }
    by_tag = build(context, base=busybox_image.reference, **inputs)
    assert by_tag == build(context, base=busybox_image.pinned, **inputs)
    plan = OciBuild().plan(
        OciBuild.Inputs.model_validate({**inputs, "base": busybox_image.pinned}), context
    )
    assert isinstance(plan, Plan)
    assert dict(plan.outputs) == {}
    assert plan.desired["base"] == busybox_image.pinned


class TestOciBuildContract(StageContract):
    """The contract of all stage types."""

    stage = OciBuild
    inputs: ClassVar[dict[str, Any]] = {"files": {"/www": "www"}, "tags": ["registry.test/shop:1"]}

    def make_context(self, folder: Path) -> FakeContext:
        """With a source."""
        context = StageContext(folder / "context")
        context.write(FILES)
        return context
