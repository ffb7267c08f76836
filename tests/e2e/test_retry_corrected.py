"""``gennaker retry --definition current`` as a person uses it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.command_line import Desk, tell_outcomes

DEMO = """\
name: demo
parameters: {word: {default: hi}}
stages:
  build:
    uses: shell
    with: {source: [src], artifacts: {out: out}, env: {W: "${{ params.word }}"}, run: "echo $W > out"}
  image: {uses: oci.build, with: {files: {/app: src}, tags: ["r.test/x:1"]}}
  use:
    uses: shell
    with: {source: false, files: {in: "${{ stages.build.outputs.out }}"}, run: "LAST"}
"""


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A project with a run that failed."""
    desk = Desk(tmp_path / "desk")
    desk.write("one\n", "src/a.txt").write(DEMO.replace("LAST", "cat missing"))
    said = desk.call("run", "demo")
    assert said.code == 1, said.err
    yield desk
    desk.close()


def test_the_corrected_stage_runs_on_what_is_reused(desk: Desk) -> None:
    """What is reused is told before the run starts; its artifacts are there."""
    desk.write(DEMO.replace("LAST", "cat in"))
    said = desk.call("retry", "@last", "--definition", "current")
    assert said.code == 0, said.err
    lines = said.err.splitlines()
    assert lines[0].startswith("retry of demo-1 with definition sha256:")
    assert lines[0].endswith(", reusing build, image")
    assert lines[1:4] == ["use: runs again: it failed", "demo-2 created", "use: started"]
    assert "use | hi" in lines
    view = desk.view("demo-2")
    assert view["retry_of"] == "demo-1"
    assert view["stages"]["build"]["reused"] == "demo-1"
    assert set(tell_outcomes(view).values()) == {"succeeded"}


def test_a_dry_run_tells_and_starts_nothing(desk: Desk) -> None:
    """As text, as data, and as the names of what would run."""
    desk.write("two\n", "src/a.txt").write(DEMO.replace("LAST", "cat in"))
    words = ("retry", "demo-1", "--definition", "current", "--dry-run")
    said = desk.call(*words)
    assert said.out.splitlines()[1:] == [
        "build: runs again: it read src/a.txt, which changed",
        "image: runs again: it read src/a.txt, which changed",
        "use: runs again: it failed",
    ]
    plan = json.loads(desk.call(*words, "-o", "json").out)
    assert (plan["kind"], plan["retry_of"], plan["params"]) == (
        "RetryPlan",
        "demo-1",
        {"word": "hi"},
    )
    assert plan["stages"][2] == {"id": "use", "action": "run", "reason": "it failed"}
    assert desk.call("retry", "demo-1", "--dry-run", "-o", "name").out == "use\n"
    assert list(desk.list_runs()) == ["demo-1"]


def test_other_parameters_need_the_current_definition(desk: Desk) -> None:
    """And make run again what uses them."""
    said = desk.call("retry", "demo-1", "-p", "word=ho")
    assert said.code == 2
    assert "-p needs --definition current" in said.err
    words = ("retry", "demo-1", "--definition", "current", "--dry-run", "-p", "word=ho")
    assert "build: runs again: input 'env' is different" in desk.call(*words).out
    said = desk.call(*words, "-p", "none=1")
    assert (said.code, said.out) == (2, "")
    assert "there is no parameter 'none'" in said.err


def test_a_definition_that_is_wrong_starts_nothing(desk: Desk) -> None:
    """Its problems are told as for a run; so is that it is gone."""
    desk.write(DEMO.replace("uses: oci.build", "uses: oci.bild"))
    said = desk.call("retry", "demo-1", "--definition", "current")
    assert (said.code, "unknown-plugin" in said.err) == (2, True)
    (desk.folder / "pipelines" / "demo.yaml").unlink()
    said = desk.call("retry", "demo-1", "--definition", "current")
    assert (said.code, "there is no pipeline 'demo'" in said.err) == (2, True)
    assert list(desk.list_runs()) == ["demo-1"]
