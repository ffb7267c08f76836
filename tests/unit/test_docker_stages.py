"""What the Docker stages do without an engine: inputs, plans, contexts, files, names."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gennaker.errors import InvalidInput, PermanentError, StageError
from gennaker_stages.docker.container import name_container
from gennaker_stages.docker.container_files import pack_files, unpack_files
from gennaker_stages.docker.container_run import DockerRun
from gennaker_stages.docker.context import make_context
from gennaker_stages.docker.image_build import DockerBuild
from tests.fixtures.stage_context import StageContext

NO_ENGINE = "unix:///nowhere/docker.sock"
BUILD: dict[str, Any] = {"tags": ["registry.test/web:1"]}
FILES = {"Dockerfile": "FROM scratch\n", "a.txt": "a\n", "run.sh": "echo\n", "deep/b.txt": "b\n"}


@pytest.fixture
def context(tmp_path: Path) -> StageContext:
    """A source that is a build context."""
    context = StageContext(tmp_path)
    context.write(FILES)
    return context


def list_tar(stream: Any) -> dict[str, tuple[str, int]]:
    """Mode and size of each entry."""
    with tarfile.open(fileobj=stream, mode="r:") as tar:
        return {each.name: (oct(each.mode), each.size) for each in tar}


def test_a_context_depends_on_contents_only(context: StageContext) -> None:
    """Sorted, without times and owners; what `.dockerignore` names is not sent."""
    context.write({".dockerignore": "# comment\n*.txt\n!deep/b.txt\n"})
    with make_context(context.source, "Dockerfile", ".") as stream:
        first = stream.read()
    (context.source / "run.sh").touch()
    with make_context(context.source, "Dockerfile", ".") as stream:
        assert stream.read() == first
    assert list_tar(io.BytesIO(first)) == {
        ".dockerignore": ("0o644", 28),
        "Dockerfile": ("0o644", 13),
        "deep": ("0o755", 0),
        "deep/b.txt": ("0o644", 2),
        "run.sh": ("0o755", 5),
    }


@pytest.mark.parametrize(
    ("folder", "dockerfile", "message"),
    [
        ("app", "Dockerfile", "there is no folder 'app' in the source"),
        (".", "Other", "there is no Dockerfile 'Other' in '.'"),
    ],
)
def test_a_missing_context_is_told(
    context: StageContext, folder: str, dockerfile: str, message: str
) -> None:
    """Folder and Dockerfile are named as the user wrote them."""
    with pytest.raises(PermanentError) as caught:
        make_context(context.source / folder, dockerfile, folder)
    assert (caught.value.code, caught.value.message) == ("docker-context", message)


def test_nothing_outside_the_source_is_sent(context: StageContext) -> None:
    """Neither a context nor a Dockerfile of it may be elsewhere."""
    with pytest.raises(InvalidInput, match="path-outside"):
        make_context(context.source, "../Dockerfile", ".")
    with pytest.raises(InvalidInput, match="path-outside"):
        DockerBuild().run(DockerBuild.Inputs(context="../..", **BUILD), context)


@pytest.mark.parametrize("tag", ["Web", "registry.test/web@sha256:" + "0" * 64])
def test_tags_are_checked_before_anything_is_built(context: StageContext, tag: str) -> None:
    """A wrong tag is told without an engine."""
    with pytest.raises(PermanentError) as caught:
        DockerBuild().run(DockerBuild.Inputs(tags=(tag,)), context)
    assert caught.value.code == "image-reference"


@pytest.mark.parametrize(
    "call",
    [
        lambda context: DockerBuild().run(DockerBuild.Inputs(**BUILD), context),
        lambda context: DockerRun().run(DockerRun.Inputs(image="web"), context),
        lambda context: DockerRun().clean_up("container", "gennaker-x"),
    ],
)
def test_without_an_engine_it_says_what_to_do(
    context: StageContext,
    monkeypatch: pytest.MonkeyPatch,
    call: Callable[[StageContext], object],
) -> None:
    """A socket that nobody listens on is `docker-unavailable`, which may be over in a moment."""
    monkeypatch.setenv("DOCKER_HOST", NO_ENGINE)
    with pytest.raises(StageError) as caught:
        call(context)
    assert not isinstance(caught.value, PermanentError)
    assert caught.value.code == "docker-unavailable"
    assert caught.value.message == (
        "no Docker engine answers: /nowhere/docker.sock: No such file or directory"
    )
    assert caught.value.hint == "start Docker, or set DOCKER_HOST; 'gennaker doctor' tells more"


def test_plans_need_no_engine(context: StageContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """They say what would be built, pushed and run; digests are not known, secrets not in them."""
    monkeypatch.setenv("DOCKER_HOST", NO_ENGINE)
    credentials = {"username": "ann", "password": "hidden-word"}
    inputs = {**BUILD, "push": True, "credentials": credentials}
    plan = DockerBuild().plan(DockerBuild.Inputs.model_validate(inputs), context)
    assert [(each.action, each.what) for each in plan.changes] == [
        ("build", "build registry.test/web:1"),
        ("run", "push registry.test/web:1"),
    ]
    assert dict(plan.outputs) == {}
    assert "hidden-word" not in repr(plan)
    run = DockerRun.Inputs(image="web:1", command=("make", "test"))
    assert DockerRun().plan(run, context).changes[0].detail == "make test"


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"memory": "512"}, "'512' is not a size; write it like '64KiB' or '10MiB'"),
        ({"memory": "1MiB"}, "'1MiB' is less than the 6MiB a container needs"),
        ({"cpus": 0}, "Input should be greater than 0"),
        ({"command": []}, "'command' is empty; leave it out for the image's own"),
        ({"command": "  "}, "'command' is empty; leave it out for the image's own"),
        ({"env": {"GENNAKER_X": "1"}}, "'GENNAKER_X' is set by Gennaker; give it another name"),
        ({"outputs": ["a"], "artifacts": {"a": "b"}}, "'a' is both an output and an artifact"),
        ({"privileged": True}, "Extra inputs are not permitted"),
    ],
)
def test_wrong_inputs_of_a_run_are_told(inputs: dict[str, Any], message: str) -> None:
    """Each with what is wrong and what to write."""
    with pytest.raises(ValidationError) as caught:
        DockerRun.Inputs.model_validate({"image": "web", **inputs})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("inputs", "environment", "expected"),
    [
        ({}, False, "none"),
        ({}, True, "deploy"),
        ({"effect": "none"}, True, "none"),
        ({"effect": "deploy"}, False, "deploy"),
    ],
)
def test_the_effect_follows_the_environment(
    inputs: dict[str, Any], environment: bool, expected: str
) -> None:
    """`deploy` when the stage has an environment, unless it says otherwise."""
    assert DockerRun.find_effect(inputs, environment) == expected


def test_outputs_are_the_declared_ones() -> None:
    """Outputs with their types, and artifacts."""
    inputs = {"outputs": {"n": "integer"}, "artifacts": {"report": "out"}}
    assert DockerRun.declare_outputs(inputs) == {"n": "integer", "report": "artifact"}


def test_a_containers_name_is_its_attempts(tmp_path: Path) -> None:
    """One name an attempt, the same for each delivery, another for the same run of another state."""
    context = StageContext(tmp_path / "one", instance="a[0]")
    name = name_container(context)
    assert re.fullmatch("gennaker-shop-1-a-0-1-[0-9a-f]{12}", name)
    assert name_container(context.redeliver()) == name
    others = [
        StageContext(tmp_path / "one", instance="a-0"),
        StageContext(tmp_path / "one", instance="a[0]", attempt=2),
        StageContext(tmp_path / "two", instance="a[0]"),
    ]
    assert len({name, *map(name_container, others)}) == 4


def test_files_go_in_open_to_all_users(context: StageContext) -> None:
    """An image with a user of its own can read and write its workspace."""
    context.source.chmod(0o700)
    with pack_files({"workspace": context.source}) as stream:
        found = list_tar(stream)
    assert found["workspace"] == ("0o777", 0)
    assert found["workspace/a.txt"] == ("0o666", 2)
    assert found["workspace/run.sh"] == ("0o777", 5)


def make_tar(*members: tuple[str, bytes, str]) -> list[bytes]:
    """A tar of (name, type, link target), as an engine would send it."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, kind, link in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            tar.addfile(info)
    return [stream.getvalue()]


@pytest.mark.parametrize(
    "members",
    [
        [("/etc/x", tarfile.REGTYPE, "")],
        [("../x", tarfile.REGTYPE, "")],
        [("a/../../x", tarfile.DIRTYPE, "")],
        [("out", tarfile.SYMTYPE, "/tmp"), ("out/x", tarfile.REGTYPE, "")],
        [("pipe", tarfile.FIFOTYPE, "")],
    ],
)
def test_nothing_gets_out_of_the_folder(
    tmp_path: Path, members: list[tuple[str, bytes, str]]
) -> None:
    """A container cannot write elsewhere on this machine by what it leaves."""
    with pytest.raises(PermanentError) as caught:
        unpack_files(make_tar(*members), tmp_path / "kept")
    assert caught.value.code == "artifact-link"


def test_a_link_is_not_written_through(tmp_path: Path) -> None:
    """A file of the name of a link before it replaces nothing."""
    (tmp_path / "victim").write_text("safe")
    members = make_tar(("a", tarfile.SYMTYPE, str(tmp_path / "victim")), ("a", tarfile.REGTYPE, ""))
    with pytest.raises(FileExistsError):
        unpack_files(members, tmp_path / "kept")
    assert (tmp_path / "victim").read_text() == "safe"
