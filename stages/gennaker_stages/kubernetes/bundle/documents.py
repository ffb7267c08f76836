"""Documents of a bundle that is being made: their text, and where each is from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

from gennaker.errors import PermanentError
from gennaker.records import dataclass
from gennaker_stages.kubernetes.bundle.objects import name_of

__all__ = ["MAX_BUNDLE", "Document", "join_documents", "read_documents"]

MAX_BUNDLE = 10 << 20
_OPENING = re.compile(r"\A---[ \t]*(?:\n|\Z)?")
# A backslash that is escaped itself is passed over.
_PAIR = re.compile(rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")


@dataclass(frozen=True, slots=True)
class Document:
    """One document.

    Attributes:
        source: the file or template it is from.
        text: as it was written.
        names: ``Kind/name`` of each object in it.
        data: what it holds, as a JSON list, when whoever made it has read it already.
    """

    source: str
    text: str
    names: Sequence[str]
    data: str | None = None


def read_documents(content: bytes, source: str) -> list[Document]:
    """Return the documents of a YAML or JSON text that have objects.

    Raises:
        BundleError: with every problem: what is no YAML, what is no object.
    """
    from gennaker_stages.kubernetes.bundle.checking import BundleError
    from gennaker_stages.kubernetes.bundle.reading import read_items

    items, problems = read_items(_join_pairs(content), source)
    if problems:
        raise BundleError(problems)
    found: dict[int, tuple[str, list[str]]] = {}
    for each in items:
        if each.origin is not None:
            text = _OPENING.sub("", each.origin.text)
            found.setdefault(each.origin.line, (text, []))[1].append(name_of(each.body))
    return [Document(source, text, names) for text, names in found.values()]


def _join_pairs(content: bytes) -> bytes:
    """Write the pairs of escapes by which JSON says characters beyond U+FFFF as these: YAML has none."""
    if b"\\ud" not in content.lower():
        return content
    try:
        json.loads(content)
    except (ValueError, RecursionError):  # in YAML the same may be plain text
        return content

    def join(found: re.Match[bytes]) -> bytes:
        text = found[0]
        return text if text == b"\\\\" else str(json.loads(b'"%s"' % text)).encode()

    return _PAIR.sub(join, content)


def join_documents(documents: Iterable[Document]) -> bytes:
    """Return a bundle's bytes: each document with where it is from.

    Raises:
        PermanentError: code ``bundle-size``.
    """
    from gennaker_stages.kubernetes.bundle.reading import MEMORY

    parts = []
    for each in documents:
        end = "" if each.text.endswith("\n") else "\n"
        part = f"---\n# Source: {each.source}\n{each.text}{end}"
        if each.data is not None:
            MEMORY.keep(part, each.data)
        parts.append(part)
    content = "".join(parts).encode("utf-8", "surrogateescape")
    if len(content) > MAX_BUNDLE:
        raise PermanentError(
            f"the bundle has {len(content)} bytes, more than {MAX_BUNDLE}",
            code="bundle-size",
            hint="deploy it in parts",
        )
    return content
