"""What a newcomer hits in the first hour: told in one line with advice, and nothing half done."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.command_line import PROGRAM, Desk, Said, tell_outcomes, wait_for

HELLO = "name: demo\nstages:\n  a: {uses: shell, with: {run: echo hi}}\n"
NUMBER = (
    "name: demo\nparameters: {n: {type: integer, required: true}}\nstages:\n"
    "  a: {uses: shell, with: {run: echo hi}}\n"
)
ASKS = """\
name: demo
stages:
  a: {uses: shell, with: {run: echo hi}}
  ok: {uses: approval, needs: a, with: {message: Go?, approvers: [RULE]}}
  b: {uses: shell, needs: ok, with: {run: echo there}}
"""
HOLDS = """\
name: demo
stages:
  a: {uses: shell, with: {run: "echo holding; while [ ! -e FOLDER/go ]; do sleep 0.05; done"}}
  b: {uses: shell, needs: a, with: {run: echo there}}
finally:
  z: {uses: shell, with: {run: "echo tidy; while [ -e FOLDER/hold ]; do sleep 0.05; done"}}
"""
SECRET = """\
name: demo
stages:
  a: {uses: shell, with: {run: 'echo "$S"', env: {S: "${{ secrets.token }}"}}}
"""
CLUSTER = "environments: {prod: {kubernetes: {context: prod, namespace: shop}}}\n"
DEPLOY = """\
name: demo
stages:
  render: {uses: helm.template, environment: prod, with: {chart: chart}}
  deploy:
    uses: kubernetes.deploy
    environment: prod
    with: {bundle: "${{ stages.render.outputs.bundle }}"}
"""
# A user who may write everywhere finds no folder read-only: this capability is left out.
AS_OTHERS = (
    ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--")
    if shutil.which("setpriv") and Path("/proc/self/loginuid").exists()
    else ()
)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A project in an empty folder."""
    desk = Desk(tmp_path / "desk")
    yield desk
    desk.close()


def make_desk(tmp_path: Path, settings: str) -> Desk:
    """A project with settings of its own."""
    return Desk(tmp_path / "other", settings)


def check_refused(desk: Desk, said: Said, *texts: str, code: int = 2) -> None:
    """Nothing was printed as data, each text was told, and there is no run."""
    assert said.code == code, said.text
    assert said.out == ""
    for text in texts:
        assert text in said.err
    assert desk.list_runs() == {}


# Files


