"""Finding and starting the sandbox's helper process: one per state folder, found by its ``flock``.

Called by the Kubernetes target's ``sandbox()`` and the ``sandbox`` commands. Loads nothing of the
server itself. The sandbox lives in ``STATE_FOLDER/sandbox``.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path

from gennaker.errors import GennakerError, InvalidInput
from gennaker.records import dataclass

from .kubeconfig import make_environment_contexts, make_kubeconfig, write_config

__all__ = [
    "SandboxAddress",
    "ensure_sandbox",
    "read_sandbox",
    "release_sandbox",
    "stop_sandbox",
]

START_SECONDS = 15.0
STOP_SECONDS = 10.0
_ENVIRONMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_PASSED_ON = ("HOME", "LANG", "LC_ALL", "PATH", "PYTHONPATH", "TMPDIR", "VIRTUAL_ENV")


@dataclass(frozen=True, slots=True)
class SandboxAddress:
    """A running helper: where it listens, its secret, its process, its folder."""

    url: str
    token: str = field(repr=False)
    pid: int
    folder: Path

    def kubeconfig(self, environment: str) -> Path:
        """Return the kubeconfig file of an environment's cluster, written (0600) when it is new.

        Raises:
            InvalidInput: when the name cannot be a folder.
        """
        return self._write(self.folder / environment / "kubeconfig", {environment: None})

    def write_contexts(self, namespaces: Mapping[str, str | None]) -> Path:
        """Return one kubeconfig file with a context for every environment; the first is the current.

        Args:
            namespaces: by environment, the namespace that is meant when none is said.

        Raises:
            InvalidInput: when the name cannot be a folder.
        """
        return self._write(self.folder / "kubeconfig", namespaces)

    def _write(self, path: Path, namespaces: Mapping[str, str | None]) -> Path:
        for environment in namespaces:
            if not _ENVIRONMENT.fullmatch(environment):
                raise InvalidInput(
                    f"environment {environment!r} cannot have a sandbox cluster",
                    code="invalid-name",
                    hint="use letters, digits, '-', '_' and '.', at most 63, a letter or digit first",
                )
        config = make_kubeconfig(self.url, self.token, make_environment_contexts(namespaces))
        text = json.dumps(config, indent=2) + "\n"
        if not path.exists() or path.read_text("utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_config(path, config)
        return path


_held: dict[Path, int] = {}
"""The users' files this process holds, so that the helper stays until it ends."""
_started: set[int] = set()
"""The helpers this process started and has to reap."""


def ensure_sandbox(state_folder: Path, *, pinned: bool = False) -> SandboxAddress:
    """Return the sandbox of a state folder, started when none runs; this process is a user from now on.

    Args:
        state_folder: usually ``.gennaker``.
        pinned: let it run on without users, until :func:`stop_sandbox`.

    Raises:
        GennakerError: when it does not come up, with the end of its log.
    """
    folder = _make_folder(state_folder)
    if folder not in _held:
        users = os.open(folder / "users", os.O_RDWR | os.O_CREAT, 0o600)
        # Waits while a helper that has no users left is just ending.
        fcntl.flock(users, fcntl.LOCK_SH)
        _held[folder] = users
    if pinned:
        (folder / "pinned").touch(mode=0o600)
    found = read_sandbox(state_folder)
    if found is not None:
        return found
    _started.difference_update([each for each in _started if _has_ended(each)])
    with _starting(folder):
        deadline = time.monotonic() + START_SECONDS
        pid = None
        while time.monotonic() < deadline:
            found = read_sandbox(state_folder)
            if found is not None:
                return found
            if pid is None or _has_ended(pid):
                pid = _spawn(folder)
                _started.add(pid)
            time.sleep(0.01)
    tail = _read_tail(folder / "helper.log")
    raise GennakerError(
        f"the sandbox in {str(folder)!r} did not start within {START_SECONDS:.0f} s{tail}",
        code="sandbox-start",
        hint=f"see {folder / 'helper.log'}",
    )


def read_sandbox(state_folder: Path) -> SandboxAddress | None:
    """Return the sandbox that runs for a state folder, or None; starts nothing and holds nothing."""
    folder = _place(state_folder)
    try:
        lock = os.open(folder / "lock", os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        try:
            # A shared lock, so that two who look at the same time do not take each other for it.
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            content = os.pread(lock, 4096, 0)
        else:
            return None
    finally:
        os.close(lock)
    try:
        found = json.loads(content)
        os.kill(found["pid"], 0)
    except (ValueError, ProcessLookupError):
        return None  # it is just starting or ending
    return SandboxAddress(found["url"], found["token"], found["pid"], folder)


def stop_sandbox(state_folder: Path) -> bool:
    """End the sandbox of a state folder; returns whether one ran. Its state stays.

    Raises:
        GennakerError: when it does not end.
    """
    folder = _place(state_folder)
    (folder / "pinned").unlink(missing_ok=True)
    found = read_sandbox(state_folder)
    if found is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(found.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while _is_locked(folder):
        if time.monotonic() > deadline:
            raise GennakerError(
                f"the sandbox process {found.pid} does not end",
                code="sandbox-stop",
                hint=f"end it with `kill -9 {found.pid}`",
            )
        time.sleep(0.01)
    _started.difference_update([each for each in _started if _has_ended(each)])
    return True


def release_sandbox(state_folder: Path) -> None:
    """Be no user any more (a process that ends is none by itself)."""
    users = _held.pop(_place(state_folder), None)
    if users is not None:
        os.close(users)


def _place(state_folder: Path) -> Path:
    return state_folder.resolve() / "sandbox"


def _make_folder(state_folder: Path) -> Path:
    folder = _place(state_folder)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise GennakerError(
            f"the sandbox cannot keep its state in {str(folder)!r}: {error.strerror}",
            code="sandbox-start",
            hint="make the state folder writable, or use --state for another one",
        ) from error
    return folder


def _is_locked(folder: Path) -> bool:
    lock = os.open(folder / "lock", os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


@contextlib.contextmanager
def _starting(folder: Path) -> Iterator[None]:
    """Let one process at a time start the helper."""
    gate = os.open(folder / "starting", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(gate, fcntl.LOCK_EX)
        yield
    finally:
        os.close(gate)


def _spawn(folder: Path) -> int:
    """Start the helper, in a session of its own: it outlives this process and its terminal."""
    import sys

    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    # gennaker.process follows and ends what it starts; this one is meant to stay.
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "gennaker_stages.kubernetes.sandbox", "serve", str(folder)],
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(folder / "helper.log"), flags, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )


def _has_ended(pid: int) -> bool:
    """Whether a helper that this process started has ended (and is no zombie any more)."""
    try:
        return os.waitpid(pid, os.WNOHANG) != (0, 0)
    except ChildProcessError:
        return True


def _read_tail(path: Path) -> str:
    try:
        lines = path.read_text("utf-8", errors="replace").strip().splitlines()
    except OSError:
        return ""
    return f": {lines[-1]}" if lines else ""
