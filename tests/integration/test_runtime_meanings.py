"""Promises of the specification that only real runs can show: locks, retries, time, folders."""

from __future__ import annotations

import json
import signal
import stat
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gennaker.errors import NotAllowed
from gennaker.plugins import Registry
from gennaker.process import run as run_process
from gennaker.project import load_project
from gennaker.stage import Context, Decision, Outcome, Poll, StageInputs, Succeeded, Waiting
from gennaker_engine.core.messages import Cancel, Decide
from gennaker_engine.core.run import Run
from gennaker_engine.runtime import Engine
from tests.fixtures.virtual_clock import VirtualClock
from tests.integration.runtime_parts import (
    STAGES,
    Behave,
    Env,
    Place,
    is_alive,
    open_engine,
    start_run,
    wait_for,
    write_project,
)
from tests.integration.test_cli_terminal import Lab

SETTINGS = """project: shop
environments:
  staging:
    place: {folder: staging}
  production:
    place: {folder: production}
"""


class Look(Behave):
    """Tells of its folders; asks people who may not be who started the run."""

    name = "t.look"

    class Inputs(StageInputs):
        how: str

    def folders(self, _inputs: Inputs, ctx: Context) -> Outcome:
        """Leave a file in the workspace at every call, and say what was there before."""
        seen = sorted(each.name for each in ctx.workspace.iterdir())
        before = [*(ctx.resumed or []), seen]
        (ctx.workspace / "left").write_text("x")
        if len(before) < 3:
            return Waiting(Poll(0.01), state=before)
        return Succeeded({"value": before})

    def source(self, _inputs: Inputs, ctx: Context) -> Outcome:
        """Say where the source is, what it holds and what may be written there."""
        files = [each for each in sorted(ctx.source.rglob("*")) if each.is_file()]
        names = [each.relative_to(ctx.source).as_posix() for each in files]
        writable = [each.name for each in files if stat.S_IMODE(each.stat().st_mode) & 0o222]
        return Succeeded({"value": [str(ctx.source), names, writable]})

    def ask(self, _inputs: Inputs, ctx: Context) -> Outcome:
        """Ask somebody else."""
        if ctx.event is None:
            return Waiting(Decision(self_allowed=False))
        return Succeeded()


def make_engine(root: Path) -> Engine:
    """Open an engine that also has this module's stage type."""
    registry = Registry.of(stages=[*STAGES, Look], targets=[Place], secrets=[Env])
    return Engine.open(load_project(root), registry)


def drive_in_threads(engines: list[Engine], names: list[str]) -> list[Run]:
    """Drive each run by its own engine at the same time; return them when all have ended."""
    found: dict[str, Run] = {}

    def drive(engine: Engine, name: str) -> None:
        found[name] = engine.drive(name)

    threads = [
        threading.Thread(target=drive, args=each, daemon=True)
        for each in zip(engines, names, strict=True)
    ]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    for thread in threads:
        thread.join(30)
    return [found[name] for name in names]


def find_at(engine: Engine, run_id: str, kind: str, **fields: Any) -> float:
    """Return when the first such event happened."""
    return next(
        event.at
        for _, event in engine.load_events(run_id)
        if event.type == kind
        and all(getattr(event, name) == value for name, value in fields.items())
    )


LOCKED = """name: shop
stages:
  deploy: {uses: t.deploy, environment: staging, with: {delay: 0.15}}
  check: {uses: t.echo, needs: deploy, environment: staging, with: {delay: 0.15}}
  report: {uses: t.echo, needs: check, with: {delay: 0.4}}
finally:
  tidy: {uses: t.echo, environment: staging}
"""


def test_a_lock_is_held_from_the_first_deploy_to_the_last_stage_that_can_enter(tmp_path):
    """The third waits in order; nobody waits for what acts elsewhere, or for finally."""
    write_project(tmp_path, LOCKED, SETTINGS)
    engines = [open_engine(tmp_path) for _ in range(3)]
    names = [start_run(engines[0]) for _ in engines]
    runs = drive_in_threads(engines, names)
    assert [run.outcome for run in runs] == ["succeeded"] * 3
    engine = engines[0]
    asked = sorted(names, key=lambda name: find_at(engine, name, "lock.requested"))
    got = sorted(names, key=lambda name: find_at(engine, name, "lock.acquired"))
    assert asked == got
    for before, after in pairwise(got):
        acquired = find_at(engine, after, "lock.acquired")
        assert find_at(engine, before, "attempt.ended", instance="check") <= acquired
        assert acquired < find_at(engine, before, "run.ended")
    for each in engines:
        each.close()