@pytest.mark.parametrize(
    ("stages", "told"),
    [
        (
            "  a: {uses: shell, tmeout: 5m, with: {run: echo}}",
            "pipelines/demo.yaml:3:20: unknown-field: 'tmeout' is not a field of a stage; "
            "did you mean 'timeout'?",
        ),
        (
            "  a: {uses: shel, with: {run: echo}}",
            "pipelines/demo.yaml:3:13: unknown-plugin: 'shel' is not an installed stage type; "
            "did you mean 'shell'?",
        ),
        (
            "  a: {uses: shell, needs: b, with: {run: echo}}\n"
            "  b: {uses: shell, needs: a, with: {run: echo}}",
            "pipelines/demo.yaml:3:27: cycle: stages depend on each other in a circle: "
            "a → b → a; each depends on the next; remove one of these dependencies",
        ),
        (
            "  a: {uses: shell}",
            "pipelines/demo.yaml:3:6: missing-field: 'shell' needs 'run'; add 'run: …'",
        ),
        (
            '  a: {uses: shell, if: "params.x ==", with: {run: echo}}',
            "pipelines/demo.yaml:3:24: expression-syntax: the expression ends too early",
        ),
        (
            '  a: {uses: shell, with: {run: echo, env: {A: "${{ git.shaa }}"}}}',
            "unknown-field: unknown field 'shaa' of 'git'; did you mean 'sha'?",
        ),
        (
            '  a: {uses: shell, with: {run: echo, env: {A: "${{ stages.b.outputs.x }}"}}}',
            "unknown-stage: unknown stage 'b'; known: 'a'",
        ),
        (
            '  a: {uses: shell, with: {run: "echo ${{ git.sha }}"}}',
            'pass it as a variable: \'env: {SHA: "${{ git.sha }}"}\', and write "$SHA"',
        ),
        (
            "  a:\n    uses: shell\n    if: !success()\n    with: {run: echo}",
            "pipelines/demo.yaml:5:9: yaml-trap: '!success()' is read as a YAML tag, because an "
            "unquoted value may not start with '!'; put the value in quotes: \"!success()\"",
        ),
        (
            "  a:\n    uses: shell\n    if: run.number > 1 ? true : false\n    with: {run: echo}",
            "yaml-trap: ': ' in an unquoted 'a ? b : c' is read as the start of a mapping; put "
            "the whole value in quotes",
        ),
        (
            "  a:\n    uses: shell\n    with: {run: echo, env: {tag: ${{ git.sha }}}}",
            "pipelines/demo.yaml:5:35: yaml-trap: an unquoted '${{' inside '{ }' or '[ ]' is read "
            'as the start of a mapping; put the expression in quotes: "${{ … }}"',
        ),
        (
            "  a:\n    uses: shell\n    with:\n      run: echo\n"
            '      env:\n        A: ${{ git.sha + " #" }}',
            "pipelines/demo.yaml:8:12: yaml-trap: ' #' starts a comment and cuts the expression "
            "off; put the whole value in quotes",
        ),
        (
            "\ta: {uses: shell}",
            "pipelines/demo.yaml:3:1: yaml-syntax: this character cannot start a value; indent "
            "with spaces, not with tabs",
        ),
        (
            SECRET.partition("stages:\n")[2],
            "unknown-secret: unknown secret 'token'; declare it under 'secrets' in gennaker.yaml: "
            "'token: {env: TOKEN}'",
        ),
    ],
)
def test_a_wrong_file_is_told_before_anything_starts(desk: Desk, stages: str, told: str) -> None:
    """run and validate say the same: place, code word and advice; exit code 2, no run."""
    desk.write(f"name: demo\nstages:\n{stages}\n")
    check_refused(desk, desk.call("run", "demo"), told)
    assert told in desk.call("validate").text


def test_all_problems_are_told_at_once(desk: Desk) -> None:
    """Three mistakes in two files take one look."""
    desk.write("name: demo\nstages:\n  a: {uses: shel, needs: zz}\n")
    desk.write("name: b\nstages: {a: {uses: shell, tmeout: 1m}}\n", "pipelines/b.yaml")
    said = desk.call("validate")
    assert said.code == 2
    for word in ("'shel' is not", "'zz'", "'tmeout' is not", "2 files: "):
        assert word in said.text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("stages:\n  a: {uses: shell, with: {run: echo}}\n", "add 'name: …'"),
        ("name: demo\n", "add 'stages: …'"),
        ("", "pipelines/demo.yaml:1:1: yaml-empty: the file is empty; write one document"),
        ("- name: demo\n", "pipelines/demo.yaml:1:1: "),
    ],
)
def test_a_file_that_is_no_pipeline_is_told(desk: Desk, text: str, told: str) -> None:
    """Asked for by name, the file that cannot give it is told with what it lacks."""
    desk.write(text)
    check_refused(desk, desk.call("run", "demo"), "pipelines/demo.yaml", told)


def test_a_pipeline_that_does_not_exist_names_those_that_do(desk: Desk) -> None:
    """A wrong name, a wrong file and a file of another kind."""
    desk.write(HELLO)
    for word, told in {
        "demos": "unknown-pipeline: there is no pipeline 'demos'; did you mean 'demo'?",
        "no.yaml": "unknown-pipeline: there is no file 'no.yaml'",
        "a/b.txt": "a pipeline is in a '.yaml', '.yml' or '.py' file",
    }.items():
        check_refused(desk, desk.call("run", word), told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import gennaker\n\ndef (\n", "pipelines/x.py:3:5: python-file: not valid Python: "),
        ("\nx = 1 / 0\n", "pipelines/x.py:2: python-file: ZeroDivisionError: division by zero"),
        ("import nope\n", "pipelines/x.py:1: python-file: ModuleNotFoundError: No module named"),
        ("import sys\nsys.exit(3)\n", "pipelines/x.py:2: python-file: SystemExit: 3"),
    ],
)
def test_a_python_file_that_breaks_is_told_with_its_line(desk: Desk, text: str, told: str) -> None:
    """No traceback of ours; pipelines of other files still run."""
    desk.write(text, "pipelines/x.py")
    check_refused(desk, desk.call("run", "x"), told)
    assert told in desk.call("validate").text
    desk.write(HELLO)
    assert desk.call("run", "demo").code == 0


