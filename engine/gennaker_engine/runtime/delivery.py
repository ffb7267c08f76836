"""One delivery: a stage's ``run`` called once, in a thread of its own, and what came of it told.

The driver makes it from a :class:`Deliver` command and is answered by exactly one report, whatever
the stage does; this is the named boundary at which everything a plugin raises ends.
"""

from __future__ import annotations

import math
import os
import socket
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from gennaker.errors import GennakerError, InvalidInput, PermanentError, TemporaryError
from gennaker.masking import MIN_SECRET
from gennaker.process import end_group
from gennaker.stage import (
    Artifact,
    Decision,
    Failed,
    Poll,
    Secret,
    Stage,
    Succeeded,
    Timer,
    Waiting,
)
from gennaker_engine.core.commands import CleanUp, Deliver
from gennaker_engine.core.messages import (
    GuardChanged,
    Message,
    ReportErrored,
    ReportFailed,
    ReportStopped,
    ReportSucceeded,
    ReportWaiting,
)
from gennaker_engine.runtime.context import PROCESS, StageContext, Stopped
from gennaker_engine.runtime.inbox import Letter
from gennaker_engine.runtime.outputs import check_outputs, check_value, describe_validation
from gennaker_engine.runtime.rollback import check_undo
from gennaker_engine.runtime.secrets import SecretReader, reveal_secrets
from gennaker_engine.runtime.services import RunServices
from gennaker_engine.storage.source_changes import WHOLE, clean_paths

__all__ = ["Delivery", "Parked", "end_leftovers"]

_MAX_REASON = 4000
MIN_POLL = 0.01
"""Seconds; a stage that polls faster would keep the journal busy for nothing."""

Json = Any


