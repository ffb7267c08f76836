"""A run as a tree: the run, its stages, their instances, ``finally`` apart. Pure text.

The same drawing serves the live view (redrawn in place) and ``status``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from gennaker.records import dataclass
from gennaker_engine.cli.render.console import PLAIN, Palette
from gennaker_engine.cli.render.progress import Progress, Step
from gennaker_engine.cli.render.text import clean, clip, columns_of, tell_span
from gennaker_engine.cli.render.wording import tell_value

__all__ = ["ASCII", "TONES", "UNICODE", "Marks", "choose_marks", "render_tree", "tell_outcome"]


@dataclass(frozen=True, slots=True)
class Marks:
    """The characters a tree is drawn with."""

    branch: str
    last: str
    rail: str
    pending: str
    running: str
    waiting: str
    succeeded: str
    failed: str
    errored: str
    aborted: str
    skipped: str


UNICODE = Marks("├─ ", "└─ ", "│  ", "○", "●", "◷", "✓", "✗", "‼", "■", "↷")
ASCII = Marks("|- ", "`- ", "|  ", ".", "*", "~", "+", "x", "!", "#", "-")


def choose_marks(encoding: str | None) -> Marks:
    """Return the marks that a stream of this encoding can show."""
    return UNICODE if (encoding or "").lower().startswith("utf") else ASCII


TONES = {
    "pending": ("dim",),
    "running": ("cyan",),
    "waiting": ("yellow",),
    "succeeded": ("green",),
    "failed": ("red",),
    "errored": ("magenta",),
    "aborted": ("yellow",),
    "skipped": ("dim",),
}


def render_tree(
    progress: Progress,
    *,
    now: float,
    width: int | None = None,
    height: int | None = None,
    paint: Palette = PLAIN,
    marks: Marks = UNICODE,
) -> list[str]:
    """Return the lines of the tree.

    Args:
        progress: the run.
        now: seconds since the epoch, for durations that go on.
        width: columns to cut lines at, None for no limit.
        height: rows at most; what matters least (pending, then succeeded) is left out and counted.
        paint: styles the text.
        marks: the characters to draw with.
    """
    rows = list(_rows(progress))
    dropped: Counter[str] = Counter()
    if height is not None:
        rows, dropped = _fit(rows, max(height - 3, 1))
    size = max((columns_of(_label(step)) + 3 * depth for depth, step in rows if step), default=0)
    lines = [_head(progress, now, paint)]
    for place, (depth, step) in enumerate(rows):
        rail = _rail(rows, place, marks)
        text = (
            paint("finally", "bold")
            if step is None
            else _row(step, size - 3 * depth, now, paint, marks)
        )
        lines.append(paint(rail, "dim") + text)
    if dropped:
        told = ", ".join(f"{count} {state}" for state, count in dropped.items())
        lines.append(paint(f"   … {told} not shown", "dim"))
    return lines if width is None else [clip(line, width) for line in lines]


def tell_outcome(progress: Progress) -> str:
    """Return the run's state in one or two words: ``running``, ``succeeded``, ``nothing to do``."""
    if progress.state != "ended":
        if progress.parked:
            return "parked"
        if progress.aborting:
            return "aborting"
        states = {step.state for step in progress.steps.values()}
        waits = progress.state == "running" and "waiting" in states and "running" not in states
        return "waiting" if waits else progress.state
    if progress.timed_out:
        return f"{progress.outcome} (timed out)"
    return "nothing to do" if progress.nothing_to_do else str(progress.outcome)


def _head(progress: Progress, now: float, paint: Palette) -> str:
    title = f"  {clean(progress.title)}" if progress.title else ""
    word = tell_outcome(progress)
    tone = TONES.get(progress.outcome or word, ())
    begun = progress.started_at
    span = tell_span((progress.ended_at or now) - begun) if begun is not None else ""
    return f"{paint(progress.run, 'bold')}{title}  {paint(word, *tone)}  {span}".rstrip()


