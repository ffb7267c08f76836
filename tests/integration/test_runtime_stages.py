"""What a stage may do, and what the runtime makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gennaker_engine.core.run import Run
from tests.integration.runtime_parts import is_alive, open_engine, start_run, write_project


def drive_one(root: Path, how: str, extra: str = "", settings: str = "project: shop\n") -> Run:
    """Drive a run of one stage that behaves like this, and return it."""
    write_project(
        root,
        f"name: shop\nstages:\n  it:\n    uses: t.behave\n    {extra}\n    with: {{how: {how}}}\n",
        settings,
    )
    engine = open_engine(root)
    try:
        return engine.drive(start_run(engine))
    finally:
        engine.close()


def read_log(root: Path) -> list[tuple[str, str]]:
    """Return stream and text of each line that the run's stage wrote."""
    engine = open_engine(root)
    lines = [(line.stream, line.text) for line in engine.logs.read("shop-1")]
    engine.close()
    return lines


@pytest.mark.parametrize(
    ("how", "outcome", "code", "reason"),
    [
        ("fail", "failed", "said-no", "the thing said no"),
        ("raise_it", "errored", "stage-raised", "ValueError: out of"),
        ("exit_it", "errored", "stage-raised", "SystemExit: 3"),
        ("permanent", "errored", "no-way", "never; give up"),
        (
            "no_outcome",
            "errored",
            "invalid-outcome",
            "stage type 't.behave' gave a str, not an outcome; "
            "run() returns Succeeded, Failed or Waiting",
        ),
        (
            "not_json",
            "errored",
            "not-json",
            "output 'value' holds a map with the key '1', which is not a string",
        ),
        (
            "nan",
            "errored",
            "not-json",
            "output 'value' holds nan, which is not JSON; give strings, finite numbers, booleans, "
            "null, lists and maps with string keys",
        ),
        (
            "circular",
            "errored",
            "not-json",
            "output 'value' is nested deeper than 64 levels, or holds itself",
        ),
        (
            "huge",
            "errored",
            "output-size",
            "output 'value' has 70002 bytes of JSON, more than 64 KiB; "
            "keep large data as an artifact",
        ),
        (
            "undeclared",
            "errored",
            "undeclared-output",
            "stage type 't.behave' gave the output 'other', which it does not declare; "
            "it declares value",
        ),
    ],
)
def test_an_end_is_told_in_words(tmp_path, how, outcome, code, reason):
    """Whatever a stage does ends as an outcome with a code and a reason, never as a traceback."""
    run = drive_one(tmp_path, how)
    it = run.facts.instances["it"]
    assert (it.outcome, it.code, it.reason) == (outcome, code, reason)
    assert run.outcome == outcome


def test_the_traceback_is_in_the_log_only(tmp_path):
    """Where an exception came from is for the attempt's log."""
    drive_one(tmp_path, "raise_it")
    text = "\n".join(line for _stream, line in read_log(tmp_path))
    assert "Traceback (most recent call last)" in text
    assert "in raise_it" in text


def test_wrong_inputs_are_told_all_at_once(tmp_path):
    """Every problem of the inputs is in the one reason; the stage is not called."""
    write_project(
        tmp_path, "name: shop\nstages:\n  it:\n    uses: t.echo\n    with: {say: 1, other: x}\n"
    )
    engine = open_engine(tmp_path)
    it = engine.drive(start_run(engine)).facts.instances["it"]
    assert (it.outcome, it.code) == ("errored", "invalid-inputs")
    assert it.reason == (
        "say: Input should be a valid string; other: Extra inputs are not permitted"
    )
    engine.close()


def test_a_stage_type_that_is_gone_is_told(tmp_path):
    """A plugin that is not installed is the outcome of the stage that uses it."""
    write_project(tmp_path, "name: shop\nstages:\n  it: {uses: acme.gone}\n")
    engine = open_engine(tmp_path)
    it = engine.drive(start_run(engine)).facts.instances["it"]
    assert (it.outcome, it.code) == ("errored", "unknown-plugin")
    assert it.reason.startswith("'acme.gone' is not an installed stage type")
    engine.close()


def test_a_temporary_error_sets_the_delay_of_the_next_attempt(tmp_path):
    """The stage's retry allows a second attempt, and the error says when."""
    run = drive_one(tmp_path, "temporary", "retry: {limit: 1, delay: 1h}")
    it = run.facts.instances["it"]
    assert (it.outcome, it.outputs, it.attempt) == ("succeeded", {"value": 2}, 2)


def test_a_poll_is_called_again_with_its_state(tmp_path):
    """Each call gets the state of the one before, in the same attempt."""
    it = drive_one(tmp_path, "poll").facts.instances["it"]
    assert (it.outcome, it.outputs, it.attempt, it.delivery) == ("succeeded", {"value": 3}, 1, 3)


def test_a_timer_calls_again_when_it_is_due(tmp_path):
    """The call after a timer is told what woke it."""
    it = drive_one(tmp_path, "timer").facts.instances["it"]
    assert (it.outcome, it.outputs) == ("succeeded", {"value": True})


