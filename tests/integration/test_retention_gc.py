"""``gennaker gc`` on real runs: what is kept works on, and it may be killed at any moment."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest

from gennaker.errors import InvalidInput
from gennaker.loader import load_file
from gennaker.plugins import Registry
from gennaker.project import load_project
from gennaker.stage import Artifact, Context, Outcome, Stage, StageInputs, StageOutputs, Succeeded
from gennaker_engine.journal.checking import check_journal
from gennaker_engine.journal.sqlite import SqliteJournal
from gennaker_engine.runtime import Engine
from gennaker_engine.runtime.retention import GRACE, Policy, Retention
from gennaker_engine.storage import sweeping
from gennaker_engine.storage.artifacts import ArtifactFolder
from gennaker_engine.storage.folder import StateFolder
from tests.fixtures.scale import scale
from tests.integration.canary_parts import Project
from tests.integration.runtime_parts import start_run, wait_for, write_project


class Make(Stage):
    """Make an artifact of a text."""

    name = "t.make"

    class Inputs(StageInputs):
        text: str

    class Outputs(StageOutputs):
        it: Artifact

    def run(self, inputs: Inputs, ctx: Context) -> Outcome:
        """Make it."""
        ctx.log(inputs.text)
        return Succeeded({"it": ctx.artifacts.put(inputs.text.encode())})


class Read(Stage):
    """Read an artifact; fail when told to."""

    name = "t.read"

    class Inputs(StageInputs):
        it: Artifact

    class Outputs(StageOutputs):
        text: str

    def run(self, inputs: Inputs, ctx: Context) -> Outcome:
        """Read it, and the source."""
        with ctx.artifacts.open(inputs.it) as stream:
            text = stream.read().decode()
        assert (ctx.source / "gennaker.yaml").exists()
        if text.startswith("bad") and not (ctx.project / "good").exists():
            raise ValueError(text)
        return Succeeded({"text": text})


PIPELINE = """\
name: p
parameters: {text: {}}
stages:
  make: {uses: t.make, with: {text: '${{ params.text }}'}}
  read: {uses: t.read, with: {it: '${{ stages.make.outputs.it }}'}}
"""


def open_project(root: Path) -> Engine:
    """Open the engine of the project with both stage types."""
    return Engine.open(load_project(root), Registry.of(stages=[Make, Read]))


def run_once(engine: Engine, text: str) -> str:
    """Change the source, run the pipeline and return the run."""
    (engine.project.root / "it.txt").write_text(text)
    run = start_run(engine, parameters={"text": text})
    engine.drive(run)
    return run


def make_history(root: Path) -> None:
    """Seven runs: two of one text, one retried after it failed, all with files that look old."""
    engine = open_project(write_project(root, PIPELINE))
    for text in ("one", "one", "two", "bad", "three"):
        run_once(engine, text)
    engine.drive(engine.create_retry("p-4", actor="local:ann"))
    run_once(engine, "four")
    engine.close()
    past = time.time() - GRACE - 60
    for each in (root / ".gennaker").rglob("*"):
        os.utime(each, (past, past), follow_symlinks=False)


def collect(root: Path, keep: int) -> list[str]:
    """Collect in a state, without an engine."""
    state = root / ".gennaker"
    journal = SqliteJournal(state / "state.db", state / "owners")
    retention = Retention(journal, StateFolder(root, state), Policy(keep, 0, 1))
    runs = retention.remove(actor="local:ann", now=time.time()).runs
    journal.close()
    return runs


def list_files(root: Path) -> list[str]:
    """Return the files that only retention removes."""
    state = root / ".gennaker"
    return sorted(
        str(each.relative_to(state))
        for name in ("artifacts", "sources", "logs")
        for each in (state / name).rglob("*")
        if each.is_file()
    )


def check_references(root: Path, engine: Engine) -> list[str]:
    """Return the runs that are left; everything they mention is there, and they can be retried."""
    store = ArtifactFolder(root / ".gennaker" / "artifacts")
    assert check_journal(engine.journal) == []
    with engine.journal.transaction() as transaction:
        runs = [each.run for each in transaction.list_summaries()]
    for run in runs:
        loaded = engine.load_run(run)
        outputs = loaded.facts.stages["make"].outputs
        assert outputs is not None
        store.open(Artifact(**outputs["it"])).close()
        blobs = root / ".gennaker" / "sources" / "manifests"
        digest = str(loaded.created.source["digest"]).removeprefix("sha256:")
        assert (blobs / f"{digest}.json").exists()
    return runs


def test_what_is_kept_works_on(tmp_path: Path) -> None:
    """Logs, artifacts and sources of kept runs are there; a retry of an old one succeeds."""
    make_history(tmp_path)
    before = list_files(tmp_path)
    assert collect(tmp_path, 3) == ["p-3", "p-2", "p-1"]
    assert len(list_files(tmp_path)) < len(before)
    engine = open_project(tmp_path)
    assert check_references(tmp_path, engine) == ["p-7", "p-6", "p-5", "p-4"]
    (tmp_path / "good").touch()
    again = engine.drive(engine.create_retry("p-4", actor="local:ann"))
    assert (again.id, again.outcome) == ("p-8", "succeeded")
    assert {line.text for line in engine.logs.read("p-7")} == {"four"}
    assert list(engine.logs.read("p-1")) == []
    engine.close()


def test_what_is_removed_meanwhile_is_not_retried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at a run and the retry of it `gc` removes it: its files are gone, too."""
    engine = open_project(write_project(tmp_path, PIPELINE))
    run_once(engine, "bad")
    prepare = engine._prepare

    def remove(*words: object) -> None:
        collect(tmp_path, 0)
        prepare(*words)

    monkeypatch.setattr(engine, "_prepare", remove)
    with pytest.raises(InvalidInput, match="run 'p-1' was removed just now"):
        engine.create_retry("p-1", actor="local:ann")
    engine.close()


