"""``gennaker artifacts``: what the stages of a run made, listed and fetched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gennaker_engine.cli.completion import complete_artifacts
from gennaker_engine.cli.options import command, output_option, run_argument
from gennaker_engine.cli.settings import Settings, pass_settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gennaker_engine.core.events import Event

__all__ = ["artifacts_command", "find_artifacts"]

_KEYS = {"digest", "size", "media_type"}


@command("artifacts")
@run_argument
@click.argument("name", metavar="[ARTIFACT]", required=False, shell_complete=complete_artifacts)
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path),
    help="Where to write it; the default is its name in the current folder.",
)
@output_option("table", "json", "yaml", "name")
@pass_settings
def artifacts_command(
    settings: Settings, *, run: str, name: str | None, target: Path | None, form: str
) -> None:
    """List or fetch what a run made.

    ARTIFACT is a name of the list, like image.layout, or a digest. A folder is written as a folder;
    nothing that exists is overwritten.
    """
    from gennaker_engine.cli.reading import load_events, read_journal
    from gennaker_engine.cli.render.data import Listing, print_listing
    from gennaker_engine.cli.render.text import tell_size
    from gennaker_engine.journal.lookup import resolve_run

    with read_journal(settings) as journal:
        row = resolve_run(journal, run)
        events = [event for _, event in load_events(journal, row.run)]
    found = list(find_artifacts(events))
    if name is not None:
        _fetch(settings, found, name, target)
        return
    if target is not None:
        raise click.UsageError("--to needs an ARTIFACT", click.get_current_context())
    print_listing(
        settings.console,
        form,
        Listing(
            kind="Artifact",
            items=found,
            name=lambda item: str(item["name"]),
            header=("artifact", "size", "type", "digest"),
            row=lambda item: (
                item["name"],
                tell_size(item["size"]),
                item["media_type"],
                item["digest"],
            ),
            empty=f"run {row.run!r} made no artifacts",
        ),
    )


def find_artifacts(events: Iterable[Event]) -> Iterator[dict[str, Any]]:
    """Yield ``{name, stage, digest, size, media_type}`` of every artifact in a run's outputs."""
    from gennaker_engine.core.events import AttemptEnded, ReuseWithdrawn, RunCreated

    latest: dict[str, Mapping[str, Any]] = {}
    for event in events:
        if isinstance(event, RunCreated):
            latest.update({name: each.get("outputs") or {} for name, each in event.reused.items()})
        elif isinstance(event, ReuseWithdrawn):
            latest = {name: each for name, each in latest.items() if name not in event.stages}
        elif isinstance(event, AttemptEnded) and event.outputs:
            latest[event.instance] = event.outputs
    for instance, outputs in latest.items():
        for path, value in _walk(outputs, instance):
            yield {"name": path, "stage": instance, **{key: value[key] for key in sorted(_KEYS)}}


def _walk(value: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(value, Mapping):
        if set(value) == _KEYS and str(value["digest"]).startswith("sha256:"):
            yield path, value
            return
        for key, inner in value.items():
            yield from _walk(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _walk(inner, f"{path}.{index}")


def _fetch(settings: Settings, found: list[dict[str, Any]], name: str, target: Path | None) -> None:
    from gennaker.errors import InvalidInput
    from gennaker.stage import Artifact
    from gennaker.suggestions import suggest
    from gennaker_engine.storage.artifacts import ArtifactFolder

    chosen = next((each for each in found if name in (each["name"], each["digest"])), None)
    if chosen is None:
        raise InvalidInput(
            f"there is no artifact {name!r} in this run",
            code="unknown-artifact",
            hint=suggest(name, [str(each["name"]) for each in found]),
        )
    path = target or Path(str(chosen["name"]))
    if path.exists() or path.is_symlink():
        raise InvalidInput(
            f"{str(path)!r} exists already", code="exists", hint="name another place with --to"
        )
    store = ArtifactFolder(settings.state_folder.artifacts)
    store.lay(Artifact(**{key: chosen[key] for key in _KEYS}), path)
    settings.console.err(f"wrote {path}")
