"""Retention: which runs a policy lets go, and which files nothing mentions any more."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gennaker_engine.journal.opening import find_sharer, note_server
from gennaker_engine.journal.port import Deployment, DeployRow
from gennaker_engine.journal.sqlite import SqliteJournal
from gennaker_engine.runtime.retention import GRACE, Policy, Retention
from gennaker_engine.storage.artifacts import ArtifactFolder
from gennaker_engine.storage.folder import StateFolder
from gennaker_engine.storage.source import capture_source, materialize_source
from gennaker_engine.storage.sweeping import sweep_artifacts, sweep_sources
from tests.contract.journal_contract import make_row

NOW = 1_000_000.0
DAY = 86_400.0


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    """A state folder."""
    folder = StateFolder(tmp_path, tmp_path / ".gennaker")
    folder.ensure()
    return folder


@pytest.fixture
def journal(folder: StateFolder) -> Iterator[SqliteJournal]:
    """A journal in it."""
    journal = SqliteJournal(folder.folder / "state.db", folder.owners)
    yield journal
    journal.close()


def add_run(
    journal: SqliteJournal, run: str, *events: dict[str, Any], deploys: str = "", **changes: object
) -> None:
    """Add a run that has ended just now, unless said otherwise; it may have deployed somewhere."""
    values = {"state": "ended", "outcome": "succeeded", "ended_at": NOW, "created_at": NOW}
    written = [{"type": "run.created", "v": 1, "scope": "shop"}, *events]
    if deploys:
        place = {"instance": "d", "environment": {"name": deploys}}
        written += [
            {"type": "stage.resolved", "v": 1, "effect": "deploy", **place},
            {"type": "attempt.started", "v": 1, "instance": "d"},
        ]
    with journal.transaction() as transaction:
        row = make_row(run, version=len(written), **(values | changes))
        transaction.append(row, 0, written)
        if deploys:
            transaction.record_deploy(DeployRow("shop", deploys, run, "d", NOW))
            transaction.write_deployment(Deployment("shop", deploys, run, "d", "a", NOW))


def remove(
    journal: SqliteJournal, folder: StateFolder, *, keep: int = 0, days: float = 0, deploys: int = 1
) -> list[str]:
    """Remove by a policy what a preview tells as well; return the runs."""
    retention = Retention(journal, folder, Policy(keep, days * DAY, deploys))
    told = retention.preview(now=NOW)
    done = retention.remove(actor="local:ann", now=NOW)
    told.database = done.database
    assert told == done
    return done.runs


def test_the_newest_of_each_pipeline_and_the_recent_are_kept(journal, folder):
    """A run goes when it is neither; those of the sandbox count for themselves."""
    for number, age in enumerate((9, 8, 7, 2, 1), 1):
        add_run(journal, f"a-{number}", ended_at=NOW - age * DAY)
    add_run(journal, "b-1", ended_at=NOW - 9 * DAY)
    add_run(journal, "a-6", ended_at=NOW - 9 * DAY, sandbox=True)
    assert remove(journal, folder, keep=10) == []
    assert remove(journal, folder, days=10) == []
    assert remove(journal, folder, keep=1, days=7.5) == ["a-2", "a-1"]
    assert remove(journal, folder, keep=1) == ["a-4", "a-3"]
    assert remove(journal, folder) == ["a-6", "b-1", "a-5"]


@pytest.mark.parametrize("state", ["pending", "waiting", "running"])
def test_what_has_not_ended_is_kept_and_does_not_count(journal, folder, state):
    """However old it is; the newest ended run is still the newest."""
    add_run(journal, "a-1")
    add_run(journal, "a-2", state=state, ended_at=None, created_at=0.0)
    assert remove(journal, folder, keep=1) == []
    assert remove(journal, folder) == ["a-1"]


def test_what_a_kept_run_retried_is_kept(journal, folder):
    """Also through a chain of retries; without the last retry all go together."""
    add_run(journal, "a-1")
    add_run(journal, "a-2", retry_of="a-1")
    add_run(journal, "a-3", retry_of="a-2", state="waiting", ended_at=None)
    add_run(journal, "b-1")
    add_run(journal, "b-2", retry_of="b-1")
    assert remove(journal, folder) == ["b-2", "b-1"]
    assert remove(journal, folder, keep=1) == []


def test_the_newest_deploys_of_each_environment_are_kept(journal, folder):
    """The last always; of a run that cannot be read nobody knows, so it stays."""
    for number in range(1, 5):
        add_run(journal, f"a-{number}", deploys="staging" if number % 2 else "production")
    for number in range(5, 8):
        add_run(journal, f"a-{number}")
    assert remove(journal, folder, deploys=2) == ["a-7", "a-6", "a-5"]
    with journal._writer as connection:
        connection.execute('UPDATE events SET data = \'{"effect":"deploy"\' WHERE run_key = 1')
    assert remove(journal, folder, deploys=2) == []
    assert remove(journal, folder, deploys=1) == ["a-2", "a-1"]
    assert [each.run for each in journal.list_deployments("shop", "staging")] == ["a-3"]


def test_a_run_that_is_retried_meanwhile_stays(journal, folder, monkeypatch):
    """What was chosen is looked at again in the transaction that removes it."""
    add_run(journal, "a-1")
    add_run(journal, "a-2")
    retention = Retention(journal, folder, Policy(0, 0, 1))
    scan = journal.scan_events

    def scan_late(text: str) -> Any:
        monkeypatch.setattr(journal, "scan_events", scan)
        add_run(journal, "a-3", retry_of="a-1", state="running", ended_at=None)
        return scan(text)

    monkeypatch.setattr(journal, "scan_events", scan_late)
    with journal.transaction() as transaction:
        transaction.record_deploy(DeployRow("shop", "e", "b-1", "d", NOW))
    assert retention.remove(actor="local:ann", now=NOW).runs == ["a-2"]
    assert journal.find_run("a-1") is not None


def age(path: Path, seconds: float = GRACE + 60) -> None:
    """Make everything in a folder look old."""
    for each in (path, *path.rglob("*")):
        os.utime(each, (NOW - seconds, NOW - seconds), follow_symlinks=False)


def test_only_unmentioned_old_artifacts_go(journal, folder):
    """Mentioned anywhere in a kept run's events, or too young: it stays."""
    store = ArtifactFolder(folder.artifacts)
    names = ("output", "input", "gone", "shared")
    made = {name: store.put(name.encode()) for name in names}
    (folder.artifacts / "put-left").write_text("half")
    age(folder.artifacts)
    young = store.put(b"young")
    os.utime(store.path_of(young), (NOW, NOW))

    def mention(*which: str) -> dict[str, Any]:
        return {"type": "it", "v": 1, "deep": [{"it": made[each].digest} for each in which]}

    add_run(journal, "a-1", mention("gone", "shared"))
    add_run(journal, "a-2", mention("output"), {"text": f"<{made['input'].digest}>"})
    add_run(journal, "a-3", mention("shared"), state="running", ended_at=None)
    assert remove(journal, folder, keep=1) == ["a-1"]
    left = {name for name in names if store.path_of(made[name]).exists()}
    assert left == {"output", "input", "shared"}
    assert store.path_of(young).exists()
    assert not (folder.artifacts / "put-left").exists()
    assert journal.list_removals()[0].counts["artifacts"] == {"count": 1, "size": 4}


