"""``gennaker environments``, ``history`` and ``diff``: what is where, since when, and what moved."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from gennaker_engine.cli.completion import complete_environments
from gennaker_engine.cli.exit_codes import ERRORED, FAILED, SUCCEEDED
from gennaker_engine.cli.options import command, output_option
from gennaker_engine.cli.settings import Settings, pass_settings

if TYPE_CHECKING:
    from gennaker_engine.cli.render.console import Console
    from gennaker_engine.environments.comparison import Difference
    from gennaker_engine.environments.deployed import Deployed
    from gennaker_engine.environments.drift import StageDrift

__all__ = [
    "check_environment",
    "diff_command",
    "environment_argument",
    "environments_command",
    "history_command",
    "sandbox_option",
    "tell_by",
]

_TONES = {"succeeded": "green", "failed": "red", "errored": "magenta", "aborted": "yellow"}

sandbox_option = click.option(
    "--sandbox", is_flag=True, help="The sandbox clusters of this state, not the real targets."
)
environment_argument = click.argument(
    "environment", metavar="ENV", shell_complete=complete_environments
)


@command("environments")
@click.argument("words", metavar="[diff ENV ENV]", nargs=-1, shell_complete=complete_environments)
@sandbox_option
@output_option("table", "json", "yaml", "name")
@pass_settings
def environments_command(
    settings: Settings, *, words: tuple[str, ...], sandbox: bool, form: str
) -> int:
    """Tell what is deployed where, since when and by whom.

    'environments diff staging production' tells how what is declared in the two differs, and what
    has moved in each since its last deploy; exit code 1 when anything does.
    """
    if not words:
        return _list(settings, sandbox=sandbox, form=form)
    if words[0] != "diff" or len(words) != 3:
        raise click.UsageError(
            "say nothing more, or 'diff' and two environments", click.get_current_context()
        )
    return _compare(settings, words[1], words[2], sandbox=sandbox, form=form)


@command("history")
@environment_argument
@sandbox_option
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many at most."
)
@output_option("table", "json", "yaml", "name")
@pass_settings
def history_command(
    settings: Settings, *, environment: str, sandbox: bool, limit: int, form: str
) -> int:
    """List the deploys of an environment, newest first."""
    from gennaker_engine.cli.reading import has_state
    from gennaker_engine.environments.deployed import list_history

    check_environment(settings, environment)
    found = []
    if has_state(settings):
        engine = settings.open_engine(reading=True)
        found = list_history(engine, environment, sandbox=sandbox, limit=limit)
    empty = f"nothing was deployed to {environment!r}{_tell_other(sandbox=sandbox)}"
    rows = [_Row(each.to_data(), each) for each in found]
    _print(settings.console, rows, form, empty=empty)
    return SUCCEEDED


@command("diff")
@environment_argument
@sandbox_option
@output_option("text", "json", "yaml")
@pass_settings
def diff_command(settings: Settings, *, environment: str, sandbox: bool, form: str) -> int:
    """Tell what has moved in an environment since its last deploys.

    Live state against what was deployed last; exit code 1 when they differ.
    """
    from gennaker_engine.cli.render.data import print_data
    from gennaker_engine.environments.drift import find_drift

    check_environment(settings, environment)
    drift = find_drift(settings.open_engine(), environment, sandbox=sandbox)
    console = settings.console
    if form != "text":
        items = {"environment": environment, "stages": [each.to_data() for each in drift]}
        print_data(console, form, "EnvironmentDiff", items)
    elif not drift:
        console.err(f"nothing was deployed to {environment!r}{_tell_other(sandbox=sandbox)}")
    else:
        _tell_drift(console, drift)
    if any(each.error for each in drift):
        return ERRORED
    return FAILED if any(each.changes for each in drift) else SUCCEEDED


def _tell_drift(console: Console, drift: Sequence[StageDrift]) -> None:
    from gennaker_engine.cli.render.changes import render_changes
    from gennaker_engine.cli.render.text import clean

    for each in drift:
        if not each.looks:
            continue  # all of them are one line, below
        by, fate = each.deployed.row.run, each.deployed.fate
        told = f"deployed by {by}, {fate}" if fate else f"deployed by {by}"
        name = console.paint(each.deployed.stage, "bold")
        head = f"{name}  {told}"
        if each.error is not None:
            console.out(
                f"{head}  {console.paint('cannot be compared', 'red')}: {clean(each.error)}"
            )
        elif each.unseen is not None:
            console.out(f"{name}  {clean(each.unseen)}")
        elif not each.changes:
            console.out(f"{head}  as deployed")
        else:
            console.out(head)
            for line in render_changes(each.changes, paint=console.paint):
                console.out(f"    {line}")
    blind = [each.deployed for each in drift if not each.looks]
    if blind:
        named = ", ".join(f"{each.stage} ({each.uses}, {each.row.run})" for each in blind)
        console.out(f"not looked at: {clean(named)}")


def _tell_other(*, sandbox: bool) -> str:
    """Return where else to look: what runs on the sandbox did is told apart."""
    return "" if sandbox else "; what runs with --sandbox did is told with --sandbox"


def _list(settings: Settings, *, sandbox: bool, form: str) -> int:
    from gennaker_engine.cli.reading import has_state
    from gennaker_engine.environments.deployed import find_standing

    found = []
    if has_state(settings):
        engine = settings.open_engine(reading=True)
        found = [_Row.of(*each) for each in find_standing(engine, sandbox=sandbox)]
    empty = f"nothing was deployed yet{_tell_other(sandbox=sandbox)}"
    _print(settings.console, found, form, empty=empty, first="environment")
    return SUCCEEDED


_OF_LAST = ("run", "outcome", "undo", "started_at", "ended_at")


class _Row(NamedTuple):
    """A deploy that is told: its data, itself, and one that came to nothing after it."""

    item: Mapping[str, Any]
    shown: Deployed
    later: Deployed | None = None

    @classmethod
    def of(cls, last: Deployed, standing: Deployed | None) -> _Row:
        """Return the deploy that stands, or the last one where none does."""
        shown = standing or last
        later = None if shown is last else last
        data = {} if later is None else later.to_data()
        told = {name: data[name] for name in _OF_LAST} if data else None
        item = {**shown.to_data(), "stands": standing is not None, "last": told}
        return cls(item, shown, later)


def _print(
    console: Console, rows: Sequence[_Row], form: str, *, empty: str, first: str = ""
) -> None:
    from gennaker_engine.cli.render.data import Listing, print_listing

    by_item = {id(row.item): row for row in rows}

    def cells(item: Mapping[str, Any]) -> Sequence[str]:
        made = _make_cells(console, by_item[id(item)])
        return [str(item["environment"]), *made] if first else made

    header = ("run", "stage", "outcome", "version", "since", "by", "title")
    print_listing(
        console,
        form,
        Listing(
            kind="Deployment",
            items=[row.item for row in rows],
            name=lambda item: str(item["environment"] if first else item["run"]),
            header=(first, *header) if first else header,
            row=cells,
            empty=empty,
        ),
    )


def _make_cells(console: Console, told: _Row) -> list[str]:
    from gennaker_engine.cli.render.text import clean, tell_ago

    item, shown, later = told
    row = shown.row
    since = row.ended_at or row.started_at
    outcome = _tell_outcome(console, shown)
    if later is not None and later.is_undo and later.row.outcome == "succeeded":
        since, outcome = later.row.ended_at or since, f"put back by {later.row.run}"
    elif later is not None:
        outcome = f"{outcome}; {later.row.run} {_tell_outcome(console, later)}"
    title = item.get("title")
    return [
        row.run,
        shown.stage,
        outcome,
        _tell_version(item) if item.get("stands", True) else "",
        tell_ago(since, time.time()),
        tell_by(item),
        clean(title) if title not in (None, row.pipeline) else "",
    ]


def _tell_outcome(console: Console, deployed: Deployed) -> str:
    outcome = deployed.row.outcome
    word = "put back" if deployed.is_undo and outcome == "succeeded" else outcome
    return console.paint(word or "running", *([_TONES[word]] if word in _TONES else []))


def tell_by(deploy: Mapping[str, Any]) -> str:
    """Return who started a deploy, and who approved it; empty when its run is not known."""
    approvers = ", ".join(deploy.get("approvers", ()))
    return str(deploy.get("actor", "")) + (f", approved by {approvers}" if approvers else "")


def _tell_version(item: Mapping[str, Any]) -> str:
    """Return the commit, short, and the images without their registries."""
    commit = str(item.get("commit") or "")[:9]
    parts = [f"{commit}{'+changes' if item.get('dirty') else ''}"] if commit else []
    for image in item.get("images", ()):
        name, at, digest = image.rpartition("/")[2].partition("@")
        parts.append(name if not at else f"{name}@{digest[:19]}")
    return " ".join(parts)


def _compare(settings: Settings, left: str, right: str, *, sandbox: bool, form: str) -> int:
    from gennaker_engine.cli.render.data import print_data
    from gennaker_engine.environments.comparison import compare_environments
    from gennaker_engine.environments.drift import find_drift

    for name in (left, right):
        check_environment(settings, name)
    engine, console = settings.open_engine(), settings.console
    differences, problems = compare_environments(engine, left, right, sandbox=sandbox)
    drift = {name: find_drift(engine, name, sandbox=sandbox) for name in (left, right)}
    if form in ("json", "yaml"):
        data = {
            "left": left,
            "right": right,
            "differences": [each.to_data() for each in differences],
            "drift": {name: [each.to_data() for each in drift[name]] for name in drift},
        }
        print_data(console, form, "EnvironmentsDiff", data)
    else:
        for each in differences:
            console.out(_tell_difference(each, left, right))
        for name, stages in drift.items():
            moved = [each for each in stages if each.changes]
            if moved:
                console.out(console.paint(f"{name} has moved since its last deploys:", "bold"))
                _tell_drift(console, moved)
    for name, stages in drift.items():
        problems += [
            f"{name}: {each.deployed.stage}: {each.error}" for each in stages if each.error
        ]
    for problem in dict.fromkeys(problems):
        console.err(f"cannot be compared: {problem}")
    if problems:
        return ERRORED
    moved_at_all = any(each.changes for stages in drift.values() for each in stages)
    return FAILED if differences or moved_at_all else SUCCEEDED


def _tell_difference(difference: Difference, left: str, right: str) -> str:
    from gennaker_engine.cli.render.text import clean
    from gennaker_engine.cli.render.wording import tell_value

    data = difference.to_data()
    what = clean(f"{difference.what} {difference.path}".strip())
    if not difference.path:
        return f"{what}: only in {left if 'left' in data else right}"
    if data.get("hidden") and "left" in data and "right" in data:
        return f"{what}  another value (secret)"
    sides = [
        f"{name}: {tell_value(data[side]) if side in data else '(not set)'}"
        for side, name in (("left", left), ("right", right))
    ]
    return f"{what}  {clean('  '.join(sides))}"


def check_environment(settings: Settings, environment: str) -> None:
    """Raise InvalidInput for an environment that is not declared."""
    from gennaker.errors import InvalidInput
    from gennaker.suggestions import suggest

    known = settings.project.load_settings().environments
    if environment not in known:
        raise InvalidInput(
            f"there is no environment {environment!r}",
            code="unknown-environment",
            hint=suggest(environment, known),
        )
