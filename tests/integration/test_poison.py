"""Poison: what a stage, a plugin or a damaged journal can do wrong is told, and nothing else suffers."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path

import pytest

from tests.fixtures.scale import scale
from tests.integration.canary_parts import Project, install
from tests.integration.runtime_parts import is_alive, wait_for

PLUGIN = """\
import _thread, math, os, pathlib, sys, threading, time
from gennaker.errors import PermanentError, StageError, TemporaryError
from gennaker.stage import Context, Decision, Failed, Outcome, Poll, Stage, StageInputs
from gennaker.stage import StageOutputs, Succeeded, Timer, Waiting

class Weird(Exception):
    def __str__(self):
        raise RuntimeError("no text")

class Torn(dict):
    def items(self):
        raise RuntimeError("no items")

class Poison(Stage):
    "Do one of many things no stage should do."
    name = "t.poison"

    class Inputs(StageInputs):
        how: str
        note: str = ""

    class Outputs(StageOutputs):
        value: object = None

    def run(self, inputs, ctx):
        return getattr(self, inputs.how)(inputs, ctx)

    def large(self, inputs, ctx):
        return Succeeded({"value": "x" * (10 << 20)})

    def large_together(self, inputs, ctx):
        return Succeeded({"value": ["x" * 1000] * 2000})

    def nan(self, inputs, ctx):
        return Succeeded({"value": {"deep": [math.nan]}})

    def infinite(self, inputs, ctx):
        return Succeeded({"value": -math.inf})

    def circular(self, inputs, ctx):
        value = {}
        value["it"] = [value]
        return Succeeded({"value": value})

    def deep(self, inputs, ctx):
        value = 1
        for _ in range(100_000):
            value = [value]
        return Succeeded({"value": value})

    def bytes(self, inputs, ctx):
        return Succeeded({"value": b"it"})

    def set(self, inputs, ctx):
        return Succeeded({"value": {1, 2}})

    def number(self, inputs, ctx):
        return Succeeded({"value": 10 ** 5000})

    def key(self, inputs, ctx):
        return Succeeded({"value": {1: 2}})

    def surrogate(self, inputs, ctx):
        return Succeeded({"value": "\\ud800"})

    def torn(self, inputs, ctx):
        return Succeeded(Torn(value=1))

    def text_outputs(self, inputs, ctx):
        return Succeeded("it")

    def nothing(self, inputs, ctx):
        return None

    def kind(self, inputs, ctx):
        return Succeeded

    def leave(self, inputs, ctx):
        raise SystemExit(3)

    def interrupt(self, inputs, ctx):
        raise KeyboardInterrupt

    def close(self, inputs, ctx):
        raise GeneratorExit

    def end_thread(self, inputs, ctx):
        _thread.exit()

    def recurse(self, inputs, ctx):
        return self.recurse(inputs, ctx)

    def no_memory(self, inputs, ctx):
        return Succeeded({"value": bytearray(1 << 60)})

    def weird(self, inputs, ctx):
        raise Weird

    def weird_code(self, inputs, ctx):
        raise StageError("it", code=Weird())

    def weird_reason(self, inputs, ctx):
        return Failed(Weird())

    def long_reason(self, inputs, ctx):
        return Failed("x" * (10 << 20))

    def bad_delay(self, inputs, ctx):
        raise TemporaryError("it", delay="soon")

    def wait_forever(self, inputs, ctx):
        return Waiting(Timer(math.nan))

    def large_state(self, inputs, ctx):
        return Waiting(Poll(1), state="x" * 100_000)

    def large_step(self, inputs, ctx):
        return Succeeded({"value": ctx.step("it", lambda _key: "x" * 100_000)})

    def fork(self, inputs, ctx):
        if os.fork() == 0:
            pathlib.Path(inputs.note).write_text(str(os.getpid()))
            time.sleep(0.2)
        return Succeeded({"value": "forked"})

    def fork_step(self, inputs, ctx):
        child = os.fork()
        if child == 0:
            pathlib.Path(inputs.note).write_text(str(os.getpid()))
            ctx.step("child", lambda _key: 1)
            time.sleep(60)
        return Succeeded({"value": ctx.step("parent", lambda _key: 1)})

    def shut_stdout(self, inputs, ctx):
        sys.stdout.close()
        return Succeeded({"value": "closed"})

    def shut_stderr(self, inputs, ctx):
        sys.stderr.close()
        return Succeeded({"value": "closed"})

    def close_output(self, inputs, ctx):
        os.close(1)
        os.close(2)
        return Succeeded({"value": "closed"})

    def deaf(self, inputs, ctx):
        time.sleep(2.5)
        pathlib.Path(inputs.note).write_text("late")
        return Succeeded({"value": "late"})

    def ignore(self, inputs, ctx):
        pathlib.Path(inputs.note).write_text("begun")
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                time.sleep(0.1)
                ctx.check_cancelled()
            except BaseException:
                pass
        return Succeeded({"value": "late"})

    def die(self, inputs, ctx):
        os._exit(3)

    def say(self, inputs, ctx):
        for _ in range(int(inputs.note)):
            ctx.log(("x" * 999 + "\\n") * 10_000, stream="stdout")
        ctx.log("end", stream="stdout")
        return Succeeded({"value": "said"})

    def well(self, inputs, ctx):
        ctx.log("well")
        return Succeeded({"value": "well"})