# Parameters


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "parameter: parameter 'n' is required; add 'n=…'"),
        (["-p", "n=1", "-p", "m=2"], "parameter: there is no parameter 'm'; known: 'n'"),
        (["-p", "n=x"], "parameter: parameter 'n' must be an integer, not 'x'"),
        (["-p", "n"], "usage: 'n' is not NAME=VALUE; see 'gennaker run --help'"),
        (["--params-file", "none.yaml"], "none.yaml"),
    ],
)
def test_a_wrong_parameter_is_told_before_anything_starts(
    desk: Desk, words: list[str], told: str
) -> None:
    """Missing, unknown, ill-typed, ill-formed: exit code 2, no run."""
    check_refused(desk.write(NUMBER), desk.call("run", "demo", *words), told)


# Secrets


def test_a_secret_that_is_not_there_ends_its_stage(tmp_path: Path) -> None:
    """The variable is named with the way to set it; set, the next run masks the value."""
    desk = make_desk(tmp_path, "secrets: {token: {env: DESK_TOKEN}}\n").write(SECRET)
    said = desk.call("run", "demo")
    assert said.code == 7
    assert (
        "a: errored in 0.0s: environment variable 'DESK_TOKEN', which a secret is read from, is "
        "not set; set it where gennaker runs: export DESK_TOKEN=…"
    ) in said.err
    said = desk.call("run", "demo", DESK_TOKEN="abc")
    assert said.code == 7
    assert "'DESK_TOKEN' has fewer than 4 characters" in said.err
    assert "use a longer one" in said.err
    said = desk.call("run", "demo", DESK_TOKEN="s3cr3t-value")
    assert said.code == 0
    assert "a | ***" in said.err
    assert "s3cr3t" not in said.text + desk.call("logs", "@last").text
    assert desk.list_runs() == {"demo-1": "errored", "demo-2": "errored", "demo-3": "succeeded"}


# What is not there


@pytest.mark.parametrize(
    "stage",
    [
        '{uses: docker.build, with: {context: ".", tags: [x]}}',
        "{uses: docker.run, with: {image: busybox, command: [echo]}}",
    ],
)
def test_no_docker_is_told(desk: Desk, stage: str) -> None:
    """The socket that does not answer is named with what to do; the run errs, exit code 7."""
    desk.write("FROM scratch\n", "Dockerfile")
    desk.write(f"name: demo\nstages:\n  a: {stage}\n")
    said = desk.call("run", "demo", DOCKER_HOST="unix:///nowhere/docker.sock")
    assert said.code == 7
    assert "no Docker engine answers: /nowhere/docker.sock: No such file or directory" in said.err
    assert "start Docker, or set DOCKER_HOST; 'gennaker doctor' tells more" in said.err
    assert desk.list_runs() == {"demo-1": "errored"}
    said = desk.call("doctor", DOCKER_HOST="unix:///nowhere/docker.sock")
    assert "missing  docker: no engine at /nowhere/docker.sock" in said.text


def write_chart(desk: Desk) -> Desk:
    """A pipeline that renders and deploys a chart."""
    desk.write("apiVersion: v2\nname: c\nversion: 1.0.0\n", "chart/Chart.yaml")
    desk.write(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: b}\n",
        "chart/templates/c.yaml",
    )
    return desk.write(DEPLOY)


