"""Plugins and arguments, one small case each: what is gone is told, what looks like a file is not read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gennaker.plugins import Registry
from gennaker.project import load_project
from gennaker_engine.cli.main import main
from gennaker_engine.core.messages import Decide
from gennaker_engine.runtime import Engine
from tests.integration.runtime_parts import STAGES, open_engine, start_run, write_project

PIPELINE = """name: shop
parameters: {say: {default: hello}}
stages:
  go: {uses: approval}
  gone: {uses: t.echo, needs: go, with: {say: "${{ params.say }}"}}
  there: {uses: t.deploy, needs: go}
"""


@pytest.mark.timeout(60)
def test_checklist_61_a_stage_type_that_was_removed_meanwhile(tmp_path: Path) -> None:
    """Its stage errs and names it, others go on; when it is back a retry does what is left."""
    engine = open_engine(write_project(tmp_path, PIPELINE))
    run_id = start_run(engine)
    engine.drive(run_id, detach_on_wait=True)
    engine.close()
    fewer = Registry.of(stages=[each for each in STAGES if each.name != "t.echo"])
    engine = Engine.open(load_project(tmp_path), fewer)
    engine.send(run_id, Decide("go", "approve", "local:bob"))
    run = engine.drive(run_id)
    engine.close()
    assert (run.outcome, run.facts.stages["there"].outcome) == ("errored", "succeeded")
    (gone,) = run.facts.stages["gone"].instances
    assert gone.code == "unknown-plugin"
    assert gone.reason == (
        "'t.echo' is not an installed stage type; 'gennaker stages' lists what is installed"
    )
    engine = open_engine(tmp_path)
    again = engine.create_retry(run_id, actor="local:bob")
    engine.drive(again, detach_on_wait=True)
    engine.send(again, Decide("go", "approve", "local:bob"))
    assert engine.drive(again).outcome == "succeeded"
    engine.close()


@pytest.mark.timeout(60)
def test_checklist_84_a_file_in_an_argument_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``@FILE`` is text wherever it is typed: as a value, a comment, or a word of the command."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    pipeline = PIPELINE.replace("t.echo", "wait").replace("t.deploy", "wait")
    pipeline = pipeline.replace('say: "${{ params.say }}"', "for: 1ms")
    pipeline = pipeline.replace("needs: go}", "needs: go, with: {for: 1ms}}")
    write_project(tmp_path, pipeline)
    Path("words").write_text("version\n")
    assert main(["run", "shop", "-p", "say=@words", "--detach-on-wait"]) == 6
    assert main(["approve", "shop-1", "go", "--comment", "@words"]) == 0
    capsys.readouterr()
    assert main(["status", "shop-1", "-o", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["params"] == {"say": "@words"}
    (decision,) = told["stages"]["go"]["outputs"]["decisions"]
    assert decision["comment"] == "@words"
    assert main(["@words"]) == 2
    assert "'@words'" in capsys.readouterr().err
