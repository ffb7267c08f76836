"""The commands that need no run: their output, their exit codes, their errors by text."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gennaker_engine.cli import app as app_module
from gennaker_engine.cli import completion
from gennaker_engine.cli.main import main

HELLO = """\
name: hello
stages:
  first: {uses: wait, with: {for: 1s}}
  second: {uses: wait, needs: first, with: {for: 1s}}
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one valid pipeline, as the current folder, outside CI and without colour."""
    for name in ("CI", "GITHUB_ACTIONS", "GITLAB_CI", "CLICOLOR_FORCE", "GENNAKER_STATE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "gennaker.yaml").write_text("project: hello\n")
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "hello.yaml").write_text(HELLO)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_command_of_the_table_exists_and_says_what_the_table_says() -> None:
    """The table's summaries, shown without importing, are those of the commands."""
    context = app_module.app.make_context("gennaker", ["version"])
    for entry in app_module.COMMANDS.values():
        command = app_module.app.get_command(context, entry.name)
        assert command is not None
        assert (command.help or "").strip().splitlines()[0] == entry.summary


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["vlidate"], "usage: 'vlidate' is not a command; did you mean 'gennaker validate'?\n"),
        (["xyzzy"], "usage: 'xyzzy' is not a command; see 'gennaker --help'\n"),
        (
            ["validate", "--colr"],
            "usage: 'gennaker validate' has no option '--colr'; did you mean --color?\n",
        ),
        (["show"], "usage: missing argument 'PIPELINE'; see 'gennaker show --help'\n"),
        (
            ["show", "hello", "-o", "xml"],
            "usage: invalid value for '-o' / '--output': 'xml' is not one of 'yaml', 'json', "
            "'python'; see 'gennaker show --help'\n",
        ),
        (
            ["run", "hello", "-p", "novalue"],
            "usage: 'novalue' is not NAME=VALUE; see 'gennaker run --help'\n",
        ),
        (
            ["run", "hello", "--approve", "x"],
            "usage: --approve decides before anybody has seen what it covers; it needs --sandbox "
            "or --plan DIGEST; see 'gennaker run --help'\n",
        ),
        (
            ["show", "helo"],
            "unknown-pipeline: there is no pipeline 'helo'; did you mean 'hello'?\n",
        ),
        (
            ["status", "hello-1"],
            "unknown-run: there is no run yet; start one with 'gennaker run PIPELINE'\n",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_command_line_is_told_in_one_form(
    argv: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What, which, and what next, on stderr, exit code 2."""
    assert main(argv) == 2
    assert tuple(capsys.readouterr()) == ("", told)


def test_exit_codes_are_a_topic_of_help(capsys: pytest.CaptureFixture[str]) -> None:
    """Each code with its meaning, one a line."""
    assert main(["help", "exit-codes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    codes = [int(line.split()[0]) for line in lines]
    assert codes == [0, 1, 2, 3, 4, 5, 6, 7, 130, 143]


def test_version_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """`version` and `--version` say the same."""
    assert main(["version"]) == main(["--version"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == second


def test_json_is_versioned(capsys: pytest.CaptureFixture[str]) -> None:
    """apiVersion and kind come first."""
    assert main(["version", "-o", "json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert list(data)[:2] == ["apiVersion", "kind"]
    assert data["apiVersion"] == "gennaker.dev/v1"


def test_validate_is_quiet_about_what_is_right(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing on stdout, a summary on stderr."""
    assert main(["validate"]) == 0
    assert tuple(capsys.readouterr()) == ("", "1 file: no problems\n")


def test_validate_tells_every_problem_at_once(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """File, line, column, code word and suggestion, on stdout; exit code 2."""
    (project / "pipelines" / "hello.yaml").write_text(
        HELLO.replace("uses: wait, needs", "uss: wait, neds")
    )
    assert main(["validate", "pipelines/hello.yaml"]) == 2
    out, err = capsys.readouterr()
    assert "pipelines/hello.yaml:4:12: unknown-field: 'uss' is not a field of a stage" in out
    assert "did you mean 'needs'?" in out
    assert err.startswith("1 file: ")


def test_validate_looks_at_pipelines_also_when_the_settings_are_wrong(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both files' problems are told by one call, and counted; so they are before a run."""
    (project / "gennaker.yaml").write_text("projct: shop\n")
    (project / "pipelines" / "hello.yaml").write_text(HELLO.replace("needs: first", "needs: frst"))
    assert main(["validate"]) == 2
    out, err = capsys.readouterr()
    assert "gennaker.yaml:1:1: unknown-field: 'projct'" in out
    assert "unknown-stage: stage 'second' needs 'frst'" in out
    assert err == "1 file: 2 errors\n"
    assert main(["run", "hello"]) == 2
    said = capsys.readouterr().err
    assert "unknown-field: 'projct'" in said
    assert "unknown-stage: stage 'second' needs 'frst'" in said


def test_validate_annotates_in_github(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In GitHub's CI problems are workflow commands without being asked for."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    (project / "pipelines" / "hello.yaml").write_text(HELLO.replace("needs: first", "needs: frst"))
    assert main(["validate"]) == 2
    out = capsys.readouterr().out
    assert out.startswith("::error file=pipelines/hello.yaml,line=4,col=")


def test_show_prints_what_loads_back_to_the_same_digest(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """YAML out, YAML in, same digest; --digest prints it alone."""
    main(["show", "hello", "--digest"])
    digest = capsys.readouterr().out
    main(["show", "hello"])
    (project / "copy.yaml").write_text(capsys.readouterr().out)
    main(["show", "copy.yaml", "--digest"])
    assert capsys.readouterr().out == digest
    main(["show", "hello", "-o", "json"])
    assert json.loads(capsys.readouterr().out)["digest"] == digest.strip()


def test_graph_draws_the_dag(capsys: pytest.CaptureFixture[str]) -> None:
    """As text, and as Mermaid."""
    assert main(["graph", "hello"]) == 0
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == ["first", "second"]
    assert main(["graph", "hello", "-o", "mermaid"]) == 0
    assert "s0 --> s1" in capsys.readouterr().out


def test_stages_lists_types_and_describes_one(capsys: pytest.CaptureFixture[str]) -> None:
    """Effect and first line in the list; inputs with type and default in the description."""
    assert main(["stages", "-o", "name"]) == 0
    assert "wait" in capsys.readouterr().out.split()
    assert main(["stages", "wait", "-o", "json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert (described["kind"], described["name"]) == ("StageType", "wait")
    assert {"for", "until"} <= set(described["inputs"])


def test_an_unknown_stage_type_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """With the near name."""
    assert main(["stages", "wiat"]) == 2
    assert capsys.readouterr().err == (
        "unknown-plugin: 'wiat' is not an installed stage type; did you mean 'wait'?\n"
    )


def test_schema_is_draft_7(capsys: pytest.CaptureFixture[str]) -> None:
    """For pipelines, and for gennaker.yaml."""
    for argv in (["schema"], ["schema", "project"]):
        assert main(argv) == 0
        schema = json.loads(capsys.readouterr().out)
        assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"


def test_init_writes_a_project_that_is_valid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Settings, a pipeline, and the schema that its first line names."""
    root = tmp_path / "My 1st project"
    assert main(["init", str(root)]) == 0
    assert main(["validate", "--project", str(root)]) == 0
    pipeline = root / "pipelines" / "hello.yaml"
    schema = pipeline.read_text().splitlines()[0].partition("$schema=")[2]
    assert json.loads((pipeline.parent / schema).read_text())["title"] == "Gennaker pipeline"
    assert (root / ".gennaker" / ".gitignore").read_text() == "*\n"
    assert "project: my-1st-project" in (root / "gennaker.yaml").read_text()


def test_init_never_overwrites(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is there is kept and said to be."""
    root = tmp_path / "new"
    main(["init", str(root)])
    (root / "gennaker.yaml").write_text("project: mine\n")
    assert main(["init", str(root)]) == 0
    assert (root / "gennaker.yaml").read_text() == "project: mine\n"
    assert f"kept {root / 'gennaker.yaml'}" in capsys.readouterr().err


def test_runs_of_a_project_without_any(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty list, and looking makes no state."""
    assert main(["runs"]) == 0
    assert tuple(capsys.readouterr()) == (
        "",
        "no runs; start one with 'gennaker run PIPELINE'\n",
    )
    assert main(["runs", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["items"] == []
    assert not (project / ".gennaker").exists()


def test_doctor_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    """Every check has a state; what is not all right has advice; runs are counted."""
    main(["run", "hello"])
    main(["doctor"])
    assert "ok       state: 1 run\n" in capsys.readouterr().out
    main(["doctor", "-o", "json"])
    checks = json.loads(capsys.readouterr().out)["items"]
    assert {"python", "git", "project", "pipelines", "state folder", "plugins"} <= {
        check["name"] for check in checks
    }
    assert all(check["advice"] for check in checks if check["state"] != "ok")


def test_doctor_fails_for_wrong_settings(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A project file that cannot be read is wrong: exit code 1."""
    (project / "gennaker.yaml").write_text("projct: hello\n")
    assert main(["doctor"]) == 1
    assert "wrong    project: gennaker.yaml:1:1: unknown-field" in capsys.readouterr().out


def test_doctor_tells_a_repository_that_git_cannot_read(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its runs would know no commit, and nobody would know why; without git that is told, too."""
    (project / ".git").mkdir()
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert " cannot read this repository: fatal: not a git repository" in out
    assert f"make 'git -C {project} status' work; until then no run knows its commit\n" in out
    (project / ".git").rmdir()
    assert main(["doctor"]) == 0
    assert "'git init' pins runs to commits\n" in capsys.readouterr().out
    monkeypatch.setenv("PATH", str(project))
    assert main(["doctor"]) == 0
    assert "missing  git: not on PATH\n" in capsys.readouterr().out


def test_doctor_looks_for_contexts(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An environment whose context no kubeconfig has, its own one or the user's, is missing something."""
    (project / "gennaker.yaml").write_text(
        "environments:\n  staging: {kubernetes: {context: kind, namespace: a}}\n"
        "  production: {kubernetes: {context: prod, namespace: a}}\n"
        "  lab: {kubernetes: {context: kind, kubeconfig: lab.conf, namespace: a}}\n"
        "  none: {variables: {a: 1}}\n"
    )
    text = (
        "clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\n"
        "contexts: [{name: kind, context: {cluster: c}}]\n"
    )
    config = project.parent / "config"
    for path in (config, project / "lab.conf"):
        path.write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(config))
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert f"ok       environment staging, context: 'kind' of {config}\n" in out
    assert "wrong    environment staging, server: cannot ask for the version: the cluster at" in out
    assert "missing  environment production, context: the kubeconfig has no context 'prod'" in out
    assert f"ok       environment lab, context: 'kind' of {project}/lab.conf\n" in out
    assert "environment none" not in out
    config.write_text("contexts: [\n")
    assert main(["doctor", "-o", "name"]) == 1
    assert "environment staging, context\nenvironment production, context\n" in (
        capsys.readouterr().out
    )


def test_doctor_names_an_environment_that_cannot_be_asked(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A target that is not installed, and settings that its target refuses, with what to do."""
    (project / "gennaker.yaml").write_text(
        "environments:\n  a: {kubernets: {}}\n  b: {kubernetes: {namespace: A}}\n"
    )
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert (
        "wrong    environment a: 'kubernets' is not an installed target\n"
        "         did you mean 'kubernetes'?\n"
    ) in out
    assert "wrong    environment b: the 'kubernetes' settings of environment 'b' are wrong: " in out


def test_an_unexpected_error_is_told_without_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 7, `internal: …`, and the traceback only with --debug."""

    def explode(*_args: object, **_more: object) -> None:
        raise ValueError("boom")

    monkeypatch.setattr(app_module.app, "invoke", explode)
    assert main(["version"]) == 7
    err = capsys.readouterr().err
    assert err == ("internal: ValueError: boom; run again with --debug and report what it shows\n")


def test_debug_shows_the_traceback(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--debug may stand before or after the command."""
    for argv in (["--debug", "show", "nope"], ["show", "nope", "--debug"]):
        assert main(argv) == 2
        assert "Traceback (most recent call last)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.EROFS, "f: read-only: read-only file system; choose a folder that can be written"),
        (errno.EACCES, "f: permission-denied: permission denied; check its owner and permissions"),
        (errno.ENOSPC, "f: disk-full: no space left on device; free some space"),
        (errno.ENOENT, "f: not-found: no such file or directory; check the path"),
    ],
)
def test_what_the_operating_system_refuses_is_told(
    number: int,
    told: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Which file, why, and what to do; exit code 7."""

    def refuse(*_args: object, **_more: object) -> None:
        raise OSError(number, os.strerror(number), "f")

    monkeypatch.setattr(app_module.app, "invoke", refuse)
    assert main(["version"]) == 7
    assert capsys.readouterr().err.startswith(told)


def test_a_reader_that_leaves_is_no_error() -> None:
    """A closed pipe ends the command quietly."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "gennaker_engine.cli", "help"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=20,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_completion_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not known in time, or cannot be read, completes to nothing."""
    waits = threading.Event()
    monkeypatch.setattr(completion, "DEADLINE", 0.01)

    def ask_slowly() -> list[str]:
        waits.wait(5)
        return ["late"]

    def fail() -> list[str]:
        raise RuntimeError("no state")

    assert completion._within_deadline(ask_slowly, "") == []
    waits.set()
    monkeypatch.setattr(completion, "DEADLINE", 5)
    assert completion._within_deadline(fail, "") == []
    assert completion._within_deadline(lambda: ["ab", "cd"], "a") == ["ab"]


def test_a_filter_that_finds_nothing_is_not_an_empty_project(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A list that a filter left empty says so; one without filters says how to begin."""
    assert main(["runs"]) == 0
    assert capsys.readouterr().err == "no runs; start one with 'gennaker run PIPELINE'\n"
    assert main(["runs", "--outcome", "failed"]) == 0
    assert capsys.readouterr().err == "no such run; without filters: 'gennaker runs'\n"


def test_the_options_of_a_help_are_options(capsys: pytest.CaptureFixture[str]) -> None:
    """Arguments stand in the usage line, without a row that says nothing."""
    assert main(["logs", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Usage: gennaker logs [OPTIONS] RUN [STAGE]" in shown
    assert "Options:\n  -f, --follow" in shown


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        ([], "usage: name a RUN, or --environment NAME --to RUN; see 'gennaker rollback --help'\n"),
        (
            ["--environment", "nope", "--to", "x"],
            "unknown-environment: there is no environment 'nope'\n",
        ),
        (["--to", "x"], "usage: --to needs --environment NAME; see 'gennaker rollback --help'\n"),
        (
            ["hello-1", "--to", "hello-2"],
            "usage: name a RUN, or --environment NAME --to RUN; see 'gennaker rollback --help'\n",
        ),
    ],
)
def test_a_rollback_says_what_it_needs(
    argv: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Either a run to put back, or an environment and a run to bring it to."""
    assert main(["rollback", *argv]) == 2
    assert capsys.readouterr().err == told


def test_a_word_that_is_not_utf8_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """What would go into the journal as a name or comment, and could not be kept, is wrong usage."""
    assert main(["status", os.fsdecode(b"a\xff")]) == 2
    assert capsys.readouterr().err == "usage: b'a?' is not UTF-8 text; see 'gennaker --help'\n"
