"""`docker.build` and `docker.run` on a real engine, with real registries."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gennaker.errors import PermanentError, StageError, TemporaryError
from gennaker.stage import Failed, Outcome, Secret, Succeeded
from gennaker.testing import AttemptCancelled, FakeContext, StageContract
from gennaker_stages.docker.container import name_container
from gennaker_stages.docker.container_run import DockerRun
from gennaker_stages.docker.image_build import DockerBuild
from tests.fixtures.docker_engine import BaseImage, DockerEngine
from tests.fixtures.processes import find_free_port
from tests.fixtures.registry import Registry
from tests.fixtures.stage_context import StageContext

DOCKERFILE = """ARG BASE
FROM ${BASE} AS first
ARG WORD=none
RUN echo "word is ${WORD}"
COPY . /app
FROM first AS last
CMD ["/bin/cat", "/app/a.txt"]
"""


@pytest.fixture(autouse=True)
def this_engine(
    docker_engine: DockerEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """The stages find the engine of the tests; what they build is removed from it afterwards."""
    monkeypatch.setenv("DOCKER_HOST", docker_engine.url)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "no-docker"))
    yield
    left = docker_engine.client.containers.list(all=True, filters={"label": "gennaker.run"})
    assert [each.name for each in left] == []
    for image in docker_engine.client.images.list():
        for tag in image.tags:
            if "/built/" in tag:
                docker_engine.client.images.remove(tag, force=True)


@pytest.fixture
def context(tmp_path: Path) -> StageContext:
    """A source that is a build context."""
    context = StageContext(tmp_path / "context")
    context.write({"app/Dockerfile": DOCKERFILE, "app/a.txt": "hello\n", "app/secret.txt": "no\n"})
    context.write({"app/.dockerignore": "secret.txt\n"})
    return context


def call_build(context: FakeContext, base: BaseImage, **inputs: Any) -> Outcome:
    """Run `docker.build` on the context `app`."""
    given = {
        "context": "app",
        "tags": ["r.test/built/web:1"],
        "build_args": {"BASE": base.reference},
        **inputs,
    }
    return DockerBuild().run(DockerBuild.Inputs.model_validate(given), context)


def build(context: FakeContext, base: BaseImage, **inputs: Any) -> dict[str, Any]:
    """Run it and return its outputs."""
    outcome = call_build(context, base, **inputs)
    assert isinstance(outcome, Succeeded), outcome
    return dict(outcome.outputs)


def call_run(context: FakeContext, image: str, **inputs: Any) -> Outcome:
    """Run `docker.run`."""
    given = {"image": image, "network": "none", **inputs}
    return DockerRun().run(DockerRun.Inputs.model_validate(given), context)


def run(context: FakeContext, image: str, **inputs: Any) -> dict[str, Any]:
    """Run it and return its outputs."""
    outcome = call_run(context, image, **inputs)
    assert isinstance(outcome, Succeeded), (outcome, context.log_text)
    return dict(outcome.outputs)


def test_real_engine_builds_an_image(
    context: StageContext, docker_engine: DockerEngine, busybox_image: BaseImage
) -> None:
    """Arguments, labels, tags and the log; without a push the digest is the image's id."""
    outputs = build(
        context,
        busybox_image,
        tags=["r.test/built/web:1", "r.test/built/web:2"],
        labels={"team": "shop"},
        build_args={"BASE": busybox_image.reference, "WORD": "given"},
    )
    image = docker_engine.client.images.get("r.test/built/web:2")
    assert outputs == {
        "digest": image.id,
        "reference": "r.test/built/web:1",
        "image_id": image.id,
    }
    assert image.labels == {"team": "shop"}
    assert ("stdout", "word is given") in context.lines
    assert run(context.redeliver(), "r.test/built/web:1") == {}


def test_real_engine_builds_one_stage_of_a_dockerfile(
    context: StageContext, docker_engine: DockerEngine, busybox_image: BaseImage
) -> None:
    """`target` stops there: the command of the stage after it is not set."""
    build(context, busybox_image, target="first")
    image = docker_engine.client.images.get("r.test/built/web:1")
    assert image.attrs["Config"]["Cmd"] != ["/bin/cat", "/app/a.txt"]


