"""Every example does what it is there to show, as a person would type it."""

from __future__ import annotations

import json
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gennaker.process import Completed, run
from gennaker.testing import simulate

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
BIN = Path(sys.executable).parent
LEFTOVERS = shutil.ignore_patterns(".gennaker", "__pycache__", ".pytest_cache")


class Terminal:
    """A folder in which commands are typed."""

    def __init__(self, folder: Path, home: Path, path: Path = BIN) -> None:
        self.folder = folder
        self.environment = {"PATH": f"{path}:/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8"}

    def type(self, *words: str, code: int = 0) -> Completed:
        """Type a command; its exit code is as expected."""
        done = run(list(words), cwd=self.folder, env=self.environment, timeout=110)
        assert done.code == code, f"{words}: {(done.stdout + done.stderr).decode()}"
        return done

    def ask(self, *words: str) -> Any:
        """What a command says as data."""
        return json.loads(self.type("gennaker", *words, "-o", "json").stdout)


@pytest.fixture(name="terminal")
def open_terminal(request: pytest.FixtureRequest, tmp_path: Path) -> Terminal:
    """A terminal in a copy of the example that the test names."""
    folder = tmp_path / request.param
    shutil.copytree(EXAMPLES / request.param, folder, ignore=LEFTOVERS)
    return Terminal(folder, tmp_path)


def in_example(name: str) -> pytest.MarkDecorator:
    """Open the terminal in a copy of this example."""
    return pytest.mark.parametrize("terminal", [name], indirect=True, ids=[""])


def tell_outcomes(status: dict[str, Any]) -> dict[str, str]:
    """How each stage of a run ended."""
    return {name: stage["outcome"] for name, stage in status["stages"].items()}


FEATURES: dict[str, tuple[int, dict[str, str], list[str]]] = {
    "retry": (0, {"flaky": "succeeded"}, ["attempt 1", "attempt 2", "attempt 3"]),
    "matrix": (
        0,
        {"test": "succeeded", "report": "succeeded"},
        ["all of debian-3.11, debian-3.13, alpine-3.13, debian-3.14 passed"],
    ),
    "dynamic_matrix": (
        0,
        {"find_services": "succeeded", "deploy": "succeeded"},
        ["deploying cart", "deploying payment", "deploying search"],
    ),
    "failure_modes": (
        1,
        {
            "lint": "failed",
            "build": "succeeded",
            "integration": "failed",
            "publish": "skipped",
            "tell_someone": "succeeded",
        },
        ["two warnings", "integration failed: telling the team"],
    ),
    "finally": (
        1,
        {"work": "failed", "clean_up": "succeeded"},
        ["cleaning up, work has failed"],
    ),
    "artifacts": (
        0,
        {"build": "succeeded", "check": "succeeded"},
        ["public/about/index.html", "public/index.html"],
    ),
    "waiting": (0, {"pause": "succeeded", "after": "succeeded"}, ["time is up"]),
    "functions": (0, {"count": "succeeded", "judge": "succeeded"}, ["primes below 3: [2]"]),
}
APPROVALS = {"approval", "environment_approval"}


@in_example("features")
def test_every_feature_is_valid_and_tested(terminal: Terminal) -> None:
    """All pipelines of the features are valid without a warning, and each is run by a test here."""
    said = terminal.type("gennaker", "validate").stderr.decode()
    assert said.strip() == "10 files: no problems"
    names = {each.stem for each in (EXAMPLES / "features").rglob("pipelines/*.yaml")}
    assert names | {"functions"} == FEATURES.keys() | APPROVALS


@pytest.mark.parametrize("pipeline", FEATURES)
@in_example("features")
def test_a_feature_ends_as_it_says(terminal: Terminal, pipeline: str) -> None:
    """The run's exit code, the stages' outcomes and what they write are those of the example."""
    code, outcomes, lines = FEATURES[pipeline]
    terminal.type("gennaker", "run", pipeline, code=code)
    assert tell_outcomes(terminal.ask("status", "@last")) == outcomes
    logs = terminal.type("gennaker", "logs", "@last").stdout.decode()
    assert [line for line in lines if line not in logs] == []


@in_example("features")
def test_a_retry_keeps_each_attempt(terminal: Terminal) -> None:
    """The flaky stage has three attempts, each with a log of its own."""
    terminal.type("gennaker", "run", "retry")
    assert terminal.ask("status", "@last")["stages"]["flaky"]["attempts"] == 3
    second = terminal.type("gennaker", "logs", "@last", "flaky", "--attempt", "2").stdout.decode()
    assert "attempt 2" in second
    assert "attempt 3" not in second


