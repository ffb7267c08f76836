"""The helper process: one server for all sandbox clusters of a state folder.

Started by :mod:`.process` as ``python -m gennaker_stages.kubernetes.sandbox serve FOLDER``. It holds
``FOLDER/lock`` while it serves and writes its address into it; every user holds ``FOLDER/users``
shared. When nobody has held that for ten seconds, and nobody pinned it, it ends.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import signal
import threading
from pathlib import Path
from typing import Any

from .api import Api
from .cluster import Cluster
from .kubeconfig import move_kubeconfig, write_config
from .server import Server

__all__ = ["ENVIRONMENT_NAME", "Helper", "serve"]

GRACE_SECONDS = 10.0
ENVIRONMENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


class Helper:
    """Clusters by environment, made on first use, their state in ``folder/ENVIRONMENT``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._clusters: dict[str, Cluster] = {}
        self._guard = threading.Lock()

    def find(self, parts: tuple[str, ...]) -> tuple[Api, tuple[str, ...]] | None:
        """Return the API of ``/environments/NAME/…`` and the rest of the path."""
        if len(parts) < 2 or parts[0] != "environments" or not ENVIRONMENT_NAME.fullmatch(parts[1]):
            return None
        with self._guard:
            cluster = self._clusters.get(parts[1])
            if cluster is None:
                cluster = self._clusters[parts[1]] = Cluster(self.folder / parts[1])
                cluster.start()
        return cluster.api, parts[2:]

    def stop(self) -> None:
        """End every cluster and write its state down."""
        with self._guard:
            for cluster in self._clusters.values():
                cluster.stop()
            self._clusters.clear()


def serve(folder: Path, *, grace: float = GRACE_SECONDS) -> int:
    """Serve until nobody uses the sandbox any more, or a signal; returns the exit code.

    Another helper of the same folder that holds the lock already makes this one end at once.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0
    os.ftruncate(lock, 0)
    # No folder of its starter is kept busy.
    os.chdir("/")
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: ended.set())
    helper = Helper(folder)
    known = _recall(folder)
    token = known.get("token") or secrets.token_urlsafe(24)
    server = _listen(helper, token, int(known.get("port", 0)))
    server.start()
    # Kept so that kubeconfigs stay good over a restart.
    write_config(folder / "address.json", {"port": server.port, "token": token})
    for path in (*folder.glob("kubeconfig"), *folder.glob("*/kubeconfig")):
        move_kubeconfig(path, server.url, token)
    content = {"url": server.url, "token": token, "pid": os.getpid()}
    os.pwrite(lock, json.dumps(content).encode(), 0)
    users = _wait_for_end(folder, ended, grace)
    os.ftruncate(lock, 0)
    server.stop()
    helper.stop()
    os.close(lock)
    if users is not None:
        os.close(users)
    return 0


def _recall(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / "address.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def _listen(helper: Helper, token: str, port: int) -> Server:
    try:
        return Server(helper.find, token=token, port=port)
    except OSError:
        # Someone else has the port of last time: any other will do.
        return Server(helper.find, token=token)


def _wait_for_end(folder: Path, ended: threading.Event, grace: float) -> int | None:
    """Return when a signal came (None), or nobody has used the sandbox for ``grace`` seconds.

    In the second case the users' file is held exclusively, so that whoever comes now waits until this
    helper has gone and then starts the next one.
    """
    users = os.open(folder / "users", os.O_RDWR | os.O_CREAT, 0o600)
    step = min(0.5, grace / 4)
    idle = 0.0
    while not ended.wait(step):
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            idle = 0.0
            continue
        idle = 0.0 if (folder / "pinned").exists() else idle + step
        if idle >= grace:
            return users
        fcntl.flock(users, fcntl.LOCK_UN)
    os.close(users)
    return None
