"""Starts programs and moves their bytes: ``run`` and ``capture`` to the end, ``ChildProcess`` as they come."""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from gennaker.errors import PermanentError, StageError
from gennaker.process.groups import (
    DRAIN,
    GRACE,
    MARK,
    GroupEnd,
    find_start_time,
    has_exited,
    make_mark,
    reap_leader,
    signal_group,
)
from gennaker.process.lines import LineSplitter, Masking
from gennaker.records import dataclass

__all__ = ["ChildProcess", "Completed", "capture", "clean_environment", "describe_exit", "run"]

Stream = Literal["stdout", "stderr"]
_STREAMS: tuple[Stream, Stream] = ("stdout", "stderr")
MAX_OUTPUT = 1 << 30
_CHUNK = 64 << 10
# The words after the script are the child's argv: nothing of them is read by this shell.
_GATE = f'read -r {MARK} || exit 125; export {MARK}; exec "$@" </dev/null'
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What a child needs to find programs, homes, languages and the way out; never credentials.
_KEPT = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR"),
        *("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR", "SSL_CERT_FILE", "SSL_CERT_DIR"),
        *("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
    }
)


@dataclass(frozen=True, slots=True)
class Completed:
    """A program that ended: ``code`` is its exit code, negative for the signal that ended it."""

    code: int
    stdout: bytes
    stderr: bytes


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment a child gets: only what is no credential, with ``extra`` put over it."""
    kept = {
        name: value for name, value in os.environ.items() if name in _KEPT or name.startswith("LC_")
    }
    return {"PATH": _DEFAULT_PATH, "LANG": "C.UTF-8", **kept, **(extra or {})}


def run(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    timeout: float | None = None,
    max_bytes: int = MAX_OUTPUT,
) -> Completed:
    """Run a program to its end and return its output.

    Args:
        argv: the program and its arguments; never a shell's line.
        cwd: where it starts, the current folder unless said.
        env: its whole environment; :func:`clean_environment` unless said.
        stdin: what it reads; closed after that.
        timeout: seconds until it is ended.
        max_bytes: of each stream; a program that writes more is ended.

    Raises:
        PermanentError: code ``program-missing`` or ``program-start`` when it cannot be started.
        StageError: code ``program-timeout`` or ``program-output`` when it was ended for it.
    """
    found: dict[Stream, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}

    def keep(stream: Stream, chunk: bytes) -> None:
        found[stream] += chunk
        if len(found[stream]) > max_bytes:
            raise StageError(
                f"{argv[0]!r} wrote more than {max_bytes} bytes to {stream}", code="program-output"
            )

    process = ChildProcess(argv, cwd=cwd, env=env, stdin=stdin)
    code = process.pump(keep, timeout=timeout)
    if process.timed_out:
        raise StageError(f"{argv[0]!r} did not end within {timeout:g} s", code="program-timeout")
    return Completed(code, bytes(found["stdout"]), bytes(found["stderr"]))


def capture(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 60.0,
) -> tuple[int, str, str]:
    """Run a program like :func:`run` and return its exit code, output and errors as text."""
    done = run(argv, cwd=cwd, env=env, timeout=timeout)
    return done.code, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


class ChildProcess:
    """A program that was started, in a session and process group of its own.

    Args:
        argv: the program and its arguments.
        cwd: where it starts; a program with a ``/`` in its name is looked for from there.
        env: its whole environment; :func:`clean_environment` unless said.
        stdin: what it reads; nothing unless said, and nothing when it is gated.
        gated: it exists and has a pid, but the program starts only with :meth:`open_gate`, and
            never when this process dies before. It and all that it starts are marked, so that
            they are ended with it also when they leave its group.

    Attributes:
        pid: the process, and its group.
        started: see :func:`find_start_time`; with ``pid`` it names the process for good.
        timed_out: whether it was ended because its time was over.

    Raises:
        PermanentError: code ``program-missing`` or ``program-start`` when it cannot be started.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        gated: bool = False,
    ) -> None:
        self.argv = _check_argv(argv)
        environment = clean_environment() if env is None else dict(env)
        _check_program(self.argv[0], cwd, environment)
        words = ["/bin/sh", "-c", _GATE, "sh", *self.argv] if gated else self.argv
        self._child = _start(words, cwd, environment, has_stdin=gated or bool(stdin))
        self._gated = gated
        self._stdin = memoryview(stdin)
        self.pid = self._child.pid
        self.started = find_start_time(self.pid)
        self._mark = make_mark(self.pid, self.started) if gated else ""
        self.timed_out = False
        self._ended = False

    def open_gate(self) -> None:
        """Let the program of a gated child start."""
        gate = self._child.stdin
        if self._gated and gate is not None and not gate.closed:
            with suppress(OSError):  # it was ended while it waited
                gate.write(f"{self._mark}\n".encode())
                gate.flush()
            with suppress(OSError):
                gate.close()

    def follow(
        self,
        on_line: Callable[[Stream, str], None],
        *,
        timeout: float | None = None,
        should_stop: Callable[[], bool] | None = None,
        grace: float = GRACE,
        make_mask: Callable[[], Masking] | None = None,
    ) -> int:
        """Give each line of output to ``on_line(stream, line)`` and return the exit code.

        Args:
            on_line: called in this thread; an error it raises ends the group and goes on.
            timeout: seconds until the group is ended (``timed_out``).
            should_stop: asked a few times a second; the group is ended when it says so.
            grace: seconds between TERM and KILL.
            make_mask: makes what hides secrets, one a stream; before lines are cut, so that no
                half of a secret is left at a cut.
        """
        lines = {each: LineSplitter(make_mask() if make_mask else None) for each in _STREAMS}

        def split(stream: Stream, chunk: bytes) -> None:
            for line in lines[stream].feed(chunk):
                on_line(stream, line)

        code = self.pump(split, timeout=timeout, should_stop=should_stop, grace=grace)
        for stream, rest in lines.items():
            for line in rest.close():
                on_line(stream, line)
        return code

    def pump(
        self,
        on_chunk: Callable[[Stream, bytes], None],
        *,
        timeout: float | None = None,
        should_stop: Callable[[], bool] | None = None,
        grace: float = GRACE,
    ) -> int:
        """Feed stdin and give output to ``on_chunk`` until the group ended; return the exit code.

        When the program itself ends, what it left running in its group is ended too.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        end = GroupEnd(self.pid, grace, mark=self._mark)
        over_at = 0.0
        try:
            with selectors.DefaultSelector() as selector:
                self._register(selector)
                while True:
                    self._move(selector, on_chunk, 0.01 if end.began else 0.1)
                    if not end.began:
                        exited = has_exited(self.pid)
                        if exited:
                            # All it wrote itself is in the pipes by now; it is read before TERM.
                            self._drain(selector, on_chunk)
                        self.timed_out = not exited and _is_past(deadline)
                        if exited or self.timed_out or (should_stop is not None and should_stop()):
                            end.begin()
                    if end.began:
                        self._child.poll()
                        if end.is_over():
                            # Who left the group (a session of its own) may hold a pipe open.
                            over_at = over_at or time.monotonic()
                            if not selector.get_map() or _is_past(over_at + DRAIN):
                                break
            self._ended = True
        finally:
            self.end(grace=0)
        code = self._child.returncode
        return -signal.SIGKILL if code is None else code

    def end(self, grace: float = GRACE) -> None:
        """End the group (TERM, then KILL after ``grace`` seconds) and close the pipes; idempotent."""
        if not self._ended:
            self._ended = True
            end = GroupEnd(self.pid, grace, mark=self._mark)
            if grace:
                end.begin()
            else:
                end.hurry()
            end.wait(reap=self._child.poll)
        reap_leader(self._child)
        for pipe in (self._child.stdin, self._child.stdout, self._child.stderr):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def signal(self, number: int) -> None:
        """Send a signal to the whole group, from any thread; nothing when it has ended."""
        if not self._ended:
            signal_group(self.pid, number)

    def kill(self) -> None:
        """End the group at once; for who does not follow it to its end."""
        self.end(grace=0)

    def _register(self, selector: selectors.BaseSelector) -> None:
        for name in _STREAMS:
            pipe = getattr(self._child, name)
            os.set_blocking(pipe.fileno(), False)
            selector.register(pipe, selectors.EVENT_READ, name)
        if self._child.stdin is not None and not self._gated:
            os.set_blocking(self._child.stdin.fileno(), False)
            selector.register(self._child.stdin, selectors.EVENT_WRITE, "stdin")

    def _move(
        self,
        selector: selectors.BaseSelector,
        on_chunk: Callable[[Stream, bytes], None],
        patience: float,
    ) -> bool:
        if not selector.get_map():
            # It closed its output and goes on: nothing to wait for but its end.
            _wait_exit(self.pid, patience)
            return False
        moved = False
        for key, _ in selector.select(patience):
            if key.data == "stdin":
                self._write(selector)
                continue
            try:
                chunk = os.read(key.fd, _CHUNK)
            except BlockingIOError:
                continue
            moved = True
            if chunk:
                on_chunk(key.data, chunk)
            else:
                selector.unregister(key.fileobj)
        return moved

    def _drain(
        self, selector: selectors.BaseSelector, on_chunk: Callable[[Stream, bytes], None]
    ) -> None:
        until = time.monotonic() + DRAIN
        while selector.get_map() and time.monotonic() < until:
            if not self._move(selector, on_chunk, 0):
                break

    def _write(self, selector: selectors.BaseSelector) -> None:
        pipe = self._child.stdin
        assert pipe is not None  # only registered when there is one
        try:
            written = os.write(pipe.fileno(), self._stdin[:_CHUNK])
        except BlockingIOError:
            return
        except OSError:  # it closed its end: the program does not want the rest
            written = len(self._stdin)
        self._stdin = self._stdin[written:]
        if not self._stdin:
            selector.unregister(pipe)
            with suppress(OSError):
                pipe.close()


def describe_exit(code: int) -> str:
    """Return ``exit code 3``, or ``ended by SIGKILL`` for a negative code."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"ended by signal {-code}"


