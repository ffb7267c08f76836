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
    return _matches(path.split("/"), parts)


def _matches(path: list[str], pattern: list[str]) -> bool:
    if not pattern:
        return not path
    first, rest = pattern[0], pattern[1:]
    if first == "**":
        if not rest:
            return bool(path) and not any(each.startswith(".") for each in path)
        return _matches(path, rest) or (
            bool(path) and not path[0].startswith(".") and _matches(path[1:], pattern)
        )
    if not path or (path[0].startswith(".") and not first.startswith(".")):
        return False
    return bool(_compile(first).match(path[0])) and _matches(path[1:], rest)


@lru_cache(maxsize=256)
def _compile(part: str) -> re.Pattern[str]:
    return re.compile(translate(part))


def _walk(folder: Path, before: str) -> Iterator[str]:
    for at, _, files in os.walk(folder):
        inside = Path(at).relative_to(folder).as_posix()
        prefix = before if inside == "." else f"{before}{inside}/"
        for name in files:
            yield f"{prefix}{name}"
