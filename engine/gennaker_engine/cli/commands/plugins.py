"""``gennaker plugins``: every plugin found, also the ones that cannot be used, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gennaker_engine.cli.options import command, output_option
from gennaker_engine.cli.settings import Settings, pass_settings

__all__ = ["plugins_command"]


@command("plugins")
@output_option("table", "json", "yaml", "name")
@pass_settings
def plugins_command(settings: Settings, form: str) -> None:
    """List every plugin found, also the broken ones.

    A broken, clashing or too old plugin is told with its reason; the others work.
    """
    from gennaker_engine.cli.render.data import Listing, print_listing

    console = settings.console
    items = [
        {
            "group": info.group,
            "name": info.name,
            "distribution": info.distribution,
            "version": info.version,
            "value": info.value,
            "summary": info.summary,
            "error": None
            if info.error is None
            else {
                "code": info.error.code,
                "message": info.error.message,
                "hint": info.error.hint,
            },
        }
        for info in settings.registry.list()
    ]

    def row(item: Mapping[str, Any]) -> Sequence[str]:
        error = item["error"]
        told = item["summary"] if error is None else f"{error['code']}: {error['message']}"
        state = console.paint("ok", "green") if error is None else console.paint("broken", "red")
        origin = f"{item['distribution']} {item['version']}".strip()
        return item["group"], item["name"], state, origin, told

    print_listing(
        console,
        form,
        Listing(
            kind="Plugin",
            items=items,
            name=lambda item: f"{item['group']}/{item['name']}",
            header=("group", "name", "state", "from", "what"),
            row=row,
            empty="no plugin is installed",
        ),
    )
