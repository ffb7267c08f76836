"""``gennaker stages``: the stage types that are installed, and one of them with all it takes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from gennaker_engine.cli.completion import complete_stage_types
from gennaker_engine.cli.options import command, output_option
from gennaker_engine.cli.render.console import Console
from gennaker_engine.cli.settings import Settings, pass_settings

if TYPE_CHECKING:
    from gennaker.stage import Stage

__all__ = ["describe_stage", "stages_command"]


@command("stages")
@click.argument("uses", metavar="[TYPE]", required=False, shell_complete=complete_stage_types)
@output_option("table", "json", "yaml", "name")
@pass_settings
def stages_command(settings: Settings, uses: str | None, form: str) -> None:
    """List the stage types, or describe one.

    With TYPE: its inputs and outputs.
    """
    from gennaker_engine.cli.render.data import Listing, print_data, print_listing

    if uses is not None:
        described = describe_stage(settings.registry.stage(uses))
        if form == "table":
            _print_stage(settings.console, described)
        elif form == "name":
            settings.console.out(described["name"])
        else:
            print_data(settings.console, form, "StageType", described)
        return
    listed = [info for info in settings.registry.list() if info.group == "stages"]
    usable = [info for info in listed if info.error is None]
    items = [describe_stage(settings.registry.stage(info.name)) for info in usable]
    print_listing(
        settings.console,
        form,
        Listing(
            kind="StageType",
            items=items,
            name=lambda item: str(item["name"]),
            header=("type", "effect", "what"),
            row=lambda item: (item["name"], item["effect"], item["summary"]),
            empty="no stage type is installed",
        ),
    )
    if len(usable) < len(listed):
        number = len(listed) - len(usable)
        settings.console.err(f"{number} more cannot be used; 'gennaker plugins' says why")


def describe_stage(stage: type[Stage]) -> dict[str, Any]:
    """Return a stage type as data: name, effect, documentation, inputs and outputs by name."""
    text = inspect.cleandoc(stage.__doc__ or "")
    own_effect = "find_effect" in vars(stage)
    return {
        "name": stage.name,
        "effect": "depends on its inputs" if own_effect else stage.effect,
        "summary": text.partition("\n")[0],
        "description": text,
        "inputs": _describe_fields(stage.Inputs.model_json_schema()),
        "outputs": _describe_fields(stage.Outputs.model_json_schema(mode="serialization")),
    }


def _describe_fields(schema: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    definitions = schema.get("$defs", {})
    required = schema.get("required", ())
    described = {}
    for name, value in schema.get("properties", {}).items():
        field: dict[str, Any] = {
            "type": _tell_type(value, definitions),
            "required": name in required,
        }
        if value.get("default") is not None:
            field["default"] = value["default"]
        if value.get("description"):
            field["description"] = " ".join(value["description"].split())
        described[name] = field
    return described


def _tell_type(value: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """Return the type of a JSON schema in a few words."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return _tell_type(definitions.get(name, {}), definitions)
    if value.get("x-gennaker-secret"):
        return "secret"
    if "const" in value:
        return repr(value["const"])
    if "enum" in value:
        return " | ".join(map(repr, value["enum"]))
    for key in ("anyOf", "oneOf"):
        if key in value:
            several = [_tell_type(each, definitions) for each in value[key]]
            return " | ".join(dict.fromkeys(each for each in several if each != "null"))
    kind = value.get("type")
    if kind == "array":
        return f"list of {_tell_type(value.get('items', {}), definitions)}"
    if kind == "object" and isinstance(value.get("additionalProperties"), Mapping):
        return f"map of {_tell_type(value['additionalProperties'], definitions)}"
    if kind == "object" and value.get("title") == "Artifact":
        return "artifact"
    return str(kind or "any")


def _print_stage(console: Console, described: Mapping[str, Any]) -> None:
    from gennaker_engine.cli.render.table import render_table
    from gennaker_engine.cli.render.wording import tell_value

    console.out(f"{console.paint(described['name'], 'bold')}  (effect: {described['effect']})")
    console.out("")
    console.out(described["description"] or "It has no description.")
    width = console.width if console.out_is_terminal else None
    for title in ("inputs", "outputs"):
        rows = [
            (
                name,
                field["type"],
                "required"
                if title == "inputs" and field["required"]
                else tell_value(field["default"])
                if "default" in field
                else "",
                field.get("description", ""),
            )
            for name, field in described[title].items()
        ]
        console.out("")
        if not rows:
            console.out(f"No {title} of its own.")
            continue
        header = (title, "type", "default" if title == "inputs" else "", "what")
        console.out(render_table(header, rows, width=width, paint=console.paint))
