"""What reading a YAML text gives, and what it may cost."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from gennaker.errors import Problem
from gennaker.records import dataclass
from gennaker.yamltext.marks import Marks

__all__ = ["MANIFEST_LIMITS", "Document", "Limits", "Schema"]

Schema: TypeAlias = Literal["1.2", "1.1"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a YAML text may cost.

    Attributes:
        size: bytes of UTF-8.
        depth: collections inside each other.
        nodes: nodes as written.
        expansion: how many times the written nodes the data may have once aliases are followed.
    """

    size: int = 1 << 20
    depth: int = 64
    nodes: int = 100_000
    expansion: int = 10


MANIFEST_LIMITS = Limits(size=10 << 20, nodes=1_000_000)
"""For rendered manifests, which no person wrote."""


@dataclass(frozen=True, slots=True)
class Document:
    """One document as plain data.

    Attributes:
        data: dicts with string keys, lists, strings, numbers, booleans and None. Aliased parts are
            one shared object: never change it in place.
        marks: the place of every node.
        warnings: problems that do not make it invalid.
    """

    data: Any
    marks: Marks
    warnings: tuple[Problem, ...] = ()
