"""What would change, as people read it: a line for each thing, its fields below."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gennaker_engine.cli.render.console import PLAIN, Palette
from gennaker_engine.cli.render.text import clean
from gennaker_engine.cli.render.wording import tell_owner, tell_value

__all__ = [
    "TONES",
    "compare_lines",
    "count_changes",
    "is_text",
    "render_changes",
    "tell_change",
    "write_diff",
]

TONES = {
    "create": "green",
    "change": "yellow",
    "replace": "magenta",
    "delete": "red",
    "prune": "red",
    "refuse": "red",
}
_COUNTED = {"refuse": "would be refused"}
_MOST_LEFT = 10
"""Above this many things that would be left they are one line."""
_MOST_LINES = 40
Change = Mapping[str, Any]


def render_changes(changes: Sequence[Change], *, paint: Palette = PLAIN) -> Iterator[str]:
    """Yield the lines of a stage's changes, unindented; fields are two spaces further in."""
    left = sum(each["action"] == "leave" and not each.get("detail") for each in changes)
    for change in changes:
        action = str(change["action"])
        if action == "leave" and left > _MOST_LEFT and not change.get("detail"):
            continue
        word = paint(action, *([TONES[action]] if action in TONES else []))
        yield f"{word} {tell_change(change)}"
        # Of what is created the fields are the whole of it: too much here, see -o html.
        if action != "create":
            for field in change.get("fields", ()):
                yield from _render_field(field, paint)
    if left > _MOST_LEFT:
        yield f"leave {left} more that would not change"


def tell_change(change: Change) -> str:
    """Return what is changed and its detail, on one line."""
    # "build" of "build IMAGE": some types say their verb themselves.
    what = clean(str(change["what"])).strip().removeprefix(f"{change['action']} ")
    detail = " ".join(clean(str(change.get("detail", ""))).split())
    return f"{what}  {detail}" if detail and detail != what else what


def count_changes(changes: Sequence[Change]) -> list[str]:
    """Return ``3 to change``, ``1 would be refused`` … in the order in which they come first."""
    counted: dict[str, int] = {}
    for change in changes:
        counted[change["action"]] = counted.get(change["action"], 0) + 1
    return [
        f"{number} {_COUNTED.get(action, f'to {action}')}" for action, number in counted.items()
    ]


def compare_lines(before: str, after: str) -> Iterator[tuple[str, str]]:
    """Yield ``(mark, line)`` of two texts, mark ``-``, ``+`` or a space; far from changes: ``…``."""
    from difflib import unified_diff

    shown = 0
    for line in unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=1):
        if line.startswith(("---", "+++")) and shown == 0:
            continue
        if line.startswith("@@"):
            if line.split()[1].partition(",")[0] != "-1":  # something stands before it
                yield " ", "…"
            continue
        shown += 1
        if shown > _MOST_LINES:
            yield " ", "… and more"
            return
        yield line[0], clean(line[1:])


def write_diff(field: Change) -> Iterator[str]:
    """Yield a field's change as lines of a diff."""
    path = clean(str(field["path"]))
    if field.get("hidden"):
        yield f"! {path}: {_tell_field(field, PLAIN)}"
    elif is_text(field):
        yield f"# {path}"
        yield from (f"{mark} {line}".rstrip() for mark, line in compare_lines(*_values(field)))
    else:
        for mark, name in (("-", "before"), ("+", "after")):
            if name in field:
                yield f"{mark} {path}: {_show(field[name])}"


def _values(field: Change) -> tuple[str, str]:
    return field["before"], field["after"]


def is_text(field: Change) -> bool:
    """Return whether both values are texts of several lines, best read line by line."""
    both = field.get("before"), field.get("after")
    return all(isinstance(each, str) for each in both) and any("\n" in str(each) for each in both)


def _render_field(field: Change, paint: Palette) -> Iterator[str]:
    path = clean(str(field["path"]))
    if is_text(field):
        yield f"  {path}:{_tell_owner(field, paint)}"
        tones = {"-": ["red"], "+": ["green"]}
        for mark, line in compare_lines(*_values(field)):
            yield f"    {paint(f'{mark} {line}'.rstrip(), *tones.get(mark, ['dim']))}"
        return
    yield f"  {path}: {_tell_field(field, paint)}{_tell_owner(field, paint)}"


def _tell_field(field: Change, paint: Palette) -> str:
    if field.get("hidden"):
        if "before" in field and "after" in field:
            return "another value (secret)"
        return paint("added", "green") if "after" in field else paint("taken out", "red")
    if "before" not in field:
        return f"nothing → {paint(_show(field['after']), 'green')}"
    before = paint(_show(field["before"]), "red")
    after = paint(_show(field["after"]), "green") if "after" in field else "nothing"
    return f"{before} → {after}"


def _tell_owner(field: Change, paint: Palette) -> str:
    """Return who else set what is there now, and when."""
    owner = field.get("owner")
    if owner is None:
        return ""
    return paint(f"  (set by {clean(tell_owner(owner))})", "dim")


def _show(value: Any) -> str:
    return clean(tell_value(value))
