"""``gennaker sandbox``: start, stop and look at the sandbox of a state folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gennaker_engine.cli.exit_codes import FAILED, SUCCEEDED
from gennaker_engine.cli.options import command, output_option
from gennaker_engine.cli.settings import Settings, pass_settings

if TYPE_CHECKING:
    from gennaker.target import RunningSandbox, Target

__all__ = ["sandbox_command"]


@command("sandbox")
@click.argument(
    "action", metavar="start|stop|status", type=click.Choice(["start", "stop", "status"])
)
@output_option("text", "json", "yaml")
@pass_settings
def sandbox_command(settings: Settings, action: str, form: str) -> int:
    """Start, stop or show the sandbox of this state folder.

    Every run with --sandbox uses it: one process, a cluster for each environment. It starts by itself
    and ends when nobody uses it; 'start' makes it stay until 'stop'. What it holds outlives it.

    'start' and 'status' tell the kubeconfig, which has a context for each environment; 'status' ends
    with exit code 1 when the sandbox does not run.
    """
    if action == "stop":
        return _stop(settings, form)
    found = _find(settings, start=action == "start")
    if action == "start" and not found:
        from gennaker.errors import InvalidInput

        raise InvalidInput(
            f"no environment of project {settings.project.name!r} has a target with a sandbox",
            code="no-sandbox",
            hint="give one in gennaker.yaml a target: environments: {staging: {kubernetes: {}}}",
        )
    if form != "text":
        _print(settings, form, found)
    elif found:
        _tell(settings, found)
    else:
        settings.console.err("the sandbox does not run; start it with 'gennaker sandbox start'")
    return SUCCEEDED if found else FAILED


def _stop(settings: Settings, form: str) -> int:
    folder = settings.state_folder.folder
    ended = [name for name, target in _list_targets(settings) if target.stop_sandbox(state=folder)]
    if form != "text":
        _print(settings, form, {})
    elif ended:
        settings.console.err("the sandbox has ended; what it holds is kept")
    else:
        settings.console.err("the sandbox does not run")
    return SUCCEEDED


def _find(settings: Settings, *, start: bool) -> dict[str, tuple[list[str], RunningSandbox]]:
    """Return, by target, its environments and the sandbox that runs for them."""
    from gennaker_engine.runtime.world import validate_target

    environments = settings.project.load_settings().environments
    found = {}
    for name, target in _list_targets(settings):
        own = {
            key: validate_target(type(target), key, each)
            for key, each in environments.items()
            if each.target == name
        }
        if not own:
            continue
        running = target.find_sandbox(own, state=settings.state_folder.folder, start=start)
        if running is not None:
            found[name] = (list(own), running)
    return found


def _list_targets(settings: Settings) -> list[tuple[str, Target]]:
    """Return every target that can be used: a sandbox may outlive the environment it was made for."""
    return [
        (info.name, settings.registry.target(info.name)())
        for info in settings.registry.list()
        if info.group == "targets" and info.error is None
    ]


def _print(
    settings: Settings, form: str, found: dict[str, tuple[list[str], RunningSandbox]]
) -> None:
    from gennaker_engine.cli.render.data import print_data

    data: dict[str, Any] = {"running": bool(found)}
    for _, running in found.values():
        data |= running.access
    data["targets"] = [
        {"name": name, "url": running.url, "pid": running.pid, "environments": environments}
        for name, (environments, running) in found.items()
    ]
    print_data(settings.console, form, "Sandbox", data)


def _tell(settings: Settings, found: dict[str, tuple[list[str], RunningSandbox]]) -> None:
    rows = []
    for name, (environments, running) in found.items():
        rows.append((name, f"{running.url}, process {running.pid}"))
        rows += running.access.items()
        rows.append(("contexts", ", ".join(environments)))
    width = max(len(head) for head, _ in rows)
    for head, text in rows:
        settings.console.out(f"{head.ljust(width)}  {text}")
