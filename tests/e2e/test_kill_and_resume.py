"""The command is killed with ``kill -9`` while it drives a run: nothing is lost, nothing is done twice."""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command_line import Desk, find_processes, tell_outcomes, wait_for

NOTE = 'echo "$GENNAKER_STAGE $GENNAKER_ATTEMPT $GENNAKER_KEY" >> FOLDER/note'
WAITS = "while [ ! -e FOLDER/go ]; do sleep 0.05; done"
HELD = f"""\
name: demo
stages:
  first: {{uses: shell, with: {{run: '{NOTE}'}}}}
  second:
    uses: shell
    needs: first
    with:
      run: |
        {NOTE}
        sleep 611 & (sleep 612; true) & sh -c 'sleep 613 & sleep 614' &
        touch FOLDER/begun
        {WAITS}
  third: {{uses: shell, needs: second, with: {{run: '{NOTE}'}}}}
"""
RICH = f"""\
name: demo
stages:
  first: {{uses: shell, with: {{run: '{NOTE}; sleep 0.1', outputs: {{}}}}}}
  tests:
    uses: shell
    needs: first
    matrix: {{version: [1, 2, 3, 4], max_parallel: 2}}
    with:
      env: {{VERSION: "${{{{ matrix.version }}}}"}}
      outputs: {{version: integer}}
      run: |
        {NOTE}
        sleep 0.1
        echo "version=$VERSION" >> "$GENNAKER_OUTPUT"
  again:
    uses: shell
    needs: tests
    retry: {{limit: 3, delay: 100ms}}
    with: {{run: '{NOTE}; sleep 0.1; [ "$GENNAKER_ATTEMPT" -ge 3 ]'}}
  lint: {{uses: shell, needs: again, on_failure: ignore, with: {{run: '{NOTE}; sleep 0.1; exit 1'}}}}
  ok: {{uses: approval, needs: lint, with: {{message: Go?}}}}
  ship:
    uses: shell
    needs: ok
    with:
      env: {{ALL: "${{{{ to_json(stages.tests.outputs.version) }}}}"}}
      outputs: [all]
      run: |
        {NOTE}
        sleep 0.1
        echo "all=$ALL" >> "$GENNAKER_OUTPUT"
  broken: {{uses: shell, needs: ship, with: {{run: '{NOTE}; exit 3'}}}}
  after: {{uses: shell, needs: broken, with: {{run: '{NOTE}'}}}}
finally:
  tidy: {{uses: shell, with: {{run: '{NOTE}; sleep 0.1'}}}}
  report: {{uses: shell, needs: tidy, with: {{run: '{NOTE}; sleep 0.1'}}}}
"""
ENDED = re.compile(r"^(\S+): (?:succeeded|failed|errored)", re.MULTILINE)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A project with an environment that one run at a time may change."""
    desk = Desk(tmp_path / "desk", "environments: {prod: {variables: {}}}\n")
    yield desk
    (desk.folder / "go").touch()
    desk.close()


def read_note(desk: Desk) -> list[str]:
    """A line for each time a stage's script began: stage, attempt, key."""
    path = desk.folder / "note"
    return path.read_text().splitlines() if path.exists() else []


def kill_in_second(desk: Desk, *words: str) -> int:
    """Start the run, kill the command when its second stage runs, and return the command's pid."""
    program = desk.start(*words)
    wait_for((desk.folder / "begun").exists)
    program.kill()
    program.wait()
    return program.pid


def tell_stages(view: dict[str, Any]) -> dict[str, Any]:
    """What must be equal of two runs of one pipeline: per stage outcome, cause, attempts, outputs."""
    keys = ("outcome", "cause", "ignored", "attempts", "outputs")
    told = {name: {key: each[key] for key in keys} for name, each in view["stages"].items()}
    for decision in told.get("ok", {}).get("outputs", {}).get("decisions", ()):
        decision["at"] = None
    return told


def test_resume_goes_on_and_leaves_no_orphan(desk: Desk) -> None:
    """Finished stages are not repeated; the orphans are ended before the same attempt is delivered again."""
    desk.write(HELD)
    kill_in_second(desk, "run", "demo")
    state = str(desk.folder / ".gennaker")
    orphans = set(find_processes(state))
    assert len(orphans) >= 5, "the script and its children in the background outlive the kill"
    assert desk.list_runs() == {"demo-1": None}
    said = desk.call("status", "demo-1")
    assert "driven by: nobody; go on with: gennaker resume demo-1" in said.text
    (desk.folder / "begun").unlink()
    program = desk.start("resume", "demo-1")
    wait_for((desk.folder / "begun").exists)
    assert not orphans & set(find_processes(state))
    (desk.folder / "go").touch()
    said = desk.end(program)
    assert said.code == 0
    assert said.err.startswith("demo-1 was left by a process that died; going on\n")
    assert read_note(desk) == [
        "first 1 demo-1/first/1",
        "second 1 demo-1/second/1",
        "second 1 demo-1/second/1",
        "third 1 demo-1/third/1",
    ]
    assert set(find_processes(state)) == set()
    view = desk.view()
    assert tell_outcomes(view) == dict.fromkeys(("first", "second", "third"), "succeeded")
    assert view["stages"]["second"]["attempts"] == 1


