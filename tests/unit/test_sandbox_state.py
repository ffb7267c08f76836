"""What a sandbox cluster keeps: over a restart, over a crash, and for watches."""

from __future__ import annotations

from pathlib import Path

import pytest

from gennaker_stages.kubernetes.sandbox import VirtualClock
from gennaker_stages.kubernetes.sandbox.cluster import Cluster
from gennaker_stages.kubernetes.sandbox.operations import WriteOptions
from gennaker_stages.kubernetes.sandbox.problems import ApiProblem
from gennaker_stages.kubernetes.sandbox.queries import Queries, Watch


def write(cluster: Cluster, name: str, **data: str) -> None:
    """Apply a ConfigMap into the default namespace."""
    resource = cluster.registry.find_kind("v1", "ConfigMap")
    assert resource is not None
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
    cluster.operations.apply(resource, "default", name, body, WriteOptions(manager="test"))


def test_state_survives_a_restart(tmp_path: Path) -> None:
    """Objects, owners and versions are the same; versions go on rising."""
    first = Cluster(tmp_path, clock=VirtualClock())
    write(first, "c", a="1")
    before, version = first.store.get("configmaps", "default", "c"), first.store.version
    first.stop()
    second = Cluster(tmp_path, clock=VirtualClock())
    write(second, "d", a="1")
    assert second.store.get("configmaps", "default", "c") == before
    assert second.store.version == version + 1
    second.stop()


def test_state_survives_a_crash_in_mid_write(tmp_path: Path) -> None:
    """What was appended is there; a half-written last line is dropped."""
    first = Cluster(tmp_path, clock=VirtualClock())
    write(first, "c", a="1")
    first.store._log.close()  # type: ignore[union-attr]
    log = tmp_path / "log.jsonl"
    log.write_text(log.read_text() + '{"put":"configmaps","obj')
    second = Cluster(tmp_path, clock=VirtualClock())
    assert second.store.get("configmaps", "default", "c") is not None
    second.stop()


def test_state_is_for_its_owner_only(tmp_path: Path) -> None:
    """What is deployed is nobody else's business."""
    cluster = Cluster(tmp_path / "state", clock=VirtualClock())
    cluster.stop()
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "state").iterdir()}
    assert modes == {"snapshot.json": 0o600, "log.jsonl": 0o600}


def test_secret_values_are_never_written(tmp_path: Path) -> None:
    """Neither the log nor the snapshot has them; a cluster that is opened again has the keys."""
    first = Cluster(tmp_path, clock=VirtualClock())
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "it",
            "annotations": {
                "a": "b",
                "kubectl.kubernetes.io/last-applied-configuration": '{"data":{"p":"a2FuYXJpLTE="}}',
            },
        },
        "data": {"p": "a2FuYXJpLTE="},
    }
    resource = first.registry.find_kind("v1", "Secret")
    assert resource is not None
    first.operations.create(resource, "default", body, WriteOptions(manager="test"))
    log = (tmp_path / "log.jsonl").read_text()
    first.stop()
    second = Cluster(tmp_path, clock=VirtualClock())
    found = second.store.get("secrets", "default", "it")
    assert found is not None
    assert (found["data"], found["metadata"]["annotations"]) == ({"p": ""}, {"a": "b"})
    assert "a2FuYXJpLTE=" not in log + (tmp_path / "snapshot.json").read_text()
    second.stop()


def test_rollout_goes_on_after_a_restart(tmp_path: Path) -> None:
    """A Deployment whose pods were just starting becomes available in the next process."""
    first = Cluster(tmp_path, clock=VirtualClock())
    resource = first.registry.find_kind("apps/v1", "Deployment")
    assert resource is not None
    template = {
        "metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": spec,
    }
    first.operations.create(resource, "default", body, WriteOptions())
    first.clock.advance(0.1)  # type: ignore[attr-defined]
    first.stop()
    clock = VirtualClock()
    second = Cluster(tmp_path, clock=clock)
    clock.advance(2)
    found = second.store.get("deployments.apps", "default", "web")
    assert found is not None
    assert found["status"]["availableReplicas"] == 1
    second.stop()


def test_watch_of_a_forgotten_version_is_gone() -> None:
    """410 Expired, so that the client lists again."""
    cluster = Cluster(clock=VirtualClock())
    old = cluster.store.version
    write(cluster, "c", a="1")
    cluster.store.forget_history()
    resource = cluster.registry.find_kind("v1", "ConfigMap")
    assert resource is not None
    with pytest.raises(ApiProblem) as caught:
        Watch(Queries(cluster.operations), resource, "default", {"resourceVersion": str(old)})
    assert (caught.value.code, caught.value.reason) == (410, "Expired")
    assert caught.value.message.startswith(f"too old resource version: {old}")


def test_watch_with_initial_events_marks_their_end() -> None:
    """What is there, then a bookmark that says so, then what comes."""
    cluster = Cluster(clock=VirtualClock())
    write(cluster, "c", a="1")
    resource = cluster.registry.find_kind("v1", "ConfigMap")
    assert resource is not None
    query = {"sendInitialEvents": "true", "allowWatchBookmarks": "true"}
    watch = Watch(Queries(cluster.operations), resource, "default", query)
    first = list(watch.start_events())
    write(cluster, "d", a="1")
    later = watch.next_events(0)
    end = first[-1]["object"]["metadata"]["annotations"]
    assert [event["type"] for event in first] == ["ADDED", "BOOKMARK"]
    assert end == {"k8s.io/initial-events-end": "true"}
    assert [event["object"]["metadata"]["name"] for event in later] == ["d"]
