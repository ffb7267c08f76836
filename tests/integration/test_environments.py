"""What people ask of environments: what is there, its history, what has moved, how two differ."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from gennaker.plugins import Registry
from gennaker.project import load_project
from gennaker.stage import (
    Change,
    Context,
    Outcome,
    Plan,
    PlanContext,
    Stage,
    StageInputs,
    Succeeded,
)
from gennaker_engine.environments.comparison import compare_environments
from gennaker_engine.environments.deployed import list_current, list_history
from gennaker_engine.environments.drift import find_drift
from gennaker_engine.journal.checking import check_journal
from gennaker_engine.runtime import Engine
from tests.fixtures.typed_project import TypedProject
from tests.integration.runtime_parts import open_engine, start_run, write_project

SETTINGS = """project: shop
environments:
  staging: {}
  production: {approval: {approvers: ["local:*"], required: 1}}
"""
PIPELINE = """name: shop
title: "Version ${{{{ params.content }}}}"
parameters:
  content: {{}}
  live: {{type: boolean, default: false}}
stages:
  web:
    uses: t.switch
    environment: staging
    on_failure: undo
    with: {{file: {root}/staging, content: "${{{{ params.content }}}}"}}
  live:
    uses: t.switch
    needs: web
    if: params.live
    environment: production
    with: {{file: {root}/production, content: "${{{{ params.content }}}}!"}}