def _rows(progress: Progress) -> Iterator[tuple[int, Step | None]]:
    """Yield depth and step; None stands for the ``finally`` heading."""
    for final in (False, True):
        steps = [step for step in progress.steps.values() if step.final == final]
        if final and steps:
            yield 0, None
        for step in steps:
            yield int(final), step
            for instance in step.instances.values():
                yield int(final) + 1, instance


def _fit(
    rows: Sequence[tuple[int, Step | None]], limit: int
) -> tuple[list[tuple[int, Step | None]], Counter[str]]:
    surplus = len(rows) - limit
    dropped: Counter[str] = Counter()
    gone: set[int] = set()
    order = [*reversed(range(len(rows))), *range(len(rows))]
    for wanted in ("pending", "skipped", "succeeded", "waiting", "running"):
        for place in order if wanted == "pending" else range(len(rows)):
            step = rows[place][1]
            if len(gone) >= surplus:
                break
            if step is not None and place not in gone and _word(step) == wanted:
                gone.add(place)
                dropped[wanted] += 1
    kept = [row for place, row in enumerate(rows) if place not in gone]
    for _, step in kept[limit:]:
        if step is not None:
            dropped[_word(step)] += 1
    return kept[:limit], dropped


def _rail(rows: Sequence[tuple[int, Step | None]], place: int, marks: Marks) -> str:
    """Return the branch before a row: rails of the levels that go on below, then its own corner."""
    depth = rows[place][0]
    parts = []
    for level in range(depth + 1):
        goes_on = False
        for later, _ in rows[place + 1 :]:
            if later < level:
                break
            if later == level:
                goes_on = True
                break
        if level == depth:
            parts.append(marks.branch if goes_on else marks.last)
        else:
            parts.append(marks.rail if goes_on else "   ")
    return "".join(parts)


def _word(step: Step) -> str:
    return step.outcome or step.state if step.state == "ended" else step.state


def _label(step: Step) -> str:
    return clean(step.name)


def _row(step: Step, size: int, now: float, paint: Palette, marks: Marks) -> str:
    word = _word(step)
    tone = TONES.get(word, ())
    mark = paint(getattr(marks, word, "?"), *tone)
    name = _label(step)
    parts = [f"{mark} {name}{' ' * (size - columns_of(name))}", paint(_state(step, now), *tone)]
    if step.attempt > 1:
        parts.append(f"attempt {step.attempt}")
    if step.ignored:
        parts.append(paint("ignored", "dim"))
    if step.values:
        values = ", ".join(f"{key}={tell_value(value)}" for key, value in step.values.items())
        parts.append(paint(clean(values), "dim"))
    if step.state == "running" and step.tail and not step.note:
        parts.append(paint(clean(step.tail), "dim"))
    elif step.note and step.waits != "lock":
        parts.append(clean(step.note.partition("\n")[0]))
    return "  ".join(part for part in parts if part).rstrip()


def _state(step: Step, now: float) -> str:
    if step.state == "pending":
        return ""
    span = ""
    if step.started_at is not None and step.outcome != "skipped":
        span = tell_span((step.ended_at or now) - step.started_at)
    if step.state == "waiting":
        return _wait(step, now)
    return f"{_word(step)} {span}".rstrip()


def _wait(step: Step, now: float) -> str:
    left = f", {tell_span(step.until - now)} left" if step.until is not None else ""
    if step.waits == "decision":
        return f"waits for approval{left}"
    if step.waits in ("approved", "rejected", "expired", "withdrawn"):
        return step.waits
    if step.waits == "lock":
        return f"waits for environment {step.note}{f', {step.holder}' if step.holder else ''}"
    if step.waits == "retry":
        return f"tries again{f' in {tell_span(step.until - now)}' if step.until else ''}"
    if step.waits == "timer":
        return f"waits{left}"
    return f"looks again{left}"