"""
SETTINGS = "project: shop\n"


def make_project(folder: Path, stages: str) -> Project:
    """A project with these stages and the plugin."""
    project = Project(folder, SETTINGS, f"name: p\nstages:\n{stages}")
    install(project.plugins, PLUGIN, t_poison="Poison")
    return project


def stage(how: str, more: str = "", **inputs: str) -> str:
    """A stage called like what it does."""
    given = "".join(f", {name}: '{value}'" for name, value in inputs.items())
    return f"  {how}:\n    uses: t.poison\n    with: {{how: {how}{given}}}\n{more}"


def read_run(project: Project, run: str = "p-1") -> dict:
    """Return the run as data."""
    code, out, err = project.call("status", run, "-o", "json")
    assert code == 0, err
    return json.loads(out)


def read_stages(project: Project, run: str = "p-1") -> dict[str, tuple[str, str | None, str]]:
    """Return outcome, code and reason of every stage."""
    stages = read_run(project, run)["stages"].items()
    return {name: (each["outcome"], each["code"], each["reason"] or "") for name, each in stages}


def finish(process, seconds: float = 60) -> tuple[int, int]:
    """Wait for a process; return its exit code and the most memory it had, in bytes.

    The high-water mark is read from /proc: the one of wait4 counts what the parent had at the fork.
    """
    until = time.monotonic() + seconds
    most = 0
    while process.poll() is None:
        with suppress(OSError):
            status = Path(f"/proc/{process.pid}/status").read_text()
            found = re.search(r"VmHWM:\s+(\d+) kB", status)
            most = max(most, int(found[1]) << 10 if found else 0)
        assert time.monotonic() < until, "it did not end"
        time.sleep(0.02)
    return process.returncode, most


RAISED = {
    "leave": "SystemExit: 3",
    "interrupt": "KeyboardInterrupt",
    "close": "GeneratorExit",
    "end_thread": "SystemExit",
    "recurse": "RecursionError: maximum recursion depth exceeded",
    "no_memory": "MemoryError",
    "weird": "Weird, an error that cannot say what it is",
    "weird_code": "StageError, an error that cannot say what it is",
    "weird_reason": "RuntimeError: no text",
}
REFUSED = {
    "large": ("output-size", "output 'value' has 10485762 bytes of JSON, more than 64 KiB"),
    "large_together": ("output-size", "output 'value' has 2008000 bytes of JSON"),
    "nan": ("not-json", "output 'value' holds nan, which is not JSON"),
    "infinite": ("not-json", "output 'value' holds -inf, which is not JSON"),
    "circular": ("not-json", "output 'value' is nested deeper than 64 levels, or holds itself"),
    "deep": ("not-json", "output 'value' is nested deeper than 64 levels, or holds itself"),
    "bytes": ("not-json", "output 'value' holds a bytes, which is not JSON"),
    "set": ("not-json", "output 'value' holds a set, which is not JSON"),
    "number": ("not-json", "output 'value' holds an integer beyond 64 bits"),
    "key": ("not-json", "output 'value' holds a map with the key '1', which is not a string"),
    "surrogate": ("not-json", "output 'value' holds text that is not Unicode"),
    "text_outputs": ("invalid-outputs", "stage type 't.poison' gave outputs that are no mapping"),
    "nothing": ("invalid-outcome", "stage type 't.poison' gave a NoneType, not an outcome"),
    "kind": ("invalid-outcome", "stage type 't.poison' gave a "),
    "wait_forever": ("invalid-outcome", "Timer.at is nan, not a number of seconds"),
    "large_state": ("output-size", "the state of a wait has 100002 bytes of JSON"),
    "large_step": ("output-size", "the result of step 'it' has 100002 bytes of JSON"),
}


def test_checklist_63_what_no_stage_should_do_concerns_that_stage_alone(tmp_path: Path) -> None:
    """Every bad output, outcome and exception is told with a code and a reason; others succeed."""
    more = ("long_reason", "bad_delay", "torn")
    project = make_project(
        tmp_path,
        "".join(stage(how) for how in (*RAISED, *REFUSED, *more))
        + stage("well", "    needs: nan\n    if: always()\n"),
    )
    process = project.start("run", "p")
    code, memory = finish(process)
    assert code == 7
    found = read_stages(project)
    for how, reason in RAISED.items():
        assert found[how][:2] == ("errored", "stage-raised")
        assert found[how][2].startswith(reason)
    for how, (word, reason) in REFUSED.items():
        assert found[how][:2] == ("errored", word)
        assert found[how][2].startswith(reason)
    assert found["long_reason"] == ("failed", "failed", "x" * 4000)
    assert found["bad_delay"][:2] == ("errored", "temporary")
    assert [found[how][0] for how in ("torn", "well")] == ["succeeded", "succeeded"]
    assert memory < 400 << 20
    process.communicate()


def test_forks_are_no_part_of_the_run(tmp_path: Path) -> None:
    """A child that returns, or wants a step, ends; the parent's answer counts, once."""
    project = make_project(
        tmp_path,
        stage("fork", note=str(tmp_path / "one"))
        + stage("fork_step", note=str(tmp_path / "two"))
        + stage("well"),
    )
    code, _, err = project.call("run", "p")
    assert code == 0, err
    assert {name: each["outputs"] for name, each in read_run(project)["stages"].items()} == {
        "fork": {"value": "forked"},
        "fork_step": {"value": 1},
        "well": {"value": "well"},
    }
    _, out, _ = project.call("events", "p-1", "-o", "json")
    items = json.loads(out)["items"]
    ended = [each["instance"] for each in items if each["type"] == "attempt.ended"]
    assert sorted(ended) == ["fork", "fork_step", "well"]
    assert [each["name"] for each in items if each["type"] == "step.completed"] == ["parent"]
    for note in ("one", "two"):
        pid = int((tmp_path / note).read_text())
        wait_for(lambda pid=pid: not is_alive(pid))


