"""A plan as people read it: on a terminal, or as Markdown in a pull request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gennaker_engine.cli.render.console import PLAIN, Palette
from gennaker_engine.cli.render.text import clean
from gennaker_engine.cli.render.wording import tell_cause

__all__ = ["render_markdown", "render_plan", "tell_change"]

_TONES = {"create": "green", "delete": "red", "replace": "yellow", "change": "yellow"}
_STAGE_TONES = {"skip": "dim", "depends": "yellow", "error": "red"}


def render_plan(plan: Mapping[str, Any], *, paint: Palette = PLAIN) -> list[str]:
    """Return the lines of a plan's data: each stage, what it would do, the digest."""
    lines = []
    for stage in plan["stages"]:
        tone = _STAGE_TONES.get(stage["action"])
        head = f"{paint(stage['id'], 'bold')}  {stage['uses']}"
        if stage.get("environment"):
            head += f" in {stage['environment']}"
        told = _tell_stage(stage)
        lines.append(f"{head}  {paint(told, tone) if tone else told}".rstrip())
        for change in stage.get("changes", ()):
            action = str(change["action"])
            word = paint(action, *([_TONES[action]] if action in _TONES else []))
            lines.append(f"    {word} {tell_change(change)}")
    lines.append("")
    lines.append(_summarize(plan["stages"]))
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
        told = [_tell_stage(stage)] if _tell_stage(stage) else []
        told += [f"{change['action']} {tell_change(change)}" for change in stage.get("changes", ())]
        cells = (
            _cell(stage["id"]),
            _cell(stage["uses"]),
            _cell(stage.get("environment") or ""),
            "<br>".join(map(_cell, told)) or "runs",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, "", _summarize(plan["stages"]), "", f"Plan `{plan['digest']}`"]


def _tell_stage(stage: Mapping[str, Any]) -> str:
    """Return what is to be said of a stage beside its changes."""
    parts = []
    if stage["action"] == "skip":
        parts.append(f"skipped ({tell_cause(stage['cause'], stage.get('detail', {}))})")
    elif stage["action"] == "error":
        parts.append(f"cannot be planned: {stage['error']}")
    tokens = ", ".join(f"<unknown:{name}>" for name in stage.get("depends_on", ()))
    if tokens:
        parts.append(f"depends on {tokens}")
    if stage.get("approval"):
        parts.append("asks for approval")
    return clean("; ".join(parts))


def tell_change(change: Mapping[str, Any]) -> str:
    """Return what is changed and its detail, on one line."""
    # "build" of "build IMAGE": some types say their verb themselves.
    what = clean(str(change["what"])).strip().removeprefix(f"{change['action']} ")
    detail = " ".join(clean(str(change.get("detail", ""))).split())
    return f"{what}  {detail}" if detail and detail != what else what


def _summarize(stages: Sequence[Mapping[str, Any]]) -> str:
    """Return how many stages would run, be skipped, and so on, and how much would change."""
    counted: dict[str, int] = {}
    for stage in stages:
        counted[stage["action"]] = counted.get(stage["action"], 0) + 1
    names = {"run": "run", "depends": "may run", "skip": "skipped", "error": "cannot be planned"}
    parts = [f"{counted[key]} {names[key]}" for key in names if key in counted]
    changes: dict[str, int] = {}
    for stage in stages:
        for change in stage.get("changes", ()):
            changes[change["action"]] = changes.get(change["action"], 0) + 1
    told = ", ".join(f"{number} to {action}" for action, number in changes.items())
    return f"{', '.join(parts) or 'no stages'}" + (f"; {told}" if told else "")


def _cell(text: str) -> str:
    """Return text that stays inside its cell of a Markdown table."""
    escaped = clean(text).replace("\\", "\\\\").replace("|", "\\|")
    return escaped.replace("<", "&lt;").replace(">", "&gt;")