def test_a_run_on_the_sandbox_waits_for_no_other(tmp_path):
    """Locks of the same environment, one real and one of the sandbox, are held at once."""
    write_project(tmp_path, LOCKED.replace("delay: 0.15", "delay: 0.5"), SETTINGS)
    engines = [open_engine(tmp_path), open_engine(tmp_path)]
    names = [start_run(engines[0]), start_run(engines[0], sandbox=True)]
    runs = drive_in_threads(engines, names)
    assert [run.outcome for run in runs] == ["succeeded", "succeeded"]
    acquired = [find_at(engines[0], name, "lock.acquired") for name in names]
    released = [find_at(engines[0], name, "lock.released") for name in names]
    assert max(acquired) < min(released)
    for each in engines:
        each.close()


CROSSED = """name: shop
parameters: {first: {}, second: {}, more: {type: boolean}, wait: {type: number, default: 0}}
stages:
  before: {uses: t.echo, with: {delay: "${{ params.wait }}"}}
  one: {uses: t.deploy, needs: before, environment: "${{ params.first }}", with: {delay: 0.1}}
  more: {uses: t.deploy, if: params.more, needs: one, environment: "${{ params.first }}"}
  pause: {uses: t.echo, needs: more, with: {delay: 0.5}}
  two: {uses: t.deploy, needs: pause, environment: "${{ params.second }}"}
  three: {uses: t.deploy, needs: two, environment: "${{ params.first }}"}
"""
THERE = {"first": "staging", "second": "production"}
BACK = {"first": "production", "second": "staging"}


@pytest.mark.parametrize(
    ("older", "younger", "victim"),
    [
        ({"more": False}, {"more": True}, 0),
        ({"more": True}, {"more": False}, 1),
        ({"more": False}, {"more": False}, 1),
        # Older is who was created first, not who asked for a lock first.
        ({"more": False, "wait": 0.3}, {"more": False}, 1),
    ],
)
def test_who_gives_way_in_a_deadlock(tmp_path, older, younger, victim):
    """Fewer started deploys, then the younger; its error names both runs and both locks."""
    write_project(tmp_path, CROSSED, SETTINGS)
    engines = [open_engine(tmp_path), open_engine(tmp_path)]
    names = [
        start_run(engines[0], parameters={**THERE, **older}),
        start_run(engines[0], parameters={**BACK, **younger}),
    ]
    runs = drive_in_threads(engines, names)
    assert [run.outcome for run in runs] == [
        "errored" if number == victim else "succeeded" for number in (0, 1)
    ]
    row = runs[victim].facts.instances["two"]
    assert row.code == "deadlock"
    for name in (*names, "staging", "production"):
        assert repr(name) in row.reason
    assert engines[0].journal.read_claims() == []
    for each in engines:
        each.close()


RETRIED = """name: shop
parameters: {break: {type: boolean, default: false}}
stages:
  deploy: {uses: t.deploy, environment: staging, if: "!params.break"}
  move: {uses: t.failing, if: params.break, environment: staging, needs: deploy}
  test: {uses: t.behave, needs: deploy, if: "!params.break", with: {how: fail}}
"""


class Failing(Behave):
    """A deploy that fails half way."""

    name = "t.failing"
    effect = "deploy"

    class Inputs(StageInputs):
        pass

    def run(self, inputs: Inputs, ctx: Context) -> Outcome:
        """Fail."""
        return self.fail(inputs, ctx)  # type: ignore[arg-type]


def test_a_deploy_that_failed_is_the_environments_last_one_too(tmp_path):
    """After it nobody knows what is there, so a retry of an earlier run deploys again."""
    write_project(tmp_path, RETRIED, SETTINGS)
    registry = Registry.of(stages=[*STAGES, Failing], targets=[Place], secrets=[Env])
    engine = Engine.open(load_project(tmp_path), registry)
    first = start_run(engine)
    engine.drive(first)
    again = engine.drive(engine.create_retry(first, actor="local:bob"))
    assert list(again.created.reused) == ["deploy"]
    broken = engine.drive(start_run(engine, parameters={"break": True}))
    assert broken.facts.stages["move"].outcome == "failed"
    again = engine.drive(engine.create_retry(first, actor="local:bob"))
    assert list(again.created.reused) == []
    engine.close()