"""


@pytest.fixture(name="engine")
def make_engine(tmp_path: Path):
    """An engine of a project that sets a file in staging, and one in production when told."""
    write_project(tmp_path, PIPELINE.format(root=tmp_path), SETTINGS)
    engine = open_engine(tmp_path)
    yield engine
    engine.close()


def deploy(engine: Engine, content: str, **options: object) -> None:
    """Drive a run to its end."""
    engine.drive(start_run(engine, parameters={"content": content, **options}))


def test_what_is_where(engine):
    """For each environment its newest deploys: run, outcome, title, who started it."""
    deploy(engine, "one")
    deploy(engine, "two")
    (found,) = list_current(engine, sandbox=False)
    data = found.to_data()
    assert (data["environment"], data["stage"], data["run"]) == ("staging", "web", "shop-2")
    assert (data["outcome"], data["title"], data["actor"]) == (
        "succeeded",
        "Version two",
        "local:ann",
    )
    assert data["params"] == {"content": "two", "live": False}
    assert check_journal(engine.journal) == []


def test_the_history_of_an_environment(engine):
    """Every deploy that began, newest first; one that failed, and what put it back, too."""
    deploy(engine, "one")
    deploy(engine, "bad")
    found = list_history(engine, "staging", sandbox=False)
    assert [(each.row.run, each.stage, each.is_undo, each.row.outcome) for each in found] == [
        ("shop-2", "web", True, "succeeded"),
        ("shop-2", "web", False, "failed"),
        ("shop-1", "web", False, "succeeded"),
    ]
    assert list_history(engine, "production", sandbox=False) == []
    assert len(list_history(engine, "staging", sandbox=False, limit=2)) == 2
    assert list_history(engine, "staging", sandbox=True) == []


def test_who_approved_is_told(engine):
    """The approval of the environment belongs to what it let through."""
    from gennaker_engine.core.messages import Decide

    run = start_run(engine, parameters={"content": "one", "live": True})
    left = engine.drive(run, detach_on_wait=True)
    assert left.state == "waiting"
    engine.send(run, Decide("live", "approve", "local:eve"))
    engine.drive(run)
    (found,) = list_history(engine, "production", sandbox=False)
    assert found.approvers == ["local:eve"]


def test_what_has_moved_is_found(engine, tmp_path):
    """Live state against the last deploy: nothing, then what somebody changed by hand."""
    deploy(engine, "one")
    (drift,) = find_drift(engine, "staging", sandbox=False)
    assert drift.changes == ()
    (tmp_path / "staging").write_text("by hand")
    (drift,) = find_drift(engine, "staging", sandbox=False)
    assert [(each["action"], each["detail"]) for each in drift.changes] == [("change", "to 'one'")]
    assert drift.to_data()["run"] == "shop-1"


def test_what_was_put_back_is_compared_with_what_was_before(engine, tmp_path):
    """After a failed deploy that was put back, the one before it is what is to be there."""
    deploy(engine, "bad")
    (drift,) = find_drift(engine, "staging", sandbox=False)
    assert drift.unseen == "put back by shop-1, and none of the last deploys stands before it"
    deploy(engine, "one")
    deploy(engine, "bad")
    (drift,) = find_drift(engine, "staging", sandbox=False)
    assert (drift.deployed.row.run, drift.changes) == ("shop-2", ())
    (tmp_path / "staging").write_text("by hand")
    (drift,) = find_drift(engine, "staging", sandbox=False)
    assert [each["detail"] for each in drift.changes] == ["to 'one'"]


def test_a_deploy_that_changed_nothing_does_not_count(engine, tmp_path):
    """One that ended before it recorded what was there: the one before it is what is to be there."""
    file = tmp_path / "staging"
    file.mkdir()
    deploy(engine, "one")
    (drift,) = find_drift(engine, "staging", sandbox=False)
    assert drift.unseen == "shop-1 changed nothing, and none of the last deploys stands before it"
    file.rmdir()
    deploy(engine, "two")
    file.unlink()
    file.mkdir()
    deploy(engine, "three")
    file.rmdir()
    file.write_text("two")
    (last,) = list_current(engine, sandbox=False)
    assert (last.row.run, last.row.outcome) == ("shop-3", "errored")
    (drift,) = find_drift(engine, "staging", sandbox=False)
    assert (drift.deployed.row.run, drift.changes) == ("shop-2", ())


class Push(Stage):
    """A deploy whose plan says what it would run, and no more."""

    name = "t.push"
    effect = "deploy"

    class Inputs(StageInputs):
        """Nothing to say."""

    def plan(self, inputs: Inputs, ctx: PlanContext) -> Plan:
        """Say it."""
        return Plan([Change("run", "push")])

    def run(self, inputs: Inputs, ctx: Context) -> Outcome:
        """Push nothing."""
        return Succeeded()


def test_a_deploy_that_cannot_look_is_not_said_to_be_as_deployed(tmp_path):
    """A type whose plan only says what would run does not look at what is there."""
    text = "name: tool\nstages:\n  push: {uses: t.push, environment: staging}\n"
    root = write_project(tmp_path, text, "environments: {staging: {}}\n")
    with closing(Engine.open(load_project(root), Registry.of(stages=[Push]))) as engine:
        engine.drive(start_run(engine))
        (drift,) = find_drift(engine, "staging", sandbox=False)
    assert (drift.unseen, drift.changes) == ("its type does not look at what is there", ())


def test_what_is_not_looked_at_is_named_in_one_line(tmp_path, capsys):
    """The stages whose types do not look are named with type and run; as data each has its reason."""
    shop = TypedProject(tmp_path, capsys)
    stage = "uses: shell, environment: staging, with: {run: 'true', source: false}"
    stages = "".join(f"  {name}: {{{stage}}}\n" for name in ("push", "tell"))
    shop.write("pipelines/tool.yaml", f"name: tool\nstages:\n{stages}")
    shop.write("gennaker.yaml", "environments: {staging: {}}\n")
    shop.type("run", "tool")
    said = shop.type("diff", "staging")
    assert said == "not looked at: push (shell, tool-1), tell (shell, tool-1)\n"
    data = json.loads(shop.type("diff", "staging", "-o", "json"))
    reason = "its type does not look at what is there"
    assert data["stages"] == [
        {"stage": name, "run": "tool-1", "reason": reason, "compared": False, "changes": []}
        for name in ("push", "tell")
    ]


def test_two_environments_are_compared(engine):
    """What is declared in one and not in the other, and values that differ."""
    deploy(engine, "one")
    differences, problems = compare_environments(engine, "staging", "production", sandbox=False)
    assert problems == []
    assert [each.to_data() for each in differences] == [
        {"what": "web", "path": "", "left": "there"}
    ]


def test_a_removed_run_takes_its_deploys_along(engine):
    """What retention removes is in no history; what is deployed now stays."""
    for content in ("one", "two", "three"):
        deploy(engine, content)
    with engine.journal.transaction() as transaction:
        transaction.remove_runs(["shop-1"])
    found = list_history(engine, "staging", sandbox=False)
    assert [each.row.run for each in found] == ["shop-3", "shop-2"]


def test_a_deploy_of_a_damaged_run_is_listed(engine):
    """Its row says when and how; what only the run knew is left out."""
    deploy(engine, "one")
    with engine.journal._begun():
        engine.journal._writer.execute("UPDATE events SET data = '{}' WHERE sequence = 3")
    (found,) = list_history(engine, "staging", sandbox=False)
    assert found.to_data()["run"] == "shop-1"
    assert "title" not in found.to_data()