@pytest.mark.parametrize("how", ["shut_stdout", "shut_stderr", "close_output"])
def test_a_stage_that_closes_the_output_cannot_harm_the_run(tmp_path: Path, how: str) -> None:
    """The run goes on and ends, and what is in the journal is whole."""
    project = make_project(tmp_path, stage(how) + stage("well", f"    needs: {how}\n"))
    code, _, err = project.call("run", "p")
    assert code == 0, err
    assert {name: each[0] for name, each in read_stages(project).items()} == {
        how: "succeeded",
        "well": "succeeded",
    }
    assert "Traceback" not in err
    state = sqlite3.connect(project.state / "state.db")
    assert state.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    state.close()


def test_a_late_answer_of_a_stage_that_ignored_its_timeout_is_refused(tmp_path: Path) -> None:
    """It failed in time; what it says later changes nothing, and others went on meanwhile."""
    note = tmp_path / "note"
    project = make_project(
        tmp_path,
        stage("deaf", "    timeout: 1s\n", note=str(note))
        + stage("well")
        + "  other:\n    uses: shell\n    with: {run: sleep 4}\n",
    )
    code, _, err = project.call("run", "p")
    assert code == 1, err
    assert note.read_text() == "late"
    run = read_run(project)
    found = {name: (each["outcome"], each["code"]) for name, each in run["stages"].items()}
    assert found == {
        "deaf": ("failed", "timeout"),
        "well": ("succeeded", None),
        "other": ("succeeded", None),
    }
    assert run["stages"]["deaf"]["outputs"] is None
    _, out, _ = project.call("events", "p-1", "-o", "json")
    about = [each for each in json.loads(out)["items"] if each.get("instance") == "deaf"]
    assert [each["type"] for each in about].count("attempt.ended") == 1


