"""``gennaker blame``: which deploy, or which other manager, set the fields of a live object."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from gennaker_engine.cli.commands.environments import (
    check_environment,
    environment_argument,
    sandbox_option,
    tell_by,
)
from gennaker_engine.cli.exit_codes import SUCCEEDED
from gennaker_engine.cli.options import command, output_option
from gennaker_engine.cli.settings import Settings, pass_settings

if TYPE_CHECKING:
    from gennaker_engine.cli.render.console import Console
    from gennaker_engine.environments.blame import Blame, BlamedField

__all__ = ["blame_command"]

_HEADER = ("field", "value", "from", "stage", "commit", "since", "by")
_MARKS = {"first": " or earlier", "last": " (last)", "time": " (by the time)"}


@command("blame")
@environment_argument
@click.argument("thing", metavar="KIND/NAME")
@click.argument("path", metavar="[FIELD]", required=False, default="")
@sandbox_option
@output_option("table", "json", "yaml")
@pass_settings
def blame_command(
    settings: Settings, *, environment: str, thing: str, path: str, sandbox: bool, form: str
) -> int:
    """Tell who set the fields of what is live.

    Of what Gennaker deployed the run that first had the value, with its commit, who started it and
    who approved it; of other fields which manager, and when. FIELD is a path,
    spec.template.spec.containers[web].image for example; all below it is told.
    """
    from gennaker.errors import InvalidInput
    from gennaker_engine.cli.render.data import print_data
    from gennaker_engine.environments.blame import find_blame

    check_environment(settings, environment)
    kind, slash, name = thing.partition("/")
    if not (kind and slash and name):
        raise InvalidInput(f"{thing!r} is not KIND/NAME", code="usage", hint="write Deployment/web")
    engine, console = settings.open_engine(), settings.console
    blame = find_blame(engine, environment, (kind, name), path=path, sandbox=sandbox)
    if form != "table":
        fields = [each.to_data() for each in blame.fields]
        data = {"environment": environment, "what": blame.what, "fields": fields}
        print_data(console, form, "Blame", data)
    else:
        _tell(console, blame)
    return SUCCEEDED


def _tell(console: Console, blame: Blame) -> None:
    from gennaker_engine.cli.render.table import render_table
    from gennaker_engine.cli.render.text import tell_count

    now = time.time()
    rows = [_make_row(each, now) for each in blame.fields]
    width = console.width if console.out_is_terminal else None
    console.out(render_table(_HEADER, rows, width=width, paint=console.paint))
    if not any(owner.ours for each in blame.fields for owner in each.live.owners):
        console.err("no deploy set any of it")
    if blame.defaults:
        told = tell_count(blame.defaults, "more field")
        console.err(f"{blame.what} has {told} that nobody set: defaults")


def _make_row(blamed: BlamedField, now: float) -> list[str]:
    from gennaker_engine.cli.render.text import clean, tell_ago
    from gennaker_engine.cli.render.wording import tell_value

    data = blamed.to_data()
    value = "(secret)" if data.get("hidden") else clean(tell_value(data["value"]))
    others = [each for each in blamed.live.owners if not each.ours]
    names = [each.name for each in others]
    deploy: dict[str, Any] = data.get("deploy") or {}
    since: float | None
    if blamed.deployed is not None:
        row, fate = blamed.deployed.row, blamed.deployed.fate
        fate = f" ({fate.removeprefix('which ')})" if fate else ""
        names.insert(0, f"{row.run}{fate}{_MARKS.get(blamed.known_by or '', '')}")
        since = row.ended_at or row.started_at
    else:
        names = [each.name for each in blamed.live.owners] or ["(default)"]
        times = [each.at for each in blamed.live.owners if each.at]
        since = datetime.fromisoformat(max(times)).timestamp() if times else None
    commit = str(deploy.get("commit") or "")[:9]
    changed = "+changes" if deploy.get("dirty") else ""
    return [
        clean(blamed.live.path),
        value,
        clean(", ".join(names)),
        deploy.get("stage", ""),
        f"{commit}{changed}" if commit else "",
        tell_ago(since, now),
        tell_by(deploy),
    ]
