"""Runs from the command line without a terminal: what newcomers do, gates, locks, groups, plans."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.test_cli_terminal import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A project and its terminals, which are closed at the end."""
    lab = Lab(tmp_path)
    yield lab
    for terminal in lab.terminals:
        terminal.kill()


def wait_until(lab: Lab, run: str, waits_on: str) -> dict[str, object]:
    """Return what a run waits for once it waits for this kind of thing."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        view = json.loads(lab.call("status", run, "-o", "json").stdout or "{}")
        for each in view.get("waiting", ()):
            if each["on"] == waits_on:
                return dict(each)
        time.sleep(0.05)
    raise AssertionError(f"{run} does not wait for a {waits_on}")


def test_the_first_three_commands_of_a_newcomer(lab: Lab) -> None:
    """init, validate, run: the pipeline that init writes really runs."""
    root = lab.folder / "mine"
    assert lab.call("init", str(root)).returncode == 0
    assert lab.call("validate", "--project", str(root)).returncode == 0
    done = lab.call("run", "hello", "-p", "who=ann", "--project", str(root))
    assert done.returncode == 0, done.stderr
    assert "print | hello ann\n" in done.stderr


def test_a_file_gives_parameters_and_the_option_wins(lab: Lab) -> None:
    """YAML or JSON; an ill-typed value is told by name, and nothing starts."""
    lab.write(
        "demo",
        "name: demo\nparameters: {a: {type: integer}, b: {default: x}}\n"
        "stages:\n  one: {uses: t.hold}\n",
    )
    (lab.folder / "values.yaml").write_text("a: 1\nb: file\n")
    done = lab.call("run", "demo", "--params-file", "values.yaml", "-p", "b=option", "-o", "json")
    assert json.loads(done.stdout)["params"] == {"a": 1, "b": "option"}
    wrong = lab.call("run", "demo", "-p", "a=one")
    assert (wrong.returncode, wrong.stderr) == (
        2,
        "parameter: parameter 'a' must be an integer, not 'one'\n",
    )
    (lab.folder / "values.yaml").write_text("a: '1'\n")
    quoted = lab.call("run", "demo", "--params-file", "values.yaml")
    assert (quoted.returncode, quoted.stderr) == (
        2,
        "parameter: parameter 'a' must be an integer, not '1'; write it without quotes in the file\n",
    )
    assert lab.call("runs", "-o", "name").stdout == "demo-1\n"


def test_a_run_is_refused_when_the_plan_is_another(lab: Lab) -> None:
    """--plan takes the digest that `plan` prints; another is exit code 2, and no run."""
    lab.write("demo", "name: demo\nparameters: {a: {default: x}}\nstages:\n  one: {uses: t.hold}\n")
    digest = json.loads(lab.call("plan", "demo", "-o", "json").stdout)["digest"]
    moved = lab.call("run", "demo", "-p", "a=y", "--plan", digest)
    assert moved.returncode == 2
    assert moved.stderr.startswith("plan-moved: the plan is sha256:")
    assert lab.call("runs", "-o", "name").stdout == ""
    assert lab.call("run", "demo", "--plan", digest).returncode == 0


def test_an_approval_before_seeing_is_recorded_as_such(lab: Lab) -> None:
    """--approve with the plan's digest decides; the trail says it was unseen."""
    lab.write(
        "demo",
        "name: demo\nstages:\n  go: {uses: approval}\n  next: {uses: t.hold, needs: go}\n",
    )
    digest = json.loads(lab.call("plan", "demo", "-o", "json").stdout)["digest"]
    done = lab.call("run", "demo", "--plan", digest, "--approve", "go")
    assert done.returncode == 0, done.stderr
    assert "before seeing it" in lab.call("events", "@last").stdout


def test_a_rejection_is_exit_code_3(lab: Lab) -> None:
    """Who rejects takes over a run that nobody drives, and gets its code."""
    lab.write("demo", "name: demo\nstages:\n  go: {uses: approval, with: {message: Ship it?}}\n")
    assert lab.call("run", "demo", "--detach-on-wait").returncode == 6
    shown = lab.call("status", "@last").stdout
    assert "go waits for approval, asked " in shown
    assert "decide with: gennaker approve demo-1 go" in shown
    done = lab.call("reject", "@last", "go", "--comment", "not today")
    assert done.returncode == 3
    assert ": rejected by local:" in done.stderr
    again = lab.call("retry", "@last", "--detach-on-wait")
    assert again.returncode == 6
    assert again.stderr.endswith("decide with: gennaker approve demo-2 go\n")