def test_a_process_runs_in_the_workspace_and_is_logged(tmp_path):
    """The exit code comes back, the output is in the log by stream, the workspace is gone after."""
    run = drive_one(tmp_path, "quick_process")
    assert run.facts.instances["it"].outputs == {"value": 3}
    workspace = tmp_path / ".gennaker" / "workspaces" / "shop-1" / "it"
    assert read_log(tmp_path) == [("stdout", str(workspace)), ("stderr", "err")]
    assert not workspace.exists()


SECRETS = "project: shop\nsecrets: {token: {env: TEST_TOKEN}}\n"


def drive_secret(root: Path, how: str) -> Run:
    """Drive a run of one stage that is given the secret."""
    write_project(
        root,
        "name: shop\nstages:\n  it:\n    uses: t.behave\n"
        f'    with: {{how: {how}, secret: "${{{{ secrets.token }}}}"}}\n',
        SECRETS,
    )
    engine = open_engine(root)
    try:
        return engine.drive(start_run(engine))
    finally:
        engine.close()


def test_a_secret_is_masked_in_log_and_reason(tmp_path, monkeypatch):
    """The stage has the value; the journal and the log have stars."""
    monkeypatch.setenv("TEST_TOKEN", "hunter22-canary")
    run = drive_secret(tmp_path, "tell_secret")
    assert run.facts.instances["it"].reason == "it is ***"
    assert read_log(tmp_path) == [("system", "the secret is ***")]
    for path in (tmp_path / ".gennaker").rglob("*"):
        if path.is_file():
            assert b"canary" not in path.read_bytes(), path


def test_a_secret_in_an_output_is_an_error(tmp_path, monkeypatch):
    """What later stages could print is refused, whatever surrounds the value."""
    monkeypatch.setenv("TEST_TOKEN", "hunter22-canary")
    it = drive_secret(tmp_path, "give_secret").facts.instances["it"]
    assert (it.outcome, it.code) == ("errored", "secret-in-output")
    assert it.reason == (
        "output 'value' holds the value of a secret, which would be kept in the journal; "
        "give its name, or a digest of it"
    )


def test_a_secret_that_is_too_short_is_refused(tmp_path, monkeypatch):
    """Under four characters a value cannot be masked; the stage is not called."""
    monkeypatch.setenv("TEST_TOKEN", "abc")
    it = drive_secret(tmp_path, "tell_secret").facts.instances["it"]
    assert (it.outcome, it.code) == ("errored", "secret-too-short")
    assert it.reason == (
        "secret 'token' has fewer than 4 characters; "
        "a value that short cannot be hidden in logs; use a longer one"
    )


def test_steps_are_recorded_with_their_results(tmp_path):
    """Each step is called once, with the key of the attempt and its own name."""
    note = tmp_path / "note"
    write_project(
        tmp_path, f"name: shop\nstages:\n  it: {{uses: t.steps, with: {{note: {note}}}}}\n"
    )
    engine = open_engine(tmp_path)
    run = engine.drive(start_run(engine))
    assert run.facts.instances["it"].outputs == {"results": [0, 10, 20]}
    assert note.read_text().split() == [f"shop-1/it/1/step-{number}" for number in range(3)]
    engine.close()


def test_a_timeout_ends_the_stage_and_its_processes(tmp_path):
    """A stage that works too long has failed; its process group is gone when the run ends."""
    note = tmp_path / "pid"
    write_project(
        tmp_path,
        "name: shop\nstages:\n  it:\n    uses: t.behave\n    timeout: 1s\n"
        f"    with: {{how: process, note: {note}}}\n",
    )
    engine = open_engine(tmp_path)
    it = engine.drive(start_run(engine)).facts.instances["it"]
    assert (it.outcome, it.code) == ("failed", "timeout")
    assert not is_alive(int(note.read_text()))
    engine.close()


def test_the_matrix_and_the_expressions_work_through_the_runtime(tmp_path):
    """Instances run side by side and their outputs come as a list."""
    write_project(
        tmp_path,
        "name: shop\nparameters: {who: {default: you}}\ntitle: 'Hello ${{ params.who }}'\nstages:\n"
        "  many:\n    uses: t.echo\n    matrix: {n: [a, b, c]}\n"
        '    with: {say: "${{ matrix.n }} ${{ params.who }}"}\n'
        "  one:\n    uses: t.echo\n"
        "    with: {say: \"${{ stages.many.outputs.said.join('+') }}\"}\n",
    )
    engine = open_engine(tmp_path)
    run = engine.drive(start_run(engine, parameters={"who": "me"}))
    assert run.facts.instances["one"].outputs == {"said": "a me+b me+c me"}
    assert engine.resolve_run("@last").title == "Hello me"
    engine.close()


