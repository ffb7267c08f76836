"""Machine output: versioned JSON, the same as YAML, names alone, or a table for people."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gennaker.records import dataclass
from gennaker_engine.cli.render.console import Console
from gennaker_engine.cli.render.table import render_table

__all__ = ["API_VERSION", "Listing", "print_data", "print_listing", "to_json", "to_yaml"]

API_VERSION = "gennaker.dev/v1"


def to_json(data: Any) -> str:
    """Return JSON for people and programs: indented, in the order given, not escaped."""
    return json.dumps(data, indent=2, ensure_ascii=False)


def to_yaml(data: Any) -> str:
    """Return the same data as YAML."""
    import yaml

    text: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)
    return text


def print_data(console: Console, form: str, kind: str, data: Mapping[str, Any]) -> None:
    """Print one thing as ``json`` or ``yaml``, with ``apiVersion`` and ``kind`` first."""
    whole = {"apiVersion": API_VERSION, "kind": kind, **data}
    console.out(to_yaml(whole) if form == "yaml" else to_json(whole))


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of things to print in one of four forms.

    Attributes:
        kind: kind of one item; the list's is ``KINDList``.
        items: what the machine forms print.
        name: gives an item's name (``-o name``).
        header: the table's columns.
        row: gives an item's cells, which may be styled.
        empty: what to tell on stderr when there is none.
    """

    kind: str
    items: Sequence[Mapping[str, Any]]
    name: Callable[[Mapping[str, Any]], str]
    header: Sequence[str]
    row: Callable[[Mapping[str, Any]], Sequence[str]]
    empty: str


def print_listing(console: Console, form: str, listing: Listing) -> None:
    """Print a list as ``table``, ``json``, ``yaml`` or ``name``."""
    if form in ("json", "yaml"):
        print_data(console, form, f"{listing.kind}List", {"items": list(listing.items)})
    elif not listing.items:
        console.err(listing.empty)
    elif form == "name":
        console.out("\n".join(listing.name(item) for item in listing.items))
    else:
        rows = [listing.row(item) for item in listing.items]
        width = console.width if console.out_is_terminal else None
        console.out(render_table(listing.header, rows, width=width, paint=console.paint))
