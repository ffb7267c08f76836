"""The context a stage works with (:class:`gennaker.stage.Context`), for one delivery.

What must be durable before the stage goes on (steps, guards) goes through the driver's inbox and
waits for the commit.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import ValidationError

from gennaker.errors import GennakerError, PermanentError
from gennaker.process import ChildProcess
from gennaker.process.groups import signal_group
from gennaker.stage import Artifact, ArtifactStore, Environment, RunFacts, Stage
from gennaker.target import Target
from gennaker_engine.core.commands import Deliver
from gennaker_engine.core.messages import GuardChanged, Message, RecordBefore, ReportStep
from gennaker_engine.runtime.inbox import Answer, Letter
from gennaker_engine.runtime.outputs import check_value, describe_validation
from gennaker_engine.runtime.services import LogNote, RunServices, Services
from gennaker_engine.storage.logs import LogWriter

__all__ = [
    "PROCESS",
    "StageContext",
    "Stopped",
    "connect_target",
    "name_process",
    "read_environment",
]

PROCESS = "process"
"""The kind of guard that names a process group; a stage type's own kinds are called otherwise."""

Json = Any
T = TypeVar("T")


class Stopped(BaseException):
    """Raised in a stage whose attempt is to end; no ``Exception``, so that none swallows it."""


class StageContext:
    """What ``run`` is given; safe to use from threads the stage makes."""

    def __init__(self, command: Deliver, services: RunServices, stage: Stage) -> None:
        self.run: RunFacts = services.facts
        self.stage = command.stage
        self.instance = command.instance
        self.attempt = command.attempt
        self.delivery = command.delivery
        self.key = f"{self.run.id}/{command.instance}/{command.attempt}"
        self.resumed: Json = command.resumed
        self.shown: Json = command.shown
        self.event: Json = command.event
        self.environment = read_environment(command.environment)
        self.project: Path = services.shared.project
        self.artifacts: ArtifactStore = services.shared.artifacts
        self.before = None if command.before is None else Artifact(**command.before)
        self._command = command
        self._services = services
        self._stage = stage
        self._process = os.getpid()
        self._clock = services.shared.clock
        self._until = self._clock.steady() + command.remaining
        self._children: set[ChildProcess] = set()
        self._stop = threading.Event()
        self._parked = False
        self._lock = threading.RLock()
        self._steps = dict(command.steps)
        self._used: set[str] = set()
        self._log: LogWriter | None = None
        self._workspace: Path | None = None
        self.source_used = False

    # Places -------------------------------------------------------------------------------------

    @property
    def source(self) -> Path:
        """The run's source, read-only, made on first use."""
        self.source_used = True
        return self._services.source

    @property
    def workspace(self) -> Path:
        """A scratch folder, empty at every call; made on first use."""
        with self._lock:
            if self._workspace is None:
                self._workspace = self._services.shared.workspaces.make(self.run.id, self.instance)
            return self._workspace

    @property
    def cache(self) -> Path:
        """A folder of the stage type's own, kept between runs."""
        state = self._services.shared.state
        return state.make(state.cache / self._command.uses)

    def connect(self) -> Any:
        """Return what the environment's target plugin connects to."""
        return connect_target(self._services.shared, self.environment)

    # Logs ---------------------------------------------------------------------------------------

    def log(self, text: str, *, stream: Literal["stdout", "stderr", "system"] = "system") -> None:
        """Write text to the attempt's log; secrets are masked, lines are bounded."""
        self._open_log().write(text, stream)

    def mask(self, text: str) -> str:
        """Return text with the run's secrets hidden."""
        return self._services.masker.mask(text)

    def _open_log(self) -> LogWriter:
        with self._lock:
            if self._log is None:
                notes, run = self._services.shared.notes, self.run.id
                instance, attempt = self.instance, self.attempt

                def note(stream: str, line: str) -> None:
                    notes.append(LogNote(run, instance, attempt, stream, line))

                self._log = self._services.shared.logs.writer(
                    run, instance, attempt, self._services.masker, on_line=note
                )
            return self._log

    # Durable things -----------------------------------------------------------------------------

    def step(self, name: str, fn: Callable[[str], T]) -> T:
        """Call ``fn(key)`` once durably and return its JSON result (at most 64 KiB)."""
        self.check_cancelled()
        check_value(name, "the name of a step", self._services.has_secret)
        with self._lock:
            if name in self._used:
                raise PermanentError(
                    f"step {name!r} is done twice in one attempt",
                    code="step-repeated",
                    hint="in a loop, put what differs into its name",
                )
            self._used.add(name)
        if name in self._steps:
            kept: T = self._steps[name]
            return kept
        result: T = check_value(
            fn(f"{self.key}/{name}"), f"the result of step {name!r}", self._services.has_secret
        )
        self._commit(
            ReportStep(self.instance, self.attempt, self.delivery, name=name, result=result)
        )
        return result

    def record_before(self, artifact: Artifact) -> None:
        """Keep durably what was there before the first write."""
        self.check_cancelled()
        data = check_value(
            artifact.model_dump(mode="json"), "what was there before", self._services.has_secret
        )
        self._commit(RecordBefore(self.instance, self.attempt, self._command.delivery, data))
        self.before = artifact

    @contextlib.contextmanager
    def guard(self, kind: str, name: str) -> Iterator[None]:
        """Journal that a thing outside (a container) exists while the block runs.

        A block that ends with an error has the stage type's ``clean_up`` called for it at once.
        """
        if kind == PROCESS:
            raise PermanentError(
                f"the kind of guard {kind!r} belongs to run_process", code="guard-kind"
            )
        self.check_cancelled()
        check_value([kind, name], "the name of a guard", self._services.has_secret)
        self._commit(self._guard_changed(kind, name, entered=True))
        try:
            yield
        except BaseException:
            self._stage.clean_up(kind, name)
            raise
        finally:
            self._post(self._guard_changed(kind, name, entered=False))

    def run_process(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        on_line: Callable[[str, str], None] | None = None,
    ) -> int:
        """Run a child in a process group of its own and return its exit code.

        The child waits at a gate until its group is in the journal; when this process dies before,
        the gate breaks and the program never starts, so that no orphan is unknown.
        """
        self.check_cancelled()
        child = ChildProcess(argv, cwd=cwd or self.workspace, env=env, gated=True)
        name = name_process(child.pid, child.started)
        self._children.add(child)
        try:
            self._commit(self._guard_changed(PROCESS, name, entered=True))
            child.open_gate()
            code = child.follow(
                on_line or self._log_line,
                should_stop=self._stop.is_set,
                make_mask=self._services.masker.stream,
            )
        except BaseException:
            child.kill()
            raise
        finally:
            self._children.discard(child)
            self._post(self._guard_changed(PROCESS, name, entered=False))
        self.check_cancelled()
        return code

    def _log_line(self, stream: str, line: str) -> None:
        self._open_log().write(line, stream)

    def _guard_changed(self, kind: str, name: str, *, entered: bool) -> GuardChanged:
        return GuardChanged(
            self.instance, self.attempt, self.delivery, kind=kind, name=name, entered=entered
        )

    def _post(self, message: Message, answer: Answer | None = None) -> None:
        if os.getpid() != self._process:
            raise Stopped("a process that the stage forked is no part of the run")
        self._services.shared.inbox.put(Letter(self.run.id, message, answer))

    def _commit(self, message: Message) -> None:
        """Hand a message over and wait until it is durable; refused, the delivery is outdated."""
        answer = Answer()
        self._post(message, answer)
        try:
            refused = answer.wait()
        except GennakerError as error:
            raise Stopped(str(error)) from error
        if refused is not None:
            raise Stopped(refused)

    # Stopping -----------------------------------------------------------------------------------

    @property
    def cancelled(self) -> bool:
        """Whether the attempt is to stop."""
        return self._stop.is_set()

    @property
    def parked(self) -> bool:
        """Whether it is to stop only here: the attempt is delivered again later."""
        return self._parked

    def check_cancelled(self) -> None:
        """Raise what ends the attempt when it is to stop."""
        if self._stop.is_set():
            raise Stopped("told to stop")

    def wait_cancelled(self, seconds: float) -> bool:
        """Sleep at most ``seconds``; return True at once when the attempt is to stop."""
        return self._stop.wait(max(0.0, seconds))

    @property
    def remaining(self) -> float:
        """Seconds of working time left before the attempt's timeout."""
        return max(0.0, self._until - self._clock.steady())

    def stop(self, *, parked: bool = False) -> None:
        """Tell the stage to stop; its child processes are ended. Called by the delivery."""
        if not self._stop.is_set():  # what it was told first holds
            self._parked = parked
        self._stop.set()

    def kill(self) -> None:
        """Kill the child processes at once, for who cannot wait. Called by the delivery."""
        for child in tuple(self._children):
            signal_group(child.pid, signal.SIGKILL)

    def close(self) -> None:
        """Close the log and remove the workspace. Called by the delivery."""
        with self._lock:
            if self._log is not None:
                self._log.close()
                self._log = None
            if self._workspace is not None:
                with contextlib.suppress(
                    OSError
                ):  # it is removed before its next use at the latest
                    self._services.shared.workspaces.remove(self.run.id, self.instance)


