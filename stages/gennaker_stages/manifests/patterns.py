"""Which files a pattern names: a file, a folder, or a glob with ``*``, ``?``, ``[…]`` and ``**``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from fnmatch import translate
from functools import lru_cache
from pathlib import Path

from gennaker.paths import join_inside

__all__ = ["find_base", "find_files", "matches"]

ENDINGS = (".yaml", ".yml", ".json")
_MAGIC = re.compile(r"[*?\[]")


def find_files(root: Path, pattern: str) -> list[str]:
    """Return the files a pattern names, relative to ``root``, in the order of their names.

    A file is taken whatever it is called; of a folder (those right in it), and of a glob, what ends
    like YAML or JSON. Names that begin with a dot are found only by patterns that have the dot.

    Raises:
        InvalidInput: code ``path-outside``.
    """
    if not _MAGIC.search(pattern):
        path = join_inside(root, pattern)
        if path.is_file():
            return [pattern]
        pattern = f"{pattern.rstrip('/')}/*" if pattern.strip("/.") else "*"
    base = find_base(pattern)
    found = [
        each
        for each in _walk(join_inside(root, base), "" if base == "." else f"{base}/")
        if each.endswith(ENDINGS) and matches(each, pattern)
    ]
    for each in found:
        join_inside(root, each)  # a link may lead anywhere
    return sorted(found)


def find_base(pattern: str) -> str:
    """Return what of a pattern is plain: the file itself, or the folder below which a glob looks."""
    parts: list[str] = []
    for part in pattern.split("/"):
        if _MAGIC.search(part):
            return "/".join(parts) or "."
        parts.append(part)
    return pattern


def matches(path: str, pattern: str) -> bool:
    """Return whether a path is what the pattern says, part by part; ``**`` is any number of parts."""
    parts = [each for each in pattern.split("/") if each not in ("", ".")]
    # Where in the pattern one may stand: each place is tried once a part, however many '**' there are.
    places = _pass_stars({0}, parts)
    for name in path.split("/"):
        places = _pass_stars(set().union(*(_step(at, name, parts) for at in places)), parts)
    return len(parts) in places


def _step(at: int, name: str, parts: list[str]) -> set[int]:
    """Return the places after one part of the path; ``**`` takes it and stays."""
    if at == len(parts):
        return set()
    if name.startswith(".") and not parts[at].startswith("."):
        return set()
    if parts[at] == "**":
        return {at, at + 1} if at == len(parts) - 1 else {at}
    return {at + 1} if _compile(parts[at]).match(name) else set()


def _pass_stars(places: set[int], parts: list[str]) -> set[int]:
    """Return the places with those behind each ``**``: it may take nothing, unless it is the last part."""
    for at in sorted(places):
        while at < len(parts) - 1 and parts[at] == "**":
            at += 1
            places.add(at)
    return places


@lru_cache(maxsize=256)
def _compile(part: str) -> re.Pattern[str]:
    return re.compile(translate(part))


def _walk(folder: Path, before: str) -> Iterator[str]:
    for at, _, files in os.walk(folder):
        inside = Path(at).relative_to(folder).as_posix()
        prefix = before if inside == "." else f"{before}{inside}/"
        for name in files:
            yield f"{prefix}{name}"
