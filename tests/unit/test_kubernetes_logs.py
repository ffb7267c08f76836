"""Following the log of a container over connections that break."""

from __future__ import annotations

import json
from pathlib import Path

from gennaker_stages.kubernetes.client.logs import LogFollower
from tests.fixtures.http_server import Answer, Asked, LocalServer
from tests.unit.test_kubernetes_client import CORE, GROUPS, connect, write_kubeconfig


def test_a_log_that_breaks_off_is_read_on(tmp_path: Path, http_server: LocalServer) -> None:
    """From the second it got to; a line is told once, also when several have one moment."""
    lines = [
        "2026-01-01T00:00:01.25Z a\n",
        "2026-01-01T00:00:02.5+00:00 b\n",
        "2026-01-01T00:00:02.5+00:00 b\n",
        "2026-01-01T00:00:02.50001+00:00 c\n",
        "2026-01-01T00:00:03Z d",
    ]
    whole = "".join(lines).encode()
    first, second = "".join(lines[:2]).encode() + lines[2][:9].encode(), "".join(lines[1:]).encode()
    left = [Answer(body=first, breaks=True), Answer(body=second), *[Answer(body=whole)] * 2]
    kinds = {"resources": [{"name": "pods", "kind": "Pod", "namespaced": True, "verbs": []}]}
    said = {"/api": CORE, "/apis": GROUPS, "/api/v1": kinds}

    def answer(asked: Asked) -> Answer:
        found = said.get(asked.path)
        return left.pop(0) if found is None else Answer(body=json.dumps(found).encode())

    http_server.answer = answer
    pod = {"metadata": {"name": "p", "namespace": "n"}}
    kubeconfig = write_kubeconfig(tmp_path / "home" / "config", http_server.url)
    cluster = connect(kubeconfig, tmp_path / "project")
    follower = LogFollower(cluster, pod, "web")
    assert [list(follower.read()), list(follower.read())] == [["a", "b"], ["b", "c", "d"]]
    follower.end()
    assert list(follower.read()) == []
    follower.end(previous=True)
    assert list(follower.read()) == []
    asked = [each.path for each in http_server.asked if "/log" in each.path]
    path = "/api/v1/namespaces/n/pods/p/log?container=web&timestamps=true"
    assert asked == [
        f"{path}&follow=true",
        f"{path}&follow=true&sinceTime=2026-01-01T00%3A00%3A02%2B00%3A00",
        f"{path}&sinceTime=2026-01-01T00%3A00%3A03Z",
        f"{path}&previous=true&sinceTime=2026-01-01T00%3A00%3A03Z",
    ]
