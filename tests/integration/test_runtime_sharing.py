"""Runs that share a state: locks, groups, retries, sandboxes, and what ``runs`` is told."""

from __future__ import annotations

import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gennaker.errors import GennakerError, InvalidInput, NotAllowed
from gennaker_engine.core.messages import Cancel, Decide
from gennaker_engine.core.run import Run
from gennaker_engine.journal.port import RunFilter
from gennaker_engine.runtime import Engine
from tests.integration.runtime_parts import (
    STAGES,
    make_registry,
    open_engine,
    start_run,
    wait_for,
    write_project,
)

SETTINGS = """project: shop
environments:
  staging:
    place: {folder: staging}
    variables: {host: one}
"""
DEPLOY = """name: shop
stages:
  deploy: {uses: t.deploy, environment: staging, with: {say: "${{ environment.variables.host }}", delay: 0.3}}
  check: {uses: t.echo, needs: deploy, environment: staging, with: {say: ok}}
"""


def drive_in_thread(engine: Engine, run_id: str) -> tuple[threading.Thread, list[Run]]:
    """Drive a run in a thread; the list gets it when it is done."""
    found: list[Run] = []
    thread = threading.Thread(target=lambda: found.append(engine.drive(run_id)), daemon=True)
    thread.start()
    return thread, found


def find_times(engine: Engine, run_id: str) -> dict[str, float]:
    """Return when each kind of event happened last."""
    return {event.type: event.at for _, event in engine.load_events(run_id)}


def test_an_environment_has_one_run_at_a_time(tmp_path):
    """The second run waits for the first one's lock, also when other processes drive them."""
    write_project(tmp_path, DEPLOY, SETTINGS)
    engines = [open_engine(tmp_path), open_engine(tmp_path)]
    names = [start_run(engines[0]), start_run(engines[0])]
    threads = [drive_in_thread(e, n) for e, n in zip(engines, names, strict=True)]
    for thread, _ in threads:
        thread.join(20)
    assert [found[0].outcome for _, found in threads] == ["succeeded", "succeeded"]
    first, second = sorted(
        (find_times(engines[0], name) for name in names), key=lambda times: times["lock.acquired"]
    )
    assert first["lock.released"] <= second["lock.acquired"]
    assert second["lock.acquired"] - first["lock.released"] < 0.15
    assert engines[0].journal.read_claims() == []
    assert engines[0].journal.last_deploy("shop", "staging").instance == "deploy"
    for engine in engines:
        engine.close()


def test_runs_of_one_process_hand_a_lock_on_in_one_commit(tmp_path):
    """Release and grant are of the same moment when one process drives both runs."""
    write_project(tmp_path, DEPLOY, SETTINGS)
    engine = open_engine(tmp_path)
    names = [start_run(engine) for _ in range(3)]
    runs = engine.drive(names)
    assert {run.outcome for run in runs} == {"succeeded"}
    times = sorted((find_times(engine, name) for name in names), key=lambda t: t["lock.acquired"])
    for before, after in pairwise(times):
        assert before["lock.released"] == after["lock.acquired"]
    engine.close()


def test_two_runs_that_wait_for_each_other_are_told(tmp_path):
    """A circle of locks is found; the younger run's stage errs, the other run goes on."""
    write_project(
        tmp_path,
        "name: shop\nparameters: {first: {required: true}, second: {required: true}}\nstages:\n"
        "  one: {uses: t.deploy, environment: '${{ params.first }}', with: {delay: 0.2}}\n"
        "  two: {uses: t.deploy, needs: one, environment: '${{ params.second }}'}\n"
        "  three: {uses: t.deploy, needs: two, environment: '${{ params.first }}'}\n",
        SETTINGS + "  production:\n    place: {folder: production}\n",
    )
    engine = open_engine(tmp_path)
    ways = [("staging", "production"), ("production", "staging")]
    names = [
        start_run(engine, parameters=dict(zip(("first", "second"), w, strict=True))) for w in ways
    ]
    older, younger = engine.drive(names)
    assert older.outcome == "succeeded"
    two = younger.facts.instances["two"]
    assert (two.outcome, two.code) == ("errored", "deadlock")
    assert "shop-1" in two.reason
    assert engine.journal.read_claims() == []
    engine.close()


def group(policy: str) -> str:
    """Return a pipeline whose runs share a group."""
    return (
        f"name: shop\nconcurrency: {{group: one, limit: 1, policy: {policy}}}\n"
        "stages:\n  it: {uses: t.echo, with: {say: x, delay: 0.3}}\n"
    )