def test_a_stage_that_ignores_a_cancel_is_left_behind(tmp_path: Path) -> None:
    """It is given some seconds, then the run ends without it, and with it the process."""
    note = tmp_path / "note"
    project = make_project(tmp_path, stage("ignore", note=str(note)) + stage("well"))
    process = project.start("run", "p")
    wait_for(note.exists, 30)
    started = time.monotonic()
    assert project.call("cancel", "p-1")[0] == 0
    code, _, err = project.finish(process)
    assert (code, time.monotonic() - started < 45) == (3, True), err
    found = read_stages(project)
    assert (found["ignore"][0], found["well"][0]) == ("aborted", "succeeded")


def test_a_stage_that_ends_the_process_three_times_is_poison(tmp_path: Path) -> None:
    """Each resume delivers it again; after three deaths it is errored, and the rest goes on."""
    project = make_project(
        tmp_path, stage("die") + stage("well", "    needs: die\n    if: always()\n")
    )
    assert project.call("run", "p")[0] == 3
    assert [project.call("resume", "p-1")[0] for _ in range(2)] == [3, 3]
    code, _, err = project.call("resume", "p-1")
    assert code == 7, err
    found = read_stages(project)
    assert (found["die"][:2], found["well"][0]) == (("errored", "poison"), "succeeded")


