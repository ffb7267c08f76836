"""``shell``: what scripts see, what they give, and how they fail."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gennaker.errors import InvalidInput, PermanentError, StageError
from gennaker.stage import Failed, Outcome, Secret, Succeeded
from gennaker.testing import AttemptCancelled, FakeContext
from gennaker_stages.scripts.shell_stage import Shell


def run(context: FakeContext, script: str | list[str], **inputs: Any) -> Outcome:
    """Run a shell stage."""
    return Shell().run(Shell.Inputs.model_validate({"run": script, **inputs}), context)


def outputs_of(outcome: Outcome) -> dict[str, Any]:
    """The outputs of a stage that succeeded."""
    assert isinstance(outcome, Succeeded), outcome
    return dict(outcome.outputs)  # type: ignore[arg-type]


@pytest.fixture
def context(tmp_path: Path) -> FakeContext:
    """A context with a small source."""
    found = FakeContext(tmp_path, secrets=["hunter22"])
    (found.source / "app").mkdir()
    (found.source / "app" / "main.txt").write_text("hello\n")
    (found.source / "tool.sh").write_text('#!/bin/sh\necho tool "$1"\n')
    (found.source / "tool.sh").chmod(0o555)
    (found.source / "link").symlink_to("app/main.txt")
    (found.source / "app").chmod(0o755)
    return found


def test_a_script_starts_in_a_writable_copy_of_the_source(context: FakeContext) -> None:
    """Files, modes and links are there; what it changes is not changed in the source."""
    (context.source / "app" / "main.txt").chmod(0o444)
    run(context, "cat link; ./tool.sh x; echo changed > app/main.txt; echo new > tool.sh; cat link")
    assert context.lines == [
        ("stdout", "hello"),
        ("stdout", "tool x"),
        ("stdout", "changed"),
    ]
    assert (context.source / "app" / "main.txt").read_text() == "hello\n"


def test_a_script_can_start_empty(context: FakeContext) -> None:
    """Without the source the folder has nothing in it."""
    assert run(context, "ls -A", source=False) == Succeeded({})
    assert context.lines == []


def test_a_failing_command_ends_the_script(context: FakeContext) -> None:
    """Neither a failed command nor a failed part of a pipe is passed over."""
    assert run(context, "false\necho on") == Failed("exit code 1")
    assert run(context.redeliver(), "exit 3 | cat\necho on") == Failed("exit code 3")
    assert context.lines == []


def test_a_failure_tells_the_last_errors(context: FakeContext) -> None:
    """The reason has the exit code and what was said last, without secrets."""
    script = "for i in 1 2 3 4; do echo line $i >&2; done; echo $T >&2; exit 4"
    outcome = run(context, script, env={"T": Secret("hunter22")})
    assert outcome == Failed("exit code 4: line 3 | line 4 | ***")


def test_a_signal_is_named(context: FakeContext) -> None:
    """A script that was killed says by what."""
    assert run(context, "kill -9 $$") == Failed("ended by SIGKILL")


def test_the_plain_shell_can_be_asked_for(context: FakeContext) -> None:
    """``sh`` stops at a failure too."""
    assert run(context, "echo ${0##*/}; false; echo on", shell="sh") == Failed("exit code 1")
    assert context.lines == [("stdout", "script")]


def test_a_program_gets_its_arguments_as_they_are(context: FakeContext) -> None:
    """No shell reads a list; a path is one in the folder."""
    assert run(context, ["printf", "%s\\n", "a b", "$HOME"]) == Succeeded({})
    assert run(context.redeliver(), ["./tool.sh", "*"]) == Succeeded({})
    assert [line for _, line in context.lines] == ["a b", "$HOME", "tool *"]


def test_a_missing_program_says_so(context: FakeContext) -> None:
    """It cannot be done, and trying again does not help."""
    with pytest.raises(PermanentError, match="there is no program 'no-such-tool'"):
        run(context, ["no-such-tool"])


def test_the_environment_is_clean(context: FakeContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script sees what it was given and who it is, and none of our own environment."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "from-outside")
    env = {"TEXT": "a b", "COUNT": 3, "ON": True, "TOKEN": Secret("hunter22")}
    run(context, "env", env=env)
    found = dict(line.split("=", 1) for _, line in context.lines if "=" in line)
    assert "AWS_SECRET_ACCESS_KEY" not in found
    wanted = {
        "TEXT": "a b",
        "COUNT": "3",
        "ON": "true",
        "TOKEN": "***",
        "GENNAKER_RUN": "test-1",
        "GENNAKER_STAGE": "stage",
        "GENNAKER_ATTEMPT": "1",
        "GENNAKER_KEY": "test-1/stage/1",
    }
    assert wanted == {name: found[name] for name in wanted}
    assert found["HOME"] == os.environ["HOME"]


def test_outputs_are_lines(context: FakeContext) -> None:
    """``key=value``, and several lines up to a word; each is of its type."""
    script = """
    out="$GENNAKER_OUTPUT"
    echo "tag=v1=x" >> "$out"
    echo "count=3" >> "$out"
    echo "share=0.5" >> "$out"
    echo "ok=true" >> "$out"
    echo '\nlist=["a"]' >> "$out"
    printf 'notes<<END\\none\\n\\ntwo=2\\nEND\\n' >> "$out"
    echo 'any=[1' >> "$out"
    echo 'tag=v2' >> "$out"
    """
    declared = {
        "tag": "string",
        "count": "integer",
        "share": "number",
        "ok": "boolean",
        "list": "array",
        "notes": "string",
        "any": "any",
    }
    assert outputs_of(run(context, script, outputs=declared)) == {
        "tag": "v2",
        "count": 3,
        "share": 0.5,
        "ok": True,
        "list": ["a"],
        "notes": "one\n\ntwo=2",
        "any": "[1",
    }


def test_outputs_can_be_json(context: FakeContext) -> None:
    """One object; a list of names declares strings, and what nobody declared is left out."""
    script = """echo '{"tag": "v1", "other": 1}' > "$GENNAKER_OUTPUT" """
    assert outputs_of(run(context, script, outputs=["tag"])) == {"tag": "v1"}
    assert "output 'other' is not declared under 'outputs' and was left out" in context.log_text


@pytest.mark.parametrize(
    ("text", "outputs", "said"),
    [
        ("tga=1", ["tag"], "output-missing: output 'tag' is declared but was not given; did you mean 'tga'?"),
        ("", ["tag"], "output-missing: output 'tag' is declared but was not given; write 'tag=…' to"),
        ("count=many", {"count": "integer"}, "output-type: output 'count' is declared as integer, but its text is not one"),
        ("count=1.5", {"count": "integer"}, "output-type: output 'count' is declared as integer but is number"),
        ('{"ok": 1}', {"ok": "boolean"}, "output-type: output 'ok' is declared as boolean but is integer"),
        ("share=NaN", {"share": "number"}, "output-type: output 'share' is declared as number but is number"),
        ("no mark", ["tag"], "output-form: line 1 of GENNAKER_OUTPUT is not 'key=value'"),
        ("tag<<END\nx", ["tag"], "output-form: output 'tag' in GENNAKER_OUTPUT has no end: no line is 'END'"),
        ('{"tag": ', ["tag"], "output-form: GENNAKER_OUTPUT begins with '{' but is not one JSON object, line"),
    ],
)  # fmt: skip
def test_wrong_outputs_are_told(context: FakeContext, text: str, outputs: Any, said: str) -> None:
    """What was written, what was declared, and what to do."""
    script = 'printf "%s" "$TEXT" > "$GENNAKER_OUTPUT"'
    with pytest.raises(StageError) as caught:
        run(context, script, env={"TEXT": text}, outputs=outputs)
    assert said in str(caught.value)


def test_artifacts_are_files_and_folders(context: FakeContext, tmp_path: Path) -> None:
    """They become outputs, and can be laid into another stage's folder."""
    script = "mkdir dist; echo one > dist/a; echo two > b; chmod +x b"
    made = outputs_of(run(context, script, artifacts={"dist": "dist/", "file": "b"}))
    assert made["dist"].media_type == "application/x-tar"
    script = "cat in/dist/a in/b"
    run(
        context.redeliver(),
        script,
        files={"in/dist": made["dist"], "in/b": made["file"]},
        source=False,
    )
    assert [line for _, line in context.lines] == ["one", "two"]