class Delivery:
    """Call :meth:`work` in a thread; :meth:`stop` from anywhere.

    Args:
        command: what to deliver.
        services: what the run's deliveries share.
        secrets: the project's secrets, name to provider and setting; the environment's own win.
    """

    def __init__(
        self, command: Deliver, services: RunServices, secrets: Mapping[str, tuple[str, Json]]
    ) -> None:
        self.command = command
        self.identity = (command.instance, command.attempt, command.delivery)
        self._services = services
        self._secrets = secrets
        self._context: StageContext | None = None
        self._stopping = False
        self._parking = False

    def stop(self) -> None:
        """Tell the stage to stop; it is answered like any end, at the latest by its driver."""
        self._stopping = True
        if self._context is not None:
            self._context.stop(parked=self._parking)

    def park(self) -> None:
        """Stop it without an outcome: only a success is still told."""
        self._parking = True
        self.stop()

    def kill(self) -> None:
        """End its child processes at once: the driver goes, and its thread with it."""
        if self._context is not None:
            self._context.kill()

    def work(self) -> None:
        """Do the delivery and put its report into the inbox. Never raises."""
        report: Message
        process = os.getpid()
        try:
            try:
                report = self._deliver()
            finally:
                if os.getpid() != process:
                    os._exit(
                        1
                    )  # the stage forked, and its child came back: nothing here is its own
        except Stopped:
            report = ReportStopped(*self.identity)
        except BaseException as error:  # noqa: BLE001 - a plugin's thread: also SystemExit ends here
            report = ReportStopped(*self.identity) if self._stopping else self._explain(error)
        finally:
            if self._context is not None:
                with suppress(OSError):  # a full disk must not keep the report from being told
                    self._context.close()
        if self._parking and not isinstance(report, ReportSucceeded):
            report = Parked(*self.identity)
        self._post(report)

    def _post(self, message: Message) -> None:
        self._services.shared.inbox.put(Letter(self._services.facts.id, message))

    def _deliver(self) -> Message:
        command, services = self.command, self._services
        kind = services.shared.registry.stage(command.uses)
        stage = kind()
        context = self._context = StageContext(command, services, stage)
        if self._stopping:
            context.stop(parked=self._parking)
        for kind_of, name in command.leftovers:
            _end_leftover(stage, kind_of, name)
            self._post(GuardChanged(*self.identity, kind_of, name, entered=False))
        inputs = self._read_inputs(kind)
        context.check_cancelled()
        if command.undoes is not None:
            self._check_undo()
            outcome = stage.undo(inputs, Artifact(**command.undoes), context)
        else:
            outcome = stage.run(inputs, context)
        if isinstance(outcome, Succeeded) and command.undoes is not None:
            return ReportSucceeded(*self.identity, outputs={})
        if isinstance(outcome, Succeeded):
            outputs = check_outputs(kind, command.inputs, outcome.outputs, services.has_secret)
            read = _find_read(stage, inputs, context)
            return ReportSucceeded(*self.identity, outputs=outputs, read=read)
        if self._stopping:
            raise Stopped
        if isinstance(outcome, Failed):
            reason, code = self._clean(outcome.reason), self._clean(outcome.code)
            return ReportFailed(*self.identity, reason=reason, code=code)
        if isinstance(outcome, Waiting):
            state = check_value(outcome.state, "the state of a wait", services.has_secret)
            on = check_value(describe_wait(outcome.on), "a wait", services.has_secret)
            deadline = outcome.deadline
            if deadline is not None:
                deadline = _check_seconds(deadline, "the deadline of a wait")
            return ReportWaiting(*self.identity, on=on, deadline=deadline, state=state)
        raise PermanentError(
            f"stage type {kind.name!r} gave a {type(outcome).__name__}, not an outcome",
            code="invalid-outcome",
            hint="run() returns Succeeded, Failed or Waiting",
        )

    def _check_undo(self) -> None:
        """Refuse to put back over what came in between; a run's own undo has kept its lock."""
        services, environment = self._services, self.command.environment
        if services.rollback_of is not None and environment is not None:
            check_undo(services.rollback_of, environment["name"], services)

    def _read_inputs(self, kind: type[Stage]) -> Any:
        """Return the inputs as the stage type declares them, secrets with their values.

        Raises:
            PermanentError: code ``invalid-inputs`` with every problem, or a secret's code.
        """
        services, environment = self._services, self.command.environment or {}
        declared = {**self._secrets, **(environment.get("secrets") or {})}
        shared, mask = services.shared, services.masker.add
        services.mask_earlier(self._secrets)
        reader = SecretReader(declared, shared.registry, shared.project, mask)
        try:
            inputs = kind.Inputs.model_validate(reveal_secrets(self.command.inputs, reader))
        except ValidationError as error:
            raise PermanentError(describe_validation(error), code="invalid-inputs") from None
        for name in kind.Inputs.model_fields:
            value = getattr(inputs, name)
            if isinstance(value, Secret) and len(value.reveal()) >= MIN_SECRET:
                mask(value.reveal())  # a literal one, which no marker told about
        return inputs

    def _explain(self, error: BaseException) -> ReportErrored:
        try:
            return self._describe(error)
        except BaseException:  # noqa: BLE001 - an error's own text is a plugin's code too
            reason = f"{type(error).__name__}, an error that cannot say what it is"
            return ReportErrored(*self.identity, reason=self._clean(reason), code="stage-raised")

    def _describe(self, error: BaseException) -> ReportErrored:
        if isinstance(error, GennakerError):
            reason = error.message if error.hint is None else f"{error.message}; {error.hint}"
            if error.location is not None:
                reason = f"{error.location}: {reason}"
            return ReportErrored(
                *self.identity,
                reason=self._clean(reason),
                code=self._clean(error.code),
                permanent=isinstance(error, PermanentError | InvalidInput),
                delay=_read_delay(error),
            )
        self._log_traceback(error)
        said = str(error).strip().partition("\n")[0]
        reason = f"{type(error).__name__}: {said}" if said else type(error).__name__
        return ReportErrored(*self.identity, reason=self._clean(reason), code="stage-raised")

    def _log_traceback(self, error: BaseException) -> None:
        """Write where it came from to the attempt's log, the only place that has it."""
        if self._context is not None:
            frames = "".join(traceback.format_exception(error))
            with suppress(OSError):  # a full disk must not hide the error itself
                self._context.log(frames, stream="system")

    def _clean(self, text: object) -> str:
        """Return text for the journal: masked, whole Unicode, not endless."""
        shown = self._services.masker.mask(str(text))
        return shown[:_MAX_REASON].encode("utf-8", "replace").decode()


