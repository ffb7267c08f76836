"""No secret value gets anywhere but to the stage that was given it: canaries through every stage type.

Each test runs the program itself with ``--debug``, reads all that can be read of the run, and then
searches what was printed, the journal, the state folder, the temporary folder and, while the run
goes on, the arguments and environments of all processes.
"""

from __future__ import annotations

import base64
import json
import signal
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.fixtures.chart_repository import ChartServer
from tests.fixtures.docker_engine import BaseImage, DockerEngine
from tests.fixtures.http_server import Answer, Asked, LocalServer
from tests.fixtures.registry import PASSWORD, USERNAME, Registry
from tests.integration.canary_parts import Canaries, Project, Watch, find_marks, install
from tests.integration.runtime_parts import wait_for

ENV = "{P: '${{ secrets.plain }}', U: '${{ secrets.url }}', Q: '${{ secrets.quoted }}', " + (
    "L: '${{ secrets.lines }}', S: '${{ secrets.split }}'}"
)
SHOW = """\
import base64, json, os, sys, time
from urllib.parse import quote, quote_plus
from gennaker.errors import PermanentError, StageError, TemporaryError
from gennaker.stage import Failed

VALUES = [os.environ[name] for name in "PUQLS" if name in os.environ]

def show():
    for stream in (sys.stdout, sys.stderr):
        for value in VALUES:
            print("plain", value, repr(value), repr(value.encode()), file=stream)
            print("json", json.dumps(value), json.dumps([json.dumps(value)]), file=stream)
            print("url", quote(value), quote_plus(value), quote(value, safe=""), file=stream)
            for before in ("", "a", "ab", "user:"):
                text = before.encode() + value.encode()
                print("base64", base64.b64encode(text).decode(), file=stream)
                print("safe", base64.urlsafe_b64encode(text).decode(), file=stream)
                print("lines", base64.encodebytes(text * 9).decode(), file=stream)
        for at, letter in enumerate(VALUES[-1]):
            print(letter, end="", file=stream, flush=True)
            if not at % 8:
                time.sleep(0.01)
        print(file=stream)

def fail():
    show()
    return Failed(f"it is {VALUES!r}", VALUES[0])

def crash():
    raise ValueError(f"bad value {VALUES[1]!r}", VALUES)

def refuse():
    raise PermanentError(f"no: {VALUES[3]}", code="no", hint=f"not {VALUES[2]}")

def later():
    raise TemporaryError(f"wait: {VALUES[0]}", delay=0)

def leave():
    raise SystemExit(VALUES[0])

def give():
    return {"value": VALUES[2]}

def import_it():
    import_error = __import__("no_" + VALUES[0])
"""