def test_an_artifact_that_is_not_there_says_so(context: FakeContext) -> None:
    """Name and path are told."""
    with pytest.raises(PermanentError) as caught:
        run(context, "true", artifacts={"dist": "dist/"})
    assert "artifact-missing: artifact 'dist': the script left nothing at 'dist/'" in str(
        caught.value
    )


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "out"])
def test_artifacts_stay_inside(context: FakeContext, path: str) -> None:
    """Neither a path nor a link takes a file from outside."""
    with pytest.raises(InvalidInput, match="path-outside"):
        run(context, "ln -s /etc/passwd out", artifacts={"x": path})


def test_what_a_script_leaves_running_ends(context: FakeContext) -> None:
    """A background process does not outlive the stage."""
    run(context, "sleep 60 & echo $!")
    [(_, pid)] = context.lines
    assert not Path(f"/proc/{pid}").exists() or " Z " in Path(f"/proc/{pid}/stat").read_text()


def test_a_cancelled_script_ends(context: FakeContext) -> None:
    """A stop ends the script with everything it started."""
    threading.Timer(0.3, context.cancel).start()
    started = time.monotonic()
    with pytest.raises(AttemptCancelled):
        run(context, "sleep 60 | cat")
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"run": " "}, "is empty; write a script"),
        ({"run": []}, "is empty; write a script"),
        ({"run": "x", "env": {"A-B": "x"}}, "'A-B' is not the name of an environment variable"),
        ({"run": "x", "env": {"GENNAKER_KEY": "x"}}, "'GENNAKER_KEY' is set by Gennaker"),
        ({"run": "x", "env": {"A": None}}, "must be a string, a number or a boolean"),
        ({"run": "x", "outputs": ["a", "a"]}, "'a' is declared twice"),
        ({"run": "x", "outputs": {"a b": "string"}}, "'a b' is not a name for an output"),
        ({"run": "x", "outputs": {"a": "artifact"}}, "output 'a' cannot be an artifact"),
        ({"run": "x", "outputs": ["a"], "artifacts": {"a": "a"}}, "'a' is both an output and an artifact"),
        ({"run": "x", "effect": "build"}, "Input should be 'none' or 'deploy'"),
        ({"run": "x", "scrpit": 1}, "Extra inputs are not permitted"),
    ],
)  # fmt: skip
def test_wrong_inputs_are_refused(inputs: dict[str, Any], said: str) -> None:
    """Before anything starts, with the reason."""
    with pytest.raises(ValidationError) as caught:
        Shell.Inputs.model_validate(inputs)
    assert said in str(caught.value)


