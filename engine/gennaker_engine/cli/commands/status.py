"""``gennaker status``: one run, what it waits for and who holds that, once or as it changes."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from gennaker_engine.cli.options import command, output_option, run_argument
from gennaker_engine.cli.settings import Settings, pass_settings

if TYPE_CHECKING:
    from gennaker_engine.cli.render.console import Palette
    from gennaker_engine.cli.render.progress import Gate, Progress
    from gennaker_engine.core.events import RunCreated
    from gennaker_engine.journal.port import Claim, Journal

__all__ = ["status_command"]

_POLL = 0.2
"""Seconds between two looks while watching."""


@command("status")
@run_argument
@click.option("--watch", is_flag=True, help="Show it again as it changes, until it has ended.")
@output_option("table", "json", "yaml", "name")
@pass_settings
def status_command(settings: Settings, *, run: str, watch: bool, form: str) -> None:
    """Show one run and what it waits for.

    With who holds the lock it waits for, who may approve, and what an approval covers.
    """
    from gennaker_engine.cli.reading import read_journal
    from gennaker_engine.journal.lookup import resolve_run

    with read_journal(settings) as journal:
        row = resolve_run(journal, run)
        if form == "table":
            show = _watch if watch else _show
            show(settings, journal, row.run)
            return
        if watch:
            _wait_for_end(journal, row.run)
        if form == "name":
            settings.console.out(row.run)
        else:
            _print_data(settings, journal, row.run, form)


def _print_data(settings: Settings, journal: Journal, run: str, form: str) -> None:
    from gennaker_engine.cli.reading import load_view
    from gennaker_engine.cli.render.data import to_json, to_yaml

    view = load_view(journal, run)
    settings.console.out(to_yaml(view) if form == "yaml" else to_json(view))


def _wait_for_end(journal: Journal, run: str) -> None:
    while True:
        row = journal.find_run(run)
        if row is None or row.state == "ended":
            return
        time.sleep(_POLL)


def _show(settings: Settings, journal: Journal, run: str) -> None:
    from gennaker_engine.cli.reading import load_progress
    from gennaker_engine.cli.render.tree import choose_marks, render_tree

    console, now = settings.console, time.time()
    created, progress = load_progress(journal, run)
    width = console.width if console.out_is_terminal else None
    marks = choose_marks(console.stdout.encoding)
    tree = render_tree(progress, now=now, width=width, paint=console.paint, marks=marks)
    console.out("\n".join(tree))
    console.out("")
    owner = journal.find_owner(run) if progress.state != "ended" else None
    for name, value in _facts(created, progress, owner):
        console.out(f"{console.paint(name + ':', 'bold')} {value}")
    claims = [
        *journal.read_claims(f"lock/{created.scope}/"),
        *(journal.read_claims(f"group/{created.scope}/") if progress.group else ()),
    ]
    left = {claim.run for claim in claims if journal.find_owner(claim.run) is None}
    for line in render_waits(progress, claims, left=left, now=now, paint=console.paint):
        console.out(line)


def _facts(created: RunCreated, progress: Progress, owner: str | None) -> Sequence[tuple[str, str]]:
    from gennaker_engine.cli.render.text import clean, tell_time
    from gennaker_engine.cli.render.wording import tell_source, tell_value

    source = tell_source(created.source)
    facts = [
        ("created", f"{tell_time(created.at)} by {created.actor}"),
        ("definition", created.digest[:19]),
    ]
    if source:
        facts.append(("source", source))
    if created.parameters:
        values = ", ".join(
            f"{key}={tell_value(value)}" for key, value in created.parameters.items()
        )
        facts.append(("parameters", clean(values)))
    if created.retry_of:
        facts.append(("retry of", created.retry_of))
    if progress.state != "ended":
        facts.append(("driven by", owner or f"nobody; go on with: gennaker resume {progress.run}"))
    return facts


def render_waits(
    progress: Progress,
    claims: Sequence[Claim],
    *,
    left: Collection[str] = (),
    now: float,
    paint: Palette,
) -> list[str]:
    """Return what a run waits for: open approvals with what they cover, locks with their holder.

    A run that waits in its group says behind which ones.
    """
    from gennaker_engine.cli.render.text import clean, tell_ago

    lines: list[str] = []
    if progress.group and progress.state != "ended":
        ahead = ", ".join(
            f"{claim.run} (started {tell_ago(claim.since, now)}"
            + (f"; nobody drives it: gennaker resume {claim.run})" if claim.run in left else ")")
            for claim in claims
            if claim.holding
            and claim.key.startswith("group/")
            and claim.key.endswith(f"/{progress.group}")
        )
        behind = f" behind {ahead}" if ahead else ""
        asked = tell_ago(progress.queued_at, now)
        lines += ["", f"waits in group {clean(progress.group)}{behind}, queued {asked}"]
    for gate in progress.open_gates:
        lines += ["", *_render_gate(progress, gate, now, paint)]
    for claim in claims:
        if claim.holding and claim.key.startswith("lock/"):
            lines += _render_lock(progress, claim, tell_ago(claim.since, now), claim.run in left)
    return lines


def _render_lock(progress: Progress, claim: Claim, taken: str, left: bool) -> list[str]:
    """Return that the run holds an environment, or waits for it, and behind whom."""
    environment = claim.key.rpartition("/")[2]
    if claim.run == progress.run:
        return ["", f"holds environment {environment} (taken {taken})"]
    if environment not in progress.locks:
        return []
    waits = f"{progress.locks[environment]} waits for environment {environment}"
    lines = ["", f"{waits}, which {claim.run} holds (taken {taken})"]
    if left:
        lines.append(f"  nobody drives {claim.run}; gennaker resume {claim.run}")
    return lines


def _render_gate(progress: Progress, gate: Gate, now: float, paint: Palette) -> list[str]:
    from gennaker_engine.cli.render.subject import render_subject
    from gennaker_engine.cli.render.text import clean, tell_ago, tell_span

    asked = gate.asked
    lines = [
        f"{paint(clean(gate.title), 'bold')} waits for approval, asked {tell_ago(asked.at, now)}"
    ]
    if asked.message:
        lines.append(f"  {clean(asked.message)}")
    who = ", ".join(asked.approvers) or "anyone"
    lines.append(f"  {gate.approvals} of {asked.required} given; may approve: {who}")
    if asked.deadline is not None:
        lines.append(f"  expires in {tell_span(asked.deadline - now)}")
    lines += [f"  takes {_tell_input(name, each)}" for name, each in asked.inputs.items()]
    if asked.moved:
        lines.append("  it asks again, as these moved:")
        lines += [f"    {clean(each)}" for each in asked.moved]
    lines.append("  covers:")
    lines += [f"    {line}" for line in render_subject(asked.subject, gate.plans, paint=paint)]
    lines.append(f"  decide with: gennaker approve {progress.run} {gate.words}")
    return lines


def _tell_input(name: str, declared: Mapping[str, Any]) -> str:
    """Return an input that whoever decides may give: its type or choices, and its default."""
    from gennaker_engine.cli.render.text import clean
    from gennaker_engine.cli.render.wording import tell_value

    choices = declared.get("choices")
    kind = " or ".join(map(tell_value, choices)) if choices else declared.get("type", "string")
    default = declared.get("default")
    told = "required" if declared.get("required") else ""
    told = f"default {tell_value(default)}" if default is not None else told
    about = f": {declared['description']}" if declared.get("description") else ""
    return clean(f"-p {name}=… ({', '.join(each for each in (kind, told) if each)}){about}")


def _watch(settings: Settings, journal: Journal, run: str) -> None:
    """Draw the tree again on a terminal, write plain lines elsewhere, until the run has ended."""
    from gennaker_engine.cli.reading import load_events
    from gennaker_engine.cli.render.lines import LineRenderer
    from gennaker_engine.cli.render.progress import Progress
    from gennaker_engine.cli.render.screen import Screen
    from gennaker_engine.cli.render.tree import choose_marks, render_tree

    console = settings.console
    live = console.live and console.out_is_terminal

    def write(text: str) -> None:
        console.stdout.write(text)
        console.stdout.flush()

    screen, lines, progress = Screen(write), LineRenderer(paint=console.paint), Progress()
    seen, token = 0, None
    while True:
        now_token = journal.change_token()
        if seen == 0 or now_token != token:
            token = now_token
            events = load_events(journal, run, after=seen)
            seen = events[-1][0] if events else seen
            told = lines.take_events([event for _, event in events], progress)
            if told and not live:
                write("\n".join(told) + "\n")
        if live:
            tree = render_tree(
                progress,
                now=time.time(),
                width=console.width - 1,
                height=console.height,
                paint=console.paint,
                marks=choose_marks(console.stdout.encoding),
            )
            screen.draw(tree)
        if progress.state == "ended":
            return
        time.sleep(_POLL)