def test_the_environment_asks_and_another_terminal_answers(tmp_path: Path) -> None:
    """The run waits before its first deploy to production; a second process approves; it goes on."""
    folder = tmp_path / "features"
    shutil.copytree(EXAMPLES / "features", folder, ignore=LEFTOVERS)
    second = Terminal(folder, tmp_path)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(second.type, "gennaker", "run", "environment_approval")
        deadline = time.monotonic() + 30
        waiting: list[dict[str, Any]] = []
        while not waiting:
            assert time.monotonic() < deadline
            runs = second.ask("runs")["items"]
            found = second.ask("status", "@last")["waiting"] if runs else []
            waiting = [each for each in found if each["on"] == "decision"]
        assert [each["id"] for each in waiting[0]["subject"]] == ["deploy"]
        assert waiting[0]["approvers"] == ["group:release"]
        second.type("gennaker", "approve", "@last", "deploy", "--comment", "fine")
        first.result(timeout=60)
    status = second.ask("status", "@last")
    assert set(tell_outcomes(status).values()) == {"succeeded"}


@in_example("features")
def test_who_started_the_run_may_not_approve_it(terminal: Terminal) -> None:
    """Two of three named people are needed, and the one who started it is told that it is not he."""
    terminal.type("gennaker", "run", "approval", "--detach-on-wait", code=6)
    (waiting,) = terminal.ask("status", "@last")["waiting"]
    assert (waiting["required"], waiting["decisions"]) == (2, [])
    refused = terminal.type("gennaker", "approve", "@last", "ask", code=4).stderr.decode()
    assert refused.startswith("self-approval: 'local:")
    assert "started the run and may not decide on it; somebody else has to" in refused
    terminal.type("gennaker", "cancel", "@last", code=3)
    outcomes = tell_outcomes(terminal.ask("status", "@last"))
    assert outcomes == {"ask": "aborted", "announce": "skipped", "go": "skipped"}


def test_two_people_approve_in_simulation() -> None:
    """Two different people of the list say yes, and the run goes on; one says no, and it does not."""
    pipeline = EXAMPLES / "features" / "pipelines" / "approval.yaml"
    approved = simulate(pipeline, decide={"ask": "approve"})
    assert approved.outcome == "succeeded"
    people = [each["actor"] for each in approved.decisions["ask/1"]]
    assert people == ["local:ann", "local:ben"]
    rejected = simulate(pipeline, decide={"ask": "reject"})
    assert rejected.outcome == "aborted"
    assert rejected.causes == {"announce": "upstream", "go": "upstream"}


@pytest.mark.parametrize("pipeline", ["shop", "shop_oci"])
@in_example("shop")
def test_yaml_and_python_are_the_same_pipeline(terminal: Terminal, pipeline: str) -> None:
    """Both forms of the shop, and what each prints of the other, have one digest."""

    def show(what: str, *words: str) -> str:
        return terminal.type("gennaker", "show", what, *words).stdout.decode()

    yaml, python = f"pipelines/{pipeline}.yaml", f"python/shop.py:{pipeline}"
    (terminal.folder / "printed.py").write_text(show(yaml, "-o", "python"))
    (terminal.folder / "printed.yaml").write_text(show(python, "-o", "yaml"))
    forms = [yaml, python, "printed.py", "printed.yaml"]
    digests = {form: show(form, "--digest").strip() for form in forms}
    assert digests == dict.fromkeys(forms, digests[yaml])
    assert digests[yaml].startswith("sha256:")
    assert json.loads(show(yaml, "-o", "json"))["digest"] == digests[yaml]


@in_example("testing")
def test_the_tests_of_a_pipeline_pass(terminal: Terminal) -> None:
    """The example's own tests of its pipeline pass with a plain pytest."""
    said = terminal.type("pytest", "-q", "-p", "no:cacheprovider", ".").stdout.decode()
    assert "3 passed" in said
    terminal.type("gennaker", "validate")