def test_a_queued_run_starts_when_the_one_before_has_ended(tmp_path):
    """Policy queue: one after the other, in order."""
    write_project(tmp_path, group("queue"))
    engine = open_engine(tmp_path)
    names = [start_run(engine) for _ in range(3)]
    assert [engine.resolve_run(name).waiting for name in names] == ["", "queue", "queue"]
    runs = engine.drive(list(reversed(names)))
    assert {run.outcome for run in runs} == {"succeeded"}
    ends = [find_times(engine, name) for name in names]
    for before, after in pairwise(ends):
        assert before["run.ended"] <= after["run.started"]
    engine.close()


def test_supersede_cancels_only_what_is_queued(tmp_path):
    """The newest waits, the one that was waiting is aborted, the active one goes on."""
    write_project(tmp_path, group("supersede"))
    engine = open_engine(tmp_path)
    names = [start_run(engine) for _ in range(3)]
    rows = [engine.journal.find_run(name) for name in names]
    assert [(row.state, row.outcome) for row in rows] == [
        ("pending", None),
        ("ended", "aborted"),
        ("waiting", None),
    ]
    assert {run.outcome for run in engine.drive([names[0], names[2]])} == {"succeeded"}
    engine.close()


def test_reject_refuses_the_second_run_and_leaves_none(tmp_path):
    """There is no run, no number is used up, and the message says why."""
    write_project(tmp_path, group("reject"))
    engine = open_engine(tmp_path)
    first = start_run(engine)
    with pytest.raises(NotAllowed) as caught:
        start_run(engine)
    assert str(caught.value) == (
        "concurrency-rejected: concurrency group 'one' is full; "
        "wait for the run that is active, or cancel it"
    )
    assert len(engine.journal.list_runs(RunFilter())) == 1
    engine.drive(first)
    assert start_run(engine) == "shop-2"
    engine.close()


def test_a_run_nobody_drives_is_cancelled_when_it_is_taken_over(tmp_path):
    """The abort is recorded at once; whoever drives the run next carries it out."""
    write_project(tmp_path, DEPLOY, SETTINGS)
    engine = open_engine(tmp_path)
    run_id = start_run(engine)
    engine.send(run_id, Cancel("local:bob"))
    run = engine.drive(run_id)
    assert (run.outcome, run.facts.stages["deploy"].outcome) == ("aborted", "skipped")
    engine.close()


RETRIED = """name: shop
stages:
  build: {uses: t.echo, with: {say: built, note: NOTE}}
  deploy: {uses: t.deploy, environment: staging, needs: build, with: {say: there, note: NOTE}}
  test: {uses: t.behave, needs: deploy, with: {how: raise_it}}
"""


def test_a_retry_takes_over_what_succeeded(tmp_path):
    """Finished stages keep their outputs and are not run again; the failed one is."""
    note = tmp_path / "note"
    write_project(tmp_path, RETRIED.replace("NOTE", str(note)), SETTINGS)
    engine = open_engine(tmp_path)
    first = start_run(engine)
    engine.drive(first)
    second = engine.create_retry(first, actor="local:bob")
    run = engine.drive(second)
    assert (second, run.created.retry_of, run.created.actor) == ("shop-2", "shop-1", "local:bob")
    assert sorted(run.created.reused) == ["build", "deploy"]
    assert run.facts.stages["deploy"].outputs == {"said": "there"}
    assert run.facts.stages["test"].outcome == "errored"
    assert note.read_text().split()[::2] == ["shop-1/build/1", "shop-1/deploy/1"]
    third = engine.drive(engine.create_retry(second, actor="local:bob"))
    assert third.created.reused["deploy"]["run"] == "shop-1"
    engine.close()


def test_a_deploy_is_taken_over_only_while_it_is_the_last(tmp_path):
    """Another run deployed to the environment since: the retry deploys again."""
    note = tmp_path / "note"
    write_project(tmp_path, RETRIED.replace("NOTE", str(note)), SETTINGS)
    engine = open_engine(tmp_path)
    first, other = start_run(engine), start_run(engine)
    engine.drive(first)
    engine.drive(other)
    run = engine.drive(engine.create_retry(first, actor="local:bob"))
    assert sorted(run.created.reused) == ["build"]
    assert note.read_text().split()[::2][-1] == "shop-3/deploy/1"
    engine.close()