def test_real_engine_takes_layers_from_its_cache(
    context: StageContext, busybox_image: BaseImage
) -> None:
    """The second build runs nothing; with `cache: false` it does."""
    first = build(context, busybox_image)
    context.lines.clear()
    assert build(context, busybox_image)["image_id"] == first["image_id"]
    assert "---> Using cache" in context.log_text
    context.lines.clear()
    build(context, busybox_image, cache=False)
    assert "---> Using cache" not in context.log_text


def test_real_engine_is_not_sent_what_is_ignored(
    context: StageContext, busybox_image: BaseImage
) -> None:
    """`.dockerignore` holds."""
    build(context, busybox_image)
    run(context, "r.test/built/web:1", command=["/bin/ls", "-A", "/app"])
    assert ("stdout", "a.txt") in context.lines
    assert ("stdout", "secret.txt") not in context.lines


def test_real_engine_says_why_a_build_failed(
    context: StageContext, busybox_image: BaseImage
) -> None:
    """A RUN that fails fails the stage in the engine's words; so does what needs BuildKit."""
    context.write({"app/Dockerfile": "ARG BASE\nFROM $BASE\nRUN echo before; exit 3\n"})
    outcome = call_build(context, busybox_image)
    assert outcome == Failed(
        "the build failed: The command '/bin/sh -c echo before; exit 3' returned a non-zero code: 3",
        "build-failed",
    )
    assert ("stdout", "before") in context.lines
    context.write({"app/Dockerfile": "ARG BASE\nFROM $BASE\nRUN --mount=type=cache,target=/x ls\n"})
    refused = call_build(context, busybox_image)
    assert isinstance(refused, Failed)
    assert "the --mount option requires BuildKit" in refused.reason


@pytest.mark.parametrize(
    ("dockerfile", "said"),
    [
        ("NONSENSE here\n", "unknown instruction: NONSENSE"),
        ("ARG BASE\nFROM $BASE AS a\n", "failed to reach build target nope in Dockerfile"),
    ],
)
def test_real_engine_refuses_a_wrong_dockerfile(
    context: StageContext, busybox_image: BaseImage, dockerfile: str, said: str
) -> None:
    """The engine's words are told, and no attempt is made again."""
    context.write({"app/Dockerfile": dockerfile})
    with pytest.raises(PermanentError) as caught:
        call_build(context, busybox_image, target="nope")
    assert caught.value.code == "docker-error"
    assert said in caught.value.message


def test_real_engine_pushes_by_digest(
    context: StageContext, busybox_image: BaseImage, registry: Registry
) -> None:
    """The digest is the registry's, for every tag, and the reference pulls it."""
    tags = [f"{registry.host}/built/web:{each}" for each in ("1", "2")]
    outputs = build(context, busybox_image, tags=tags, push=True)
    assert [registry.read_manifest("built/web", each)[0] for each in ("1", "2")] == [
        outputs["digest"]
    ] * 2
    assert outputs["reference"] == f"{registry.host}/built/web@{outputs['digest']}"
    assert outputs["image_id"] != outputs["digest"]
    run(context.redeliver(), outputs["reference"], pull="always")


def test_real_engine_pushes_and_pulls_with_a_password(
    context: StageContext,
    busybox_image: BaseImage,
    registry_with_auth: Registry,
    docker_engine: DockerEngine,
) -> None:
    """Credentials from a secret; the right ones work for both, wrong or none are denied."""
    name = f"{registry_with_auth.host}/built/locked"
    right = {
        "username": registry_with_auth.username,
        "password": Secret(registry_with_auth.password or ""),
    }
    for given in (None, {**right, "password": Secret("wrong-word")}):
        with pytest.raises(PermanentError) as caught:
            build(context, busybox_image, tags=[f"{name}:1"], push=True, credentials=given)
        assert caught.value.code == "registry-denied"
        assert caught.value.message.startswith(f"not allowed to push {name}:1: ")
        assert caught.value.hint == "give credentials from a secret, or log in with 'docker login'"
        assert "wrong-word" not in str(caught.value)
    outputs = build(context, busybox_image, tags=[f"{name}:1"], push=True, credentials=right)
    assert registry_with_auth.read_manifest("built/locked", "1")[0] == outputs["digest"]
    docker_engine.client.images.remove(f"{name}:1", force=True)
    with pytest.raises(PermanentError) as caught:
        call_run(context.redeliver(), outputs["reference"])
    assert caught.value.code == "registry-denied"
    run(context.redeliver(), outputs["reference"], credentials=right)
    docker_engine.client.images.remove(outputs["reference"], force=True)


