"""Where in a file a piece of data stands; made by the composer, asked by whoever tells a problem."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from gennaker.errors import Location

__all__ = ["Marks", "Node", "Path", "Place"]

Path: TypeAlias = tuple[str | int, ...]
Place: TypeAlias = tuple[int, int]
"""Line and column, from 1."""


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

    def __init__(self, file: str, root: Node | Place, cut: frozenset[Place] = frozenset()) -> None:
        self.file = file
        self.cut = cut
        """Places of unquoted values that a comment follows; their text may have been cut off."""
        self._root = root

    @classmethod
    def of(cls, file: str, places: Mapping[Path, Place]) -> Marks:
        """Return the marks of data that did not come from YAML.

        Args:
            file: as shown in problems.
            places: path to line and column, of as many paths as are known.
        """
        root = Node(places.get((), (1, 1)))
        for path, place in sorted(places.items(), key=lambda each: len(each[0])):
            node = root
            for part in path:
                child = node.children.get(part)
                if not isinstance(child, Node):
                    child = Node(place)
                    node.children[part] = child
                    node.keys[part] = place
                node = child
        return cls(file, root)

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

    def is_cut(self, path: Path) -> bool:
        """Return whether a comment follows the unquoted value at ``path``."""
        found = self.at(path)
        return (found.line, found.column) in self.cut