PLUGIN = """\
import pathlib, time
from gennaker.errors import PermanentError, StageError, TemporaryError
from gennaker.stage import Context, Decision, Failed, Outcome, Poll, Secret, Stage, StageInputs
from gennaker.stage import StageOutputs, Succeeded, Waiting

class Leak(Stage):
    "Give a secret away in one of many ways."
    name = "t.leak"

    class Inputs(StageInputs):
        how: str
        key: Secret

    class Outputs(StageOutputs):
        value: object = None

    def run(self, inputs: Inputs, ctx: Context) -> Outcome:
        return getattr(self, inputs.how)(inputs.key.reveal(), ctx)

    def message(self, key, ctx):
        raise ValueError(f"cannot log in with {key}")

    def arguments(self, key, ctx):
        raise KeyError(key)

    def name_of_error(self, key, ctx):
        raise type(f"Error_{key}", (Exception,), {})("it")

    def cause(self, key, ctx):
        try:
            {}[key]
        except KeyError as error:
            raise RuntimeError("it") from error

    def note(self, key, ctx):
        error = RuntimeError("it")
        error.add_note(f"with {key}")
        raise error

    def group(self, key, ctx):
        raise ExceptionGroup("it", [ValueError(key), OSError(1, key, key)])

    def hint(self, key, ctx):
        raise PermanentError("it", code=key, hint=f"not {key}")

    def soon(self, key, ctx):
        raise TemporaryError(f"it {key}", delay=0)

    def leave(self, key, ctx):
        raise SystemExit(key)

    def unicode(self, key, ctx):
        key.encode().decode("utf-16") if len(key) % 2 else None
        raise UnicodeEncodeError("ascii", key, 0, 1, key)

    def fail(self, key, ctx):
        return Failed(f"it {key!r}", key)

    def output(self, key, ctx):
        return Succeeded({"value": {"deep": [{f"in {key}": 1}]}})

    def artifact_name(self, key, ctx):
        (ctx.workspace / "it").write_text("it")
        return Succeeded({"value": ctx.artifacts.put(ctx.workspace / "it", name=key)})

    def step_result(self, key, ctx):
        return Succeeded({"value": ctx.step("it", lambda _key: key)})

    def step_name(self, key, ctx):
        return Succeeded({"value": ctx.step(f"it {key}", lambda _key: 1)})

    def guard(self, key, ctx):
        with ctx.guard("it", key):
            return Succeeded()

    def clean_up(self, kind, name):
        pass

    def state(self, key, ctx):
        return Waiting(Poll(1), state={"it": key})

    def ask(self, key, ctx):
        return Waiting(Decision(message=f"shall {key}?"))

    def outcome(self, key, ctx):
        return key

    def log(self, key, ctx):
        for stream in ("stdout", "stderr", "system"):
            ctx.log(f"it is {key}", stream=stream)
        for line in key.splitlines():
            ctx.log(line)
        return Succeeded()

    def deaf(self, key, ctx):
        ctx.log(key)
        time.sleep(2)
        raise ValueError(key)
"""
WAYS = (
    *("message", "arguments", "name_of_error", "cause", "note", "group", "hint", "soon", "leave"),
    *("unicode", "fail", "output", "artifact_name", "step_result", "step_name", "guard", "state"),
    *("ask", "outcome", "log"),
)


@pytest.fixture
def canaries(tmp_path: Path) -> Canaries:
    """New values for each test."""
    return Canaries(tmp_path / "secrets")


def make_project(folder: Path, canaries: Canaries, stages: str, settings: str = "") -> Project:
    """A project whose pipeline has these stages and whose secrets are the canaries."""
    return Project(
        folder,
        f"project: shop\nsecrets: {canaries.declare()}\n{settings}",
        f"name: p\nstages:\n{stages}",
    )


def search(project: Project, canaries: Canaries, run: str = "p-1") -> None:
    """Read all there is of a run; nothing of it, and no file, holds a canary."""
    project.tell_all(run)
    assert canaries.find_in(project.said) == [], project.said.decode(errors="replace")
    assert [(where, data) for where, data in project.list_cells() if canaries.find_in(data)] == []
    assert canaries.find_below(project.state) == []
    assert canaries.find_below(project.temporary) == []


def read_stages(project: Project, run: str = "p-1") -> dict[str, tuple[str, str | None]]:
    """Return outcome and code of every stage."""
    _, out, _ = project.call("status", run, "-o", "json")
    stages = json.loads(out)["stages"]
    return {name: (each["outcome"], each["code"]) for name, each in stages.items()}


def test_the_search_finds_every_form(canaries: Canaries) -> None:
    """What the other tests rely on: a value is found however it is written."""
    for value in canaries.values.values():
        mark = next(each for each in canaries.marks if each in value)
        forms = [
            value,
            repr(value),
            quote(value, safe=""),
            json.dumps([json.dumps(value)]),
            base64.b64encode(b"user:" + value.encode()).decode(),
            base64.encodebytes(b"x" * 50 + value.encode()).decode(),
        ]
        assert [find_marks(f"a {form} z".encode(), [mark]) for form in forms] == [[mark]] * 6
    assert canaries.find_in(b"nothing") == []