def test_what_comes_after_a_skip_or_an_ignored_failure_is_not_taken_over(tmp_path):
    """A stage is reused with all of its ancestors, or it runs again."""
    write_project(
        tmp_path,
        "name: shop\nstages:\n  a: {uses: t.echo}\n  b: {uses: t.echo, needs: a}\n"
        "  no: {uses: t.echo, if: false}\n  c: {uses: t.echo, needs: [a, no]}\n"
        "  d: {uses: t.behave, on_failure: ignore, with: {how: fail}}\n"
        "  e: {uses: t.echo, needs: d}\n  bad: {uses: t.behave, with: {how: fail}}\n",
    )
    engine = open_engine(tmp_path)
    first = engine.drive(start_run(engine))
    outcomes = {name: each.outcome for name, each in first.facts.stages.items()}
    assert outcomes["c"] == outcomes["e"] == "succeeded"
    second = engine.drive(engine.create_retry(first.id, actor="local:bob"))
    assert sorted(second.created.reused) == ["a", "b"]
    engine.close()


def test_who_started_a_run_may_not_approve_its_retry(tmp_path):
    """Neither who started it nor who retried it, when `self` is false."""
    stages = "  bad: {uses: t.behave, with: {how: fail}}\n"
    stages = "  go: {uses: t.look, with: {how: ask}}\n" + stages
    write_project(tmp_path, f"name: shop\nstages:\n{stages}")
    engine = make_engine(tmp_path)
    first = start_run(engine)
    engine.drive(first, detach_on_wait=True)
    engine.send(first, Cancel("local:ann"))
    engine.drive(first)
    second = engine.create_retry(first, actor="local:kim")
    engine.drive(second, detach_on_wait=True)
    for actor in ("local:ann", "local:kim"):
        with pytest.raises(NotAllowed, match=f"'{actor}' started the run and may not decide"):
            engine.send(second, Decide("go", "approve", actor))
    engine.send(second, Decide("go", "approve", "local:bob"))
    assert engine.drive(second).facts.stages["go"].outcome == "succeeded"
    engine.close()


def test_a_retry_keeps_definition_parameters_and_source(tmp_path):
    """Also when the files have changed since; approvals and finally run again."""
    write_project(
        tmp_path,
        "name: shop\nparameters: {p: {}}\nstages:\n"
        "  look: {uses: t.look, with: {how: source}}\n"
        "  ask: {uses: approval, needs: look}\n"
        "  bad: {uses: t.behave, needs: ask, with: {how: fail}}\n"
        "finally:\n  tidy: {uses: t.echo, with: {say: '${{ params.p }}'}}\n",
    )
    engine = make_engine(tmp_path)
    first = start_run(engine, parameters={"p": "one"})
    engine.drive(first, detach_on_wait=True)
    engine.send(first, Decide("ask", "approve", "local:bob"))
    before = engine.drive(first)
    (tmp_path / "pipelines" / "p.yaml").write_text("name: shop\nstages:\n  x: {uses: t.echo}\n")
    second = engine.create_retry(first, actor="local:bob")
    run = engine.drive(second, detach_on_wait=True)
    assert list(run.created.reused) == ["look"]
    assert (run.created.digest, run.created.source, run.created.parameters) == (
        before.created.digest,
        before.created.source,
        {"p": "one"},
    )
    assert run.facts.waits == {"decision": 1}
    engine.send(second, Decide("ask", "approve", "local:bob"))
    run = engine.drive(second)
    assert run.facts.stages["tidy"].outputs == {"said": "one"}
    assert engine.load_run(first) == before
    engine.close()


def test_stop_ends_the_processes_of_running_stages(tmp_path):
    """They are aborted, and what they started is gone; finally runs."""
    note = tmp_path / "pid"
    write_project(
        tmp_path,
        "name: shop\nstages:\n"
        f"  work: {{uses: t.behave, with: {{how: process, note: {note}}}}}\n"
        "  wait: {uses: t.echo, with: {delay: 0.5}}\n"
        "  bad: {uses: t.behave, needs: wait, on_failure: stop, with: {how: fail}}\n"
        "  next: {uses: t.echo, needs: work, if: always()}\n"
        "finally:\n  tidy: {uses: t.echo}\n",
    )
    engine = open_engine(tmp_path)
    run = engine.drive(start_run(engine))
    stages = {name: (each.outcome, each.cause) for name, each in run.facts.stages.items()}
    assert stages == {
        "work": ("aborted", None),
        "wait": ("succeeded", None),
        "bad": ("failed", None),
        "next": ("skipped", "stopped"),
        "tidy": ("succeeded", None),
    }
    assert run.outcome == "failed"
    assert not is_alive(int(note.read_text()))
    engine.close()