def test_a_run_that_has_not_ended_is_not_retried(tmp_path):
    """The message names the two commands that help."""
    write_project(tmp_path, DEPLOY, SETTINGS)
    engine = open_engine(tmp_path)
    with pytest.raises(NotAllowed) as caught:
        engine.create_retry(start_run(engine), actor="local:bob")
    assert str(caught.value) == (
        "run-active: run 'shop-1' has not ended; "
        "go on with 'gennaker resume shop-1', or end it with 'gennaker cancel shop-1'"
    )
    engine.close()


def test_settings_are_read_when_a_stage_is_resolved(tmp_path):
    """An environment's change while the run goes on counts for stages that start later."""
    write_project(
        tmp_path,
        "name: shop\nstages:\n"
        '  one: {uses: t.echo, environment: staging, with: {say: "${{ environment.variables.host }}"}}\n'
        "  ask: {uses: approval, needs: one}\n"
        "  two: {uses: t.echo, needs: ask, environment: staging, "
        'with: {say: "${{ environment.variables.host }} ${{ environment.namespace }}"}}\n',
        SETTINGS,
    )
    engine = open_engine(tmp_path)
    run_id = start_run(engine)
    engine.drive(run_id, detach_on_wait=True)
    settings = (tmp_path / "gennaker.yaml").read_text()
    (tmp_path / "gennaker.yaml").write_text(settings.replace("one", "second"))
    engine.send(run_id, Decide("ask", "approve", "local:bob"))
    # What was shown has moved meanwhile: it asks again, with what moved.
    run = engine.drive(run_id, detach_on_wait=True)
    moved = [line for gate in run.facts.gates.values() for line in gate.moved]
    assert 'two.environment.variables.host: "one" is now "second"' in moved
    engine.send(run_id, Decide("ask", "approve", "local:bob"))
    run = engine.drive(run_id)
    outputs = {name: stage.outputs for name, stage in run.facts.stages.items()}
    assert outputs["one"] == {"said": "one"}
    assert outputs["two"] == {"said": "second staging"}
    engine.close()


def test_the_subject_of_an_approval_is_planned_for_the_approvers(tmp_path):
    """What each stage would do is recorded with the gate, found in a thread of its own."""
    write_project(
        tmp_path,
        "name: shop\nstages:\n  ask: {uses: approval}\n"
        "  after: {uses: t.echo, needs: ask, with: {say: hello}}\n",
    )
    engine = open_engine(tmp_path)
    run = engine.drive(start_run(engine), detach_on_wait=True)
    (gate,) = run.facts.gates.values()
    assert gate.plans == {
        "after": {"changes": [{"action": "run", "what": "say hello", "detail": ""}]}
    }
    engine.close()


def test_a_sandbox_run_acts_on_the_sandbox_and_has_its_own_lock(tmp_path):
    """The target's settings are replaced, the scope is another."""
    write_project(tmp_path, DEPLOY, SETTINGS)
    engine = open_engine(tmp_path)
    run = engine.drive(start_run(engine, sandbox=True))
    settings = run.facts.instances["deploy"].environment["settings"]
    assert settings == {"folder": str(tmp_path / ".gennaker" / "sandbox" / "staging")}
    assert run.created.scope == "shop+sandbox"
    assert engine.journal.last_deploy("shop", "staging") is None
    assert engine.journal.last_deploy("shop+sandbox", "staging").run == "shop-1"
    engine.close()


def test_runs_are_found_as_people_type_them(tmp_path):
    """An id, a unique beginning, @last; else a message with what is meant perhaps."""
    write_project(tmp_path, "name: shop\nstages:\n  it: {uses: t.echo}\n")
    engine = open_engine(tmp_path)

    def fail(ref: str) -> str:
        with pytest.raises(InvalidInput) as caught:
            engine.resolve_run(ref)
        return str(caught.value)

    assert fail("@last") == (
        "unknown-run: there is no run yet; start one with 'gennaker run PIPELINE'"
    )
    for _ in range(11):
        start_run(engine)
    assert engine.resolve_run("@last").run == "shop-11"
    assert engine.resolve_run("shop-1").run == "shop-1"
    assert engine.resolve_run("shop-11").run == "shop-11"
    assert fail("shop").startswith(
        "ambiguous-run: 'shop' is the beginning of several runs; shop-11"
    )
    assert fail("shp-3") == "unknown-run: there is no run 'shp-3'; did you mean 'shop-3'?"
    engine.close()