def test_three_deaths_in_one_attempt_are_poison(desk: Desk) -> None:
    """An attempt that takes its process down every time is given up, and the message says why."""
    desk.write(HELD)
    kill_in_second(desk, "run", "demo")
    for _ in range(2):
        (desk.folder / "begun").unlink()
        kill_in_second(desk, "resume", "demo-1")
    said = desk.call("resume", "demo-1")
    assert said.code == 7
    view = desk.view()
    assert tell_outcomes(view) == {"first": "succeeded", "second": "errored", "third": "skipped"}
    assert view["stages"]["second"]["code"] == "poison"
    assert Counter(line.split()[0] for line in read_note(desk)) == {"first": 1, "second": 3}
    assert set(find_processes(str(desk.folder / ".gennaker"))) == set()


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_random_moments_a_run_ends_as_if_undisturbed(desk: Desk, seed: int) -> None:
    """Outcomes, attempts and outputs are those of a run in peace; what had ended never ran again."""
    desk.write(RICH)
    assert desk.call("run", "demo", "--sandbox", "--approve", "ok").code == 1
    expected = tell_stages(desk.view("demo-1"))
    assert expected["ship"]["outputs"] == {"all": "[1,2,3,4]"}
    assert expected["again"]["attempts"] == 3
    (desk.folder / "note").unlink()
    chance = random.Random(seed)
    words = ["run", "demo", "--sandbox", "--approve", "ok"]
    kills, ran = 0, list[dict[str, int]]()
    while True:
        program = desk.start(*words)
        # At least one stage ends in each life, so that no attempt dies three times, which is poison.
        left = chance.choice((1, 1, 2))
        ended = ""
        assert program.stderr is not None
        for line in program.stderr:
            ended += line
            left -= bool(ENDED.match(line))
            if not left:
                time.sleep(chance.uniform(0, 0.12))
                program.kill()
                break
        done = Counter(read_note(desk))
        code = program.wait()
        ended += program.stderr.read()
        program.stderr.close()
        assert "Traceback" not in ended
        if code != -9:
            break
        kills += 1
        assert kills < 40, "it does not come to an end"
        words = ["resume", "demo-2"]
        stages = desk.view("demo-2")["stages"]
        over = {name for name, each in stages.items() if each["state"] == "ended"}
        ran.append({line: n for line, n in done.items() if line.split()[0] in over})
    assert code == 1
    final = Counter(read_note(desk))
    for before in ran:
        assert {line: final[line] for line in before} == before
    assert kills >= 5
    assert tell_stages(desk.view("demo-2")) == expected
    assert set(find_processes(str(desk.folder / ".gennaker/workspaces"))) == set()
    assert desk.list_runs() == {"demo-1": "failed", "demo-2": "failed"}


def test_a_second_terminal_approves_and_the_first_goes_on(desk: Desk) -> None:
    """The decision is recorded by the second, the first takes it and ends the run."""
    desk.write(
        "name: demo\nstages:\n  ok: {uses: approval, with: {message: Go?}}\n"
        f"  ship: {{uses: shell, needs: ok, with: {{run: '{NOTE}'}}}}\n"
    )
    first = desk.start("run", "demo")
    wait_for(lambda: desk.list_runs() and desk.view()["waiting"])
    said = desk.call("approve", "demo-1", "ok", "--comment", "fine")
    assert said.code == 0
    assert "recorded; demo-1 is driven by " in said.err
    assert f"pid {first.pid}" in said.err
    said = desk.end(first)
    assert said.code == 0
    assert re.search(r"^ok: approved by local:\S+: fine$", said.err, re.MULTILINE)
    assert read_note(desk) == ["ship 1 demo-1/ship/1"]


def test_an_approval_survives_the_kill_of_who_asked(desk: Desk) -> None:
    """Killed while it waits, approved while nobody drives: the one that decides takes the run over."""
    desk.write(
        "name: demo\nstages:\n  ok: {uses: approval, with: {message: Go?}}\n"
        f"  ship: {{uses: shell, needs: ok, with: {{run: '{NOTE}'}}}}\n"
    )
    first = desk.start("run", "demo")
    wait_for(lambda: desk.list_runs() and desk.view()["waiting"])
    first.kill()
    first.wait()
    said = desk.call("approve", "demo-1", "ok")
    assert said.code == 0, said.err
    assert tell_outcomes(desk.view()) == {"ok": "succeeded", "ship": "succeeded"}
    assert len(read_note(desk)) == 1


