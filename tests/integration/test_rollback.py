"""What was changed is put back: by a run whose stage failed, and by a run of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from gennaker.errors import NotAllowed
from gennaker.loader import load_file
from gennaker.stage import Artifact, Context, Succeeded
from gennaker_engine.core.run import Run
from gennaker_engine.core.view import describe_run
from gennaker_engine.environments.deployed import find_standing, list_standing
from gennaker_engine.runtime import Engine
from tests.integration.runtime_parts import Switch, open_engine, start_run, write_project

SETTINGS = "project: shop\nenvironments:\n  staging: {}\n  production: {}\n"
PIPELINE = """name: shop
parameters:
  content: {{}}
  both: {{type: boolean, default: false}}
stages:
  database: {{uses: t.switch, environment: staging, with: {{file: {root}/database, content: "db ${{{{ params.content }}}}"}}}}
  web:
    uses: t.switch
    needs: database
    environment: staging
    on_failure: {{undo: [web, database]}}
    with: {{file: {root}/web, content: "${{{{ params.content }}}}"}}
  live:
    uses: t.switch
    needs: web
    if: params.both
    environment: production
    with: {{file: {root}/live, content: "${{{{ params.content }}}}"}}
"""


@pytest.fixture(name="engine")
def make_engine(tmp_path: Path):
    """An engine of a project that sets two files in staging and one in production."""
    write_project(tmp_path, PIPELINE.format(root=tmp_path), SETTINGS)
    engine = open_engine(tmp_path)
    yield engine
    engine.close()


def deploy(engine: Engine, content: str, *, both: bool = False) -> Run:
    """Drive a run that sets all files to ``content``."""
    return engine.drive(start_run(engine, parameters={"content": content, "both": both}))


def roll_back(engine: Engine, run: str, **options: object) -> Run:
    """Drive the rollback of a run."""
    rollback = engine.find_rollback(run, **options)
    return engine.drive(engine.create_rollback(rollback, actor="local:eve"))


def read(root: Path) -> dict[str, str]:
    """The files that there are."""
    names = ("database", "web", "live")
    return {name: (root / name).read_text() for name in names if (root / name).exists()}


def test_a_failed_deploy_puts_back_what_was_there(engine, tmp_path):
    """The failed stage and the one before are put back; the run has failed; the log tells it."""
    assert deploy(engine, "one").outcome == "succeeded"
    run = deploy(engine, "bad")
    assert run.outcome == "failed"
    assert read(tmp_path) == {"database": "db one", "web": "one"}
    stages = describe_run(run)["stages"]
    assert {name: each["outcome"] for name, each in stages.items()} == {
        "database": "succeeded",
        "web": "failed",
        "live": "skipped",
        "undo:web": "succeeded",
        "undo:database": "succeeded",
    }
    assert stages["undo:web"]["undoes"] == "web"
    lines = [line.text for line in engine.logs.read(run.id, stage="undo:web")]
    assert lines == ["back to 'one'"]
    assert engine.journal.read_claims() == []


def test_a_run_that_went_well_shows_no_undo(engine):
    """What nothing led to is not among the stages that people see."""
    assert set(describe_run(deploy(engine, "one"))["stages"]) == {"database", "web", "live"}


def test_a_rollback_is_a_run_that_puts_everything_back(engine, tmp_path):
    """Every environment is as before, the latest change first; the new run names the old one."""
    deploy(engine, "one", both=True)
    deploy(engine, "two", both=True)
    run = roll_back(engine, "shop-2")
    assert (run.id, run.outcome, run.created.rollback_of) == ("shop-3", "succeeded", "shop-2")
    assert run.created.title == "Roll back shop-2"
    assert read(tmp_path) == {"database": "db one", "web": "one", "live": "one"}
    started = [e.instance for _, e in engine.load_events(run.id) if e.type == "attempt.started"]
    assert started == ["live", "web", "database"]
    assert engine.journal.last_deploy("shop", "staging").run == "shop-3"


def test_a_rollback_of_one_environment_leaves_the_others(engine, tmp_path):
    """With an environment only what was changed there is put back."""
    deploy(engine, "one", both=True)
    deploy(engine, "two", both=True)
    roll_back(engine, "shop-2", environment="production")
    assert read(tmp_path) == {"database": "db two", "web": "two", "live": "one"}


def test_a_rollback_is_planned(engine, tmp_path):
    """Its plan says what each stage would put back, and changes nothing."""
    deploy(engine, "one")
    deploy(engine, "two")
    plan = engine.plan_rollback(engine.find_rollback("shop-2"))
    told = [(stage.id, stage.changes[0]["detail"]) for stage in plan.stages]
    assert told == [("web", "back to 'one'"), ("database", "back to 'db one'")]
    assert read(tmp_path) == {"database": "db two", "web": "two"}


def test_an_older_run_is_not_rolled_back_over_a_newer_one(engine):
    """What another run deployed since would be lost: refused, naming that run."""
    deploy(engine, "one")
    deploy(engine, "two")
    with pytest.raises(NotAllowed) as caught:
        engine.find_rollback("shop-1")
    assert caught.value.code == "rollback-superseded"
    assert caught.value.message == (
        "environment 'staging' was changed by run 'shop-2' after 'shop-1'"
    )
    other = (
        "bring the environment back to an earlier run: "
        "'gennaker rollback --environment staging --to RUN'"
    )
    assert caught.value.hint == f"roll shop-2 back first, or {other}"


def refuse(engine: Engine, run: str, **options: object) -> tuple[str, str, str]:
    """Why a run is not rolled back: code, message, hint up to the other way."""
    with pytest.raises(NotAllowed) as caught:
        engine.find_rollback(run, **options)
    error = caught.value
    return error.code, error.message, str(error.hint).partition(", or bring")[0]


def test_stepping_back_goes_on(engine, tmp_path):
    """Once the last run is rolled back the one before it can be, and forward again likewise."""
    for content in ("one", "two", "three"):
        deploy(engine, content)
    roll_back(engine, "shop-3")  # 4
    roll_back(engine, "shop-2")  # 5
    assert read(tmp_path) == {"database": "db one", "web": "one"}
    assert refuse(engine, "shop-4") == (
        "rollback-superseded",
        "environment 'staging' was changed by run 'shop-5' after 'shop-4'",
        "roll shop-5 back first",
    )
    assert refuse(engine, "shop-2")[:2] == (
        "nothing-to-undo",
        "nothing that run 'shop-2' did can be put back: 'database' was put back by 'shop-5'; 'web' "
        "was put back by 'shop-5'",
    )
    roll_back(engine, "shop-5")  # 6: two again
    assert read(tmp_path) == {"database": "db two", "web": "two"}
    assert refuse(engine, "shop-1") == (
        "rollback-superseded",
        "environment 'staging' was changed by run 'shop-2' after 'shop-1'",
        "roll shop-2 back first",
    )
    roll_back(engine, "shop-2")  # 7
    roll_back(engine, "shop-1")  # 8
    assert read(tmp_path) == {"database": "", "web": ""}
    assert list_standing(engine, "staging", sandbox=False) == []


def test_what_stands_after_a_rollback_is_rolled_back(engine):
    """A release that is brought back by that is the one that is there."""
    deploy(engine, "one")
    deploy(engine, "two")
    roll_back(engine, "shop-2")
    roll_back(engine, "shop-3")
    for _last, standing in find_standing(engine, sandbox=False):
        assert standing is not None
        assert standing.row.run == "shop-2"
    assert [each.row.run for each in list_standing(engine, "staging", sandbox=False)] == [
        "shop-2",
        "shop-2",
        "shop-1",
        "shop-1",
    ]


def test_a_run_that_put_itself_back_stands_in_no_ones_way(engine, tmp_path):
    """After a failed deploy that was put back the one before it can be rolled back."""
    deploy(engine, "one")
    assert deploy(engine, "bad").outcome == "failed"
    roll_back(engine, "shop-1")
    assert read(tmp_path) == {"database": "", "web": ""}


def test_a_run_that_changed_nothing_stands_in_no_ones_way(engine, tmp_path):
    """A deploy of what is there already records nothing; it cannot be rolled back, and bars nothing."""
    deploy(engine, "one")
    deploy(engine, "two")
    deploy(engine, "two")
    assert refuse(engine, "shop-3")[1] == (
        "nothing that run 'shop-3' did can be put back: 'database' changed nothing; 'web' changed "
        "nothing"
    )
    roll_back(engine, "shop-2")
    assert read(tmp_path) == {"database": "db one", "web": "one"}
    # The release of shop-3 is not there any more either.
    assert {each.row.run for each in list_standing(engine, "staging", sandbox=False)} == {"shop-1"}


def test_a_run_is_not_rolled_back_twice_at_a_time(engine, monkeypatch):
    """While one rollback goes on there is no second one, of that run or of an earlier one."""
    deploy(engine, "one")
    deploy(engine, "two")
    seen = set()

    def undo(_stage: Switch, _inputs: Switch.Inputs, _before: Artifact, _ctx: Context) -> Succeeded:
        seen.update(refuse(engine, run)[1:] for run in ("shop-1", "shop-2"))
        return Succeeded()

    monkeypatch.setattr(Switch, "undo", undo)
    assert roll_back(engine, "shop-2").outcome == "succeeded"
    assert seen == {
        (
            "environment 'staging' is being changed by run 'shop-3'",
            "wait until it has ended: 'gennaker status shop-3'",
        )
    }


def test_a_rollback_that_failed_is_done_again(engine, tmp_path):
    """What it did not put back is put back by another one; until then nothing before is rolled back."""
    for content in ("one", "two"):
        deploy(engine, content)
    (tmp_path / "database").rename(tmp_path / "aside")
    (tmp_path / "database").mkdir()
    assert roll_back(engine, "shop-2").outcome == "errored"
    (tmp_path / "database").rmdir()
    (tmp_path / "aside").rename(tmp_path / "database")
    assert read(tmp_path) == {"database": "db two", "web": "one"}
    assert refuse(engine, "shop-1")[1:] == (
        "environment 'staging' was changed by run 'shop-2' after 'shop-1'",
        "roll shop-2 back first",
    )
    again = engine.find_rollback("shop-2")
    assert set(again.definition.stages) == {"database"}
    assert engine.drive(engine.create_rollback(again, actor="local:eve")).outcome == "succeeded"
    roll_back(engine, "shop-1")
    assert read(tmp_path) == {"database": "", "web": ""}


def test_what_was_deployed_while_a_rollback_waited_is_not_lost(engine, tmp_path):
    """It looks again once it has the environment: a run that came in between refuses it."""
    deploy(engine, "one")
    deploy(engine, "two")
    waiting = engine.create_rollback(engine.find_rollback("shop-2"), actor="local:eve")
    deploy(engine, "three")
    run = engine.drive(waiting)
    assert run.outcome == "errored"
    (ended,) = [e for _, e in engine.load_events(run.id) if e.type == "attempt.ended"]
    assert (ended.instance, ended.code) == ("web", "rollback-superseded")
    assert str(ended.reason).startswith(
        "environment 'staging' was changed by run 'shop-4' after 'shop-2'; roll shop-4 back first"
    )
    assert read(tmp_path) == {"database": "db three", "web": "three"}
    roll_back(engine, "shop-4")
    assert engine.drive(engine.create_retry(waiting, actor="local:eve")).outcome == "succeeded"
    assert read(tmp_path) == {"database": "db one", "web": "one"}


def test_what_can_never_be_put_back_is_named_and_bars_no_way(tmp_path):
    """A stage that recorded nothing stays as it is; once the rest of its run was put back one goes on."""
    pipeline = (
        "name: shop\nparameters: {content: {}}\nstages:\n  web:\n    uses: t.switch\n    environment: "
        f"staging\n    with: {{file: {tmp_path}/web, content: '${{{{ params.content }}}}'}}\n"
        "  migrate: {uses: t.deploy, environment: staging, needs: web}\n"
    )
    write_project(tmp_path, pipeline, SETTINGS)
    engine = open_engine(tmp_path)
    for content in ("one", "two"):
        engine.drive(start_run(engine, parameters={"content": content}))
    assert refuse(engine, "shop-1")[1] == (
        "environment 'staging' was changed by run 'shop-2' after 'shop-1', whose 'migrate' recorded "
        "nothing of what was there before"
    )
    reason = "recorded nothing of what was there before"
    assert engine.find_rollback("shop-2").left == (f"'migrate' {reason}",)
    roll_back(engine, "shop-2")
    again = engine.find_rollback("shop-1")
    assert again.left == (f"'migrate' {reason}", f"'migrate' of 'shop-2' {reason}")
    assert engine.drive(engine.create_rollback(again, actor="local:eve")).outcome == "succeeded"
    assert (tmp_path / "web").read_text() == ""
    engine.close()


def test_environments_are_stepped_back_on_their_own(engine, tmp_path):
    """What stands in one environment does not bar a rollback in another."""
    deploy(engine, "one", both=True)
    deploy(engine, "two", both=True)
    roll_back(engine, "shop-2", environment="production")
    assert refuse(engine, "shop-1")[1] == (
        "environment 'staging' was changed by run 'shop-2' after 'shop-1'"
    )
    roll_back(engine, "shop-1", environment="production")
    assert read(tmp_path) == {"database": "db two", "web": "two", "live": ""}
    rest = engine.find_rollback("shop-2")
    assert set(rest.definition.stages) == {"web", "database"}
    assert engine.drive(engine.create_rollback(rest, actor="local:eve")).outcome == "succeeded"
    assert read(tmp_path) == {"database": "db one", "web": "one", "live": ""}


def test_a_run_that_came_to_nothing_stands_in_no_ones_way(engine, tmp_path):
    """A later deploy that failed before it recorded what is there has changed nothing."""
    deploy(engine, "one")
    deploy(engine, "two")
    (tmp_path / "database").unlink()
    (tmp_path / "database").mkdir()
    assert deploy(engine, "three").outcome == "errored"
    (tmp_path / "database").rmdir()
    assert engine.journal.last_deploy("shop", "staging").run == "shop-3"
    roll_back(engine, "shop-2")
    assert read(tmp_path) == {"database": "db one", "web": "one"}


def test_an_environment_is_brought_back_to_a_run(engine, tmp_path):
    """What a run deployed there is deployed again, in its order, however many runs were between."""
    for content in ("one", "two", "three"):
        deploy(engine, content)
    run = roll_back(engine, "shop-1", environment="staging", again=True)
    assert (run.outcome, run.created.title) == ("succeeded", "Bring staging back to shop-1")
    assert read(tmp_path) == {"database": "db one", "web": "one"}
    started = [e.instance for _, e in engine.load_events(run.id) if e.type == "attempt.started"]
    assert started == ["database", "web"]


def test_a_rollback_can_be_rolled_back(engine, tmp_path):
    """A deploy that was made again recorded what it found."""
    deploy(engine, "one")
    deploy(engine, "two")
    again = roll_back(engine, "shop-1", environment="staging", again=True)
    roll_back(engine, again.id)
    assert read(tmp_path) == {"database": "db two", "web": "two"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "bad",
            "nothing that run 'shop-1' did can be put back: 'database' was put back in the run "
            "itself; 'web' was put back in the run itself",
        ),
    ],
)
def test_what_cannot_be_put_back_is_said(engine, content, message):
    """Each deploy of the run is named with the reason."""
    deploy(engine, content)
    with pytest.raises(NotAllowed) as caught:
        engine.find_rollback("shop-1")
    assert (caught.value.code, caught.value.message) == ("nothing-to-undo", message)


def test_a_failed_deploy_is_nothing_to_bring_an_environment_back_to(engine):
    """Only what succeeded is deployed again."""
    deploy(engine, "bad")
    with pytest.raises(NotAllowed) as caught:
        engine.find_rollback("shop-1", environment="staging", again=True)
    assert caught.value.message == (
        "run 'shop-1' is nothing to bring 'staging' back to: web did not succeed"
    )
    with pytest.raises(NotAllowed, match="it deployed nothing there"):
        engine.find_rollback("shop-1", environment="production", again=True)


def test_a_rollback_is_retried_as_it_was(engine, tmp_path):
    """Its definition is in no file: with a current one it is refused, and the command says what to do."""
    deploy(engine, "one")
    deploy(engine, "two")
    run = roll_back(engine, "shop-2")
    (current,) = load_file(tmp_path / "pipelines" / "p.yaml", project=engine.project)
    with pytest.raises(NotAllowed) as caught:
        engine.plan_retry(run.id, actor="local:eve", current=current, parameters={"content": "x"})
    assert caught.value.code == "retry-rollback"
    assert caught.value.message == "run 'shop-3' is a rollback, which has no current definition"
    assert caught.value.hint == "retry it as it was: 'gennaker retry shop-3'"
    again = engine.drive(engine.create_retry(run.id, actor="local:eve"))
    assert again.outcome == "succeeded"
    assert read(tmp_path) == {"database": "db one", "web": "one"}


def test_a_run_that_goes_on_is_not_rolled_back(engine):
    """It is cancelled first."""
    run_id = start_run(engine, parameters={"content": "one"})
    with pytest.raises(NotAllowed) as caught:
        engine.find_rollback(run_id)
    assert caught.value.code == "run-active"
    assert caught.value.hint == "end it with 'gennaker cancel shop-1'"


def test_an_instance_of_a_matrix_is_made_again_as_the_stage_it_was_of(tmp_path):
    """What a deploy made is known by its stage, so the stage that stands for it is called the same."""
    pipeline = (
        "name: shop\nstages:\n  web:\n    uses: t.switch\n    environment: staging\n"
        "    matrix: {name: [a, b]}\n"
        f"    with: {{file: '{tmp_path}/${{{{ matrix.name }}}}', content: one}}\n"
    )
    write_project(tmp_path, pipeline, SETTINGS)
    engine = open_engine(tmp_path)
    engine.drive(start_run(engine))
    rollback = engine.find_rollback("shop-1", environment="staging", again=True)
    assert set(rollback.definition.stages) == {"web-i0", "web-i1"}
    assert {each["stage"] for each in rollback.preset.values()} == {"web"}
    assert engine.drive(engine.create_rollback(rollback, actor="local:eve")).outcome == "succeeded"
    engine.close()