def test_a_message_to_a_run_that_is_not_driven_any_more_is_answered(tmp_path):
    """Who asks too late is told, and does not wait for ever."""
    write_project(tmp_path, DEPLOY, SETTINGS)
    engine = open_engine(tmp_path)
    run_id = start_run(engine)
    thread, found = drive_in_thread(engine, run_id)
    wait_for(lambda: engine.journal.find_run(run_id).state == "running")
    answer = engine.request(run_id, Decide("nothing", "approve", "local:bob"))
    with pytest.raises(GennakerError):
        answer.wait(5)
    assert engine.request(run_id, Cancel("local:bob")).wait(5) is None
    thread.join(20)
    assert found[0].outcome == "aborted"
    engine.close()


def plan(root: Path, pipeline: str, **options: Any) -> Any:
    """Plan the one pipeline of a project."""
    from gennaker.loader import load_file

    write_project(root, pipeline, SETTINGS)
    engine = open_engine(root)
    (loaded,) = load_file(root / "pipelines" / "p.yaml", project=engine.project)
    found = engine.plan(loaded, {}, **options)
    engine.close()
    return found


PLANNED = """name: shop
stages:
  build: {uses: t.behave, with: {how: quick_process}}
  use: {uses: t.echo, with: {say: "tag ${{ stages.build.outputs.value }}"}}
  maybe: {uses: t.echo, if: stages.build.outputs.value == 'x', with: {say: x}}
  after_maybe: {uses: t.echo, needs: maybe}
  never: {uses: t.echo, if: "1 == 2"}
  deploy: {uses: t.deploy, environment: staging, needs: use, with: {say: go}}
finally:
  tidy: {uses: t.echo, with: {say: bye}}
"""


def test_a_plan_says_what_would_run_be_skipped_and_depend(tmp_path):
    """Nothing is run; unknown outputs flow through text and decide what cannot be said."""
    found = plan(tmp_path, PLANNED)
    stages = {stage.id: stage for stage in found.stages}
    assert {name: stage.action for name, stage in stages.items()} == {
        "build": "run",
        "use": "run",
        "maybe": "depends",
        "after_maybe": "depends",
        "never": "skip",
        "deploy": "run",
        "tidy": "run",
    }
    assert stages["use"].changes[0]["what"] == "say tag <unknown:build.value>"
    assert stages["use"].depends_on == ("build.value",)
    assert stages["maybe"].depends_on == stages["after_maybe"].depends_on == ("build.value",)
    assert stages["never"].cause == "condition"
    assert stages["deploy"].effect == "deploy"
    assert found.would_change
    assert not (tmp_path / ".gennaker" / "logs").exists()


def test_a_plan_has_one_digest_and_a_run_may_be_bound_to_it(tmp_path):
    """The same things give the same digest; a run with another one is refused."""
    text = 'name: shop\nstages:\n  it: {uses: t.echo, with: {say: "${{ run.id }} ${{ run.started_at }}"}}\n'
    first, second = plan(tmp_path, text), plan(tmp_path, text)
    assert first.digest == second.digest
    engine = open_engine(tmp_path)
    assert start_run(engine, plan=first.digest) == "shop-1"
    with pytest.raises(InvalidInput) as caught:
        start_run(engine, plan="sha256:other")
    assert str(caught.value) == (
        f"plan-moved: the plan is {first.digest} now, not sha256:other; "
        "look at it with 'gennaker plan' and give its digest"
    )
    engine.close()
    assert plan(tmp_path, text.replace("run.id", "run.actor")).digest != first.digest


def test_an_approval_before_seeing_needs_a_plan_or_the_sandbox(tmp_path):
    """Without either the run is not created."""
    write_project(tmp_path, "name: shop\nstages:\n  ask: {uses: approval}\n")
    engine = open_engine(tmp_path)
    with pytest.raises(InvalidInput, match="approve-unseen: an approval before seeing needs"):
        start_run(engine, approved=["ask"])
    with pytest.raises(InvalidInput, match="unknown-stage: pipeline 'shop' has no stage 'other'"):
        start_run(engine, approved=["other"], sandbox=True)
    run = engine.drive(start_run(engine, approved=["ask"], sandbox=True))
    assert run.outcome == "succeeded"
    engine.close()


def test_the_registry_of_the_tests_has_every_part():
    """The plugins of these tests keep the contract."""
    names = {group: make_registry().names(group) for group in ("stages", "targets", "secrets")}
    assert names == {
        "stages": tuple(sorted(each.name for each in STAGES)),
        "targets": ("place",),
        "secrets": ("env",),
    }