def test_what_an_active_run_may_still_mention_stays(journal, folder):
    """It is younger than the run, however long ago that began."""
    store = ArtifactFolder(folder.artifacts)
    made = store.put(b"it")
    age(folder.artifacts, 3 * DAY)
    add_run(journal, "a-1", state="running", created_at=NOW - 4 * DAY, ended_at=None)
    remove(journal, folder)
    assert store.path_of(made).exists()


def test_snapshots_go_with_their_last_run(journal, folder, tmp_path):
    """Manifest, tree and the blobs of no other snapshot; the others can still be read."""
    sources = []
    for number in (1, 2):
        (tmp_path / "same").write_text("same")
        (tmp_path / "other").write_text(str(number))
        source = capture_source(tmp_path, state=folder)
        materialize_source(source.facts, state=folder, root=tmp_path)
        sources.append(source.facts)
        add_run(journal, f"a-{number}", {"source": source.facts})
    age(folder.sources)
    assert remove(journal, folder, keep=1) == ["a-1"]
    count = {
        name: len(list((folder.sources / name).glob("**/*"))) for name in ("manifests", "trees")
    }
    assert count == {"manifests": 1, "trees": 3}
    assert len([each for each in (folder.sources / "blobs").rglob("*") if each.is_file()]) == 2
    tree = materialize_source(sources[1], state=folder, root=tmp_path)
    assert (tree / "other").read_text() == "2"