def fail_at(number: int) -> None:
    """End this process at the so-manieth commit or removal of a file, before or after it."""
    count = 0

    def tick() -> None:
        nonlocal count
        count += 1
        if count == number:
            os._exit(9)

    def wrap(function):
        def call(*args, **options):
            tick()
            result = function(*args, **options)
            tick()
            return result

        return call

    SqliteJournal.transaction = wrap(SqliteJournal.transaction)
    sweeping.remove_tree = wrap(sweeping.remove_tree)
    # Path.unlink itself is a default argument already.
    os.unlink = wrap(os.unlink)


def collect_until(root: Path, number: int) -> bool:
    """Collect in a forked child that dies at a point; return whether it did."""
    child = os.fork()  # from a warm parent: a process of its own for each point takes too long
    if child == 0:
        try:
            fail_at(number)
            collect(root, 3)
            os._exit(0)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 9)
    return code == 9


@pytest.mark.scaled
def test_killed_at_any_moment_it_leaves_nothing_dangling(tmp_path: Path) -> None:
    """And the next one finishes: what is left is the same as without the kill."""
    made = tmp_path / "made"
    made.mkdir()
    make_history(made)
    whole = tmp_path / "whole"
    shutil.copytree(made, whole, symlinks=True)
    collect(whole, 3)
    expected = list_files(whole)
    points = 0
    for number in range(1, 400, scale(5, 1)):
        root = tmp_path / str(number)
        shutil.copytree(made, root, symlinks=True)
        if not collect_until(root, number):
            break
        points += 1
        engine = open_project(root)
        left = check_references(root, engine)
        collect(root, 3)
        assert check_references(root, engine) == ["p-7", "p-6", "p-5", "p-4"]
        assert set(left) >= {"p-7", "p-6", "p-5", "p-4"}
        assert list_files(root) == expected
        engine.close()
        for each in root.rglob("*"):
            if each.is_dir() and not each.is_symlink():
                each.chmod(0o700)
        shutil.rmtree(root)
    assert points > scale(5, 20)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project in which four runs have ended and one waits."""
    project = Project(
        tmp_path,
        "project: shop\nretention: {keep: 2, older_than: 0s}\n",
        "name: p\nstages:\n  s: {uses: shell, with: {source: false, run: echo it}}\n",
    )
    asking = "name: q\nstages:\n  ask: {uses: approval}\n"
    (project.root / "pipelines" / "q.yaml").write_text(asking)
    engine = Engine.open(load_project(project.root), Registry.installed())
    for name in ("p", "p", "p", "p", "q"):
        file = project.root / "pipelines" / f"{name}.yaml"
        (loaded,) = load_file(file, project=engine.project)
        engine.drive(engine.create_run(loaded, {}, actor="local:ann"), detach_on_wait=True)
    engine.close()
    return project


def test_the_command_tells_what_it_does(project: Project) -> None:
    """A dry run, the policy of the file, one of the options, the history, as text and as data."""
    code, out, err = project.call("gc", "--dry-run")
    assert (code, out.splitlines()[1:]) == (0, ["  p-2", "  p-1"])
    assert re.match(r"would remove 2 runs with \d+ events, 2 runs' logs \(\d+ B\)\n", out)
    assert err == (
        "kept: the last 2 of each pipeline, what ended within 0s, "
        "the last 10 deploys of each environment\n"
    )
    assert project.call("gc", "--older-than", "1h")[1] == "nothing to remove\n"
    code, out, _ = project.call("gc", "-o", "json")
    data = json.loads(out)
    assert (code, data["kind"], data["runs"]) == (0, "Removal", ["p-2", "p-1"])
    assert data["policy"] == {"keep": 2, "older_than": "0s", "deploys": 10}
    assert (data["dry_run"], data["counts"]["logs"]["count"]) == (False, 2)
    code, out, _ = project.call("runs", "-o", "name")
    assert out.split() == ["q-1", "p-4", "p-3"]
    code, _, err = project.call("status", "p-1")
    assert (code, "there is no run 'p-1'" in err) == (2, True)
    _, out, _ = project.call("gc", "--history", "-o", "json")
    (item,) = json.loads(out)["items"]
    assert item["counts"] == data["counts"]
    assert project.call("run", "p")[0] == 0
    assert project.call("runs", "-o", "name", "--limit", "1")[1] == "p-5\n"


def test_wrong_words_are_told(project: Project) -> None:
    """Usage and settings are 2, nothing is removed."""
    code, _, err = project.call("gc", "--older-than", "30")
    assert (code, "write '30s' or '30m'" in err) == (2, True)
    settings = project.root / "gennaker.yaml"
    settings.write_text("project: shop\nretention: {keep: 2, older: 3d}\n")
    code, _, err = project.call("gc")
    assert code == 2
    assert "unknown-field: 'older' is not a field of 'retention'" in err


def test_runs_go_on_while_others_are_removed(project: Project) -> None:
    """A run that is created, driven and resumed meanwhile loses nothing."""
    process = project.start("run", "q")
    code, out, _ = project.call("gc", "--keep-last", "0")
    assert (code, out.startswith("removed 4 runs with ")) == (0, True)
    wait_for(lambda: '"waiting"' in project.call("status", "q-1", "-o", "json")[1], 30)
    process.send_signal(signal.SIGTERM)
    assert project.finish(process)[0] == 143
    code, _, err = project.call("approve", "q-1", "ask")
    assert code == 0, err
    assert project.call("gc", "--history")[1].count("4 runs with ") == 1