def _is_past(moment: float | None) -> bool:
    return moment is not None and time.monotonic() >= moment


def _wait_exit(pid: int, seconds: float) -> None:
    until = time.monotonic() + seconds
    pause = 0.0005
    while not has_exited(pid) and time.monotonic() < until:
        time.sleep(pause)
        pause = min(pause * 2, 0.02)


def _check_argv(argv: Sequence[str]) -> tuple[str, ...]:
    if isinstance(argv, str) or not argv or not all(isinstance(each, str) for each in argv):
        raise TypeError("argv is a list of strings, at least one")
    if any("\0" in each for each in argv):
        raise PermanentError(
            f"an argument of {argv[0]!r} has a NUL character", code="program-start"
        )
    return tuple(argv)


def _check_program(name: str, cwd: Path | None, env: Mapping[str, str]) -> None:
    """Refuse what cannot be executed, in words; behind a gate it would only be exit code 127."""
    if cwd is not None and not cwd.is_dir():
        raise PermanentError(
            f"{name!r} cannot start in {str(cwd)!r}: there is no such folder", code="program-start"
        )
    found = str((cwd or Path()) / name) if "/" in name else name
    if shutil.which(found, path=env.get("PATH", _DEFAULT_PATH)) is not None:
        return
    if "/" in name and Path(found).is_file():
        raise PermanentError(
            f"program {name!r} may not be executed",
            code="program-missing",
            hint="make it executable: chmod +x",
        )
    raise PermanentError(
        f"there is no program {name!r}",
        code="program-missing",
        hint="install it, or put its folder on PATH",
    )


def _start(
    argv: Sequence[str], cwd: Path | None, env: Mapping[str, str], *, has_stdin: bool
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            argv,
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.PIPE if has_stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise PermanentError(
            f"program {argv[0]!r} cannot be started: {error.strerror}", code="program-start"
        ) from None
    except ValueError:  # a NUL or '=' in a name; the text would show a value
        raise PermanentError(
            f"program {argv[0]!r} cannot be started: its environment has an unusable name or value",
            code="program-start",
        ) from None
