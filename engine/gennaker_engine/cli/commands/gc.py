"""``gennaker gc``: remove ended runs that the policy lets go, and the files that only they need."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from gennaker_engine.cli.options import command, output_option
from gennaker_engine.cli.settings import Settings, pass_settings

if TYPE_CHECKING:
    from gennaker_engine.runtime.retention import Policy, Removed

__all__ = ["gc_command"]

_NOUNS = {
    "artifacts": ("artifact", "artifacts"),
    "sources": ("source", "sources"),
    "logs": ("run's logs", "runs' logs"),
    "workspaces": ("left workspace", "left workspaces"),
    "cache": ("cached file", "cached files"),
}


def _read_duration(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    from gennaker.durations import parse_duration

    return None if value is None else parse_duration(value)


@command("gc")
@click.option(
    "--keep-last",
    type=click.IntRange(0),
    metavar="N",
    help="Keep the newest N ended runs of each pipeline; else retention.keep, 50.",
)
@click.option(
    "--older-than",
    metavar="DURATION",
    callback=_read_duration,
    help="Remove only what ended longer ago, like 30d; else retention.older_than, 90d.",
)
@click.option(
    "--keep-deploys",
    type=click.IntRange(1),
    metavar="N",
    help="Keep the newest N runs that deployed to each environment; else retention.deploys, 10.",
)
@click.option("--dry-run", is_flag=True, help="Only tell what would be removed.")
@click.option("--history", is_flag=True, help="Tell what was removed before, and by whom.")
@output_option("text", "json", "yaml")
@pass_settings
def gc_command(
    settings: Settings,
    *,
    keep_last: int | None,
    older_than: float | None,
    keep_deploys: int | None,
    dry_run: bool,
    history: bool,
    form: str,
) -> None:
    """Remove old runs and what only they need.

    A run goes when it has ended and no rule keeps it: not one of the newest of its pipeline, ended
    long enough ago, not one of the newest that deployed to an environment, not retried by a run
    that is kept. With it go its journal, its logs, and the artifacts and sources that no kept run
    mentions. Numbers of runs are never given again.
    """
    from gennaker_engine.cli.reading import has_state

    if not has_state(settings):
        settings.console.err("nothing to remove: there is no run yet")
        return
    if history:
        _tell_history(settings, form)
        return
    policy = _make_policy(settings, keep_last, older_than, keep_deploys)
    removed, sharer = _remove(settings, policy, dry_run=dry_run)
    if form != "text":
        from gennaker_engine.cli.render.data import print_data

        data = {
            "dry_run": dry_run,
            "policy": policy.to_data(),
            "counts": removed.count(),
            "runs": removed.runs,
        }
        print_data(settings.console, form, "Removal", data)
    else:
        _tell(settings, policy, removed, dry_run=dry_run)
    if sharer:
        settings.console.err(
            f"files are left alone: {sharer} uses {str(settings.state_folder.folder)!r}, too"
        )


def _make_policy(
    settings: Settings, keep: int | None, older_than: float | None, deploys: int | None
) -> Policy:
    from gennaker.durations import parse_duration
    from gennaker_engine.runtime.retention import Policy

    written = settings.project.load_settings().retention
    return Policy(
        keep=written.keep if keep is None else keep,
        older_than=parse_duration(written.older_than) if older_than is None else older_than,
        deploys=written.deploys if deploys is None else deploys,
    )


def _remove(settings: Settings, policy: Policy, *, dry_run: bool) -> tuple[Removed, str]:
    from gennaker_engine.cli.reading import read_journal
    from gennaker_engine.journal.opening import find_sharer
    from gennaker_engine.runtime.retention import Retention

    folder = settings.state_folder
    sharer = find_sharer(settings.state_url, folder.folder, project=settings.project.root)
    with read_journal(settings) as journal:
        retention = Retention(journal, folder, policy, sharer=sharer)
        if dry_run:
            return retention.preview(now=time.time()), sharer
        return retention.remove(actor=settings.actor, now=time.time()), sharer


def _tell(settings: Settings, policy: Policy, removed: Removed, *, dry_run: bool) -> None:
    from gennaker.durations import format_duration

    said = _describe(removed.count())
    done = "would remove" if dry_run else "removed"
    settings.console.out(f"{done} {said}" if said else "nothing to remove")
    if dry_run:
        for run in removed.runs:
            settings.console.out(f"  {run}")
    settings.console.err(
        f"kept: the last {policy.keep} of each pipeline, what ended within "
        f"{format_duration(policy.older_than)}, the last {policy.deploys} deploys of each environment"
    )


def _describe(counts: dict[str, Any]) -> str:
    """Return counts in words, empty when there is nothing."""
    from gennaker_engine.cli.render.text import tell_size

    said = []
    if counts["runs"]:
        runs = "run" if counts["runs"] == 1 else "runs"
        said.append(f"{counts['runs']} {runs} with {counts['events']} events")
    for kind, (one, many) in _NOUNS.items():
        found = counts.get(kind)
        if found and found["count"]:
            noun = one if found["count"] == 1 else many
            said.append(f"{found['count']} {noun} ({tell_size(found['size'])})")
    if counts["database"]:
        said.append(f"{tell_size(counts['database'])} of the journal's file")
    return ", ".join(said)


def _tell_history(settings: Settings, form: str) -> None:
    from gennaker_engine.cli.reading import read_journal
    from gennaker_engine.cli.render.data import print_data
    from gennaker_engine.cli.render.text import tell_time

    with read_journal(settings) as journal:
        found = journal.list_removals()
    if form == "text":
        for each in found:
            settings.console.out(
                f"{tell_time(each.at)}  {each.actor}  {_describe(dict(each.counts))}"
            )
        if not found:
            settings.console.err("nothing was removed yet")
        return
    items = [
        {
            "at": tell_time(each.at),
            "actor": each.actor,
            "policy": each.policy,
            "counts": each.counts,
        }
        for each in found
    ]
    print_data(settings.console, form, "RemovalList", {"items": items})
