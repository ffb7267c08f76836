"""The sandbox's helper process: one per state folder, alive while it is used, its state kept."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from gennaker.errors import InvalidInput
from gennaker_stages.kubernetes.sandbox.process import (
    ensure_sandbox,
    read_sandbox,
    release_sandbox,
    stop_sandbox,
)
from tests.fixtures.cluster_client import ClusterClient
from tests.fixtures.cluster_scenarios import config_map

PATH = "/api/v1/namespaces/default/configmaps"
START = "from pathlib import Path; import sys, json\n"
START += "from gennaker_stages.kubernetes.sandbox.process import ensure_sandbox\n"
START += "print(ensure_sandbox(Path(sys.argv[1])).pid)\n"


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state folder whose sandbox is ended afterwards."""
    yield tmp_path
    stop_sandbox(tmp_path)
    release_sandbox(tmp_path)


def wait_until_gone(pid: int, seconds: float) -> bool:
    """Whether a process ends in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_starts_once_for_all_who_ask(state: Path) -> None:
    """Several processes and threads at the same time find the same helper."""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", START, str(state)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    with ThreadPoolExecutor(2) as pool:
        mine = {each.pid for each in pool.map(ensure_sandbox, [state, state])}
    theirs = {int(child.communicate(timeout=30)[0]) for child in children}
    assert len(mine | theirs) == 1


def test_environments_are_clusters_of_their_own(state: Path) -> None:
    """One helper, a kubeconfig each, nothing shared."""
    address = ensure_sandbox(state)
    staging = ClusterClient(address.kubeconfig("staging"))
    production = ClusterClient(address.kubeconfig("production"))
    staging.call("POST", PATH, config_map(a="1"))
    assert [staging.call("GET", f"{PATH}/c")[0], production.call("GET", f"{PATH}/c")[0]] == [
        200,
        404,
    ]
    assert (state / "sandbox" / "staging" / "kubeconfig").stat().st_mode & 0o777 == 0o600
    staging.close()
    production.close()


def test_state_and_address_survive_a_stop(state: Path) -> None:
    """The next helper has the objects, and the old kubeconfig still reaches it."""
    first = ensure_sandbox(state)
    kubeconfig = first.kubeconfig("staging")
    client = ClusterClient(kubeconfig)
    client.call("POST", PATH, config_map(a="1"))
    stopped = stop_sandbox(state)
    between = read_sandbox(state)
    second = ensure_sandbox(state)
    status, answer = client.call("GET", f"{PATH}/c")
    assert stopped
    assert between is None
    assert second.pid != first.pid
    assert (status, answer["data"]) == (200, {"a": "1"})
    client.close()


def test_killed_helper_is_replaced(state: Path) -> None:
    """After kill -9 the lock is free and what was written is there."""
    first = ensure_sandbox(state)
    client = ClusterClient(first.kubeconfig("staging"))
    client.call("POST", PATH, config_map(a="1"))
    os.kill(first.pid, signal.SIGKILL)
    while read_sandbox(state) is not None:
        time.sleep(0.01)
    second = ensure_sandbox(state)
    assert second.pid != first.pid
    assert ClusterClient(second.kubeconfig("staging")).call("GET", f"{PATH}/c")[0] == 200
    client.close()


@contextmanager
def serve(state: Path, *, grace: float) -> Iterator[subprocess.Popen[bytes]]:
    """A helper that waits so many seconds for a user; this process is one, until it is released.

    A user before the helper starts: on a busy machine it would end before one could come.
    """
    folder = state / "sandbox"
    folder.mkdir()
    with (folder / "users").open("w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        helper = subprocess.Popen(
            [
                *(sys.executable, "-m", "gennaker_stages.kubernetes.sandbox"),
                *("serve", str(folder), str(grace)),
            ]
        )
        try:
            while read_sandbox(state) is None:
                time.sleep(0.01)
            ensure_sandbox(state)
            users.close()
            yield helper
        finally:
            release_sandbox(state)
            helper.kill()
            helper.wait()


def test_ends_by_itself_when_nobody_uses_it(tmp_path: Path) -> None:
    """A grace after the last user has gone the process ends; a user keeps it."""
    with serve(tmp_path, grace=0.4) as helper:
        time.sleep(1)
        assert helper.poll() is None
        release_sandbox(tmp_path)
        assert helper.wait(10) == 0
        assert read_sandbox(tmp_path) is None


def test_pinned_helper_stays(tmp_path: Path) -> None:
    """Pinned, it needs no user; a stop ends it."""
    with serve(tmp_path, grace=0.4) as helper:
        ensure_sandbox(tmp_path, pinned=True)
        release_sandbox(tmp_path)
        time.sleep(1)
        assert helper.poll() is None
        assert stop_sandbox(tmp_path)
        assert helper.wait(10) == 0


def test_stop_without_a_sandbox_says_so(tmp_path: Path) -> None:
    """Nothing ran, nothing is made."""
    assert stop_sandbox(tmp_path) is False
    assert list(tmp_path.iterdir()) == []


def test_environment_name_cannot_leave_the_folder(state: Path) -> None:
    """Names that are no folder names are refused."""
    address = ensure_sandbox(state)
    with pytest.raises(InvalidInput, match=r"environment '\.\./x' cannot have a sandbox cluster"):
        address.kubeconfig("../x")


def test_secrets_stay_out_of_sight(state: Path) -> None:
    """The helper's command line and environment have neither the token nor the caller's secrets."""
    os.environ["CONTRACT_SECRET"] = "hunter2-not-for-helpers"
    try:
        address = ensure_sandbox(state)
    finally:
        del os.environ["CONTRACT_SECRET"]
    proc = Path("/proc") / str(address.pid)
    seen = (proc / "cmdline").read_bytes() + (proc / "environ").read_bytes()
    assert b"hunter2" not in seen
    assert address.token.encode() not in seen
    assert address.token not in repr(address)
    assert json.loads((state / "sandbox" / "lock").read_text())["pid"] == address.pid
