"""Write the reference pages of docs/reference/ from the code: `make docs`.

With ``--check`` nothing is written, and the exit code is 1 when a page is not current.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from gennaker.codes import CODES
from gennaker.plugins import Registry
from gennaker_engine.cli.app import COMMANDS, app
from gennaker_engine.cli.commands.stages import describe_stage
from gennaker_engine.cli.exit_codes import EXIT_CODES
from gennaker_engine.cli.render.wording import tell_value
from gennaker_engine.core.transitions import draw_states

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
NOTE = "<!-- Made by scripts/generate_docs.py; change the code and run `make docs`. -->"


def write_cli() -> Iterator[str]:
    """Yield the lines of the command line's reference."""
    yield "# Command line"
    yield ""
    yield NOTE
    yield ""
    yield "stdout is data, stderr is progress and messages. Exit codes: [exit codes](exit-codes.md)."
    root = click.Context(app, info_name="gennaker")
    yield ""
    yield "## Global options"
    yield ""
    yield "They may stand before or after the command."
    yield ""
    yield from write_options(app, root)
    section = ""
    for entry in COMMANDS.values():
        if entry.section != section:
            section = entry.section
            yield ""
            yield f"## {section}"
        command = app.get_command(root, entry.name)
        assert command is not None, entry.name
        context = click.Context(command, info_name=entry.name, parent=root)
        yield ""
        yield f"### {entry.name}"
        yield ""
        yield "```text"
        yield command.get_usage(context).removeprefix("Usage: ")
        yield "```"
        yield ""
        yield inspect.cleandoc(command.help or "")
        yield ""
        yield from write_options(command, context)


def write_options(command: click.Command, context: click.Context) -> Iterator[str]:
    """Yield a table of a command's own options."""
    shared = getattr(command, "shared", [])
    rows = [
        record
        for each in command.get_params(context)
        if each not in shared and (record := each.get_help_record(context)) is not None
    ]
    told = [(name, meaning) for name, meaning in rows if meaning and "--help" not in name]
    if not told:
        return
    yield "| option | meaning |"
    yield "|---|---|"
    for name, meaning in told:
        yield f"| `{cell(name)}` | {cell(' '.join(meaning.split()))} |"


def write_stages() -> Iterator[str]:
    """Yield the lines of the stage types' reference."""
    registry = Registry.installed()
    yield "# Stage types"
    yield ""
    yield NOTE
    yield ""
    yield "The built-in ones; `gennaker stages` lists those of your plugins too."
    for info in registry.list():
        if info.group != "stages" or not info.value.startswith("gennaker_stages."):
            continue
        described = describe_stage(registry.stage(info.name))
        yield ""
        yield f"## {info.name}"
        yield ""
        yield described["description"]
        yield ""
        yield f"Effect: {described['effect']}."
        for title in ("inputs", "outputs"):
            yield ""
            yield from write_fields(title, described[title])


