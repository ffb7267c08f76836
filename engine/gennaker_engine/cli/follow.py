"""Following runs that this process drives: what is shown, asked and done on signals.

The engine drives in the main thread and tells a :class:`Follower` what happened. One thread of the
follower owns the terminal: it draws, reads answers to prompts, and turns signals into messages to
the runs, so that nothing happens inside a signal handler.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, Any

from gennaker.errors import GennakerError
from gennaker_engine.cli.exit_codes import INTERRUPTED, PARKED
from gennaker_engine.cli.prompt import ApprovalPrompt
from gennaker_engine.cli.render.console import Console
from gennaker_engine.cli.render.holders import Held, find_held
from gennaker_engine.cli.render.lines import LineRenderer
from gennaker_engine.cli.render.progress import Gate, Progress
from gennaker_engine.cli.render.screen import Screen
from gennaker_engine.cli.render.tree import choose_marks, render_tree
from gennaker_engine.core import events as facts
from gennaker_engine.core.messages import Cancel, Decide, Message, Park
from gennaker_engine.journal.errors import StateError

if TYPE_CHECKING:
    from gennaker_engine.core.run import Run
    from gennaker_engine.runtime import Engine

__all__ = ["Follower", "Signals"]

_FRAME = 0.1
"""Seconds between two drawings of the tree."""
_LOOK = 1.0
"""Seconds between two looks for who has what a run waits for."""
_PLANS = 5.0
"""Seconds a prompt waits for the plans of its subject before it is shown without them."""
_ANSWER = 10.0
"""Seconds to wait for the engine to take a decision."""
_WATCHED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass
class Signals:
    """The signals that came while runs were followed, and what they mean for the exit code."""

    received: list[int] = field(default_factory=list)

    @property
    def interrupts(self) -> int:
        """How often Ctrl-C was pressed."""
        return self.received.count(signal.SIGINT)

    @property
    def exit_code(self) -> int | None:
        """The code that a signal decides: 143 when told to park, 130 after one Ctrl-C, else None."""
        if self.interrupts > 1 or any(each != signal.SIGINT for each in self.received):
            return PARKED
        return INTERRUPTED if self.received else None


class Follower:
    """An observer that shows runs on the terminal and lets a person act on them.

    Use it as a context manager around ``Engine.drive``; when it is left, everything was shown.

    Args:
        engine: what drives the runs.
        console: where to show them.
        actor: who decides and cancels here.
        may_decide: whether this person may decide a gate of a run, None to ask nobody.
    """

    def __init__(
        self,
        engine: Engine,
        console: Console,
        *,
        actor: str,
        may_decide: Callable[[Progress, Gate], bool] | None = None,
    ) -> None:
        self.signals = Signals()
        self.progress: dict[str, Progress] = {}
        self._engine = engine
        self._console = console
        self._actor = actor
        self._may_decide = may_decide if console.interactive else None
        self._versions: dict[str, int] = {}
        self._lines = LineRenderer(ci=console.ci, paint=console.paint_err)
        self._screen = Screen(console.err_raw)
        self._lock = threading.Lock()
        self._pending: deque[str] = deque()
        self._asked: set[tuple[str, str]] = set()
        self._told: set[Held] = set()
        self._prompt: tuple[str, ApprovalPrompt] | None = None
        self._stdin_open = True
        self._ended = False
        self._error: Exception | None = None
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._thread = threading.Thread(target=self._work, name="terminal", daemon=True)

    def seed(self, run: str, events: Sequence[tuple[int, facts.Event]], *, tell: bool) -> None:
        """Take in what happened to a run before this process drives it; told when it is news."""
        progress = self.progress[run] = Progress()
        lines = self._lines.take_events([event for _, event in events], progress)
        self._versions[run] = events[-1][0] if events else 0
        if tell and not self._console.live:
            self._pending.extend(lines)

    def on_events(self, run: Run, events: Sequence[facts.Event]) -> None:
        """Take in new events of a run; called by the engine, returns at once."""
        with self._lock:
            progress = self.progress.setdefault(run.id, Progress())
            known = self._versions.get(run.id, 0)
            first = run.version - len(events)
            lines = self._lines.take_events(events[max(known - first, 0) :], progress)
            if not self._console.live:
                self._pending.extend(lines)
            self._versions[run.id] = max(known, run.version)
        self._wake()

    def on_log(self, run: str, instance: str, attempt: int, stream: str, text: str) -> None:
        """Take in a line that a stage wrote; called by the engine, returns at once."""
        with self._lock:
            if self._console.live:
                if run in self.progress:
                    self.progress[run].find(instance).tail = text
                return
            self._pending.extend(self._lines.tell_log(instance, text))
        self._wake()

    def __enter__(self) -> Follower:
        self._restore = contextlib.ExitStack()
        self._restore.enter_context(_catch_signals(self._wake_write))
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended = True
        self._wake()
        self._thread.join()
        self._restore.close()
        os.close(self._wake_read)
        os.close(self._wake_write)
        if self._error is not None:
            raise self._error

    def _wake(self) -> None:
        # A full pipe wakes the thread just as well.
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"\0")

    def _work(self) -> None:
        try:
            self._loop()
        except Exception as error:  # noqa: BLE001 -- told when the block is left; see below
            # Nobody would hear Ctrl-C any more: let go of the runs, so that they can be resumed.
            self._error = error
            self._send_to_all(Park(reason="the terminal failed"))

    def _loop(self) -> None:
        drawn = looked = 0.0
        while not self._ended:
            live = self._console.live and self._prompt is None
            self._listen(_FRAME if live else _LOOK if self._blocked() else None)
            self._flush_lines()
            now = time.time()
            if now - looked >= _LOOK:
                self._look_at_holders(now)
                looked = now
            if live and now - drawn >= _FRAME:
                self._draw(now)
                drawn = now
            self._look_after_prompts(now)
        self._finish()

    def _blocked(self) -> list[Progress]:
        """Return the runs that wait for what another run may have."""
        return [each for each in self.progress.values() if each.locks or each.group]

    def _look_at_holders(self, now: float) -> None:
        """Say who has what a run waits for: as a line when it is news, in the tree all the time."""
        with self._lock:
            blocked = self._blocked()
        for progress in blocked:
            scope = progress.scope
            try:
                claims = [
                    claim
                    for kind in ("lock", "group")
                    for claim in self._engine.journal.read_claims(f"{kind}/{scope}/")
                    if claim.holding
                ]
                left = {claim.run for claim in claims if not self._engine.has_driver(claim.run)}
            except StateError:
                return  # who drives the runs will tell
            with self._lock:
                found = list(find_held(progress, claims, left))
                in_tree = [h for h in found if self._console.live and h.waits != progress.run]
                for held in in_tree:
                    progress.find(held.waits).holder = held.tell(now)
            for held in found:
                if held not in self._told and held not in in_tree:
                    self._told.add(held)
                    self._say(f"{held.waits}: waits for {held.what}, {held.tell(now)}")

    def _finish(self) -> None:
        if self._prompt is not None:
            self._console.err("")
            self._prompt = None
        self._flush_lines()
        self._look_at_holders(time.time())
        if self._console.live:
            self._draw(time.time())
            self._screen.leave()

    def _listen(self, timeout: float | None) -> None:
        """Wait for news, a signal, a typed line or the next frame."""
        sources: list[Any] = [self._wake_read]
        if self._prompt is not None and self._stdin_open:
            sources.append(sys.stdin)
        if timeout is None and self._may_decide is not None and self._prompt is None:
            timeout = 1.0
        ready, _, _ = select.select(sources, [], [], timeout)
        if self._wake_read in ready:
            with contextlib.suppress(BlockingIOError):
                for number in os.read(self._wake_read, 4096):
                    if number:
                        self._act_on_signal(number)
        if sys.stdin in ready:
            self._read_line()

    def _act_on_signal(self, number: int) -> None:
        self.signals.received.append(number)
        if number == signal.SIGINT and self.signals.interrupts == 1:
            self._say("aborting; finally stages still run (Ctrl-C again: park)")
            self._send_to_all(Cancel(actor=self._actor, reason="interrupt"))
        else:
            name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
            self._say("parking")
            self._send_to_all(Park(reason=name))

    def _send_to_all(self, message: Message) -> None:
        with self._lock:
            runs = [name for name, each in self.progress.items() if each.state != "ended"]
        for run in runs:
            self._engine.request(run, message)

    def _say(self, text: str) -> None:
        """Write a message above the tree."""
        if self._console.live:
            self._screen.clear()
        self._console.err(text)

    def _flush_lines(self) -> None:
        with self._lock:
            lines = list(self._pending)
            self._pending.clear()
        if lines:
            self._console.err("\n".join(lines))

    def _draw(self, now: float) -> None:
        console = self._console
        width, height = console.width, console.height
        marks = choose_marks(console.stderr.encoding)
        lines: list[str] = []
        with self._lock:
            share = max(height // max(len(self.progress), 1), 4)
            for progress in self.progress.values():
                lines += render_tree(
                    progress,
                    now=now,
                    width=width - 1,
                    height=share,
                    paint=console.paint_err,
                    marks=marks,
                )
        self._screen.draw(lines[-(height - 1) :])

    def _look_after_prompts(self, now: float) -> None:
        """Withdraw the prompt when its gate is settled, else ask about the next open one."""
        if self._may_decide is None or self._ended:
            return
        if self._prompt is not None:
            run, prompt = self._prompt
            if prompt.gate.result is not None or self.progress[run].aborting:
                self._console.err("\nno longer needed")
                self._prompt = None
            return
        with self._lock:
            found = next(self._find_questions(now), None)
        if found is None or not self._stdin_open or self.signals.received:
            return
        if not _is_in_foreground():
            return
        run, gate = found
        self._asked.add((run, gate.asked.gate))
        self._draw(now)
        self._screen.leave()
        prompt = ApprovalPrompt(gate, paint=self._console.paint_err)
        self._prompt = (run, prompt)
        self._console.err_raw(prompt.begin())

    def _find_questions(self, now: float) -> Iterator[tuple[str, Gate]]:
        assert self._may_decide is not None  # checked by the caller
        for run, progress in self.progress.items():
            for gate in progress.open_gates:
                if (run, gate.asked.gate) in self._asked or progress.aborting:
                    continue
                waits = gate.plans is None and gate.asked.subject
                if waits and now - gate.asked.at < _PLANS:
                    continue
                if self._may_decide(progress, gate):
                    yield run, gate

    def _read_line(self) -> None:
        """Feed one typed line to the prompt; the terminal hands lines over whole."""
        if self._prompt is None:
            return
        run, prompt = self._prompt
        try:
            raw = os.read(sys.stdin.fileno(), 4096)
        except OSError:
            raw = b""
        if not raw:
            self._stdin_open = False
        text = prompt.feed(raw.decode(errors="replace") if raw else None)
        if text:
            self._console.err_raw(text)
        if not prompt.done:
            return
        self._prompt = None
        if prompt.answer is not None:
            self._decide(run, prompt)

    def _decide(self, run: str, prompt: ApprovalPrompt) -> None:
        answer = prompt.answer
        assert answer is not None  # checked by the caller
        gate = prompt.gate
        approves = answer.decision == "approve"
        try:
            message = Decide(
                stage=gate.stage,
                decision=answer.decision,
                actor=self._actor,
                origin=describe_origin(),
                comment=answer.comment,
                inputs=read_inputs(gate.asked.inputs, answer.inputs) if approves else {},
                digest=gate.asked.digest,
            )
            refused = self._engine.request(run, message).wait(_ANSWER)
        except GennakerError as error:
            self._console.err(str(error))
            self._asked.discard((run, gate.asked.gate))
        except TimeoutError:
            self._console.err("the decision was handed over, but is not recorded yet")
        else:
            if refused:
                self._console.err(f"not taken: {refused}")


def read_inputs(declared: Mapping[str, Any], texts: Mapping[str, str]) -> dict[str, Any]:
    """Return what was typed for an approval's inputs, as values of their declared types.

    Raises:
        InvalidInput: with every problem.
    """
    from gennaker.model import Parameter
    from gennaker.parameters import resolve_parameters

    known = {name: Parameter.model_validate(each) for name, each in declared.items()}
    return resolve_parameters(known, texts, noun="input")


def describe_origin() -> str:
    """Return where a decision is made: the host, and the terminal when there is one."""
    import socket

    try:
        terminal = os.ttyname(sys.stdin.fileno())
    except (OSError, ValueError):
        return socket.gethostname()
    return f"{socket.gethostname()} {terminal}"


def _is_in_foreground() -> bool:
    """Whether this process may read the terminal; one in the background would be stopped."""
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:
        return False


@contextlib.contextmanager
def _catch_signals(wake: int) -> Iterator[None]:
    """Write the number of each watched signal to ``wake``, whatever the main thread is doing."""

    def pass_over(_number: int, _frame: FrameType | None) -> None:
        """Nothing more: the number is on its way to the terminal's thread."""

    before = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    # A shell's background job ignores SIGINT, nohup SIGHUP: what is ignored stays so.
    handlers = {
        each: signal.signal(each, pass_over)
        for each in _WATCHED
        if signal.getsignal(each) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        for each, handler in handlers.items():
            signal.signal(each, handler)
