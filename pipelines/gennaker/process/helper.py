"""A child that answers questions one after the other, and is ended when it takes too long with one."""

from __future__ import annotations

import os
import selectors
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress

from gennaker.errors import PermanentError, StageError
from gennaker.process.child import clean_environment, describe_exit
from gennaker.process.groups import GroupEnd, has_exited, reap_leader

__all__ = ["Helper"]

_CHUNK = 256 << 10
_HEAD = 8
_SAID = 64 << 10


class Helper:
    """A program that reads questions and writes answers, each as its length in 8 bytes and its bytes.

    It leads a group of its own, as every child does. It has to end by itself when its input is
    closed: then it also ends when this process is killed. One thread uses it at a time.

    Args:
        argv: the program and its arguments; its environment is what has no credentials.

    Raises:
        PermanentError: code ``program-start``.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the helper
        try:
            self._child = subprocess.Popen(
                list(argv),
                env=clean_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                start_new_session=True,
            )
        except OSError as error:
            self._said.close()
            raise PermanentError(
                f"program {argv[0]!r} cannot be started: {error.strerror}", code="program-start"
            ) from None
        self._name = argv[0]
        self._ended = False
        for pipe in (self._child.stdin, self._child.stdout):
            assert pipe is not None  # both were asked for
            os.set_blocking(pipe.fileno(), False)

    @property
    def is_alive(self) -> bool:
        """Whether it can still be asked."""
        return not self._ended and not has_exited(self._child.pid)

    def ask(self, question: bytes, *, timeout: float, max_bytes: int) -> bytes:
        """Return the answer to a question.

        Args:
            question: what it is sent.
            timeout: seconds until it is ended.
            max_bytes: of the answer.

        Raises:
            StageError: codes ``program-timeout``, ``program-output``, and ``program-ended`` with what
                it said last; in each case it has ended.
        """
        try:
            return self._exchange(question, time.monotonic() + timeout, timeout, max_bytes)
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """End it and its group at once; idempotent."""
        if self._ended:
            return
        self._ended = True
        end = GroupEnd(self._child.pid, 0.0)
        end.hurry()
        end.wait(reap=self._child.poll)
        reap_leader(self._child)
        for pipe in (self._child.stdin, self._child.stdout, self._said):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def _exchange(self, question: bytes, deadline: float, timeout: float, max_bytes: int) -> bytes:
        stdin, stdout = self._child.stdin, self._child.stdout
        assert stdin is not None and stdout is not None  # as in __init__
        left = memoryview(len(question).to_bytes(_HEAD, "big") + question)
        answer = bytearray()
        wanted = _HEAD
        with selectors.DefaultSelector() as selector:
            selector.register(stdin, selectors.EVENT_WRITE)
            selector.register(stdout, selectors.EVENT_READ)
            while len(answer) < wanted:
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                if not ready:
                    raise StageError(
                        f"{self._name!r} did not answer within {timeout:g} s",
                        code="program-timeout",
                    )
                for key, _ in ready:
                    if key.fileobj is stdin:
                        left = self._send(left)
                        if not left:
                            selector.unregister(stdin)
                        continue
                    chunk = os.read(key.fd, _CHUNK)
                    if not chunk:
                        raise self._tell_end()
                    answer += chunk
                    if wanted == _HEAD and len(answer) >= _HEAD:
                        wanted += int.from_bytes(answer[:_HEAD], "big")
                        if wanted - _HEAD > max_bytes:
                            raise StageError(
                                f"{self._name!r} answers with more than {max_bytes} bytes",
                                code="program-output",
                            )
        return bytes(answer[_HEAD:])

    def _send(self, left: memoryview) -> memoryview:
        assert self._child.stdin is not None  # as in __init__
        try:
            return left[os.write(self._child.stdin.fileno(), left[:_CHUNK]) :]
        except BlockingIOError:
            return left
        except OSError:  # it has ended: its output says so next
            return left[:0]

    def _tell_end(self) -> StageError:
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(1)
        self._said.seek(0)
        lines = self._said.read(_SAID).decode(errors="replace").splitlines()
        told = [each.strip() for each in lines if each.strip()]
        first = next((each for each in told if each.startswith(("Error:", "fatal error:"))), None)
        code = self._child.returncode
        ended = "it closed its output" if code is None else describe_exit(code)
        return StageError(first or (told[-1] if told else ended), code="program-ended")