def write_kubeconfig(desk: Desk, *, context: str, server: str) -> None:
    """A kubeconfig with one context."""
    desk.write(
        "apiVersion: v1\nkind: Config\n"
        f'clusters: [{{name: c, cluster: {{server: "{server}"}}}}]\n'
        f"contexts: [{{name: {context}, context: {{cluster: c, user: u}}}}]\n"
        "users: [{name: u, user: {token: abcdef}}]\n",
        "kubeconfig",
    )


def test_no_cluster_is_told(tmp_path: Path) -> None:
    """No kubeconfig, no such context, nobody at the server's address: each with its advice.

    The first stage that asks the cluster says so: the render, unless it is told the version.
    """
    desk = write_chart(make_desk(tmp_path, CLUSTER))
    kubeconfig = str(desk.folder / "kubeconfig")
    said = desk.call("run", "demo", KUBECONFIG=kubeconfig)
    assert said.code == 7
    assert "render: errored" in said.err
    assert tell_outcomes(desk.view()) == {"render": "errored", "deploy": "skipped"}
    desk.write(DEPLOY.replace("chart: chart", "chart: chart, kube_version: 1.33.0"))
    said = desk.call("run", "demo", KUBECONFIG=kubeconfig)
    assert said.code == 7
    assert "deploy: errored" in said.err
    assert f"there is no kubeconfig {kubeconfig!r}; set KUBECONFIG" in said.err
    assert "or try it without a cluster: 'gennaker run --sandbox'" in said.err
    write_kubeconfig(desk, context="staging", server="https://127.0.0.1:1")
    said = desk.call("run", "demo", KUBECONFIG=kubeconfig)
    assert said.code == 7
    assert "the kubeconfig has no context 'prod'; it has: staging" in said.err
    write_kubeconfig(desk, context="prod", server="https://127.0.0.1:1")
    said = desk.call("run", "demo", KUBECONFIG=kubeconfig)
    assert said.code == 7
    assert "the cluster at https://127.0.0.1:1 does not answer" in said.err
    assert "look whether it runs and whether the context is the right one" in said.err
    assert set(desk.list_runs().values()) == {"errored"}
    assert tell_outcomes(desk.view()) == {"render": "succeeded", "deploy": "errored"}


def test_a_missing_namespace_is_told_and_made_when_wanted(tmp_path: Path) -> None:
    """The sandbox has no namespace that nobody made; the advice of the message works."""
    desk = write_chart(make_desk(tmp_path, CLUSTER))
    said = desk.call("run", "demo", "--sandbox")
    assert said.code == 7
    assert (
        "there is no namespace 'shop' in the cluster, into which ConfigMap/c would go (nothing was "
        "applied); create it, or set 'create_namespace: true' in the environment"
    ) in said.err
    desk.write(
        "project: desk\n" + CLUSTER.replace("shop}", "shop, create_namespace: true}"),
        "gennaker.yaml",
    )
    assert desk.call("run", "demo", "--sandbox").code == 0
    assert desk.list_runs() == {"demo-1": "errored", "demo-2": "succeeded"}


def test_a_port_that_is_taken_is_no_hindrance(tmp_path: Path) -> None:
    """The sandbox's port of last time has another listener: it takes the next free one."""
    settings = CLUSTER.replace("shop}", "shop, create_namespace: true}")
    desk = write_chart(make_desk(tmp_path, settings))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f'{{"port": {taken.getsockname()[1]}, "token": "abcdefghijkl"}}'
        desk.write(address, ".gennaker/sandbox/address.json")
        assert desk.call("run", "demo", "--sandbox").code == 0


# Folders


def test_a_folder_that_cannot_be_written_is_told(desk: Desk) -> None:
    """Reading works; what needs the state says so and names the way out, which works."""
    desk.write(HELLO)
    desk.folder.chmod(0o555)
    try:
        said = desk.call("run", "demo", before=AS_OTHERS)
        assert said.code == 7
        assert said.err == (
            f"state-unwritable: cannot write '{desk.folder}/.gennaker': Permission denied; run in "
            "a folder you may write to, or name another state with --state\n"
        )
        assert not (desk.folder / ".gennaker").exists()
        assert desk.call("validate", before=AS_OTHERS).code == 0
        assert desk.call("runs", before=AS_OTHERS).code == 0
        said = desk.call("doctor", before=AS_OTHERS)
        assert said.code == 1
        assert f"wrong    state folder: {desk.folder} cannot be written" in said.text
        state = f"sqlite:///{desk.folder.parent}/elsewhere/state.db"
        assert desk.call("--state", state, "run", "demo", before=AS_OTHERS).code == 0
    finally:
        desk.folder.chmod(0o755)