def test_checklist_81_scripts_give_no_secret_away(tmp_path: Path, canaries: Canaries) -> None:
    """`shell` and `python` that succeed, fail, raise, time out or give a secret as an output."""
    ways = ("show", "fail", "crash", "refuse", "later", "leave", "import_it", "give")
    project = make_project(
        tmp_path,
        canaries,
        "".join(
            f"  py_{way}:\n    uses: python\n    with: {{function: 'show.py:{way}', env: {ENV}}}\n"
            for way in ways
        )
        + f"""
  sh:
    uses: shell
    with:
      run: |
        set -x
        : "$P" "$U" "$Q" "$L" "$S"
        printf '%s\\n' "$P" "$U" "$Q" "$L"
        printf '%s' "$L" | base64
        printf 'auth: %s' "user:$P" | base64 -w0
        printf '%.20s' "$S"; sleep 0.2; printf '%s\\n' "${{S#????????????????????}}"
      env: {ENV}
  sh_fail:
    uses: shell
    with: {{run: 'echo "$L" >&2; echo "no: $Q" >&2; exit 3', env: {ENV}}}
  sh_missing:
    uses: shell
    with: {{run: '"$U"', env: {ENV}}}
  sh_late:
    uses: shell
    timeout: 2s
    with: {{run: 'echo "$L"; printf %s "$P"; sleep 60', env: {ENV}}}
  sh_give:
    uses: shell
    with: {{run: 'echo "value=$P" > "$GENNAKER_OUTPUT"', outputs: [value], env: {ENV}}}
  sh_name:
    uses: shell
    with: {{run: 'echo "$P=1" > "$GENNAKER_OUTPUT"', env: {ENV}}}
  sh_joined:
    uses: shell
    with:
      run: 'echo "$A"; echo "$B"; printf %s "$A" | base64 -w0; exit 1'
      env: {{A: '${{{{ "Bearer " + secrets.plain }}}}', B: 'x-${{{{ secrets.url }}}}-y'}}
""",
    )
    (project.root / "show.py").write_text(SHOW)
    with Watch(canaries) as watch:
        code, _, err = project.call("run", "p")
    assert code == 7, err
    assert watch.looks > 5
    assert watch.seen == set()
    assert read_stages(project) == {
        "py_show": ("succeeded", None),
        "py_fail": ("failed", "***"),
        "py_crash": ("errored", "function-raised"),
        "py_refuse": ("errored", "no"),
        "py_later": ("errored", "temporary"),
        "py_leave": ("errored", "function-raised"),
        "py_import_it": ("errored", "function-raised"),
        "py_give": ("errored", "secret-in-output"),
        "sh": ("succeeded", None),
        "sh_fail": ("failed", "failed"),
        "sh_missing": ("failed", "failed"),
        "sh_late": ("failed", "timeout"),
        "sh_give": ("errored", "secret-in-output"),
        "sh_name": ("succeeded", None),
        "sh_joined": ("failed", "failed"),
    }
    search(project, canaries)


@pytest.mark.parametrize("key", ["plain", "quoted", "lines"])
def test_a_plugin_gives_no_secret_away(tmp_path: Path, canaries: Canaries, key: str) -> None:
    """Whatever it raises, returns, names or keeps: masked, or refused with a code."""
    project = make_project(
        tmp_path,
        canaries,
        "".join(
            f"  {way}: {{uses: t.leak, with: {{how: {way}, key: '${{{{ secrets.{key} }}}}'}}}}\n"
            for way in WAYS
        )
        + f"""
  deaf:
    uses: t.leak
    timeout: 1s
    with: {{how: deaf, key: '${{{{ secrets.{key} }}}}'}}
  other: {{uses: shell, with: {{run: sleep 3}}}}
""",
    )
    install(project.plugins, PLUGIN, t_leak="Leak")
    with Watch(canaries, project.state, project.temporary) as watch:
        code, _, err = project.call("run", "p")
    assert code == 7, err
    assert watch.seen == set()
    found = read_stages(project)
    raised = ("message", "arguments", "name_of_error", "cause", "note", "group", "leave", "unicode")
    kept = ("output", "step_result", "step_name", "guard", "state", "ask")
    assert found == {
        **dict.fromkeys(raised, ("errored", "stage-raised")),
        **dict.fromkeys(kept, ("errored", "secret-in-output")),
        "hint": ("errored", "***"),
        "soon": ("errored", "temporary"),
        "fail": ("failed", "***"),
        "outcome": ("errored", "invalid-outcome"),
        "artifact_name": ("succeeded", None),
        "log": ("succeeded", None),
        "deaf": ("failed", "timeout"),
        "other": ("succeeded", None),
    }
    search(project, canaries)