def test_of_two_that_resume_one_wins(desk: Desk) -> None:
    """The other says who drives the run, exit code 4; the stage is delivered once."""
    desk.write(HELD)
    kill_in_second(desk, "run", "demo")
    (desk.folder / "begun").unlink()
    both = [desk.start("resume", "demo-1") for _ in range(2)]
    wait_for(lambda: any(each.poll() is not None for each in both))
    wait_for((desk.folder / "begun").exists)
    (desk.folder / "go").touch()
    said = {each.pid: desk.end(each) for each in both}
    assert sorted(each.code for each in said.values()) == [0, 4]
    winner = next(pid for pid, each in said.items() if each.code == 0)
    loser = next(each for each in said.values() if each.code == 4)
    assert loser.err.startswith("run-owned: run 'demo-1' is driven by ")
    assert f"pid {winner};" in loser.err
    assert Counter(line.split()[0] for line in read_note(desk)) == {
        "first": 1,
        "second": 2,
        "third": 1,
    }


def test_a_parked_run_is_resumed_without_counting_a_death(desk: Desk) -> None:
    """SIGTERM ends the stage's processes at once; parked more than three times it still succeeds."""
    desk.write(HELD)
    words = ["run", "demo"]
    for _ in range(4):
        program = desk.start(*words)
        wait_for((desk.folder / "begun").exists)
        program.terminate()
        said = desk.end(program)
        assert said.code == 143
        assert said.err.endswith("demo-1 is parked; go on with: gennaker resume demo-1\n")
        assert set(find_processes(str(desk.folder / ".gennaker"))) == set()
        (desk.folder / "begun").unlink()
        words = ["resume", "demo-1"]
    (desk.folder / "go").touch()
    assert desk.call("resume").code == 0
    assert Counter(line.split()[0] for line in read_note(desk)) == {
        "first": 1,
        "second": 5,
        "third": 1,
    }


def test_a_killed_run_keeps_its_environment_until_it_has_ended(desk: Desk) -> None:
    """status says that it holds it; who waits goes on when the run was resumed and has ended."""
    desk.write(HELD.replace("needs: first\n", "needs: first\n    environment: prod\n"))
    kill_in_second(desk, "run", "demo")
    assert "holds environment prod (taken " in desk.call("status", "demo-1").text
    other = desk.start("run", "demo")
    wait_for(lambda: len(desk.list_runs()) == 2 and desk.view("demo-2")["waiting"])
    waiting = desk.view("demo-2")["waiting"]
    assert [(each["stage"], each["on"]) for each in waiting] == [("second", "lock")]
    assert "demo-1" in str(waiting[0]["holder"])
    text = desk.call("status", "demo-2").text
    assert "second waits for environment prod, which demo-1 holds (taken " in text
    assert "  nobody drives demo-1; gennaker resume demo-1\n" in text
    (desk.folder / "go").touch()
    assert other.poll() is None
    assert desk.call("resume", "demo-1").code == 0
    assert desk.end(other).code == 0
    assert desk.list_runs() == {"demo-1": "succeeded", "demo-2": "succeeded"}
    keys = [line.split()[2] for line in read_note(desk) if line.startswith("second")]
    assert keys == ["demo-1/second/1", "demo-1/second/1", "demo-2/second/1"]


def test_a_cancelled_run_killed_in_finally_still_tidies_up(desk: Desk) -> None:
    """The abort is kept: resume goes on in finally, starts nothing else, and ends as aborted."""
    tidy = f"{NOTE}; touch FOLDER/tidying; {WAITS}"
    desk.write(f"{HELD}finally:\n  tidy: {{uses: shell, with: {{run: '{tidy}'}}}}\n")
    program = desk.start("run", "demo")
    wait_for((desk.folder / "begun").exists)
    said = desk.call("cancel", "demo-1")
    assert said.code == 0
    assert "recorded; demo-1 is driven by " in said.err
    wait_for((desk.folder / "tidying").exists)
    program.kill()
    program.wait()
    assert desk.list_runs() == {"demo-1": None}
    (desk.folder / "go").touch()
    assert desk.call("resume", "demo-1").code == 3
    assert tell_outcomes(desk.view()) == {
        "first": "succeeded",
        "second": "aborted",
        "third": "skipped",
        "tidy": "succeeded",
    }
    keys = [line.split()[2] for line in read_note(desk)]
    assert keys == ["demo-1/first/1", "demo-1/second/1", "demo-1/tidy/1", "demo-1/tidy/1"]
    assert set(find_processes(str(desk.folder / ".gennaker"))) == set()


def test_killed_while_it_makes_a_run_there_is_a_whole_run_or_none(desk: Desk) -> None:
    """At any moment of the start: what is listed can be resumed to its end, and the next run works."""
    desk.write(f"name: demo\nstages:\n  a: {{uses: shell, with: {{run: '{NOTE}'}}}}\n")
    chance = random.Random(7)
    for _ in range(8):
        program = desk.start("run", "demo")
        time.sleep(chance.uniform(0.15, 0.6))
        program.kill()
        program.wait()
    desk.list_runs()
    assert desk.call("resume").code == 0
    assert desk.call("run", "demo").code == 0
    runs = desk.list_runs()
    assert set(runs.values()) == {"succeeded"}
    assert {f"demo-{number}" for number in range(1, len(runs) + 1)} == set(runs)
    assert {line.split()[2] for line in read_note(desk)} == {f"{run}/a/1" for run in runs}
