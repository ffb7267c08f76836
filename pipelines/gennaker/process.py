"""The one subprocess wrapper: argv lists only, a process group for each child, bounded output.

Nothing else starts processes. A child that must be known before it works is started behind a gate
(:class:`ChildProcess` with ``gated=True``): it exists and has a pid, but its program starts only
when :meth:`ChildProcess.open_gate` is called, and never when the parent dies before.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gennaker.errors import PermanentError, StageError

__all__ = [
    "ChildProcess",
    "Completed",
    "end_group",
    "find_start_time",
    "run",
]

MAX_LINE = 64 << 10
MAX_OUTPUT = 256 << 20
GRACE = 5.0
# The words after the script are the child's argv: nothing of them is read by the shell.
_GATE = 'read -r _ </dev/fd/{gate} || exit 125; exec "$@"'


@dataclass(frozen=True, slots=True)
class Completed:
    """A child that has ended; a negative ``code`` is the signal that ended it."""

    code: int
    stdout: bytes
    stderr: bytes


def run(
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    timeout: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Completed:
    """Run a short child to its end and return what it wrote.

    Args:
        argv: program and arguments; the program is looked up on PATH.
        timeout: seconds, after which its whole group is killed.
        env: the whole environment; the parent's unless given.

    Raises:
        PermanentError: code ``program-missing``.
        StageError: code ``program-timeout`` or ``program-output`` (more than 256 MiB).
    """
    child = _start(argv, cwd=cwd, env=env, stdin=subprocess.PIPE)
    try:
        out, err = child.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise StageError(
            f"{argv[0]!r} did not end within {timeout:g} s", code="program-timeout"
        ) from None
    finally:
        if child.poll() is None:
            _signal_group(child.pid, signal.SIGKILL)
            child.wait()
            for stream in (child.stdin, child.stdout, child.stderr):
                if stream is not None:
                    stream.close()
    if len(out) + len(err) > MAX_OUTPUT:
        raise StageError(f"{argv[0]!r} wrote more than 256 MiB", code="program-output")
    return Completed(child.returncode, out, err)


class ChildProcess:
    """A child that is followed line by line, in a process group of its own.

    Args:
        argv: program and arguments.
        gated: the program waits for :meth:`open_gate`.
        stdin: what the child reads; nothing unless given.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        gated: bool = False,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.argv = list(argv)
        self._gate: int | None = None
        if gated:
            reader, self._gate = os.pipe()
            words = ["/bin/sh", "-c", _GATE.format(gate=reader), "sh", *argv]
            pass_fds = [*pass_fds, reader]
            try:
                self._child = _start(words, cwd=cwd, env=env, pass_fds=pass_fds)
            except BaseException:
                os.close(self._gate)
                raise
            finally:
                os.close(reader)
        else:
            self._child = _start(argv, cwd=cwd, env=env, pass_fds=pass_fds)
        self.pid = self._child.pid
        self.started = find_start_time(self.pid)

    def open_gate(self) -> None:
        """Let the program of a gated child start."""
        if self._gate is not None:
            gate, self._gate = self._gate, None
            with contextlib.suppress(BrokenPipeError):
                os.write(gate, b"go\n")
            os.close(gate)

    def follow(
        self,
        on_line: Callable[[str, str], None],
        *,
        should_stop: Callable[[], bool] = lambda: False,
        grace: float = GRACE,
    ) -> int:
        """Give every line to ``on_line(stream, line)`` until the child ends; return its code.

        When ``should_stop`` says so (asked ten times a second) the group is told to end, and killed
        after ``grace`` seconds. A line past 64 KiB is given in parts. What a background child of
        the group writes after its leader has ended is read for a second at most.
        """
        readers = {"stdout": self._child.stdout, "stderr": self._child.stderr}
        pending = {"stdout": b"", "stderr": b""}
        stopping: float | None = None
        ended: float | None = None
        with selectors.DefaultSelector() as selector:
            for name, stream in readers.items():
                assert stream is not None  # both are pipes
                selector.register(stream, selectors.EVENT_READ, name)
            while selector.get_map():
                for key, _ in selector.select(timeout=0.1):
                    chunk = os.read(key.fd, 1 << 16)
                    if not chunk:
                        selector.unregister(key.fileobj)
                    pending[key.data] = _give_lines(key.data, pending[key.data] + chunk, on_line)
                now = time.monotonic()
                if stopping is None and should_stop():
                    self.signal(signal.SIGTERM)
                    stopping = now
                elif stopping is not None and now - stopping > grace:
                    self.signal(signal.SIGKILL)
                if self._child.poll() is not None:
                    ended = ended or now
                    if now - ended > 1.0:
                        break
        for name, rest in pending.items():
            if rest:
                on_line(name, rest.decode(errors="replace"))
        return self.wait()

    def wait(self) -> int:
        """Wait for the child, end what is left of its group, and return the child's code."""
        code = self._child.wait()
        _signal_group(self.pid, signal.SIGKILL)
        for stream in (self._child.stdin, self._child.stdout, self._child.stderr):
            if stream is not None:
                stream.close()
        return code

    def signal(self, number: int) -> None:
        """Send a signal to the whole group."""
        _signal_group(self.pid, number)

    def kill(self) -> None:
        """Kill the whole group and wait for the child; for use when ``follow`` was not reached."""
        if self._gate is not None:
            os.close(self._gate)
            self._gate = None
        _signal_group(self.pid, signal.SIGKILL)
        self.wait()