def test_http_requests_give_no_secret_away(
    tmp_path: Path, canaries: Canaries, http_server: LocalServer
) -> None:
    """Sent in headers: echoed back, not as expected, never answered, refused, or no header at all."""

    def answer(asked: Asked) -> Answer:
        key = asked.headers.get("x-key", "")
        if asked.path == "/late":
            time.sleep(3)
        if asked.path == "/echo":
            return Answer(body=key.encode("latin-1", "replace"))
        if asked.path == "/basic":
            return Answer(headers={"X-Back": base64.b64encode(key.encode()).decode()})
        if asked.path == "/cut":  # at each of the places where a long answer is cut
            return Answer(body=(("x" * 490) + key + "y" * 80_000).encode("latin-1", "replace"))
        if asked.path == "/far":
            return Answer(body=b"".join(b"%s%s" % (key.encode(), b"z" * 7) for _ in range(2000)))
        if asked.path == "/json":
            return Answer(body=json.dumps({"key": key}).encode())
        if asked.path == "/away":
            return Answer(302, headers={"Location": f"/there?key={quote(key)}"})
        return Answer(body=b"fine")

    http_server.answer = answer
    settings = {
        "fine": "",
        "echo": "",
        "basic": "",
        "away": ", redirects: 3",
        "json": ", expect: {json: 'body.key == \"x\"'}",
        "head": ", expect: {headers: {X-Back: other}}",
        "until": ", until: {json: 'body.key == 7', every: 1s}",
        "late": "",
        "cut": ", expect: {status: 404}",
        "far": "",
    }
    path = {"head": "basic", "until": "json"}
    project = make_project(
        tmp_path,
        canaries,
        "".join(
            f"  {name}:\n    uses: http.request\n"
            f"    timeout: {'2s' if name in ('until', 'late') else '1m'}\n    with: {{url: "
            f"'{http_server.url}/{path.get(name, name)}', headers: "
            f"{{X-Key: '${{{{ secrets.plain }}}}'}}{more}}}\n"
            for name, more in settings.items()
        )
        + "".join(
            f"  header_{key}:\n    uses: http.request\n    with: {{url: '{http_server.url}/', "
            f"headers: {{X-Key: '${{{{ secrets.{key} }}}}'}}}}\n"
            for key in ("quoted", "lines", "url")
        )
        + """  refused:
    uses: http.request
    with: {url: 'http://127.0.0.1:1/', headers: {X-Key: '${{ secrets.plain }}'}}
""",
    )
    with Watch(canaries, project.state, project.temporary) as watch:
        code, _, err = project.call("run", "p")
    assert code == 7, err
    assert watch.seen == set()
    assert {each.headers.get("x-key") for each in http_server.asked} >= {canaries.values["plain"]}
    assert read_stages(project) == {
        "fine": ("succeeded", None),
        "echo": ("errored", "secret-in-output"),
        "basic": ("errored", "secret-in-output"),
        "away": ("succeeded", None),
        "json": ("failed", "failed"),
        "head": ("failed", "failed"),
        "until": ("failed", "timeout"),
        "late": ("failed", "timeout"),
        "cut": ("failed", "failed"),
        "far": ("errored", "secret-in-output"),
        "header_quoted": ("succeeded", None),
        "header_lines": ("errored", "http-header"),
        "header_url": ("succeeded", None),
        "refused": ("errored", "http-refused"),
    }
    search(project, canaries)


def test_charts_give_no_secret_away(
    tmp_path: Path, canaries: Canaries, http_server: LocalServer
) -> None:
    """Passwords of chart repositories: right and wrong, of charts and of dependencies."""
    charts = ChartServer(http_server)
    charts.add("1.0.0")
    charts.password = canaries.values["plain"]

    def chart(name: str, uses: str, secret: str) -> str:
        credentials = f"{{username: ann, password: '${{{{ secrets.{secret} }}}}'}}"
        return (
            f"  {name}:\n    {uses}\n    with: {{chart: web, repository: '{charts.url}', "
            f"credentials: {credentials}}}\n"
        )

    dependent = (
        f"  app:\n    uses: helm.template\n    with: {{chart: app, dependency_credentials: "
        f"{{'{charts.url}': {{username: ann, password: '${{{{ secrets.plain }}}}'}}}}}}\n"
    )
    project = make_project(
        tmp_path,
        canaries,
        chart("right", "uses: helm.template", "plain")
        + chart("wrong", "uses: helm.template", "url")
        + chart("values", "uses: helm.values", "plain")
        + chart("no_values", "uses: helm.values", "quoted")
        + dependent,
    )
    (project.root / "app").mkdir()
    (project.root / "app" / "Chart.yaml").write_text(
        "apiVersion: v2\nname: app\nversion: 1.0.0\n"
        f"dependencies: [{{name: web, version: ^1, repository: '{charts.url}'}}]\n"
    )
    with Watch(canaries, project.state, project.temporary) as watch:
        code, _, err = project.call("run", "p")
    assert code == 7, err
    assert watch.seen == set()
    assert read_stages(project) == {
        "right": ("succeeded", None),
        "wrong": ("errored", "helm-repository"),
        "values": ("succeeded", None),
        "no_values": ("errored", "helm-repository"),
        "app": ("succeeded", None),
    }
    search(project, canaries)