def write_fields(title: str, fields: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield a table of inputs or outputs."""
    if not fields:
        yield f"It has no {title} of its own."
        return
    inputs = title == "inputs"
    yield f"| {title[:-1]} | type |{' default |' if inputs else ''} meaning |"
    yield "|---|---|---|---|" if inputs else "|---|---|---|"
    for name, field in fields.items():
        default = "required" if field["required"] else tell_value(field.get("default"))
        default = "" if default == "null" else default
        middle = f" {cell(default)} |" if inputs else ""
        meaning = cell(field.get("description", ""))
        yield f"| `{name}` | {cell(field['type'])} |{middle} {meaning} |"


def write_exit_codes() -> Iterator[str]:
    """Yield the lines of the table of exit codes."""
    yield "# Exit codes"
    yield ""
    yield NOTE
    yield ""
    yield "| code | meaning |"
    yield "|---|---|"
    for code, meaning in EXIT_CODES.items():
        yield f"| {code} | {cell(meaning)} |"
    yield ""
    yield "`approve`, `reject` and `cancel` give the run's code when they follow it, else 0."


def write_errors() -> Iterator[str]:
    """Yield the lines of the table of code words."""
    yield "# Errors"
    yield ""
    yield NOTE
    yield ""
    yield "A problem is told as `file:line:column: code: message; what to do next`, with the line and"
    yield "a caret on a terminal. The code words:"
    yield ""
    yield "| code | meaning |"
    yield "|---|---|"
    for code, meaning in sorted(CODES.items()):
        yield f"| `{code}` | {cell(meaning)} |"


def write_cel() -> Iterator[str]:
    """Yield how the conformance cases of CEL come out here."""
    sys.path.insert(0, str(ROOT))  # the cases are data of the tests
    from tests.conformance.cel_cases import OTHER_TEXTS, count_by_file

    counted = count_by_file()
    reasons: dict[str, int] = {}
    yield "# Expressions and CEL's conformance cases"
    yield ""
    yield NOTE
    yield ""
    yield "Each public conformance case of [CEL](https://github.com/google/cel-spec) gives the value or the"
    yield "error that it expects, or is refused with an error, for a reason below. No case gives another value,"
    yield f"but for {len(OTHER_TEXTS)} with the text of a duration: here it is the one that pipelines are written in"
    yield "(`1h45m`, where CEL has `6300s`)."
    yield ""
    yield "| file | passed | other text | not supported |"
    yield "|---|---|---|---|"
    for file, count in counted.items():
        yield f"| {file} | {count.passed} | {count.other or ''} | {sum(count.unsupported.values()) or ''} |"
        for reason, number in count.unsupported.items():
            reasons[reason] = reasons.get(reason, 0) + number
    passed = sum(count.passed for count in counted.values())
    yield f"| all | {passed} | {len(OTHER_TEXTS)} | {sum(reasons.values())} |"
    yield ""
    yield "| not supported | cases |"
    yield "|---|---|"
    for reason, number in sorted(reasons.items(), key=lambda pair: -pair[1]):
        yield f"| {cell(reason)} | {number} |"


def write_states() -> Iterator[str]:
    """Yield the lines of the page that draws the core's transition tables."""
    yield "# States"
    yield ""
    yield NOTE
    yield ""
    yield "What a run is made of moves only as these tables say; an event that is in none of them is"
    yield "refused as `illegal-transition`. The tables are `gennaker_engine/core/transitions.py`; the"
    yield "words at the arrows are what the core calls a move."
    for kind, (title, meaning) in STATES.items():
        yield ""
        yield f"## {title}"
        yield ""
        yield meaning
        yield ""
        yield "```mermaid"
        yield draw_states(kind).rstrip("\n")
        yield "```"


def cell(text: str) -> str:
    """Return text that stays inside its cell of a Markdown table."""
    return text.replace("|", "\\|")


STATES = {
    "run": ("Run", "The whole, from its creation to its outcome."),
    "instance": (
        "Instance",
        "One row of a stage (`build`, or `test[0]` of a matrix), from known inputs to an outcome.",
    ),
    "gate": ("Gate", "One question to people: asked, then settled once."),
    "lock": ("Lock", "A run's side of an environment's lock."),
}

PAGES = {
    "cli.md": write_cli,
    "exit-codes.md": write_exit_codes,
    "errors.md": write_errors,
    "stages.md": write_stages,
    "states.md": write_states,
    "cel.md": write_cel,
}


def main() -> int:
    """Write every page, or with ``--check`` say which are not current."""
    check = "--check" in sys.argv[1:]
    stale = []
    for name, write in PAGES.items():
        text = "\n".join(write()) + "\n"
        path = REFERENCE / name
        if path.is_file() and path.read_text("utf-8") == text:
            continue
        stale.append(name)
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
    for name in stale:
        sys.stderr.write(f"{'not current' if check else 'wrote'}: docs/reference/{name}\n")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
