"""Driving runs in this process and telling how they ended: what ``run`` and the deciding commands share."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from gennaker.errors import GennakerError, NotAllowed
from gennaker.records import dataclass
from gennaker_engine.cli.exit_codes import INTERRUPTED, PARKED, SUCCEEDED, code_of_run, worst_code
from gennaker_engine.cli.follow import Follower
from gennaker_engine.cli.render.progress import Gate, Progress, Step
from gennaker_engine.cli.render.text import clean
from gennaker_engine.journal.errors import StateError

if TYPE_CHECKING:
    from gennaker_engine.cli.settings import Settings
    from gennaker_engine.core.messages import Message
    from gennaker_engine.runtime import Engine

__all__ = ["Driving", "drive_runs", "print_run", "record_and_follow", "tell_how_to_go_on"]

_TAIL = 10
"""Lines of a failed stage's log that are shown at the end of a live run."""


@dataclass(frozen=True, slots=True)
class Driving:
    """How to drive.

    Attributes:
        form: what stdout gets at the end: ``text`` (nothing), ``json``, ``yaml`` or ``name``.
        detach_on_wait: whether to let go of a run that only waits.
        new: whether the run was created by this command.
    """

    form: str = "text"
    detach_on_wait: bool = False
    new: bool = False


def drive_runs(settings: Settings, runs: Sequence[str], how: Driving) -> int:
    """Drive runs until each has ended, waits (when asked to detach) or is parked.

    Returns:
        The exit code; of several runs the worst.

    Raises:
        NotAllowed: code ``run-owned`` when another process drives one of them.
    """
    engine = settings.open_engine()
    console = settings.console
    follower = Follower(
        engine,
        console,
        actor=settings.actor,
        # Who asked to leave when the run waits is not asked to decide instead.
        may_decide=None if how.detach_on_wait else partial(_may_decide, settings),
    )
    try:
        for run in runs:
            follower.seed(run, engine.load_events(run), tell=how.new)
        with follower:
            engine.drive(
                runs[0] if len(runs) == 1 else list(runs),
                observer=follower,
                detach_on_wait=how.detach_on_wait,
            )
    except KeyboardInterrupt:
        # Ctrl-C came before the follower listened for it: nothing was started here.
        for run in runs:
            console.err(f"{run} is left as it is; go on with: gennaker resume {run}")
        raise
    except StateError:
        # What the error is comes after this; what was recorded of the runs before it stays true.
        for progress in follower.progress.values():
            if progress.state != "ended":
                console.err(
                    f"{progress.run} is left as it was recorded last; when the state can be used "
                    f"again, go on with: gennaker resume {progress.run}"
                )
        raise
    for progress in follower.progress.values():
        if console.live:
            _tell_failures(settings, engine, progress)
        if progress.state != "ended":
            console.err(tell_how_to_go_on(progress))
    for run in runs:
        print_run(settings, run, how.form)
    return _choose_code(follower)


def record_and_follow(
    settings: Settings, run: str, message: Message, *, form: str, follow: bool
) -> int:
    """Record a decision about a run; when no process drives it, take it over and follow.

    Returns:
        The run's exit code when it was followed here, else 0.

    Raises:
        GennakerError: the decision was refused; nothing was recorded.
    """
    engine, console = settings.open_engine(), settings.console
    reaction = engine.send(run, message)
    if reaction.refused:
        ended = engine.resolve_run(run).state == "ended"
        raise NotAllowed(reaction.refused, code="run-ended" if ended else "refused")
    owner = engine.journal.find_owner(run)
    row = engine.journal.find_run(run)
    if row is not None and row.state == "ended":
        follow = False
    elif owner is None and follow:
        try:
            return drive_runs(settings, [run], Driving(form))
        except NotAllowed as error:
            # Somebody was quicker: what was recorded is theirs to carry out.
            if error.code != "run-owned":
                raise
            owner = engine.journal.find_owner(run)
    if owner is not None:
        console.err(f"recorded; {run} is driven by {owner}")
    elif row is not None and row.state != "ended":
        console.err(f"recorded; go on with: gennaker resume {run}")
    print_run(settings, run, form)
    return SUCCEEDED


def print_run(settings: Settings, run: str, form: str) -> None:
    """Print a run on stdout as ``json``, ``yaml`` or ``name``; nothing for ``text``."""
    if form == "name":
        settings.console.out(run)
    elif form in ("json", "yaml"):
        from gennaker_engine.cli.reading import load_view
        from gennaker_engine.cli.render.data import to_json, to_yaml

        view = load_view(settings.open_engine().journal, run)
        settings.console.out(to_yaml(view) if form == "yaml" else to_json(view))


def tell_how_to_go_on(progress: Progress) -> str:
    """Return what to type for a run that was left before it ended."""
    for gate in progress.open_gates:
        return (
            f"{progress.run} waits for approval of {clean(gate.title)}; decide with: "
            f"gennaker approve {progress.run} {gate.words}"
        )
    word = "parked" if progress.parked else f"left {progress.state}"
    return f"{progress.run} is {word}; go on with: gennaker resume {progress.run}"


def _choose_code(follower: Follower) -> int:
    """A signal decides, unless a run that was to be parked ended first; else how the runs are."""
    code = follower.signals.exit_code
    ended = all(each.state == "ended" for each in follower.progress.values())
    if code == PARKED and ended:
        code = INTERRUPTED if follower.signals.interrupts else None
    if code is not None:
        return code
    return worst_code(
        [
            code_of_run(each.state, each.outcome, timed_out=each.timed_out)
            for each in follower.progress.values()
        ]
    )


def _may_decide(settings: Settings, progress: Progress, gate: Gate) -> bool:
    """Whether to ask this person: they may decide, and have not approved already."""
    from gennaker_engine.core.approvals import check_approver

    if any(each.actor == settings.actor for each in gate.decisions):
        return False
    try:
        check_approver(
            settings.actor,
            approvers=gate.asked.approvers,
            groups=settings.project.load_settings().groups,
            self_allowed=gate.asked.self_allowed,
            starters=(progress.actor, *progress.starters),
        )
    except GennakerError:
        return False
    return True


def _tell_failures(settings: Settings, engine: Engine, progress: Progress) -> None:
    """Show the end of the log of what failed, and where to read the rest."""
    console = settings.console
    for step in _failed(progress):
        lines = deque(
            engine.logs.read(progress.run, stage=step.name, attempt=step.attempt or None),
            maxlen=_TAIL,
        )
        console.err("")
        reason = f": {clean(step.note)}" if step.note else ""
        console.err(console.paint_err(f"{step.name} {step.outcome}{reason}", "bold"))
        for line in lines:
            console.err(f"  {clean(line.text)}")
        console.err(
            console.paint_err(f"all of it: gennaker logs {progress.run} {step.name}", "dim")
        )


def _failed(progress: Progress) -> list[Step]:
    rows: list[Step] = []
    for step in progress.steps.values():
        rows += step.instances.values() if step.instances else [step]
    return [row for row in rows if row.outcome in ("failed", "errored") and not row.ignored]