def name_process(pid: int, started: str) -> str:
    """Return the name of a process group in the journal, ``HOST:PID:START``."""
    return f"{socket.gethostname()}:{pid}:{started}"


def connect_target(
    services: Services, environment: Environment | None, *, known: dict[str, Target] | None = None
) -> Any:
    """Connect to the environment's target.

    Args:
        services: what stages work with.
        environment: where.
        known: plugins that are shared with others who connect, by name; one more is added.

    Raises:
        PermanentError: code ``no-target`` or ``invalid-environment``.
        StageError: what the target raises.
    """
    if environment is None or environment.target is None:
        where = "a stage without an environment" if environment is None else environment.name
        raise PermanentError(
            f"{where} has no target to connect to",
            code="no-target",
            hint="give the stage an environment, and the environment a target, in gennaker.yaml",
        )
    kind = services.registry.target(environment.target)
    target = kind() if known is None else known.setdefault(environment.target, kind())
    try:
        settings = kind.Settings.model_validate(dict(environment.settings))
    except ValidationError as error:
        raise PermanentError(
            f"the {environment.target!r} settings of environment {environment.name!r} are wrong: "
            f"{describe_validation(error)}",
            code="invalid-environment",
        ) from None
    return target.connect(settings, environment=environment.name, project=services.project)


def read_environment(data: Mapping[str, Json] | None) -> Environment | None:
    """Return the environment of a stage from its journaled form."""
    if data is None:
        return None
    return Environment(
        name=data["name"],
        target=data.get("target"),
        settings=data.get("settings") or {},
        variables=data.get("variables") or {},
        url=data.get("url"),
    )