def test_real_engine_cannot_push_to_nobody(context: StageContext, busybox_image: BaseImage) -> None:
    """A registry that is down is a temporary error."""
    tag = f"127.0.0.1:{find_free_port()}/built/web:1"
    with pytest.raises(TemporaryError) as caught:
        build(context, busybox_image, tags=[tag], push=True)
    assert caught.value.code == "registry-unavailable"
    assert caught.value.message.startswith(f"cannot push {tag}: ")


def test_real_container_works_in_a_copy_of_the_source(
    context: StageContext, busybox_image: BaseImage
) -> None:
    """It reads and writes /workspace, gives outputs and artifacts; the source stays as it is."""
    laid = context.artifacts.put(b"laid\n")
    outputs = run(
        context,
        busybox_image.reference,
        command="pwd; cat app/a.txt in/laid.txt; echo new > app/a.txt; mkdir out; echo 1 > out/x\n"
        'echo "count=3" >> "$GENNAKER_OUTPUT"; echo "more=1" >> "$GENNAKER_OUTPUT"; echo e >&2',
        files={"in/laid.txt": laid},
        outputs={"count": "integer"},
        artifacts={"report": "app/a.txt", "folder": "out"},
    )
    assert outputs["count"] == 3
    assert context.read(outputs["report"]) == b"new\n"
    assert outputs["folder"].media_type == "application/x-tar"
    assert (context.source / "app" / "a.txt").read_text() == "hello\n"
    assert [each for each in context.lines if each[0] != "system"] == [
        ("stdout", "/workspace"),
        ("stdout", "hello"),
        ("stdout", "laid"),
        ("stderr", "e"),
    ]
    assert "output 'more' is not declared under 'outputs' and was left out" in context.log_text


def test_real_container_sees_its_environment(
    context: StageContext, busybox_image: BaseImage
) -> None:
    """Values, secrets, the run's facts; another folder and another user, who can write."""
    context.secrets = ["hidden-word"]
    masked = StageContext(context.root, secrets=["hidden-word"])
    run(
        masked,
        busybox_image.reference,
        command="echo $A $GENNAKER_KEY; pwd; id -u; echo $S; [ $S = hidden-word ]; touch x ../y",
        env={"A": 1, "S": Secret("hidden-word")},
        workdir="app",
        user="1000:1000",
    )
    assert [text for stream, text in masked.lines if stream == "stdout"] == [
        "1 shop-1/stage/1",
        "/workspace/app",
        "1000",
        "***",
    ]


def test_real_container_starts_empty_without_the_source(
    context: StageContext, busybox_image: BaseImage
) -> None:
    """`source: false`; a list is the image's own command line."""
    run(context, busybox_image.reference, source=False, command=["/bin/ls", "-A", "/workspace"])
    assert [each for each in context.lines if each[0] == "stdout"] == []


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("echo a >&2; echo why >&2; exit 3", "exit code 3: a | why"),
        ("false; echo never", "exit code 1"),
        ("sh -c 'kill -9 $$'; echo never", "exit code 137: Killed"),
    ],
)
def test_real_container_that_fails_fails_the_stage(
    context: StageContext, busybox_image: BaseImage, command: str, reason: str
) -> None:
    """With its exit code and its last words; a script stops at the first error."""
    assert call_run(context, busybox_image.reference, command=command) == Failed(reason)


def test_real_container_keeps_to_its_memory(
    context: StageContext, busybox_image: BaseImage
) -> None:
    """What it may use is bounded; going beyond is told as such."""
    outcome = call_run(
        context,
        busybox_image.reference,
        memory="16MiB",
        cpus=0.5,
        command="head -c 100000000 /dev/zero | tail",
    )
    assert isinstance(outcome, Failed)
    assert outcome.reason in ("it ran out of memory (limit 16MiB)", "exit code 137")


