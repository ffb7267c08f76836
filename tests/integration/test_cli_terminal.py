"""The command line on a real terminal, with real keys and real signals."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cli_terminal import Terminal, install_plugin, make_environment

PIPELINE = """\
name: demo
stages:
  first: {uses: t.hold, with: {file: "FOLDER/go"}}
  second: {uses: t.hold, needs: first}
finally:
  last: {uses: t.hold, with: {file: "FOLDER/last"}}
"""
APPROVAL = """\
name: ask
stages:
  go_live:
    uses: t.ask
    with:
      message: Ship it?
      APPROVERS
      declared: {count: {type: integer, required: true}}
  deploy: {uses: t.hold, needs: go_live}
"""


class Lab:
    """A project with pipelines of an outside plugin, and the ways to call the program there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "project"
        (self.folder / "pipelines").mkdir(parents=True)
        plugins = folder / "plugins"
        plugins.mkdir()
        install_plugin(plugins)
        self.env = make_environment(plugins)
        (self.folder / "gennaker.yaml").write_text("project: demo\n")
        self.terminals: list[Terminal] = []

    def write(self, name: str, text: str) -> None:
        """Write a pipeline; FOLDER stands for the project's."""
        path = self.folder / "pipelines" / f"{name}.yaml"
        path.write_text(text.replace("FOLDER", str(self.folder)))

    def open(self, *argv: str, size: tuple[int, int] = (24, 100)) -> Terminal:
        """Start the program on a terminal of its own."""
        terminal = Terminal(list(argv), cwd=self.folder, env=self.env, size=size)
        self.terminals.append(terminal)
        return terminal

    def call(self, *argv: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run the program without a terminal."""
        return subprocess.run(
            [sys.executable, "-m", "gennaker_engine.cli", *argv],
            cwd=self.folder,
            env=self.env | env,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def touch(self, name: str) -> None:
        """Let a stage that holds on to this file go."""
        (self.folder / name).touch()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A project and its terminals, which are closed at the end."""
    lab = Lab(tmp_path)
    yield lab
    for terminal in lab.terminals:
        terminal.kill()


def test_a_run_is_a_live_tree(lab: Lab) -> None:
    """Stages change in place; nothing is left over, nothing wraps; the last tree stays."""
    lab.write("demo", PIPELINE)
    lab.touch("last")
    terminal = lab.open("run", "demo")
    terminal.wait_for("● first")
    terminal.wait_for("holding on")
    assert "○ second" in terminal.screen
    lab.touch("go")
    assert terminal.end() == 0
    lines = terminal.screen.splitlines()
    assert lines[0].startswith("demo-1  succeeded  ")
    assert [line.split()[:3] for line in lines[1:]] == [
        ["├─", "✓", "first"],
        ["├─", "✓", "second"],
        ["└─", "finally"],
        ["└─", "✓", "last"],
    ]


def test_a_small_terminal_is_enough(lab: Lab) -> None:
    """Lines are cut at its edge and the tree is no higher than it."""
    stages = "".join(f"  stage_with_a_long_name_n{n}: {{uses: t.hold}}\n" for n in range(20))
    lab.write("demo", f"name: demo\ntitle: {'long ' * 20}\nstages:\n{stages}")
    terminal = lab.open("run", "demo", size=(8, 40))
    assert terminal.end() == 0
    lines = terminal.screen.splitlines()
    assert len(lines) <= 8
    assert all(len(line) < 40 for line in lines)
    assert "succeeded not shown" in lines[-1]


def test_ctrl_c_aborts_and_runs_finally(lab: Lab) -> None:
    """One Ctrl-C: running stages are aborted, later ones skipped, finally runs; exit code 130."""
    lab.write("demo", PIPELINE)
    lab.touch("last")
    terminal = lab.open("run", "demo")
    terminal.wait_for("holding on")
    terminal.type("\x03")
    assert terminal.end() == 130
    view = json.loads(lab.call("status", "@last", "-o", "json").stdout)
    outcomes = {name: stage["outcome"] for name, stage in view["stages"].items()}
    assert outcomes == {"first": "aborted", "second": "skipped", "last": "succeeded"}
    assert view["outcome"] == "aborted"


def test_a_second_ctrl_c_parks(lab: Lab) -> None:
    """The run can be resumed, and the screen says how; exit code 143."""
    lab.write("demo", PIPELINE)
    terminal = lab.open("run", "demo")
    terminal.wait_for("holding on")
    terminal.type("\x03")
    terminal.wait_for("● last")
    terminal.type("\x03")
    assert terminal.end() == 143
    assert "demo-1 is parked; go on with: gennaker resume demo-1" in terminal.screen
    lab.touch("last")
    assert lab.call("resume", "demo-1").returncode == 3


def test_sigterm_parks_and_resume_goes_on(lab: Lab) -> None:
    """Exit code 143; what was finished is not repeated, what ran is delivered again."""
    lab.write("demo", PIPELINE)
    terminal = lab.open("run", "demo")
    terminal.wait_for("holding on")
    terminal.signal(signal.SIGTERM)
    assert terminal.end() == 143
    assert "demo-1 is parked; go on with: gennaker resume demo-1" in terminal.screen
    lab.touch("go")
    lab.touch("last")
    again = lab.open("resume", "demo-1")
    assert again.end() == 0


def test_a_person_is_asked_and_approves(lab: Lab) -> None:
    """Subject, question, inputs and comment in a dialogue; the run goes on by itself."""
    lab.write("ask", APPROVAL.replace("      APPROVERS\n", ""))
    terminal = lab.open("run", "ask")
    terminal.wait_for("Approve? [y]es, [n]o, [l]ater:")
    assert "go_live asks for your approval" in terminal.screen
    assert "Ship it?" in terminal.screen
    assert "deploy  t.hold" in terminal.screen
    terminal.type("y\n")
    terminal.wait_for("count (integer):")
    terminal.type("3\n")
    terminal.wait_for("Comment (may be empty):")
    terminal.type("looks fine\n")
    assert terminal.end() == 0
    trail = lab.call("events", "@last").stdout
    assert 'saying "looks fine"' in trail
    assert "with count=3" in trail
    view = json.loads(lab.call("status", "@last", "-o", "json").stdout)
    assert view["stages"]["go_live"]["outputs"] == {"inputs": {"count": 3}}


def test_a_wrong_input_is_told_and_asked_again(lab: Lab) -> None:
    """Nothing is decided by a value of another type."""
    lab.write("ask", APPROVAL.replace("      APPROVERS\n", ""))
    terminal = lab.open("run", "ask")
    terminal.wait_for("Approve? [y]es, [n]o, [l]ater:")
    terminal.type("y\nmany\n\n")
    terminal.wait_for("parameter: input 'count' must be an integer")
    terminal.type("n\n\n")
    assert terminal.end() == 3


def test_ctrl_c_in_a_dialogue_aborts(lab: Lab) -> None:
    """The question is withdrawn with the run."""
    lab.write("ask", APPROVAL.replace("      APPROVERS\n", ""))
    terminal = lab.open("run", "ask")
    terminal.wait_for("Approve? [y]es, [n]o, [l]ater:")
    terminal.type("\x03")
    assert terminal.end() == 130


def test_who_may_not_decide_is_not_asked(lab: Lab) -> None:
    """The run waits; what to type is for somebody else; another terminal's refusal is exit code 4."""
    lab.write("ask", APPROVAL.replace("APPROVERS", 'approvers: ["local:somebody-else"]'))
    terminal = lab.open("run", "ask", "--detach-on-wait")
    assert terminal.end() == 6
    assert "asks for your approval" not in terminal.screen
    refused = lab.call("approve", "ask-1", "go_live", "-p", "count=1")
    assert refused.returncode == 4
    assert "not-an-approver: " in refused.stderr


def test_another_terminal_decides(lab: Lab) -> None:
    """`approve` elsewhere records and returns 0; the question here is withdrawn, the run goes on."""
    lab.write("ask", APPROVAL.replace("      APPROVERS\n", ""))
    terminal = lab.open("run", "ask")
    terminal.wait_for("Approve? [y]es, [n]o, [l]ater:")
    done = lab.call("approve", "ask-1", "go_live", "-p", "count=1", "--comment", "from here")
    assert done.returncode == 0
    assert done.stderr.startswith("recorded; ask-1 is driven by ")
    assert terminal.end() == 0
    assert "no longer needed" in terminal.screen


def test_status_watches_until_the_end(lab: Lab) -> None:
    """A second terminal sees the same tree while another drives."""
    lab.write("demo", PIPELINE)
    lab.touch("last")
    driver = lab.open("run", "demo")
    driver.wait_for("holding on")
    watcher = lab.open("status", "demo-1", "--watch")
    watcher.wait_for("● first")
    lab.touch("go")
    assert driver.end() == 0
    assert watcher.end() == 0
    assert watcher.screen.splitlines()[0].startswith("demo-1  succeeded")


def test_logs_are_followed(lab: Lab) -> None:
    """New lines appear while the run goes on; it ends with the run."""
    lab.write("demo", PIPELINE)
    lab.touch("last")
    driver = lab.open("run", "demo")
    driver.wait_for("holding on")
    reader = lab.open("logs", "demo-1", "-f")
    reader.wait_for("first | holding on")
    lab.touch("go")
    assert driver.end() == 0
    assert reader.end() == 0
    assert "second | letting go" in reader.screen


def test_a_failure_shows_the_end_of_its_log(lab: Lab) -> None:
    """Reason, last lines, and where the rest is; exit code 1."""
    lab.write("demo", "name: demo\nstages:\n  bad: {uses: t.hold, with: {fail: true}}\n")
    terminal = lab.open("run", "demo")
    assert terminal.end() == 1
    assert terminal.screen.splitlines()[-4:] == [
        "bad failed: it said no",
        "  holding on",
        "  letting go",
        "all of it: gennaker logs demo-1 bad",
    ]


def test_lines_elsewhere(lab: Lab) -> None:
    """Without a terminal: plain lines on stderr, JSON on stdout."""
    lab.write("demo", "name: demo\nstages:\n  only: {uses: t.hold}\n")
    done = lab.call("run", "demo", "-o", "json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["outcome"] == "succeeded"
    assert "only: started\n" in done.stderr
    assert "\x1b" not in done.stderr


def test_github_gets_groups(lab: Lab) -> None:
    """In GitHub's CI the log of a stage is a group and its failure an annotation."""
    lab.write("demo", "name: demo\nstages:\n  bad: {uses: t.hold, with: {fail: true}}\n")
    done = lab.call("run", "demo", CI="true", GITHUB_ACTIONS="true")
    assert done.returncode == 1
    group = "::group::log of bad\nholding on\nletting go\n::endgroup::\n"
    assert group in done.stderr
    assert "::error title=bad failed::bad failed: it said no\n" in done.stderr


@pytest.mark.parametrize(
    ("stages", "code"),
    [
        ("a: {uses: t.hold}", 0),
        ("a: {uses: t.hold, with: {fail: true}}", 1),
        ("a: {uses: t.hold, with: {file: /nowhere/at/all}, timeout: 200ms}", 1),
        ("a: {uses: t.hold, if: 'stages.b.outputs.x > 1'}\n  b: {uses: t.hold}", 2),
    ],
)
def test_a_run_has_its_exit_code(lab: Lab, stages: str, code: int) -> None:
    """Succeeded, failed, timed out as a stage, invalid."""
    lab.write("demo", f"name: demo\nstages:\n  {stages}\n")
    assert lab.call("run", "demo").returncode == code


def test_a_run_that_times_out(lab: Lab) -> None:
    """The run's own timeout is exit code 5."""
    lab.write(
        "demo",
        "name: demo\ntimeout: 300ms\nstages:\n  a: {uses: t.hold, with: {file: /nowhere}}\n",
    )
    assert lab.call("run", "demo").returncode == 5


def test_cancel_takes_over_what_nobody_drives(lab: Lab) -> None:
    """The run is aborted, finally runs, and the exit code is the run's."""
    lab.write(
        "ask", APPROVAL.replace("      APPROVERS\n", "") + "finally:\n  last: {uses: t.hold}\n"
    )
    assert lab.call("run", "ask", "--detach-on-wait").returncode == 6
    done = lab.call("cancel", "@last")
    assert done.returncode == 3
    assert "last: succeeded" in done.stderr


def test_no_follow_records_and_says_how_to_go_on(lab: Lab) -> None:
    """The decision is kept; `resume` carries it out."""
    lab.write("ask", APPROVAL.replace("      APPROVERS\n", ""))
    lab.call("run", "ask", "--detach-on-wait")
    done = lab.call("approve", "@last", "go_live", "-p", "count=1", "--no-follow")
    assert (done.returncode, done.stderr) == (
        0,
        "recorded; go on with: gennaker resume ask-1\n",
    )
    assert lab.call("resume").returncode == 0
    assert lab.call("runs", "-o", "name", "--outcome", "succeeded").stdout == "ask-1\n"


def test_retry_is_a_new_run(lab: Lab) -> None:
    """What succeeded is reused and shown as such."""
    lab.write(
        "demo",
        "name: demo\nstages:\n  good: {uses: t.hold}\n"
        "  bad: {uses: t.hold, needs: good, with: {fail: true}}\n",
    )
    assert lab.call("run", "demo").returncode == 1
    assert lab.call("retry", "demo-1").returncode == 1
    shown = lab.call("status", "demo-2").stdout
    assert "reused from demo-1" in shown
    assert "retry of: demo-1" in shown


def test_completion_knows_runs_and_stages(lab: Lab) -> None:
    """A shell is told the pipelines, their parameters, the runs and stages of this project."""

    def complete(*words: str) -> list[str]:
        # on a busy machine the answer may miss its deadline; a person presses the key again
        found = [""]
        for _ in range(10):
            done = lab.call(
                COMP_WORDS=" ".join(("gennaker", *words)),
                COMP_CWORD=str(len(words)),
                _GENNAKER_COMPLETE="bash_complete",
            )
            found = [line.partition(",")[2] for line in done.stdout.splitlines()]
            if any(found):
                break
        return found

    lab.write(
        "demo",
        "name: demo\nparameters: {to: {choices: [here, there], default: here}, by: {default: me}}\n"
        "stages:\n  good: {uses: t.hold}\n",
    )
    lab.call("run", "demo")
    assert complete("run", "de") == ["demo"]
    assert complete("run", "demo", "-p", "") == ["to=here", "to=there", "by="]
    assert complete("status", "demo") == ["demo-1"]
    assert complete("logs", "demo-1", "g") == ["good"]
    assert complete("re") == ["resume", "retry", "reject"]