def test_a_state_that_cannot_be_written_can_be_looked_at(desk: Desk) -> None:
    """Runs and what is deployed are told as ever; who would write is told why not."""
    stage = "uses: shell, environment: live, with: {run: echo hi, source: false}"
    desk.write(f"name: demo\nstages:\n  a: {{{stage}}}\n")
    desk.write("environments: {live: {}}\n", "gennaker.yaml")
    assert desk.call("run", "demo").code == 0
    state = desk.folder / ".gennaker"
    folders = [state, *(each for each in state.rglob("*") if each.is_dir())]
    for each in folders:
        each.chmod(0o555)
    try:
        for words, told in (
            (("runs",), "demo-1  succeeded"),
            (("history", "live"), "demo-1  a "),
        ):
            said = desk.call(*words, before=AS_OTHERS)
            assert (said.code, said.err) == (0, "")
            assert told in said.out
        said = desk.call("run", "demo", before=AS_OTHERS)
        assert said.code == 7
        assert said.err.startswith(
            f"state-unwritable: the state {state}/state.db cannot be written"
        )
    finally:
        for each in folders:
            each.chmod(0o755)


def test_a_file_where_the_state_should_be_is_told(desk: Desk) -> None:
    """run refuses, doctor says what is wrong, nothing is overwritten."""
    desk.write(HELLO).write("mine", ".gennaker")
    check_refused(
        desk,
        desk.call("run", "demo"),
        f"state-unwritable: cannot write '{desk.folder}/.gennaker'",
        "name another state with --state",
        code=7,
    )
    said = desk.call("doctor")
    assert said.code == 1
    assert f"wrong    state folder: {desk.folder}/.gennaker is a file" in said.text
    assert (desk.folder / ".gennaker").read_text() == "mine"


def test_a_folder_outside_git_works(desk: Desk) -> None:
    """The source is the folder itself, and doctor says what git would give."""
    said = desk.write(HELLO).call("run", "demo")
    assert said.code == 0
    assert desk.view()["source"]["kind"] == "folder"
    assert "this is not a git repository" in desk.call("doctor").text


def test_an_empty_git_repository_works(desk: Desk) -> None:
    """Without a commit the source is a snapshot, said to be dirty."""
    subprocess.run(["git", "init", "--quiet", str(desk.folder)], check=True)
    said = desk.write(HELLO).call("run", "demo")
    assert said.code == 0, said.err
    source = desk.view()["source"]
    assert (source["commit"], source["dirty"]) == (None, True)


# Runs


@pytest.mark.parametrize("command", ["status", "logs", "events", "artifacts", "graph", "cancel",
                                     "retry", "resume"])  # fmt: skip
def test_a_run_that_does_not_exist_is_told(desk: Desk, command: str) -> None:
    """Before the first run and after it: exit code 2, with what to do."""
    desk.write(HELLO)
    said = desk.call(command, "demo-7")
    assert (said.code, said.out) == (2, "")
    assert "start one with 'gennaker run PIPELINE'" in said.err
    assert desk.call("run", "demo").code == 0
    said = desk.call(command, "demo-7")
    assert (said.code, said.out) == (2, "")
    assert "there is no run 'demo-7'; did you mean 'demo-1'?" in said.err


def test_a_prefix_that_several_runs_have_is_told(desk: Desk) -> None:
    """The runs it may mean are named; a longer one is taken."""
    desk.write(HELLO)
    for _ in range(2):
        assert desk.call("run", "demo").code == 0
    said = desk.call("status", "dem")
    assert said.code == 2
    assert "ambiguous-run: " in said.err
    assert "demo-1" in said.err
    assert "demo-2" in said.err
    assert desk.call("status", "demo-1").code == 0


