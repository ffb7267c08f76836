"""Random command lines: a documented exit code, no traceback, nothing written elsewhere."""

from __future__ import annotations

import contextlib
import io
import random
from pathlib import Path

import pytest

from gennaker_engine.cli.app import COMMANDS
from gennaker_engine.cli.exit_codes import EXIT_CODES
from gennaker_engine.cli.main import main
from tests.fixtures.scale import scale
from tests.fuzz.cases import mutate, run_cases

PIPELINE = """\
name: hello
parameters: {count: {type: integer, default: 1}, region: {default: eu, choices: [eu, us]}}
stages:
  first: {uses: wait, with: {for: 1ms}}
  second: {uses: wait, needs: first, if: params.count > 0, with: {for: 1ms}}
"""
# These take a hundred times as long as a usage error: they are tried less often.
SLOW = ("run", "retry", "doctor", "plan", "schema", "stages", "plugins", "init")
QUICK = [name for name in COMMANDS if name not in SLOW]
LINES = [
    *(
        "validate",
        "validate pipelines/hello.yaml -o json",
        "show hello -o python",
        "show hello --digest",
    ),
    *("graph hello -o mermaid", "graph hello-1 -o svg", "graph @last", "runs --limit 3 -o json"),
    *(
        "runs --pipeline hello --outcome failed --state ended",
        "status hello-1 -o yaml",
        "status @last",
    ),
    *(
        "logs hello-1 first --attempt 1 --since 5m --timestamps",
        "logs @last -f",
        "events hello-1 -o name",
    ),
    *(
        "artifacts hello-1 -o json",
        "approve hello-1 first --comment x -p a=b --no-follow",
        "resume",
    ),
    *(
        "reject hello-1 first --no-follow",
        "cancel hello-1 --no-follow",
        "resume hello-1",
        "completion bash",
    ),
    *("version -o json", "help exit-codes", "help run", "--help", "--version"),
    *("--project . status hello", "--color always runs"),
]
SLOW_LINES = [
    "run hello -p count=2",
    "retry hello-1 -o json",
    "plan hello --exit-code",
    "doctor -o json",
    "stages wait",
    "stages -o json",
    "plugins",
    "schema",
    "init",
]
WORDS = [
    *(
        "-o",
        "--output",
        "json",
        "yaml",
        "name",
        "text",
        "-p",
        "count=x",
        "count=",
        "=",
        "=x",
        "region=eu",
    ),
    *(
        "--limit",
        "0",
        "-1",
        "99999999999999999999",
        "--since",
        "5",
        "1h",
        "--attempt",
        "--no-follow",
    ),
    *(
        "hello",
        "hello-1",
        "hello-999",
        "@last",
        "@",
        "hello-",
        "-",
        "--",
        "pipelines/hello.yaml:hello",
    ),
    *(
        "first",
        "first[0]",
        "--comment",
        "",
        " ",
        "\x00",
        "\x1b[31m",
        "é",
        "\ud800",
        "a" * 300,
        "%s",
        "{}",
    ),
    *(
        "--project",
        ".",
        "pipelines",
        "--color",
        "never",
        "--params-file",
        "gennaker.yaml",
        "--plan",
    ),
    *(
        "sha256:0",
        "--exit-code",
        "--digest",
        "--detach-on-wait",
        "--approve",
        "--help",
        "@gennaker.yaml",
    ),
]


def _make_argv(choose: random.Random) -> list[str]:
    argv = choose.choice(SLOW_LINES if choose.random() < 0.005 else LINES).split()
    for _ in range(choose.choice((0, 1, 1, 2, 3))):
        place = choose.randint(0, len(argv))
        how = choose.randrange(5)
        if how == 0:
            argv.insert(place, choose.choice(WORDS))
        elif how == 1:
            del argv[place : place + 1]
        elif how == 2:
            argv[place : place + 1] = [choose.choice(WORDS)]
        elif how == 3 and place < len(argv):
            argv[place] = mutate(argv[place], WORDS, WORDS, choose)
        else:
            argv[:1] = [choose.choice(QUICK)]
    # No process is given these: a word has no NUL, and a byte that is not UTF-8 is one of U+DC80…
    argv = [each.replace("\x00", "").replace("\ud800", "\udc80") for each in argv]
    # What people ask to have written somewhere is written there, and a tail has no end.
    hidden = {"--to", "--state", "--watch", "--sandbox", "--debug"}
    return [each for each in argv if each.partition("=")[0] not in hidden and ".." not in each]


def _list_files(folder: Path) -> list[str]:
    return sorted(
        str(each.relative_to(folder))
        for each in folder.rglob("*")
        if "project" not in each.relative_to(folder).parts
    )


@pytest.mark.scaled
@pytest.mark.timeout(scale(240, 0))
def test_fuzz_cli(memory_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is typed ends with a code that the documentation has, and within the project."""
    project = memory_folder / "work" / "project"
    (project / "pipelines").mkdir(parents=True)
    for name in ("CI", "GITHUB_ACTIONS", "GITLAB_CI", "CLICOLOR_FORCE", "GENNAKER_STATE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "GIT_CEILING_DIRECTORIES"):
        monkeypatch.setenv(name, str(memory_folder))
    monkeypatch.chdir(project)
    Path("gennaker.yaml").write_text("project: hello\n")
    Path("pipelines/hello.yaml").write_text(PIPELINE)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert main(["run", "hello"]) == 0
    before = _list_files(memory_folder)

    def check(choose: random.Random) -> None:
        argv = _make_argv(choose)
        out, err = io.StringIO(), io.StringIO()
        monkeypatch.setattr("sys.stdin", io.StringIO())
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(argv)
        told = out.getvalue() + err.getvalue()
        assert code in EXIT_CODES, (argv, code)
        assert "Traceback" not in told, (argv, told)
        assert "internal: " not in told, (argv, told)
        assert code or "error" not in err.getvalue()[:6], (argv, told)

    run_cases(check, small=10_000)
    assert _list_files(memory_folder) == before