def _find_read(stage: Stage, inputs: Any, context: StageContext) -> tuple[str, ...]:
    """Return what an attempt read of the source: what its type says, all of it when in doubt.

    Who never asked for the source in its only call has read nothing.
    """
    if context.delivery == 1 and not context.source_used:
        return ()
    try:
        paths = clean_paths(stage.list_sources(inputs))
    except Exception:  # noqa: BLE001 - a plugin's code: the work is done, and counts
        return (WHOLE,)
    return (WHOLE,) if context.source_used and not paths else paths


def _read_delay(error: GennakerError) -> float | None:
    delay = error.delay if isinstance(error, TemporaryError) else None
    usable = isinstance(delay, int | float) and math.isfinite(delay) and delay >= 0
    return delay if usable else None


class Parked(ReportStopped):
    """The end of a delivery that was stopped without an outcome; the driver only counts it."""

    __slots__ = ()


def describe_wait(on: Decision | Timer | Poll) -> dict[str, Json]:
    """Return what a stage waits for as journaled.

    Raises:
        PermanentError: code ``invalid-outcome``; what the core is given has the right types.
    """
    if isinstance(on, Timer):
        return {"kind": "timer", "at": _check_seconds(on.at, "Timer.at")}
    if isinstance(on, Poll):
        every = _check_seconds(on.every, "Poll.every")
        return {"kind": "poll", "every": max(every, MIN_POLL)}
    if isinstance(on, Decision):
        valid = (
            isinstance(on.message, str)
            and not isinstance(on.approvers, str)
            and all(isinstance(each, str) for each in on.approvers)
            and isinstance(on.required, int)
            and on.required >= 1
            and all(isinstance(each, Mapping) for each in on.inputs.values())
        )
        if valid:
            return {
                "kind": "decision",
                "message": on.message,
                "approvers": list(on.approvers),
                "required": int(on.required),
                "self_allowed": bool(on.self_allowed),
                "inputs": on.inputs,
            }
        raise PermanentError("a stage asks with an invalid Decision", code="invalid-outcome")
    raise PermanentError(
        f"a stage cannot wait on a {type(on).__name__}",
        code="invalid-outcome",
        hint="Waiting(on=…) takes a Decision, a Timer or a Poll",
    )


def _check_seconds(value: object, what: str) -> float:
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    raise PermanentError(f"{what} is {value!r}, not a number of seconds", code="invalid-outcome")


def _end_leftover(stage: Stage, kind: str, name: str) -> None:
    """End what a dead owner left behind inside a guard; idempotent.

    A process group of another host is left alone: its pid means nothing here.
    """
    if kind != PROCESS:
        stage.clean_up(kind, name)
        return
    host, pid, started = name.split(":", 2)
    if host == socket.gethostname():
        end_group(int(pid), started)


def end_leftovers(
    command: CleanUp, services: RunServices, *, attempt: int, done: Callable[[], None]
) -> None:
    """End what an attempt left behind that is not delivered again. Never raises.

    Args:
        command: what is left.
        services: the run's.
        attempt: the instance's last one, which has the log.
        done: called at the end.
    """
    try:
        stage = services.shared.registry.stage(command.uses)()
        for kind, name in command.leftovers:
            _end_leftover(stage, kind, name)
            gone = GuardChanged(command.instance, attempt, 0, kind, name, entered=False)
            services.shared.inbox.put(Letter(services.facts.id, gone))
    except BaseException as error:  # noqa: BLE001 - a plugin's code in a thread of its own
        said = traceback.format_exception_only(error)[-1].strip()
        writer = services.shared.logs.writer(
            services.facts.id, command.instance, attempt, services.masker
        )
        writer.write(f"cannot end what was left behind: {said}")
        writer.close()
    finally:
        done()