@pytest.mark.parametrize(
    ("inputs", "code", "said"),
    [
        ({"command": ["/bin/nope"]}, "docker-error", "/bin/nope"),
        ({"command": ["/bin/ls"], "network": "nope"}, "docker-error", "nope"),
        ({"command": "true", "outputs": ["a"]}, "output-missing", "output 'a' is declared"),
        ({"command": "true", "artifacts": {"a": "b"}}, "artifact-missing", "left nothing at 'b'"),
        ({"command": "true", "artifacts": {"a": "/etc"}}, "artifact-missing", "not a path in"),
    ],
)
def test_real_container_problems_are_told(
    context: StageContext, busybox_image: BaseImage, inputs: dict[str, Any], code: str, said: str
) -> None:
    """What is missing is named, and the container is gone."""
    with pytest.raises(StageError) as caught:
        call_run(context, busybox_image.reference, **inputs)
    assert caught.value.code == code
    assert said in caught.value.message


def test_real_image_that_is_nowhere_is_told(context: StageContext, registry: Registry) -> None:
    """An image that neither the engine nor its registry has."""
    for pull in ("missing", "never"):
        with pytest.raises(PermanentError) as caught:
            call_run(context.redeliver(), f"{registry.host}/nothing:1", pull=pull)
        assert caught.value.code == "image-missing"
        assert f"{registry.host}/nothing:1" in caught.value.message


def test_real_container_ends_with_its_attempt(
    context: StageContext, busybox_image: BaseImage, docker_engine: DockerEngine
) -> None:
    """A cancelled attempt stops the container and removes it."""
    ended: list[BaseException] = []

    def work() -> None:
        try:
            call_run(context, busybox_image.reference, command="echo up; sleep 600")
        except AttemptCancelled as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    while ("stdout", "up") not in context.lines and thread.is_alive():
        time.sleep(0.02)
    name = name_container(context)
    assert context.guards == [("container", name)]
    labels = docker_engine.client.containers.get(name).labels
    assert labels["gennaker.key"] == context.key
    context.cancel()
    thread.join(20)
    assert len(ended) == 1
    assert context.guards == []


def test_real_container_that_was_left_is_removed(
    context: StageContext, busybox_image: BaseImage, docker_engine: DockerEngine
) -> None:
    """After a kill: cleaning up removes it, twice the same; a redelivery does not trip over one."""
    name = name_container(context)
    engine = docker_engine.client.containers
    engine.create(busybox_image.reference, ["sleep", "600"], name=name).start()
    DockerRun().clean_up("container", name)
    DockerRun().clean_up("container", name)
    assert engine.list(all=True, filters={"name": name}) == []
    engine.create(busybox_image.reference, ["sleep", "600"], name=name).start()
    run(context, busybox_image.reference, command="echo again")
    assert ("stdout", "again") in context.lines


@pytest.fixture
def _base(request: pytest.FixtureRequest, busybox_image: BaseImage) -> None:
    """Where the contract's tests find the base."""
    request.cls.base = busybox_image


@pytest.mark.usefixtures("_base")
class TestDockerBuildContract(StageContract):
    """The contract of all stage types."""

    stage = DockerBuild
    base: BaseImage

    def make_inputs(self, folder: Path) -> dict[str, Any]:
        """An image on the base."""
        arguments = {"BASE": self.base.reference}
        return {"context": "app", "tags": ["r.test/built/contract:1"], "build_args": arguments}

    def make_context(self, folder: Path) -> FakeContext:
        """With a build context."""
        context = StageContext(folder / "context")
        context.write({"app/Dockerfile": DOCKERFILE, "app/a.txt": "hello\n"})
        return context


@pytest.mark.usefixtures("_base")
class TestDockerRunContract(StageContract):
    """The contract of all stage types."""

    stage = DockerRun
    base: BaseImage

    @property
    def long_inputs(self) -> dict[str, Any]:  # type: ignore[override]
        """Works until it is stopped."""
        return {"image": self.base.reference, "command": "sleep 600", "network": "none"}

    def make_inputs(self, folder: Path) -> dict[str, Any]:
        """A script with an output."""
        script = 'echo "n=1" > "$GENNAKER_OUTPUT"'
        return {"image": self.base.reference, "command": script, "outputs": {"n": "integer"}}