@pytest.mark.scaled
@pytest.mark.parametrize("how", ["lines", "one_line", "stage"])
def test_endless_output_is_bounded(tmp_path: Path, how: str) -> None:
    """Up to 1 GB of output: the log is cut in the middle and says so, memory stays small."""
    size = scale(200, 1000) * 1_000_000
    scripts = {
        "lines": f"set +o pipefail; yes {'x' * 999} | head -c {size}",
        "one_line": f"head -c {size} /dev/zero | tr '\\\\0' x",
    }
    project = make_project(
        tmp_path,
        stage("well")
        + (
            stage("say", note=str(size // 10_000_000))
            if how == "stage"
            else f'  say:\n    uses: shell\n    with: {{run: "{scripts[how]}; echo; echo end"}}\n'
        ),
    )
    process = project.start("run", "p")
    reader = threading.Thread(target=deque, args=(process.stderr, 0), daemon=True)
    reader.start()
    code, memory = finish(process, scale(100, 1000))
    reader.join(10)
    assert code == 0
    assert memory < 300 << 20
    (log,) = (project.state / "logs" / "p-1" / "say").iterdir()
    if how == "one_line":
        assert log.stat().st_size < 70 << 10
        assert "characters cut]" in log.read_text()
    else:
        assert 49 << 20 < log.stat().st_size < 53 << 20
        assert "lines left out: the log is larger than its limit]" in log.read_text()
    assert log.read_text().rstrip().endswith(" o end")
    process.stdout.close()
    process.stderr.close()


# The journal ------------------------------------------------------------------------------------

UNKNOWN = '{"type":"stage.dreamt","v":1,"at":1.0,"instance":"well"}'
DAMAGE = {
    "garbage": ("{no json", "state-corrupt: event 5 of run 'p-1' is damaged"),
    "number": ("7", "state-corrupt: event 5 of run 'p-1' is damaged"),
    "no_type": ('{"at":1.0}', "state-corrupt: event 5 of run 'p-1' is damaged"),
    "fields": (
        '{"type":"stage.skipped","v":1,"at":1.0}',
        "state-corrupt: event 5 of run 'p-1' has not",
    ),
    "unknown": (UNKNOWN, "state-newer: event 5 of run 'p-1' is a 'stage.dreamt' of version 1"),
    "version": (
        UNKNOWN.replace("dreamt", "skipped").replace('"v":1', '"v":99'),
        "state-newer: event 5 of run 'p-1' is a 'stage.skipped' of version 99",
    ),
    "illegal": (
        '{"type":"attempt.started","v":1,"at":1.0,"instance":"nobody","attempt":1}',
        "state-corrupt: the events of run 'p-1' contradict each other",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_checklist_62_a_bad_row_concerns_its_run_alone(tmp_path: Path, kind: str) -> None:
    """The run says what is wrong with it, with a code; lists and other runs go on."""
    project = make_project(tmp_path, stage("well") + "  ask: {uses: approval, needs: well}\n")
    for _ in range(2):
        code, _, err = project.call("run", "p", "--detach-on-wait")
        assert code == 6, err
    data, said = DAMAGE[kind]
    with sqlite3.connect(project.state / "state.db") as state:
        key = state.execute("SELECT run_key FROM events WHERE data LIKE '%\"p-1\"%'").fetchone()[0]
        state.execute("UPDATE events SET data = ? WHERE run_key = ? AND sequence = 5", (data, key))
    state.close()
    asked = [("status", "p-1", "-o", "json"), ("resume", "p-1")]
    if kind in ("garbage", "unknown"):
        asked += [(word, "p-1") for word in ("status", "events", "graph")]
        asked += [("approve", "p-1", "ask")]
    for words in asked:
        code, out, err = project.call(*words)
        assert (code, said in err) == (7, True), (words, out, err)
    code, out, err = project.call("runs")
    assert (code, "p-1" in out, "p-2" in out) == (0, True, True), err
    code, _, err = project.call("approve", "p-2", "ask")
    assert code == 0, err


def test_resuming_all_leaves_out_the_damaged_run(tmp_path: Path) -> None:
    """It is told with its code, the others are driven to their end; the exit code is an error's."""
    project = make_project(tmp_path, stage("well") + "  ask: {uses: approval, needs: well}\n")
    for number in (1, 2):
        project.call("run", "p", "--detach-on-wait")
        code, _, err = project.call("approve", f"p-{number}", "ask", "--no-follow")
        assert code == 0, err
    state = sqlite3.connect(project.state / "state.db")
    with state:
        state.execute("UPDATE events SET data = '{' WHERE sequence = 5 AND run_key = 1")
    state.close()
    code, _, err = project.call("resume")
    assert code == 7, err
    assert "state-corrupt: event 5 of run 'p-1' is damaged; restore the state" in err
    assert read_run(project, "p-2")["outcome"] == "succeeded"


def damage_in_queue(tmp_path: Path, damaged: int) -> Project:
    """Leave three runs of one group, of which the second and third wait, and damage one of them."""
    project = make_project(tmp_path, stage("well") + "  ask: {uses: approval, needs: well}\n")
    file = project.root / "pipelines" / "p.yaml"
    file.write_text(file.read_text() + "concurrency: {group: g}\n")
    for _ in range(3):
        assert project.call("run", "p", "--detach-on-wait")[0] == 6
    state = sqlite3.connect(project.state / "state.db")
    with state:
        state.execute("UPDATE events SET data = '{' WHERE sequence = 2 AND run_key = ?", [damaged])
    state.close()
    return project


def test_a_damaged_run_that_holds_a_place_is_named_to_who_waits_behind_it(tmp_path: Path) -> None:
    """Others say what they wait for, and can be cancelled."""
    project = damage_in_queue(tmp_path, 1)
    code, out, err = project.call("status", "p-3")
    assert code == 0, err
    assert "waits in group g behind p-1 " in out
    code, _, err = project.call("cancel", "p-3")
    assert code == 0, err
    assert read_run(project, "p-3")["outcome"] == "aborted"


def test_a_damaged_run_that_waits_is_passed_over(tmp_path: Path) -> None:
    """Nobody drives it, so the place that comes free is given to the run behind it."""
    project = damage_in_queue(tmp_path, 2)
    code, _, err = project.call("approve", "p-1", "ask")
    assert code == 0, err
    assert read_run(project, "p-1")["outcome"] == "succeeded"
    code, _, err = project.call("resume", "p-3", "--detach-on-wait")
    assert code == 6, err
    assert read_run(project, "p-3")["stages"]["well"]["outcome"] == "succeeded"


# Plugins ----------------------------------------------------------------------------------------

BROKEN = {
    "raises": ("raise RuntimeError('no luck')", "RuntimeError: no luck"),
    "leaves": ("raise SystemExit(3)", "SystemExit: 3"),
    "misses": ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
    "garbled": ("def (", "SyntaxError: invalid syntax (canary_plugin.py, line 1)"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_checklist_82_a_plugin_that_breaks_at_import_is_listed_and_the_rest_works(
    tmp_path: Path, how: str
) -> None:
    """`plugins` and `stages` say why; pipelines without it run, one with it is invalid."""
    source, said = BROKEN[how]
    project = Project(
        tmp_path, SETTINGS, "name: p\nstages:\n  it: {uses: shell, with: {run: 'true'}}\n"
    )
    install(project.plugins, source + "\n", t_poison="Poison")
    for words in (("plugins", "-o", "json"), ("stages",), ("validate",), ("schema",), ("doctor",)):
        code, out, err = project.call(*words)
        assert code == 0 or words == ("doctor",), (words, err)
        if words[0] == "plugins":
            (it,) = [each for each in json.loads(out)["items"] if each["name"] == "t.poison"]
            assert it["error"]["code"] == "broken-plugin"
            assert it["error"]["message"] == (
                f"the stage type 't.poison' of 'canary-plugin 1.0' cannot be loaded: {said}"
            )
    assert project.call("run", "p")[0] == 0
    (project.root / "pipelines" / "q.yaml").write_text("name: q\nstages:\n" + stage("well"))
    code, _, err = project.call("run", "q")
    assert code == 2
    assert f"cannot be loaded: {said}" in err


def test_a_plugin_that_hangs_at_import_holds_up_only_who_needs_it(tmp_path: Path) -> None:
    """Runs, lists and checks of other pipelines never import it."""
    project = Project(
        tmp_path, SETTINGS, "name: p\nstages:\n  it: {uses: shell, with: {run: 'true'}}\n"
    )
    begun = tmp_path / "begun"
    hangs = f"import pathlib, time\npathlib.Path({str(begun)!r}).touch()\ntime.sleep(600)\n"
    install(project.plugins, hangs, t_poison="Poison")
    (project.root / "pipelines" / "q.yaml").write_text("name: q\nstages:\n" + stage("well"))
    for words in (
        ("run", "p"),
        ("runs",),
        ("status", "p-1"),
        ("logs", "p-1"),
        ("events", "p-1"),
        ("plan", "p"),
        ("show", "p"),
        ("validate", "pipelines/p.yaml"),
        ("version",),
        ("--help",),
    ):
        started = time.monotonic()
        code, _, err = project.call(*words)
        assert (code, time.monotonic() - started < 20) == (0, True), (words, err)
    assert not begun.exists()
    process = project.start("run", "q")
    wait_for(begun.exists, 30)
    process.send_signal(signal.SIGINT)
    code, _, err = project.finish(process)
    assert code == 130, err
