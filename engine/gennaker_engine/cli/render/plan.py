"""A plan as people read it: on a terminal, or as Markdown in a pull request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gennaker_engine.cli.render.changes import (
    count_changes,
    render_changes,
    tell_change,
    write_diff,
)
from gennaker_engine.cli.render.console import PLAIN, Palette
from gennaker_engine.cli.render.text import clean
from gennaker_engine.cli.render.wording import tell_cause

__all__ = ["render_markdown", "render_plan", "summarize", "tell_stage", "tell_warnings"]

_STAGE_TONES = {"skip": "dim", "depends": "yellow", "error": "red"}


def render_plan(plan: Mapping[str, Any], *, paint: Palette = PLAIN) -> list[str]:
    """Return the lines of a plan's data: each stage, what it would do, the digest."""
    lines = []
    for stage in plan["stages"]:
        tone = _STAGE_TONES.get(stage["action"])
        head = f"{paint(stage['id'], 'bold')}  {stage['uses']}"
        if stage.get("environment"):
            head += f" in {stage['environment']}"
        told = tell_stage(stage)
        lines.append(f"{head}  {paint(told, tone) if tone else told}".rstrip())
        lines += [f"    {line}" for line in _tell_problems(stage)]
        lines += [f"    {paint(line, 'yellow')}" for line in tell_warnings(stage)]
        changes = stage.get("changes", ())
        lines += [f"    {line}" for line in render_changes(changes, paint=paint)]
    lines.append("")
    lines.append(summarize(plan["stages"]))
    lines.append(f"plan {plan['digest']}")
    return lines


def render_markdown(plan: Mapping[str, Any]) -> list[str]:
    """Return the same as GitHub-flavoured Markdown."""
    lines = [
        f"### Plan of `{plan['pipeline']}`",
        "",
        "| stage | type | environment | what |",
        "|---|---|---|---|",
    ]
    for stage in plan["stages"]:
        told = [tell_stage(stage)] if tell_stage(stage) else []
        told += tell_warnings(stage)
        told += [f"{change['action']} {tell_change(change)}" for change in stage.get("changes", ())]
        cells = (
            _cell(stage["id"]),
            _cell(stage["uses"]),
            _cell(stage.get("environment") or ""),
            "<br>".join(map(_cell, told)) or "runs",
        )
        lines.append(f"| {' | '.join(cells)} |")
    for stage in plan["stages"]:
        lines += _fence_fields(stage)
    return [*lines, "", summarize(plan["stages"]), "", f"Plan `{plan['digest']}`"]


def tell_stage(stage: Mapping[str, Any]) -> str:
    """Return what is to be said of a stage beside its changes."""
    parts = []
    if stage["action"] == "skip":
        parts.append(f"skipped ({tell_cause(stage['cause'], stage.get('detail', {}))})")
    elif stage["action"] == "error":
        parts.append(f"cannot be planned: {str(stage['error']).partition(chr(10))[0]}")
    tokens = ", ".join(f"<unknown:{name}>" for name in stage.get("depends_on", ()))
    if tokens:
        parts.append(f"depends on {tokens}")
    if stage.get("approval"):
        parts.append("asks for approval")
    return clean("; ".join(parts))


def tell_warnings(plan: Mapping[str, Any]) -> list[str]:
    """Return a line for each warning of the plan of a stage."""
    return [f"warning: {clean(str(each))}" for each in plan.get("warnings", ())]


def _tell_problems(stage: Mapping[str, Any]) -> list[str]:
    """Return the problems of an error that has several, each a line."""
    return [clean(line) for line in str(stage.get("error", "")).splitlines()[1:]]


def _fence_fields(stage: Mapping[str, Any]) -> Iterator[str]:
    """Yield the fields of a stage's changes, folded, as a diff."""
    for change in stage.get("changes", ()):
        if change["action"] == "create" or not change.get("fields"):
            continue
        name = _cell(f"{stage['id']}: {change['action']} {tell_change(change)}")
        yield from ("", f"<details><summary>{name}</summary>", "", "~~~~~~diff")
        for field in change["fields"]:
            yield from (line.replace("~~~", "~ ~ ~") for line in write_diff(field))
        yield from ("~~~~~~", "", "</details>")


def summarize(stages: Sequence[Mapping[str, Any]]) -> str:
    """Return how many stages would run, be skipped, and so on, and how much would change."""
    counted: dict[str, int] = {}
    for stage in stages:
        counted[stage["action"]] = counted.get(stage["action"], 0) + 1
    names = {"run": "run", "depends": "may run", "skip": "skipped", "error": "cannot be planned"}
    parts = [f"{counted[key]} {names[key]}" for key in names if key in counted]
    warned = sum(len(stage.get("warnings", ())) for stage in stages)
    parts += [f"{warned} warning{'s' if warned > 1 else ''}"] if warned else []
    told = ", ".join(
        count_changes([change for stage in stages for change in stage.get("changes", ())])
    )
    return f"{', '.join(parts) or 'no stages'}" + (f"; {told}" if told else "")


def _cell(text: str) -> str:
    """Return text that stays inside its cell of a Markdown table."""
    escaped = clean(text).replace("\\", "\\\\").replace("|", "\\|")
    return escaped.replace("<", "&lt;").replace(">", "&gt;")