BUNDLE = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: %(name)s}
spec:
  replicas: 1
  selector: {matchLabels: {app: %(name)s}}
  template:
    metadata: {%(fault)slabels: {app: %(name)s}}
    spec: {containers: [{name: it, image: "r.test/it:1"}]}
"""
FAULT = "annotations: {sandbox.gennaker.dev/fault: never-ready}, "


def test_deploys_give_no_secret_away(tmp_path: Path, canaries: Canaries) -> None:
    """Deploys and Jobs on the sandbox: well, not ready, refused by the API server, out of time."""
    secrets = "{it-db: {p: '${{ secrets.plain }}', l: '${{ secrets.lines }}', q: '${{ secrets.quoted }}'}}"

    def deploy(name: str, bundle: str, more: str) -> str:
        limit = "4s" if name == "late" else "1m"
        return (
            f"  {name}:\n    uses: kubernetes.deploy\n    environment: staging\n    timeout: {limit}\n"
            f"    with: {{bundle: '${{{{ stages.bundles.outputs.{bundle} }}}}', set: it, {more}}}\n"
        )

    def job(name: str, fault: str) -> str:
        return (
            f"  {name}:\n    uses: kubernetes.run_job\n    environment: staging\n    needs: again\n"
            f"    with: {{image: 'r.test/it:1', env: {ENV}, keep: all, "
            f"annotations: {{sandbox.gennaker.dev/fault: {fault}}}}}\n"
        )

    project = make_project(
        tmp_path,
        canaries,
        "  bundles:\n    uses: shell\n    with: {run: 'true', artifacts: "
        "{well: well.yaml, stuck: stuck.yaml, wrong: wrong.yaml}}\n"
        + job("job", "none")
        + job("bad_job", "crash-loop")
        + deploy("well", "well", f"secrets: {secrets}")
        + deploy("again", "well", f"secrets: {secrets}").replace("uses:", "needs: well\n    uses:")
        + deploy("stuck", "stuck", f"secrets: {secrets}, ready_within: 1s")
        + deploy("late", "stuck", f"secrets: {secrets}")
        + deploy("wrong", "wrong", f"secrets: {secrets}"),
        "environments:\n  staging:\n    kubernetes: "
        "{context: none, namespace: it, create_namespace: true}\n",
    )
    (project.root / "well.yaml").write_text(BUNDLE % {"name": "well", "fault": ""})
    (project.root / "stuck.yaml").write_text(BUNDLE % {"name": "stuck", "fault": FAULT})
    wrong = (BUNDLE % {"name": "wrong", "fault": ""}).replace("{app: wrong}}\n", "{app: it}}\n", 1)
    (project.root / "wrong.yaml").write_text(wrong)
    project.call("sandbox", "start")
    try:
        with Watch(canaries, project.state, project.temporary) as watch:
            code, _, err = project.call("run", "p", "--sandbox")
        assert code == 7, err
        assert watch.seen == set()
        stages = read_stages(project)
        # Whether it still comes to say why is up to the machine.
        assert stages.pop("late") in (("failed", "timeout"), ("failed", "rollout-timeout"))
        assert stages == {
            "bundles": ("succeeded", None),
            "well": ("succeeded", None),
            "again": ("succeeded", None),
            "job": ("succeeded", None),
            "bad_job": ("failed", "job-failed"),
            "stuck": ("failed", "rollout-timeout"),
            "wrong": ("errored", "cluster-refused"),
        }
        project.call("plan", "p", "--sandbox", "-o", "json")
        project.call("sandbox", "status", "-o", "json")
        search(project, canaries)
    finally:
        project.call("sandbox", "stop")


def test_approvals_and_other_processes_give_no_secret_away(
    tmp_path: Path, canaries: Canaries
) -> None:
    """A subject names secrets; a process that goes on masks what an earlier one was given."""
    project = make_project(
        tmp_path,
        canaries,
        f"""\
  first:
    uses: shell
    with: {{run: 'echo "$L $P" > it; echo "$Q" >> it', artifacts: {{it: it}}, env: {ENV}}}
  ask:
    uses: approval
    needs: first
    with: {{message: go on?}}
  script:
    uses: shell
    needs: [ask, teller]
    if: always()
    with: {{run: 'echo "$P$U"', env: {ENV}}}
  call:
    uses: http.request
    needs: [ask, teller]
    if: always()
    with: {{url: 'http://127.0.0.1:1/', headers: {{X-Key: 'Bearer ${{{{ secrets.plain }}}}'}}}}
  teller:
    uses: shell
    needs: ask
    with: {{run: 'cat it; false', files: {{it: '${{{{ stages.first.outputs.it }}}}'}}}}
  deploy:
    uses: shell
    needs: ask
    environment: production
    with: {{run: 'echo "$P"', env: {{P: '${{{{ secrets.other }}}}'}}}}