def test_one_process_drives_many_runs(tmp_path):
    """Runs given together are driven together, each to its end."""
    write_project(
        tmp_path, "name: shop\nstages:\n  it: {uses: t.echo, with: {say: hi, delay: 0.2}}\n"
    )
    engine = open_engine(tmp_path)
    names = [start_run(engine) for _ in range(5)]
    runs = engine.drive(names)
    assert [run.id for run in runs] == names
    assert {run.outcome for run in runs} == {"succeeded"}
    ends = [run.facts.ended_at or 0 for run in runs]
    assert max(ends) - min(ends) < 0.2
    engine.close()


def test_an_observer_sees_events_and_lines(tmp_path):
    """Everything that is committed and logged is told, in order, in the driver's thread."""
    seen: list[object] = []

    class Watcher:
        def on_events(self, run, events):
            seen.extend((run.id, event.type) for event in events)

        def on_log(self, run, instance, attempt, stream, text):
            seen.append((run, instance, attempt, stream, text))

    write_project(tmp_path, "name: shop\nstages:\n  it: {uses: t.echo, with: {say: hi}}\n")
    engine = open_engine(tmp_path)
    engine.drive(start_run(engine), observer=Watcher())
    assert seen == [
        ("shop-1", "run.adopted"),
        ("shop-1", "stage.resolved"),
        ("shop-1", "attempt.started"),
        ("shop-1", "it", 1, "system", "hi"),
        ("shop-1", "attempt.ended"),
        ("shop-1", "run.ended"),
    ]
    engine.close()


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("wait_for_nan", "the deadline of a wait is nan, not a number of seconds"),
        ("wait_for_text", "Timer.at is 'soon', not a number of seconds"),
        (
            "wait_for_nothing",
            "a stage cannot wait on a str; Waiting(on=…) takes a Decision, a Timer or a Poll",
        ),
        ("ask_nobody", "a stage asks with an invalid Decision"),
    ],
)
def test_a_nonsensical_wait_is_the_stages_error(tmp_path, how, reason):
    """What the core could not count with does not reach it."""
    it = drive_one(tmp_path, how).facts.instances["it"]
    assert (it.outcome, it.code, it.reason) == ("errored", "invalid-outcome", reason)


def test_what_the_core_cannot_handle_is_one_stages_error(tmp_path, monkeypatch):
    """A report that breaks the core becomes an error of its stage; the others go on."""
    from gennaker_engine.core import reports
    from gennaker_engine.core.messages import ReportSucceeded

    original = reports.REPORTS[ReportSucceeded]

    def break_down(turn, message):
        if message.instance == "bad":
            turn.run.worst = 99
            raise ZeroDivisionError("by nonsense")
        return original(turn, message)

    monkeypatch.setitem(reports.REPORTS, ReportSucceeded, break_down)
    write_project(tmp_path, "name: shop\nstages:\n  bad: {uses: t.echo}\n  good: {uses: t.echo}\n")
    engine = open_engine(tmp_path)
    run = engine.drive(start_run(engine))
    bad, good = run.facts.instances["bad"], run.facts.instances["good"]
    assert (bad.outcome, bad.code) == ("errored", "internal")
    assert bad.reason == ("what the stage gave cannot be handled: ZeroDivisionError: by nonsense")
    assert (good.outcome, run.outcome) == ("succeeded", "errored")
    assert Run.replay(event for _, event in engine.load_events("shop-1")) == run
    engine.close()


def test_a_stage_that_does_not_stop_is_abandoned(tmp_path, monkeypatch):
    """Past the grace its outcome stands, its late answer is refused, the run ends."""
    from gennaker_engine.core import attempts

    monkeypatch.setattr(attempts, "STOP_GRACE", 0.2)
    write_project(
        tmp_path,
        "name: shop\nstages:\n  it:\n    uses: t.behave\n    timeout: 1s\n"
        "    with: {how: be_deaf}\n",
    )
    engine = open_engine(tmp_path)
    it = engine.drive(start_run(engine)).facts.instances["it"]
    assert (it.outcome, it.code) == ("failed", "timeout")
    engine.close()


def test_a_conflict_is_decided_again(tmp_path, monkeypatch):
    """Who loses the compare forgets what it did, loads, and handles the messages once more."""
    from gennaker_engine.journal.port import VersionConflict
    from gennaker_engine.runtime.moment import Moment

    failures = [1, 2, 4]
    calls = []
    original = Moment.write

    def write(moment):
        calls.append(len(calls))
        original(moment)
        if calls[-1] in failures:
            raise VersionConflict("somebody else was quicker")

    write_project(
        tmp_path,
        "name: shop\nstages:\n  a: {uses: t.echo}\n  b: {uses: t.echo, needs: a}\n",
    )
    engine = open_engine(tmp_path)
    run_id = start_run(engine)
    monkeypatch.setattr(Moment, "write", write)
    run = engine.drive(run_id)
    assert run.outcome == "succeeded"
    assert Run.replay(event for _, event in engine.load_events(run_id)) == run
    assert len(calls) == 3 + len(failures)
    engine.close()
