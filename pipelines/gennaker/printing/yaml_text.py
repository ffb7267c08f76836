"""YAML as a person writes it: block style, short lists in a line, scripts as literal blocks."""

from __future__ import annotations

import re
from typing import Any

import yaml

from gennaker.yamltext.traps import BIDIRECTIONAL

__all__ = ["print_yaml"]

# What YAML 1.2's core schema reads as something else than a string (spec 1.2.2, section 10.3.2)
# and PyYAML, which follows 1.1, would leave unquoted.
_CORE = re.compile(
    r"~|null|Null|NULL|true|True|TRUE|false|False|FALSE"
    r"|[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"
    r"|[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_SHORT = 60


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def write_double_quoted(self, text: str, split: bool = True) -> None:
        # What hides the text that is read stands in a file as an escape only.
        self.allow_unicode = not re.search(BIDIRECTIONAL, text)
        super().write_double_quoted(text, split)
        self.allow_unicode = True


def _represent_text(dumper: _Dumper, text: str) -> yaml.Node:
    style = None
    if _CORE.fullmatch(text) or re.search(BIDIRECTIONAL, text):
        style = '"'
    elif "\n" in text and not re.search(r"[ \t]\n|[^\n\t\x20-\x7e\xa0-\ud7ff]|^\s", text):
        style = "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _represent_list(dumper: _Dumper, values: list[Any]) -> yaml.Node:
    node = dumper.represent_sequence("tag:yaml.org,2002:seq", values)
    plain = all(isinstance(each, int | float | str) and "\n" not in str(each) for each in values)
    node.flow_style = plain and sum(len(str(each)) + 2 for each in values) <= _SHORT
    return node


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(list, _represent_list)


def print_yaml(data: dict[str, Any]) -> str:
    """Return a pipeline's plain data as a file, with the short forms people use."""
    shown = dict(data)
    for section in ("stages", "finally"):
        if section in shown:
            shown[section] = {name: _shorten(stage) for name, stage in shown[section].items()}
    if isinstance(shown.get("defaults"), dict):
        shown["defaults"] = _shorten(shown["defaults"])
    return yaml.dump(
        shown,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=100,
        default_flow_style=False,
    )


def _shorten(stage: dict[str, Any]) -> dict[str, Any]:
    shown = dict(stage)
    if len(shown.get("needs", ())) == 1:
        shown["needs"] = shown["needs"][0]
    if set(shown.get("retry", ())) == {"limit"}:
        shown["retry"] = shown["retry"]["limit"]
    return shown
