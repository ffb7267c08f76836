"""Image references as Docker spells them (distribution/reference: grammar in reference.go)."""

from __future__ import annotations

import re
from dataclasses import replace

from gennaker.errors import PermanentError
from gennaker.records import dataclass

__all__ = ["ImageReference", "parse_reference", "parse_tag"]

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::\d{1,5})?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
# Not of a reference, but of an address that somebody took for one; no message has it.
_CREDENTIALS = re.compile(r"^[^/@]*:[^/@]*@(?=[^/]+/)")


@dataclass(frozen=True, slots=True)
class ImageReference:
    """``host/repository:tag@digest``; ``host`` is ``docker.io`` when none is written."""

    host: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @property
    def name(self) -> str:
        """Host and repository, what a digest is put behind."""
        return f"{self.host}/{self.repository}"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.name}{tag}{f'@{self.digest}' if self.digest else ''}"


def parse_reference(text: str) -> ImageReference:
    """Return the parts of a reference.

    Raises:
        PermanentError: code ``image-reference``.
    """
    rest, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise _refuse(text, "the digest is not 'sha256:' and 64 hexadecimal digits")
    first, slash, remaining = rest.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        host, path = first, remaining
    else:
        host, path = "docker.io", rest if slash else f"library/{rest}"
    path, colon, tag = path.partition(":")
    if not _HOST.fullmatch(host):
        raise _refuse(text, f"{host!r} is not a host")
    if not _REPOSITORY.fullmatch(path):
        raise _refuse(text, f"{path!r} is not a repository; it has lower-case letters only")
    if colon and not _TAG.fullmatch(tag):
        raise _refuse(text, f"{tag!r} is not a tag")
    return ImageReference(host, path, tag or None, digest or None)


def parse_tag(text: str) -> ImageReference:
    """Return the parts of a reference that an image is given; ``latest`` when it has no tag.

    Raises:
        PermanentError: code ``image-reference``, also for one by digest: that follows from the image.
    """
    found = parse_reference(text)
    if found.digest is not None:
        raise _refuse(text, "a tag names no digest", what="tag")
    return replace(found, tag=found.tag or "latest")


def _refuse(text: str, why: str, what: str = "image reference") -> PermanentError:
    return PermanentError(
        f"{_CREDENTIALS.sub('***@', text)!r} is no {what}: {why}",
        code="image-reference",
        hint="write it like 'registry.test/shop:1.4.0'",
    )
