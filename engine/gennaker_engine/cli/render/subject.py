"""What an approval covers, for the person who decides: each stage, where it acts, what it plans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gennaker_engine.cli.render.changes import count_changes, render_changes
from gennaker_engine.cli.render.console import PLAIN, Palette
from gennaker_engine.cli.render.plan import tell_warnings
from gennaker_engine.cli.render.text import clean
from gennaker_engine.cli.render.wording import tell_value

__all__ = ["render_subject", "tell_doubts"]


def render_subject(
    subject: Sequence[Mapping[str, Any]],
    plans: Mapping[str, Any] | None,
    *,
    paint: Palette = PLAIN,
) -> list[str]:
    """Return the lines.

    Args:
        subject: ``{id, uses, inputs, environment}`` of each stage.
        plans: stage id to ``{changes: [{action, what, detail, fields}]}`` or ``{error}``, with
            ``warnings``; None while they are not known.
        paint: styles the text.
    """
    lines: list[str] = []
    for each in subject:
        where = each.get("environment") or {}
        place = f" in {where['name']}" if where.get("name") else ""
        target = f" ({where['target']})" if where.get("target") else ""
        name = paint(clean(str(each["id"])), "bold")
        lines.append(f"{name}  {clean(str(each.get('uses', '')))}{place}{target}")
        for key, value in (each.get("inputs") or {}).items():
            lines.append(f"    {clean(key)}: {clean(tell_value(value))}")
        lines.extend(f"    {line}" for line in _plan(plans, str(each["id"]), paint))
    return lines or ["nothing that is known now"]


def tell_doubts(plans: Mapping[str, Any] | None) -> list[str]:
    """Return a line for each reason to expect that what an approval covers will fail."""
    lines: list[str] = []
    for name, found in (plans or {}).items():
        plan = found or {}
        if plan.get("error"):
            lines.append(f"{clean(name)} cannot be planned: {clean(_first_line(plan['error']))}")
        lines += [f"{clean(name)}: {line}" for line in tell_warnings(plan)]
        for each in plan.get("changes", ()):
            if each["action"] == "refuse":
                told = f"{each['what']}: {_first_line(each.get('detail') or 'it cannot be done')}"
                lines.append(f"{clean(name)} would fail: {clean(told)}")
    return lines


def _first_line(text: object) -> str:
    return next(iter(str(text).splitlines()), "")


def _plan(plans: Mapping[str, Any] | None, name: str, paint: Palette) -> list[str]:
    if plans is None:
        return []
    plan = plans.get(name)
    if plan is None:
        return []
    warnings = [paint(line, "yellow") for line in tell_warnings(plan)]
    if plan.get("error"):
        first, *more = str(plan["error"]).splitlines()
        told = [paint(f"cannot be planned: {clean(first)}", "yellow"), *map(clean, more)]
        return [*told, *warnings]
    changes = plan.get("changes", ())
    lines = warnings + list(render_changes(changes, paint=paint))
    if len(changes) > 1:
        lines.append(", ".join(count_changes(changes)))
    if plan.get("depends_on"):
        tokens = ", ".join(clean(str(token)) for token in plan["depends_on"])
        lines.append(paint(f"depends on {tokens}", "dim"))
    return lines