def make_clean_environment(folder: Path) -> Path:
    """A virtual environment with Gennaker and the plugin installed from wheels, without a network.

    What Gennaker depends on is that of the environment of the tests; Gennaker itself is not.

    Returns:
        Its folder of commands.
    """
    wheels = folder / "wheels"
    options = ["--disable-pip-version-check", "--no-index", "--no-deps", "--quiet"]
    build = ["-m", "pip", "wheel", *options, "--no-build-isolation", "--wheel-dir", str(wheels)]
    home = Terminal(folder, folder)
    home.type(sys.executable, *build, str(ROOT), str(EXAMPLES / "plugin"))
    home.type(sys.executable, "-m", "venv", "--without-pip", "clean")
    python = folder / "clean" / "bin" / "python"
    built = sorted(map(str, wheels.glob("*.whl")))
    assert [Path(each).name.partition("-")[0] for each in built] == ["acme_gennaker", "gennaker"]
    install = ["-m", "pip", "--python", str(python), "install", *options, *built]
    home.type(sys.executable, *install)
    purelib = home.type(str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
    import pydantic

    # A plain path: the files in it that name further paths (the editable project's) are not read.
    (Path(purelib.stdout.decode().strip()) / "dependencies.pth").write_text(
        f"{Path(pydantic.__file__).parents[1]}\n"
    )
    return python.parent


def test_a_plugin_works_in_a_clean_environment(tmp_path: Path) -> None:
    """The example's wheel, installed beside the project's, is listed, described and used."""
    commands = make_clean_environment(tmp_path)
    project = tmp_path / "project"
    shutil.copytree(EXAMPLES / "plugin" / "project", project, ignore=LEFTOVERS)
    terminal = Terminal(project, tmp_path, commands)
    where = terminal.type("python", "-c", "import gennaker; print(gennaker.__file__)").stdout
    assert where.decode().startswith(str(tmp_path))
    assert "acme.greet" in terminal.type("gennaker", "stages", "-o", "name").stdout.decode().split()
    said = terminal.type("gennaker", "stages", "acme.greet").stdout.decode()
    assert "Greet somebody." in said
    assert "loud" in said
    terminal.type("gennaker", "run", "greeting", "-p", "who=Ada")
    stages = terminal.ask("status", "@last")["stages"]
    assert stages["greet"]["outputs"] == {"greeting": "HELLO ADA"}
    logs = terminal.type("gennaker", "logs", "@last", "repeat").stdout.decode()
    assert "HELLO ADA, again" in logs
    plugins = terminal.ask("plugins")["items"]
    (greet,) = [each for each in plugins if each["name"] == "acme.greet"]
    assert (greet["distribution"], greet["version"]) == ("acme-gennaker", "1.0.0")
    assert greet["error"] is None


def test_a_plugin_keeps_the_contract(tmp_path: Path) -> None:
    """The example's own tests, those that Gennaker ships for plugins, pass."""
    shutil.copytree(EXAMPLES / "plugin", tmp_path / "plugin", ignore=LEFTOVERS)
    terminal = Terminal(tmp_path / "plugin", tmp_path)
    terminal.environment["PYTHONPATH"] = "src"
    said = terminal.type("pytest", "-q", "-p", "no:cacheprovider", "tests").stdout.decode()
    assert " passed" in said
    assert "skipped" not in said
    lines = (EXAMPLES / "plugin/src/acme_gennaker/__init__.py").read_text().splitlines()
    assert len(lines) < 30


@in_example("shop")
def test_the_demo_goes_to_production(terminal: Terminal) -> None:
    """It ends with the digest that was built and runs in production; the second time it is quick."""
    digests = []
    for _ in range(2):
        started = time.monotonic()
        said = terminal.type(sys.executable, "demo.py").stdout.decode()
        took = time.monotonic() - started
        last = said.splitlines()[-1]
        assert last.startswith("production digest: sha256:")
        digests.append(last)
    assert digests[0] == digests[1]
    assert took <= 20
    assert terminal.ask("status", "@last")["id"] == "shop_oci-2"


@in_example("rollback")
def test_a_bad_release_is_put_back(terminal: Terminal) -> None:
    """By the run whose smoke test failed, and by hand: everything is what the first release made."""

    def count_changes() -> int:
        stages = terminal.ask("plan", "web", "--sandbox")["stages"]
        (deploy,) = [each for each in stages if each["id"] == "deploy"]
        return len([each for each in deploy["changes"] if each["action"] != "leave"])

    terminal.type("gennaker", "run", "web", "--sandbox")
    terminal.type("gennaker", "run", "web", "--sandbox", "-p", "version=1.1.0", code=1)
    assert tell_outcomes(terminal.ask("status", "@last"))["undo:deploy"] == "succeeded"
    assert count_changes() == 0
    terminal.type("gennaker", "run", "web", "--sandbox", "-p", "version=1.2.0")
    assert count_changes() == 2
    terminal.type("gennaker", "rollback", "@last")
    assert tell_outcomes(terminal.ask("status", "@last")) == {"deploy": "succeeded"}
    assert count_changes() == 0
    terminal.type("gennaker", "rollback", "--environment", "production", "--to", "web-3")
    assert count_changes() == 2
    with (terminal.folder / "gennaker.yaml").open("a") as settings:
        settings.write('    approval: {approvers: ["local:*"]}\n')
    first = ("rollback", "--environment", "production", "--to", "web-1")
    terminal.type("gennaker", *first, "--detach-on-wait", code=6)
    terminal.type("gennaker", "approve", "@last", "deploy")
    assert count_changes() == 0


@in_example("two-teams")
def test_two_teams_cannot_have_one_object(terminal: Terminal) -> None:
    """The plan says it before anything is applied, and names both; once renamed, both are deployed."""

    def deploy(team: str, code: int = 0) -> str:
        return terminal.type("gennaker", "run", team, "--sandbox", code=code).stderr.decode()

    told = (
        "stage 'deploy' of pipeline 'search' of project 'two-teams' may not take objects of others: "
        "ConfigMap/routes belongs to stage 'deploy' of pipeline 'shop' of project 'two-teams'"
    )
    deploy("shop")
    planned = terminal.type("gennaker", "plan", "search", "--sandbox", code=1).stdout.decode()
    assert (
        "refuse ConfigMap/routes  other-owner: it belongs to stage 'deploy' of pipeline 'shop' of "
        "project 'two-teams' (ConfigMap/gennaker.two-teams.shop.deploy in staging), not to stage "
        "'deploy' of pipeline 'search' of project 'two-teams'; let one of the two have each object"
    ) in planned
    said = deploy("search", code=7)
    assert told in said
    assert "applied" not in said
    manifest = terminal.folder / "search" / "search.yaml"
    manifest.write_text(manifest.read_text().replace("name: routes", "name: search-routes"))
    assert "applied ConfigMap/search-routes" in deploy("search")
    (left,) = terminal.ask("plan", "shop", "--sandbox")["stages"][1:]
    assert {each["action"] for each in left["changes"]} == {"leave"}


def serve_and_type(terminal: Terminal, *words: str) -> str:
    """What a command of the walk-through says while its chart repository is served."""
    done = terminal.type(sys.executable, "serve.py", *words)
    return (done.stdout + done.stderr).decode()


@in_example("helm-walkthrough")
def test_the_helm_walkthrough_installs_upgrades_and_rolls_back(terminal: Terminal) -> None:
    """Versions are found, values shown, the chart installed, upgraded by range and rolled back."""
    terminal.type("gennaker", "validate")
    run_web = ("gennaker", "run", "web", "--sandbox", "-p", "repository={url}")
    said = serve_and_type(terminal, *run_web, "-p", "version=1.0.0")
    assert "chart | versions: 2.0.0-rc.1, 1.1.0, 1.0.0" in said
    assert "chart | # How many Pods." in said
    installed = terminal.ask("status", "@last")["stages"]
    assert installed["chart"]["outputs"]["values"]["replicas"] == 1
    assert installed["render"]["outputs"]["version"] == "1.0.0"
    assert installed["deploy"]["outputs"]["images"] == ["registry.test/web:1.0.0"]
    serve_and_type(terminal, *run_web, "-p", "version=^1")
    upgraded = terminal.ask("status", "@last")["stages"]
    assert upgraded["render"]["outputs"]["version"] == "1.1.0"
    assert upgraded["deploy"]["outputs"]["images"] == ["registry.test/web:1.1.0"]
    terminal.type("gennaker", "rollback", "--environment", "home", "--to", "web-1")
    back = terminal.ask("status", "@last")["stages"]
    assert back["deploy"]["outputs"]["images"] == ["registry.test/web:1.0.0"]


@in_example("kustomize")
def test_real_kustomize_overlays_are_deployed(terminal: Terminal, kubectl_binary: Path) -> None:
    """Each overlay's own replicas and settings arrive in its environment."""
    terminal.environment["PATH"] = f"{BIN}:{kubectl_binary.parent}:/usr/bin:/bin"
    terminal.type("gennaker", "validate")
    terminal.type("gennaker", "run", "web", "--sandbox")
    stages = terminal.ask("status", "@last")["stages"]
    assert {name: each["outcome"] for name, each in stages.items()} == {
        "build_staging": "succeeded",
        "staging": "succeeded",
        "build_production": "succeeded",
        "production": "succeeded",
    }
    settings = {
        stages[name]["outputs"]["objects"][0] for name in ("build_staging", "build_production")
    }
    assert len(settings) == 2, "the settings differ, so their names do"