def test_logs_workspaces_and_caches(journal, folder):
    """Logs of removed runs, workspaces of those that ended, and what no stage used for long."""
    for run in ("a-1", "a-2", "a-3", "lost-1"):
        for parent in (folder.logs, folder.workspaces):
            (parent / run / "s").mkdir(parents=True)
            (parent / run / "s" / "it").write_text("it")
    add_run(journal, "a-1")
    add_run(journal, "a-2")
    add_run(journal, "a-3", state="waiting", ended_at=None)
    (folder.cache / "t").mkdir(parents=True)
    for name, used in (("old", NOW - 100 * DAY), ("new", NOW)):
        (folder.cache / "t" / name).write_text(name)
        os.utime(folder.cache / "t" / name, (used, used))
    assert remove(journal, folder, keep=1, days=30) == []
    assert remove(journal, folder, keep=1) == ["a-1"]
    assert sorted(each.name for each in folder.logs.iterdir()) == ["a-2", "a-3"]
    assert sorted(each.name for each in folder.workspaces.iterdir()) == ["a-3"]
    assert [each.name for each in (folder.cache / "t").iterdir()] == ["new"]


def test_an_artifact_stored_while_it_is_swept_is_there(tmp_path):
    """Storing makes it young again, and no sweep removes it between a look and the removal."""
    store = ArtifactFolder(tmp_path / "artifacts")
    over = threading.Event()

    def sweep() -> None:
        while not over.is_set():
            sweep_artifacts(store.folder, (), before=time.time() - 100)

    thread = threading.Thread(target=sweep)
    thread.start()
    for _ in range(100):
        made = store.put(b"it")
        assert store.path_of(made).exists()
        os.utime(store.path_of(made), (0, 0))
    over.set()
    thread.join()


def test_a_source_captured_while_it_is_swept_is_whole(tmp_path, folder):
    """Blobs and manifest that are there already are used again as if they were new."""
    (tmp_path / "it").write_text("it")
    over = threading.Event()

    def sweep() -> None:
        while not over.is_set():
            sweep_sources(folder.sources, (), before=time.time() - 100)

    thread = threading.Thread(target=sweep)
    thread.start()
    for _ in range(50):
        facts = capture_source(tmp_path, state=folder).facts
        tree = materialize_source(facts, state=folder, root=tmp_path)
        assert (tree / "it").read_text() == "it"
        age(folder.sources / "blobs")
        age(folder.sources / "manifests")
        os.utime(tree, (0, 0))
    over.set()
    thread.join()


def test_files_of_two_states_are_left_alone(journal, folder, tmp_path):
    """Nobody here knows what the other one mentions; a state alone has no sharer."""
    url = f"sqlite:///{folder.folder}/state.db"
    server = "postgresql://ann:pw@db.test/shop"
    assert find_sharer(url, folder.folder, project=tmp_path) == ""
    assert find_sharer(server, folder.folder, project=tmp_path) == str(folder.folder / "state.db")
    note_server(url, folder.folder)
    assert find_sharer(url, folder.folder, project=tmp_path) == ""
    note_server(server, folder.folder)
    note_server(server.replace("pw", "other"), folder.folder)
    assert find_sharer(url, folder.folder, project=tmp_path) == "a state in PostgreSQL"
    (written,) = (folder.folder / "servers").read_text().splitlines()
    assert len(written) == 64
    made = ArtifactFolder(folder.artifacts).put(b"it")
    age(folder.artifacts)
    add_run(journal, "a-1")
    retention = Retention(journal, folder, Policy(0, 0, 1), sharer="it")
    assert retention.remove(actor="local:ann", now=NOW).runs == ["a-1"]
    assert ArtifactFolder(folder.artifacts).path_of(made).exists()


def test_the_file_gives_space_back_when_nobody_works(journal, folder):
    """What a process drives would have to wait: then the space is used again, not given back."""
    for number in range(1, 60):
        add_run(journal, f"a-{number}", {"text": "x" * 100_000})
    add_run(journal, "b-1", state="running", ended_at=None)
    owned = journal.own_run("b-1")
    assert owned is not None
    retention = Retention(journal, folder, Policy(30, 0, 1))
    assert retention.remove(actor="local:ann", now=NOW).database == 0
    owned.release()
    before = (folder.folder / "state.db").stat().st_size
    given = retention.remove(actor="local:ann", now=NOW).database
    assert given > 2_000_000
    assert (folder.folder / "state.db").stat().st_size == before - given
    assert len(journal.load_events("a-59")) == 2