""",
        f"environments: {{production: {{approval: {{approvers: ['local:*']}}, secrets: "
        f"{{other: {{file: {canaries.folder / 'split'}}}}}}}}}\n",
    )
    with Watch(canaries) as watch:
        code, _, err = project.call("run", "p", "--detach-on-wait")
        assert code == 6, err
        _, out, _ = project.call("status", "p-1", "-o", "json")
        (wait,) = json.loads(out)["waiting"]
        assert "plain" in json.dumps(wait["subject"])
        project.tell_all("p-1")
        code, _, err = project.call("approve", "p-1", "ask", "--comment", "go", "--no-follow")
        assert code == 0, err
        code, _, err = project.call("resume", "p-1", "--detach-on-wait")
        assert code == 6, err
        code, _, err = project.call("approve", "p-1", "deploy")
        assert code == 7, err
    assert watch.seen == set()
    assert read_stages(project) == {
        "first": ("succeeded", None),
        "ask": ("succeeded", None),
        "teller": ("failed", "failed"),
        "script": ("succeeded", None),
        "call": ("errored", "http-refused"),
        "deploy": ("succeeded", None),
    }
    # What a script writes into an artifact is its own doing: the value is there, and only there.
    (kept,) = [each for each in (project.state / "artifacts").rglob("*") if each.is_file()]
    assert canaries.values["plain"].encode() in kept.read_bytes()
    kept.unlink()
    search(project, canaries)


def test_a_retry_masks_what_reused_stages_were_given(tmp_path: Path, canaries: Canaries) -> None:
    """What they left in an artifact is shown by a stage of the new run that is given no secret."""
    project = make_project(
        tmp_path,
        canaries,
        f"""\
  first:
    uses: shell
    environment: staging
    with: {{run: 'echo "$L $P $O" > it; echo "$Q" >> it', artifacts: {{it: it}}, effect: none,
           env: {{L: '${{{{ secrets.lines }}}}', P: '${{{{ secrets["plain"] }}}}',
                  Q: '${{{{ secrets.quoted }}}}', O: '${{{{ secrets.own }}}}'}}}}
  teller:
    uses: shell
    with: {{run: 'cat it; test -e {tmp_path}/good', files: {{it: '${{{{ stages.first.outputs.it }}}}'}}}}
""",
        f"environments: {{staging: {{secrets: {{own: {{file: {canaries.folder / 'split'}}}}}}}}}\n",
    )
    assert project.call("run", "p")[0] == 1
    (tmp_path / "good").touch()
    code, _, err = project.call("retry", "p-1")
    assert code == 0, err
    (kept,) = [each for each in (project.state / "artifacts").rglob("*") if each.is_file()]
    assert canaries.values["split"].encode() in kept.read_bytes()
    kept.unlink()
    search(project, canaries, "p-2")


@pytest.mark.parametrize("how", ["cancel", "interrupt", "terminate", "kill"])
def test_no_secret_is_left_by_runs_that_are_stopped(
    tmp_path: Path, canaries: Canaries, how: str
) -> None:
    """Cancelled, interrupted, parked or killed in the middle of stages that were given secrets."""
    project = make_project(
        tmp_path,
        canaries,
        f"""\
  script:
    uses: shell
    with: {{run: 'printf %s "$P$L"; touch {tmp_path}/script; sleep 60', env: {ENV}}}
  function:
    uses: python
    with: {{function: 'it.py:it', env: {ENV}}}