def test_a_second_cancel_ends_a_finally_that_hangs(tmp_path):
    """The first one lets it run."""
    note = tmp_path / "note"
    write_project(
        tmp_path,
        "name: shop\nstages:\n  it: {uses: t.echo, with: {delay: 30}}\n"
        f"finally:\n  tidy: {{uses: t.behave, with: {{how: hang, note: {note}}}}}\n",
    )
    engine = open_engine(tmp_path)
    run_id = start_run(engine)
    found: list[Run] = []
    thread = threading.Thread(target=lambda: found.append(engine.drive(run_id)), daemon=True)
    thread.start()
    wait_for(lambda: engine.journal.find_run(run_id).state == "running")
    engine.request(run_id, Cancel("local:bob")).wait(5)
    wait_for(note.exists)
    assert thread.is_alive()
    engine.request(run_id, Cancel("local:bob")).wait(5)
    thread.join(20)
    outcomes = {name: each.outcome for name, each in found[0].facts.stages.items()}
    assert (found[0].outcome, outcomes) == ("aborted", {"it": "aborted", "tidy": "aborted"})
    engine.close()


def test_a_run_that_is_resumed_after_its_timeout_starts_nothing(tmp_path):
    """It was approved in time, and taken over too late."""
    note = tmp_path / "note"
    write_project(
        tmp_path,
        "name: shop\ntimeout: 1h\nstages:\n  ask: {uses: approval}\n"
        f"  live: {{uses: t.echo, needs: ask, with: {{note: {note}}}}}\n",
    )
    clock = VirtualClock()
    engine = open_engine(tmp_path, clock)
    run_id = start_run(engine)
    engine.drive(run_id, detach_on_wait=True)
    engine.send(run_id, Decide("ask", "approve", "local:bob"))
    clock.advance(3601.0)
    run = engine.drive(run_id)
    assert (run.outcome, run.timed_out, note.exists()) == ("aborted", True, False)
    engine.close()


def test_the_workspace_is_empty_at_every_call(tmp_path):
    """What a call leaves there, the next call of the same attempt does not find."""
    write_project(tmp_path, "name: shop\nstages:\n  it: {uses: t.look, with: {how: folders}}\n")
    engine = make_engine(tmp_path)
    run = engine.drive(start_run(engine))
    assert run.facts.stages["it"].outputs == {"value": [[], [], []]}
    engine.close()


def test_the_source_is_one_read_only_copy_for_the_run(tmp_path):
    """Tracked and untracked files, no .git, no state; the same folder for both stages."""
    write_project(
        tmp_path,
        "name: shop\nstages:\n  one: {uses: t.look, with: {how: source}}\n"
        "  two: {uses: t.look, needs: one, with: {how: source}}\n",
    )
    for arguments in (["init", "-q"], ["add", "gennaker.yaml"]):
        run_process(["git", *arguments], cwd=tmp_path)
    engine = make_engine(tmp_path)
    run = engine.drive(start_run(engine))
    (one, names, writable), (two, *_) = (
        run.facts.stages[each].outputs["value"] for each in ("one", "two")
    )
    assert one == two
    assert (names, writable) == (["gennaker.yaml", "pipelines/p.yaml"], [])
    engine.close()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A project and its terminals, which are closed at the end."""
    lab = Lab(tmp_path)
    yield lab
    for terminal in lab.terminals:
        terminal.kill()


def view(lab: Lab, run: str = "@last") -> dict[str, Any]:
    """Return a run as `status -o json` tells it."""
    return dict(json.loads(lab.call("status", run, "-o", "json").stdout))


def test_the_exit_code_of_a_timeout_is_the_same_whatever_the_outcome(lab: Lab) -> None:
    """A finally stage that fails makes the outcome worse, and the code stays 5."""
    lab.write(
        "demo",
        "name: demo\ntimeout: 300ms\nstages:\n  a: {uses: t.hold, with: {file: /nowhere}}\n"
        "finally:\n  z: {uses: t.hold, with: {fail: true}}\n",
    )
    assert lab.call("run", "demo").returncode == 5
    assert view(lab)["outcome"] == "failed"


def test_checklist_65_sigterm_never_counts_as_a_delivery_that_died(lab: Lab) -> None:
    """Parked more often than three times, the attempt still ends as it would have."""
    lab.write("demo", "name: demo\nstages:\n  a: {uses: t.hold, with: {file: FOLDER/go}}\n")
    words = ["run", "demo"]
    for _ in range(4):
        terminal = lab.open(*words)
        terminal.wait_for("holding on")
        terminal.signal(signal.SIGTERM)
        assert terminal.end() == 143
        words = ["resume", "demo-1"]
    lab.touch("go")
    assert lab.call(*words).returncode == 0
    stage = view(lab)["stages"]["a"]
    assert (stage["outcome"], stage["attempts"]) == ("succeeded", 1)


GATED = """\
name: demo
stages:
  go: {uses: t.ask, with: {approvers: ["group:release"]}}
  live: {uses: t.hold, needs: go}