def test_the_effect_is_said_or_follows_from_the_environment() -> None:
    """A script in an environment deploys, unless it says that it does not."""
    assert Shell.find_effect({"run": "x"}, False) == "none"
    assert Shell.find_effect({"run": "x"}, True) == "deploy"
    assert Shell.find_effect({"run": "x", "effect": "none"}, True) == "none"
    assert Shell.find_effect({"run": "x", "effect": "deploy"}, False) == "deploy"


def test_outputs_are_declared_by_what_is_written() -> None:
    """Also before it was checked, so nothing in it is trusted."""
    assert Shell.declare_outputs(
        {"outputs": {"count": "integer", "odd": "nonsense"}, "artifacts": {"dist": "dist"}}
    ) == {"count": "integer", "odd": "any", "dist": "artifact"}
    assert Shell.declare_outputs({"outputs": ["tag"]}) == {"tag": "string"}
    assert Shell.declare_outputs({"outputs": 3, "artifacts": "x"}) == {}


def test_a_plan_shows_the_script(context: FakeContext) -> None:
    """The first line, and that there is more."""
    [change] = Shell().plan(Shell.Inputs(run="make build\nmake test\n"), context).changes
    assert (change.action, change.what) == ("run", "a script of 2 lines: make build …")


def test_a_script_gets_only_the_paths_it_names(context: FakeContext) -> None:
    """Files and folders, where they are in the source; so it cannot have read others."""
    run(context, "find . | sort; echo new > app/main.txt", source=["app", "tool.sh"])
    assert [text for _, text in context.lines] == [".", "./app", "./app/main.txt", "./tool.sh"]


@pytest.mark.parametrize(
    ("path", "code"), [("none", "source-path"), ("../x", "path-outside"), ("", "path-outside")]
)
def test_a_path_that_is_not_in_the_source_is_told(
    context: FakeContext, path: str, code: str
) -> None:
    """Missing, or outside of it."""
    with pytest.raises((PermanentError, InvalidInput)) as caught:
        run(context, "true", source=[path])
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("source", "read"), [(True, (".",)), (False, ()), (["app", "x"], ("app", "x"))]
)
def test_a_script_has_read_what_it_was_given(source: Any, read: tuple[str, ...]) -> None:
    """All of the source, nothing, or these paths."""
    inputs = Shell.Inputs.model_validate({"run": "true", "source": source})
    assert Shell().list_sources(inputs) == read