def test_an_error_in_a_file_says_where(lab: Lab) -> None:
    """A stage's error about a file of the source begins with file, line and column."""
    (lab.folder / "web.yaml").write_text("apiVersion: v1\nkind: ConfigMap\n  data: {}\n")
    lab.write(
        "demo", "name: demo\nstages:\n  load: {uses: manifests.load, with: {files: [web.yaml]}}\n"
    )
    done = lab.call("run", "demo")
    assert done.returncode == 7
    assert "s: web.yaml:3:" in done.stderr


def test_an_approval_says_what_it_takes(lab: Lab) -> None:
    """Its inputs are shown with types, choices and defaults; a value that is none is told plainly."""
    lab.write(
        "demo",
        "name: demo\nparameters: {late: {default: 1x}}\nstages:\n"
        "  go: {uses: approval, with: {inputs: {count: {type: integer, required: true},\n"
        "    window: {choices: [now, tonight], default: tonight, description: When}}}}\n"
        '  other: {uses: approval, with: {expires: "${{ params.late }}"}}\n',
    )
    done = lab.call("run", "demo", "--detach-on-wait")
    assert "other: errored in " in done.stderr
    assert ": expires: '1x' is not a duration; write it like '90s'" in done.stderr
    shown = lab.call("status", "@last").stdout
    assert "  takes -p count=… (integer, required)\n" in shown
    assert '  takes -p window=… ("now" or "tonight", default "tonight"): When\n' in shown
    assert "  decide with: gennaker approve demo-1 go -p count=…\n" in shown


def test_an_environment_asks_before_it_changes(lab: Lab) -> None:
    """Its approval is decided by a stage of its subject."""
    (lab.folder / "gennaker.yaml").write_text(
        'environments:\n  live: {approval: {approvers: ["local:*"]}}\n'
    )
    lab.write(
        "demo",
        "name: demo\nstages:\n"
        "  deploy: {uses: shell, environment: live, with: {run: echo deployed}}\n",
    )
    assert lab.call("run", "demo", "--detach-on-wait").returncode == 6
    shown = lab.call("status", "@last").stdout
    assert "environment live waits for approval" in shown
    done = lab.call("approve", "@last", "deploy")
    assert done.returncode == 0, done.stderr
    assert "deploy | deployed\n" in done.stderr


def test_status_says_who_holds_the_environment(lab: Lab) -> None:
    """A second run waits for the lock; its holder is in the data and in words."""
    (lab.folder / "gennaker.yaml").write_text("environments: {live: {}}\n")
    go = lab.folder / "go"
    lab.write(
        "demo",
        "name: demo\nstages:\n  deploy:\n    uses: shell\n    environment: live\n"
        f"    with: {{run: 'while [ ! -e {go} ]; do sleep 0.05; done'}}\n",
    )
    first = lab.open("run", "demo")
    first.wait_for("● deploy")
    second = lab.open("run", "demo")
    waits = wait_until(lab, "demo-2", "lock")
    assert isinstance(waits["holder"], dict)
    assert waits["holder"]["run"] == "demo-1"
    assert "waits for environment live, which demo-1 holds (taken " in (
        lab.call("status", "demo-2").stdout
    )
    go.touch()
    assert first.end() == 0
    assert second.end() == 0


def test_a_group_that_rejects_is_exit_code_4(lab: Lab) -> None:
    """A full concurrency group with policy reject: not allowed, and no run."""
    lab.write(
        "demo",
        "name: demo\nconcurrency: {group: one, policy: reject}\nstages:\n"
        "  a: {uses: t.hold, with: {file: FOLDER/go}}\n",
    )
    first = lab.open("run", "demo")
    first.wait_for("● a")
    refused = lab.call("run", "demo")
    assert refused.returncode == 4
    assert refused.stderr.startswith("concurrency-rejected: ")
    lab.touch("go")
    assert first.end() == 0
    assert lab.call("runs", "-o", "name").stdout == "demo-1\n"


