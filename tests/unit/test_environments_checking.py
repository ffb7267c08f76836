"""What plugins tell doctor: each is asked on its own, and none of them can break or hold up the rest."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from gennaker.checks import Check
from gennaker.errors import StageError
from gennaker.plugins import Registry
from gennaker.project import load_project
from gennaker.stage import Stage
from gennaker.target import Target
from gennaker_engine.cli import settings as settings_module
from gennaker_engine.cli.main import main
from gennaker_engine.environments import checking
from gennaker_engine.environments.checking import ask_environments, ask_machine
from tests.fixtures.sample_plugins import Shell


class Needy(Shell):
    """A stage type that needs a program."""

    name = "needy"

    @classmethod
    def check_machine(cls, *, seconds: float) -> Iterator[Check]:
        """Tell of it."""
        yield Check("program", "missing", "there is none", "install it")


class Place(Target):
    """A target that does whatever its environment is called."""

    name = "place"
    over: ClassVar[threading.Event]
    ended: ClassVar[list[int]]

    def check_access(
        self, settings: Any, *, environment: str, project: Path, seconds: float
    ) -> Iterator[Check]:
        """Tell one thing, and then what the name says."""
        yield Check("way", "ok", f"in {project.name}, within {seconds:g} s")
        if environment == "raises":
            raise ValueError("boom\nand more")
        if environment == "exits":
            raise SystemExit(3)
        if environment == "refuses":
            raise StageError("it is closed", code="closed", hint="come again")
        if environment == "hangs":
            self.over.wait()
        if environment == "runs":
            self.ended.append(subprocess.run(["sleep", "60"], check=False).returncode)


@pytest.fixture
def plugins() -> Iterator[Registry]:
    """The plugins; what hangs ends with the test."""
    Place.over, Place.ended = threading.Event(), []
    yield Registry.of(stages=[Shell, Needy], targets=[Place])
    Place.over.set()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plugins have 0.3 s."""
    monkeypatch.setattr(checking, "SECONDS", 0.2)
    monkeypatch.setattr(checking, "GRACE", 0.1)


def write_project(folder: Path, *names: str) -> None:
    """A project with these environments."""
    lines = [f"  {name}: {{place: {{}}}}\n" for name in names]
    (folder / "gennaker.yaml").write_text("".join(["environments:\n", *lines]))


def test_what_a_target_does_is_told_of_its_environment(plugins: Registry, tmp_path: Path) -> None:
    """Its checks until it raises or ends, then that, with what to do; the others in full."""
    names = ("well", "raises", "exits", "refuses")
    write_project(tmp_path, *names)
    project = load_project(tmp_path)
    told = [each for inquiry in ask_environments(plugins, project) for each in inquiry.finish()]
    way = f"in {tmp_path.name}, within 5 s"
    assert [each for each in told if each.state == "ok"] == [
        Check(f"environment {name}, way", "ok", way) for name in names
    ]
    assert [each for each in told if each.state != "ok"] == [
        Check(
            "environment raises",
            "wrong",
            "its check failed: ValueError: boom",
            "report it to whose plugin it is",
        ),
        Check(
            "environment exits",
            "wrong",
            "its check failed: SystemExit: 3",
            "report it to whose plugin it is",
        ),
        Check("environment refuses", "wrong", "it is closed", "come again"),
    ]


@pytest.mark.usefixtures("impatient")
def test_a_target_that_hangs_is_left_behind(plugins: Registry, tmp_path: Path) -> None:
    """When its time is over what it told is told, and that there is no more."""
    write_project(tmp_path, "hangs")
    (inquiry,) = ask_environments(plugins, load_project(tmp_path))
    assert inquiry.finish()[-1] == Check(
        "environment hangs",
        "wrong",
        "no more was told within 0.3 s",
        "see whether its server answers, and the command of its credentials, if it has one",
    )


@pytest.mark.usefixtures("impatient")
def test_a_program_that_hangs_is_ended(plugins: Registry, tmp_path: Path) -> None:
    """It is not left behind with the thread that waits for it."""
    write_project(tmp_path, "runs")
    (inquiry,) = ask_environments(plugins, load_project(tmp_path))
    until = time.monotonic() + 9
    while not Place.ended and time.monotonic() < until:
        assert inquiry.finish()[-1].found in (
            "no more was told within 0.3 s",
            f"in {tmp_path.name}, within 0.2 s",
        )
    assert Place.ended == [-signal.SIGTERM]


def test_stage_types_tell_what_they_need(plugins: Registry) -> None:
    """One that needs nothing says nothing; no project is needed."""
    told = [each for inquiry in ask_machine(plugins) for each in inquiry.finish()]
    assert told == [Check("program", "missing", "there is none", "install it")]
    assert list(Stage.check_machine(seconds=1)) == []


def test_doctor_shows_equal_checks_once(
    plugins: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Two types that need the same program have one line."""

    class Greedy(Needy):
        """Another one."""

        name = "greedy"

    both = Registry.of(stages=[Needy, Greedy], targets=[Place])
    monkeypatch.setattr(settings_module.Settings, "registry", both)
    write_project(tmp_path, "well")
    assert main(["--project", str(tmp_path), "doctor", "-o", "json"]) == 0
    items = json.loads(capsys.readouterr().out)["items"]
    assert [each["found"] for each in items if each["name"] == "program"] == ["there is none"]
    assert [each["name"] for each in items][-1] == "environment well, way"