""",
    )
    (project.root / "it.py").write_text(
        "import os, pathlib, time\ndef it():\n    print(os.environ['Q'], end='', flush=True)\n"
        f"    pathlib.Path('{tmp_path}/function').touch()\n    time.sleep(60)\n"
    )
    with Watch(canaries, project.state, project.temporary) as watch:
        process = project.start("run", "p")
        wait_for(lambda: (tmp_path / "script").exists() and (tmp_path / "function").exists(), 30)
        if how == "cancel":
            assert project.call("cancel", "p-1")[0] == 0
        else:
            number = {"interrupt": signal.SIGINT, "terminate": signal.SIGTERM}
            process.send_signal(number.get(how, signal.SIGKILL))
        code, _, err = project.finish(process)
        assert code == {"cancel": 3, "interrupt": 130, "terminate": 143, "kill": -9}[how], err
        if how in ("terminate", "kill"):
            search(project, canaries)
            assert project.call("cancel", "p-1")[0] in (0, 3)
    assert watch.seen == set()
    search(project, canaries)


@pytest.mark.parametrize("umask", [0o022, 0o000])
def test_only_the_owner_can_read_the_state(tmp_path: Path, canaries: Canaries, umask: int) -> None:
    """Files are 0600 and folders 0700 below the state folder, at any time and whatever the umask."""
    project = make_project(
        tmp_path,
        canaries,
        f"""\
  first:
    uses: shell
    with: {{run: 'echo 1 > it; mkdir d; echo 2 > d/it', artifacts: {{it: it, d: d}}, env: {ENV}}}
  second:
    uses: python
    with: {{function: 'it.py:it', args: {{it: '${{{{ stages.first.outputs.it }}}}'}}}}
  ask: {{uses: approval, needs: second}}
