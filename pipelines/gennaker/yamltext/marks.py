"""Where in a file a piece of data stands; made by the composer, asked by whoever tells a problem."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeAlias

from gennaker.errors import Location

__all__ = ["Marks", "Node", "Path", "Place", "PlaceMap", "Places"]

Path: TypeAlias = tuple[str | int, ...]
Place: TypeAlias = tuple[int, int]
"""Line and column, from 1."""


class Places(Protocol):
    """What knows where data was written, whatever language it was written in."""

    file: str

    def at(self, path: Path = (), *, key: bool = False) -> Location:
        """Return the place of ``path``, or the nearest place around it that is known."""

    def find_comment(self, path: Path) -> str:
        """Return the comment that follows the unquoted value at ``path``, or nothing."""


class PlaceMap:
    """The places of data that did not come from YAML, of as many paths as are known."""

    __slots__ = ("_places", "file")

    def __init__(self, file: str, places: Mapping[Path, Location]) -> None:
        self.file = file
        self._places = places

    def at(self, path: Path = (), *, key: bool = False) -> Location:
        """Return the place of ``path``, or the nearest place around it that is known."""
        for end in range(len(path), -1, -1):
            found = self._places.get(path[:end])
            if found is not None:
                return found
        return Location(self.file)

    def find_comment(self, path: Path) -> str:
        """Return nothing: only YAML takes the end of a value for a comment."""
        return ""


class Node:
    """The place of one collection and of what is in it."""

    __slots__ = ("children", "keys", "place")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.keys: dict[str | int, Place] = {}
        self.children: dict[str | int, Node | Place] = {}


class Marks:
    """Finds the place of a path in one document."""

    __slots__ = ("_root", "cut", "file")

    def __init__(
        self, file: str, root: Node | Place, cut: Mapping[Place, str] | None = None
    ) -> None:
        self.file = file
        self.cut = cut or {}
        """Comments by the place of the unquoted value they follow, which they may have cut off."""
        self._root = root

    def at(self, path: Path = (), *, key: bool = False) -> Location:
        """Return the place of ``path``, or the nearest place around it that is known.

        Args:
            path: keys and indexes from the root.
            key: the place of the last key instead of its value's.
        """
        node = self._root
        place = node.place if isinstance(node, Node) else node
        for index, part in enumerate(path):
            if not isinstance(node, Node) or part not in node.children:
                break
            child = node.children[part]
            if key and index == len(path) - 1 and part in node.keys:
                place = node.keys[part]
            else:
                place = child.place if isinstance(child, Node) else child
            node = child
        return Location(self.file, *place)

    def find_comment(self, path: Path) -> str:
        """Return the comment that follows the unquoted value at ``path``, or nothing."""
        found = self.at(path)
        return self.cut.get((found.line or 0, found.column or 0), "")