"""


def test_who_was_removed_from_the_group_may_not_decide(lab: Lab) -> None:
    """Groups are read at the decision; exit code 4, and the question stays open."""
    settings = lab.folder / "gennaker.yaml"
    settings.write_text('project: demo\ngroups: {release: ["local:*"]}\n')
    lab.write("demo", GATED)
    assert lab.call("run", "demo", "--detach-on-wait").returncode == 6
    settings.write_text('project: demo\ngroups: {release: ["local:nobody-else"]}\n')
    refused = lab.call("approve", "@last", "go")
    assert refused.returncode == 4
    assert "none of the approvers group:release" in refused.stderr
    settings.write_text('project: demo\ngroups: {release: ["user:kim"]}\n')
    refused = lab.call("approve", "@last", "go")
    assert refused.returncode == 4
    assert "a 'user:' rule needs a server" in refused.stderr
    settings.write_text('project: demo\ngroups: {release: ["local:*"]}\n')
    assert lab.call("approve", "@last", "go").returncode == 0


def test_a_late_decision_is_refused(lab: Lab) -> None:
    """Also when nobody has driven the run past the deadline; then it is aborted."""
    lab.write("demo", "name: demo\nstages:\n  go: {uses: approval, with: {expires: 1s}}\n")
    assert lab.call("run", "demo", "--detach-on-wait").returncode == 6
    time.sleep(1.1)  # the commands are processes of their own, on the machine's clock
    refused = lab.call("approve", "@last", "go")
    assert (refused.returncode, "expired" in refused.stderr) == (4, True)
    assert lab.call("resume", "@last").returncode == 3
    assert view(lab)["stages"]["go"]["outcome"] == "aborted"


def test_an_environment_asks_again_for_what_moved(lab: Lab) -> None:
    """Approved, changed in gennaker.yaml, and not started: it says what moved, and waits."""
    settings = lab.folder / "gennaker.yaml"
    text = (
        "project: demo\nenvironments:\n  production:\n    variables: {replicas: 3}\n"
        "    approval: {approvers: ['local:*']}\n"
    )
    settings.write_text(text)
    lab.write(
        "demo",
        "name: demo\nstages:\n"
        '  live: {uses: shell, environment: production, with: {run: "echo $N", '
        'env: {N: "${{ environment.variables.replicas }}"}}}\n'
        "  smoke: {uses: shell, needs: live, environment: production, "
        "with: {run: 'true', effect: none}}\n",
    )
    assert lab.call("run", "demo", "--detach-on-wait").returncode == 6
    (wait,) = view(lab)["waiting"]
    assert [each["id"] for each in wait["subject"]] == ["live"]
    assert lab.call("approve", "@last", "live", "--no-follow").returncode == 0
    settings.write_text(text.replace("replicas: 3", "replicas: 5"))
    assert lab.call("resume", "@last", "--detach-on-wait").returncode == 6
    shown = lab.call("status", "@last").stdout
    assert "3 is now 5" in shown
    assert lab.call("approve", "@last", "live").returncode == 0
    assert lab.call("logs", "@last", "live").stdout.split() == ["5"]