""",
    )
    (project.root / "it.py").write_text("def it(it):\n    return 1\n")
    code, _, err = project.call("run", "p", "--detach-on-wait", umask=umask)
    assert code == 6, err
    code, _, err = project.call("run", "p", "--detach-on-wait", "--sandbox", umask=umask)
    assert code == 6, err
    modes = {
        str(each.relative_to(project.root)): oct(each.stat().st_mode & 0o777)
        for each in (project.state, *project.state.rglob("*"))
        # A source tree is read-only, as its files were, and closed by the folder above it.
        if not each.is_symlink() and not each.is_relative_to(project.state / "sources" / "trees")
    }
    project.call("sandbox", "stop")
    assert len(modes) > 10
    wrong = {
        name: mode
        for name, mode in modes.items()
        if mode != ("0o700" if (project.root / name).is_dir() else "0o600")
    }
    assert wrong == {}


def test_real_containers_and_registries_give_no_secret_away(
    tmp_path: Path,
    docker_engine: DockerEngine,
    busybox_image: BaseImage,
    registry_with_auth: Registry,
) -> None:
    """`docker.run` with secrets; `docker.build` and `oci.build` that push with right and wrong ones."""
    canaries = Canaries(tmp_path / "secrets", right=PASSWORD)
    host, base = registry_with_auth.host, busybox_image.reference

    def credentials(name: str) -> str:
        return f"credentials: {{username: {USERNAME}, password: '${{{{ secrets.{name} }}}}'}}"

    def build(name: str, secret: str) -> str:
        return (
            f"  build_{name}:\n    uses: docker.build\n    with: {{context: app, push: true, "
            f"tags: ['{host}/built/{name}:1'], {credentials(secret)}}}\n"
            f"  image_{name}:\n    uses: oci.build\n    with: {{base: '{base}', files: {{/it: app}}, "
            f"tags: ['{host}/built/oci-{name}:1'], push: true, {credentials(secret)}}}\n"
        )

    script = (
        """for v in "$P" "$U" "$Q" "$L"; do echo "$v"; echo "$v" >&2; echo "$v" | base64; done; """
        """printf %.20s "$S"; sleep 0.3; echo "${S#????????????????????}\""""
    )
    run = f"image: '{base}', network: none, env: {ENV}"
    project = make_project(
        tmp_path,
        canaries,
        f"  run:\n    uses: docker.run\n    with: {{{run}, command: {json.dumps(script)}}}\n"
        f"  fail:\n    uses: docker.run\n    with: {{{run}, command: 'echo \"$L$Q\"; exit 3'}}\n"
        f"  give:\n    uses: docker.run\n    with: {{{run}, outputs: [it], "
        'command: \'echo "it=$P" > "$GENNAKER_OUTPUT"\'}\n'
        f"  late:\n    uses: docker.run\n    timeout: 3s\n    with: {{{run}, "
        "command: 'echo \"$P\"; exec sleep 60'}\n"
        f"  missing:\n    uses: docker.run\n    with: {{image: '{host}/no/such:1', env: {ENV}, "
        f"{credentials('url')}}}\n" + build("right", "right") + build("wrong", "quoted"),
    )
    (project.root / "app").mkdir()
    (project.root / "app" / "Dockerfile").write_text(f"FROM {base}\nLABEL it=it\n")
    try:
        with Watch(canaries, project.state, project.temporary) as watch:
            code, _, err = project.call(
                *("run", "p"),
                DOCKER_HOST=docker_engine.url,
                DOCKER_CONFIG=str(tmp_path / "no-docker"),
            )
        assert code == 7, err
        # What a script writes into its own folder is its own doing; it goes away with the folder.
        assert {each for each in watch.seen if "workspaces" not in each} == set()
        assert read_stages(project) == {
            "run": ("succeeded", None),
            "fail": ("failed", "failed"),
            "give": ("errored", "secret-in-output"),
            "late": ("failed", "timeout"),
            "missing": ("errored", "registry-denied"),
            "build_right": ("succeeded", None),
            "image_right": ("succeeded", None),
            "build_wrong": ("errored", "registry-denied"),
            "image_wrong": ("errored", "registry-denied"),
        }
        search(project, canaries)
    finally:
        for image in docker_engine.client.images.list():
            for tag in image.tags:
                if "/built/" in tag:
                    docker_engine.client.images.remove(tag, force=True)


def test_what_is_put_back_gives_no_secret_away(tmp_path: Path, canaries: Canaries) -> None:
    """A Secret that a deploy changes is put back by the run, and by a rollback: no file has its values."""
    project = make_project(
        tmp_path,
        canaries,
        """  bundles:
    uses: shell
    with: {run: 'true', artifacts: {it: it.yaml}}
  deploy:
    uses: kubernetes.deploy
    environment: staging
    with:
      bundle: '${{ stages.bundles.outputs.it }}'
      secrets: {it-db: {p: '${{ secrets.plain }}', l: '${{ secrets.lines }}'}}
  check:
    uses: shell
    needs: deploy
    on_failure: {undo: [deploy]}
    with: {run: 'test ! -e fail'}
""",
        "environments:\n  staging:\n    kubernetes: "
        "{context: none, namespace: it, create_namespace: true}\n",
    )
    (project.root / "it.yaml").write_text(
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: it}, data: {a: b}}"
    )
    with Watch(canaries, project.state, project.temporary) as watch:
        assert project.call("run", "p", "--sandbox")[0] == 0
        for name, value in canaries.renew().items():
            (canaries.folder / name).write_text(value + "\n", "utf-8")
        assert project.call("run", "p", "--sandbox")[0] == 0
        assert project.call("rollback", "p-2", "--dry-run", "-o", "json")[0] == 0
        code, _, err = project.call("rollback", "p-2")
        assert code == 0, err
        (project.root / "fail").touch()
        assert project.call("run", "p", "--sandbox")[0] == 1
        assert read_stages(project, "p-4")["undo:deploy"] == ("succeeded", None)
    assert watch.seen == set()
    for run in ("p-2", "p-3"):
        project.call("logs", run)
        project.call("status", run, "-o", "json")
    search(project, canaries, "p-4")