def test_resume_of_a_driven_run_names_the_driver(lab: Lab) -> None:
    """Two processes never drive one run: exit code 4, and who does."""
    lab.write("demo", "name: demo\nstages:\n  a: {uses: t.hold, with: {file: FOLDER/go}}\n")
    first = lab.open("run", "demo")
    first.wait_for("● a")
    refused = lab.call("resume", "demo-1")
    assert refused.returncode == 4
    assert refused.stderr.startswith("run-owned: run 'demo-1' is driven by ")
    lab.touch("go")
    assert first.end() == 0


def test_artifacts_are_listed_and_fetched(lab: Lab) -> None:
    """By name; nothing that exists is overwritten."""
    lab.write(
        "demo",
        "name: demo\nstages:\n  make:\n    uses: shell\n"
        "    with: {run: echo hello > out.txt, artifacts: {text: out.txt}}\n",
    )
    assert lab.call("run", "demo").returncode == 0
    assert lab.call("artifacts", "@last", "-o", "name").stdout == "make.text\n"
    assert lab.call("artifacts", "@last", "make.text", "--to", "got.txt").returncode == 0
    assert (lab.folder / "got.txt").read_text() == "hello\n"
    again = lab.call("artifacts", "@last", "make.text", "--to", "got.txt")
    assert (again.returncode, again.stderr) == (
        2,
        "exists: 'got.txt' exists already; name another place with --to\n",
    )


def test_logs_can_be_narrowed(lab: Lab) -> None:
    """By stage, by attempt, by age, with times."""
    lab.write(
        "demo",
        "name: demo\nstages:\n  flaky:\n    uses: shell\n    retry: {limit: 1, delay: 10ms}\n"
        "    with: {run: 'echo attempt $GENNAKER_ATTEMPT; [ $GENNAKER_ATTEMPT = 2 ]'}\n",
    )
    assert lab.call("run", "demo").returncode == 0
    assert lab.call("logs", "@last", "flaky", "--attempt", "2").stdout == "attempt 2\n"
    assert "attempt 1\n" in lab.call("logs", "@last", "flaky").stdout
    assert lab.call("logs", "@last", "flaky", "--since", "2020-01-01T00:00:00Z").stdout
    assert lab.call("logs", "@last", "--timestamps").stdout.startswith("20")
    wrong = lab.call("logs", "@last", "--since", "5")
    assert (wrong.returncode, wrong.stderr) == (
        2,
        "duration: '5' is not a duration; write '5s' or '5m'\n",
    )


def test_an_unwritable_state_is_told(lab: Lab) -> None:
    """Which folder, and what to do; exit code 7, and no traceback."""
    (lab.folder / "blocker").write_text("a file, not a folder")
    lab.write("demo", "name: demo\nstages:\n  a: {uses: t.hold}\n")
    done = lab.call("run", "demo", "--state", "sqlite:///blocker/state.db")
    assert done.returncode == 7
    assert done.stderr.startswith("state-unwritable: ")


def test_resume_goes_on_with_all_that_is_left(lab: Lab) -> None:
    """Without a RUN: every run that nobody drives, together; the exit code is the worst."""
    (lab.folder / "gennaker.yaml").write_text("environments: {live: {}}\n")
    for name, fail in (("good", "false"), ("bad", "true")):
        lab.write(
            name,
            f"name: {name}\nstages:\n  go: {{uses: wait, with: {{for: 1500ms}}}}\n"
            f"  next: {{uses: t.hold, needs: go, with: {{fail: {fail}}}}}\n",
        )
        assert lab.call("run", name, "--detach-on-wait").returncode == 6
    done = lab.call("resume", "-o", "name")
    assert done.returncode == 1
    assert done.stdout == "good-1\nbad-1\n"
    outcomes = json.loads(lab.call("runs", "-o", "json").stdout)["items"]
    assert {each["id"]: each["outcome"] for each in outcomes} == {
        "good-1": "succeeded",
        "bad-1": "failed",
    }