# Decisions


def test_a_decision_that_nobody_asked_for_is_refused(desk: Desk) -> None:
    """A stage that asks nothing, an unknown one, a settled one, an ended run; the run is untouched."""
    desk.write(ASKS.replace("RULE", '"local:*"'))
    assert desk.call("run", "demo", "--detach-on-wait").code == 6
    for stage in ("a", "nope"):
        said = desk.call("approve", "@last", stage)
        assert said.code == 2
        assert (
            f"no-open-approval: no approval of '{stage}' is open in run 'demo-1'; open: ok"
        ) in said.err
    assert desk.view()["waiting"][0]["decisions"] == []
    said = desk.call("approve", "@last", "ok", "--no-follow")
    assert said.code == 0
    assert said.err == "recorded; go on with: gennaker resume demo-1\n"
    for decision in ("approve", "reject"):
        said = desk.call(decision, "@last", "ok", "--no-follow")
        assert said.code == 4
        assert "approval-settled: the approval 'ok' is settled: approved" in said.err
    assert "ok  approved" in desk.call("status", "demo-1").text
    assert desk.call("resume", "demo-1").code == 0
    said = desk.call("approve", "@last", "ok")
    assert said.code == 4
    assert "run-ended: run 'demo-1' has ended; 'gennaker retry' starts a new run" in said.err
    assert desk.list_runs() == {"demo-1": "succeeded"}


def test_who_is_no_approver_is_refused(desk: Desk) -> None:
    """A rule for a proven identity cannot be met here, and the message says so; exit code 4."""
    desk.write(ASKS.replace("RULE", '"user:ann"'))
    assert desk.call("run", "demo", "--detach-on-wait").code == 6
    said = desk.call("approve", "@last", "ok")
    assert said.code == 4
    assert "not-an-approver: 'local:" in said.err
    assert "is none of the approvers user:ann; a 'user:' rule needs a server" in said.err
    assert desk.view()["waiting"][0]["decisions"] == []
    assert desk.call("cancel", "@last").code == 3
    assert desk.list_runs() == {"demo-1": "aborted"}
    said = desk.call("run", "demo", "--sandbox", "--approve", "ok", "--detach-on-wait")
    assert said.code == 6
    assert "ok: --approve does not count, as local:" in said.err


def test_an_approval_before_seeing_needs_a_plan_or_the_sandbox(desk: Desk) -> None:
    """Without them, for an unknown stage, with another plan, or without the right: refused."""
    desk.write(ASKS.replace("RULE", '"local:*"'))
    check_refused(
        desk,
        desk.call("run", "demo", "--approve", "ok"),
        "it needs --sandbox or --plan DIGEST; see 'gennaker run --help'",
    )
    check_refused(
        desk,
        desk.call("run", "demo", "--sandbox", "--approve", "nope"),
        "unknown-stage: pipeline 'demo' has no stage 'nope' to approve",
    )
    check_refused(
        desk,
        desk.call("run", "demo", "--approve", "ok", "--plan", "sha256:" + "0" * 64),
        "plan-moved: the plan is sha256:",
        "look at it with 'gennaker plan' and give its digest",
    )
    assert desk.call("run", "demo", "--sandbox", "--approve", "ok").code == 0


def test_a_full_concurrency_group_rejects(desk: Desk) -> None:
    """Exit code 4, and no run was made; once the first has ended the next one starts."""
    desk.write("concurrency: {group: one, policy: reject}\n" + ASKS.replace("RULE", '"local:*"'))
    assert desk.call("run", "demo", "--detach-on-wait").code == 6
    said = desk.call("run", "demo")
    assert said.code == 4
    assert (
        "concurrency-rejected: concurrency group 'one' is full; wait for the run that is active, "
        "or cancel it"
    ) in said.err
    assert desk.list_runs() == {"demo-1": None}
    assert desk.call("approve", "@last", "ok").code == 0
    assert desk.call("run", "demo", "--detach-on-wait").code == 6


# Interruptions