def find_start_time(pid: int) -> str:
    """Return when a process started, in the kernel's own count; empty when it is gone.

    A pid alone is used again after a while; pid and start time name one process (proc(5), field 22
    of ``/proc/PID/stat``). Without ``/proc`` it is what ``ps -o lstart=`` prints.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return ""
        done = run(["ps", "-o", "lstart=", "-p", str(pid)], timeout=10)
        return done.stdout.decode(errors="replace").strip()
    except ProcessLookupError:
        return ""
    return text.rpartition(")")[2].split()[19]


def end_group(pid: int, started: str, *, grace: float = GRACE) -> bool:
    """End the process group that a dead owner left behind, if it is still that one.

    The group's leader may be gone while its children go on; then the group is ended when no other
    process has taken its number.

    Returns:
        Whether there was anything to end.
    """
    now = find_start_time(pid)
    if now and now != started:
        return False
    if not _signal_group(pid, signal.SIGTERM):
        return False
    deadline = time.monotonic() + grace
    while time.monotonic() < deadline:
        if not _group_lives(pid):
            return True
        time.sleep(0.02)
    _signal_group(pid, signal.SIGKILL)
    return True


def _start(
    argv: Sequence[str],
    *,
    cwd: Path | None,
    env: Mapping[str, str] | None,
    stdin: int = subprocess.DEVNULL,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            list(argv),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=dict(env) if env is not None else None,
            start_new_session=True,
            pass_fds=list(pass_fds),
            close_fds=True,
        )
    except FileNotFoundError:
        raise PermanentError(
            f"there is no program {argv[0]!r}",
            code="program-missing",
            hint="install it, or put its folder on PATH",
        ) from None
    except PermissionError:
        raise PermanentError(
            f"program {argv[0]!r} may not be executed", code="program-missing"
        ) from None
    except ValueError as error:
        raise PermanentError(f"cannot start {argv[0]!r}: {error}", code="program-missing") from None


def _give_lines(name: str, data: bytes, on_line: Callable[[str, str], None]) -> bytes:
    """Give the whole lines of ``data`` and return the rest."""
    *lines, rest = data.split(b"\n")
    for line in lines:
        on_line(name, line.removesuffix(b"\r").decode(errors="replace"))
    while len(rest) > MAX_LINE:
        on_line(name, rest[:MAX_LINE].decode(errors="replace"))
        rest = rest[MAX_LINE:]
    return rest


def _signal_group(pid: int, number: int) -> bool:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _group_lives(pid: int) -> bool:
    """Whether a process of the group does anything still; zombies of others do not count."""
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    proc = Path("/proc")
    if not (proc / "self").exists():
        return True
    for each in proc.iterdir():
        if each.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                fields = (each / "stat").read_text().rpartition(")")[2].split()
                if int(fields[2]) == pid and fields[0] not in "ZX":
                    return True
    return False
