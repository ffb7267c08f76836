"""A plan as one page of HTML, what is and what would be side by side: for a pull request or a mail.

Static: no script, nothing that is loaded, everything from the plan is escaped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from gennaker_engine.cli.render.changes import compare_lines, is_text, tell_change
from gennaker_engine.cli.render.plan import summarize, tell_stage, tell_warnings
from gennaker_engine.cli.render.text import clean

__all__ = ["render_html"]

_STYLE = """
:root { color-scheme: light dark; --line: #8886; --old: #e5534b33; --new: #57ab5a33; --dim: #808890 }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
h2 small, .dim { color: var(--dim); font-weight: normal }
code, pre, td { font: 13px/1.45 ui-monospace, monospace; overflow-wrap: anywhere }
pre { margin: 0; white-space: pre-wrap }
details, .change { border: 1px solid var(--line); border-radius: 6px; margin: .4rem 0; padding: .4rem .7rem }
summary { cursor: pointer }
table { border-collapse: collapse; margin: .5rem 0 .2rem; table-layout: fixed; width: 100% }
th { text-align: left; font-weight: 600 } th:first-child { width: 30% }
td, th { border-top: 1px solid var(--line); padding: .25rem .5rem; vertical-align: top }
del, ins { text-decoration: none } .before, del { background: var(--old) } .after, ins { background: var(--new) }
.action { border-radius: 4px; font-weight: 600; padding: 0 .4rem }
.create { background: var(--new) } .delete, .prune, .refuse { background: var(--old) }
.change-action, .replace { background: #d4a72c44 }
"""
_NOTHING = '<span class="dim">nothing</span>'
_SECRET = '<span class="dim">secret</span>'


def render_html(plan: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of the page of a plan's data."""
    title = _text(f"Plan of {plan['pipeline']}")
    yield "<!doctype html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    yield f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    yield f"<title>{title}</title><style>{_STYLE}</style></head><body>"
    yield f"<h1>{title}</h1><p>{_text(summarize(plan['stages']))}</p>"
    for stage in plan["stages"]:
        yield from _render_stage(stage)
    yield f"<p class=dim>plan <code>{_text(plan['digest'])}</code></p></body></html>"


def _render_stage(stage: Mapping[str, Any]) -> Iterator[str]:
    where = f" in {stage['environment']}" if stage.get("environment") else ""
    yield f"<h2>{_text(stage['id'])} <small>{_text(stage['uses'] + where)}</small></h2>"
    if told := tell_stage(stage):
        yield f"<p>{_text(told)}</p>"
    for line in str(stage.get("error", "")).splitlines()[1:]:
        yield f"<p><code>{_text(line)}</code></p>"
    for line in tell_warnings(stage):
        yield f"<p>{_text(line)}</p>"
    for change in stage.get("changes", ()):
        yield from _render_change(change)


def _render_change(change: Mapping[str, Any]) -> Iterator[str]:
    action = str(change["action"])
    name = {"change": "change-action"}.get(action, action)
    head = f'<span class="action {_text(name)}">{_text(action)}</span> {_text(tell_change(change))}'
    fields = change.get("fields", ())
    if not fields:
        yield f'<div class="change">{head}</div>'
        return
    # What is created is long and all new: folded.
    is_open = "" if action == "create" else " open"
    yield f"<details{is_open}><summary>{head}</summary>"
    yield "<table><thead><tr><th>field</th><th>is</th><th>would be</th></tr></thead><tbody>"
    for field in fields:
        before, after = _render_values(field)
        yield f"<tr><td>{_text(field['path'])}</td>{before}{after}</tr>"
    yield "</tbody></table></details>"


def _render_values(field: Mapping[str, Any]) -> tuple[str, str]:
    if is_text(field) and not field.get("hidden"):
        return _render_texts(field["before"], field["after"])
    cells = []
    for name in ("before", "after"):
        if name not in field:
            cells.append(f"<td>{_NOTHING}</td>")
            continue
        shown = _SECRET if field.get("hidden") else f"<pre>{_show(field[name])}</pre>"
        cells.append(f'<td class="{name}">{shown}</td>')
    return cells[0], cells[1]


def _render_texts(before: str, after: str) -> tuple[str, str]:
    """Return the two cells of texts of several lines, with the lines in which they differ marked."""
    old, new = [], []
    for mark, line in compare_lines(before, after):
        told = _text(line)
        if mark != "+":
            old.append(f"<del>{told}</del>" if mark == "-" else told)
        if mark != "-":
            new.append(f"<ins>{told}</ins>" if mark == "+" else told)
    cells = ["<td><pre>" + "\n".join(lines) + "</pre></td>" for lines in (old, new)]
    return cells[0], cells[1]


def _show(value: Any) -> str:
    if isinstance(value, str) and value:
        return "\n".join(_text(line) for line in value.splitlines())
    return escape(json.dumps(value, indent=2, ensure_ascii=False))


def _text(value: Any) -> str:
    return escape(clean(str(value)))