def test_ctrl_c_aborts_and_runs_finally(desk: Desk) -> None:
    """Once: 130, what ran is aborted, finally ran, the run has ended."""
    program = desk.write(HOLDS).start("run", "demo")
    wait_for(lambda: "holding" in desk.call("logs", "@last").out)
    program.send_signal(signal.SIGINT)
    said = desk.end(program)
    assert said.code == 130
    assert "aborting; finally stages still run (Ctrl-C again: park)" in said.err
    assert "z | tidy" in said.err
    assert tell_outcomes(desk.view()) == {"a": "aborted", "b": "skipped", "z": "succeeded"}
    assert desk.list_runs() == {"demo-1": "aborted"}


def test_a_second_ctrl_c_parks(desk: Desk) -> None:
    """143, and the way to go on is told, which works and ends what was begun."""
    desk.write(HOLDS).write("", "hold")
    program = desk.start("run", "demo")
    wait_for(lambda: "holding" in desk.call("logs", "@last").out)
    program.send_signal(signal.SIGINT)
    wait_for(lambda: "tidy" in desk.call("logs", "@last", "z").out)
    program.send_signal(signal.SIGINT)
    said = desk.end(program)
    assert said.code == 143
    assert said.err.endswith("demo-1 is parked; go on with: gennaker resume demo-1\n")
    assert desk.list_runs() == {"demo-1": None}
    (desk.folder / "hold").unlink()
    assert desk.call("resume", "demo-1").code == 3
    assert desk.list_runs() == {"demo-1": "aborted"}


def test_sigterm_parks(desk: Desk) -> None:
    """143, and the way to go on is told, which works and loses nothing."""
    program = desk.write(HOLDS).start("run", "demo")
    wait_for(lambda: "holding" in desk.call("logs", "@last").out)
    program.send_signal(signal.SIGTERM)
    said = desk.end(program)
    assert said.code == 143
    assert said.err.endswith("demo-1 is parked; go on with: gennaker resume demo-1\n")
    assert desk.list_runs() == {"demo-1": None}
    (desk.folder / "go").touch()
    said = desk.call("resume")
    assert said.code == 0
    assert tell_outcomes(desk.view()) == {"a": "succeeded", "b": "succeeded", "z": "succeeded"}


def test_a_run_that_another_process_drives_is_left_to_it(desk: Desk) -> None:
    """A second resume is told who drives it, exit code 4, and the run goes on undisturbed."""
    program = desk.write(HOLDS).start("run", "demo")
    wait_for(lambda: "holding" in desk.call("logs", "@last").out)
    said = desk.call("resume", "demo-1")
    assert said.code == 4
    assert said.err.startswith("run-owned: run 'demo-1' is driven by ")
    assert f"pid {program.pid}" in said.err
    assert "watch it with 'gennaker status --watch demo-1'" in said.err
    (desk.folder / "go").touch()
    assert desk.end(program).code == 0


@pytest.mark.parametrize("words", ["runs", "stages", "schema", "run demo -o json", "logs @last"])
def test_who_stops_reading_breaks_nothing(desk: Desk, words: str) -> None:
    """``| head -1``: no traceback, no complaint, and a run goes on to its end."""
    desk.write(HELLO.replace("echo hi", "seq 2000; sleep 0.3; seq 2000"))
    assert desk.call("run", "demo").code == 0
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {PROGRAM} {words} 2>&1 | head -1"],
        cwd=desk.folder,
        env=desk.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = Said(done.returncode, done.stdout, done.stderr)
    assert said.err == ""
    assert said.code in (0, 143)
    assert None not in desk.list_runs().values() or desk.call("resume").code == 0


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&-", "<&- >&- 2>&-"])
def test_closed_streams_break_nothing(desk: Desk, closed: str) -> None:
    """Started by something that closes its streams, the run is driven to its end all the same."""
    done = subprocess.run(
        ["bash", "-c", f"{PROGRAM} run demo -o json {closed}"],
        cwd=desk.write(HELLO).folder,
        env=desk.env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = Said(done.returncode, done.stdout, done.stderr)
    assert said.code == 0, said.text
    assert desk.list_runs() == {"demo-1": "succeeded"}
