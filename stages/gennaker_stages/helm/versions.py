"""Version constraints as Helm reads them: a chart's ``kubeVersion``, and which chart is wanted.

The grammar and the meaning are those of Masterminds/semver 3, which Helm uses: ``>=1.25.0-0``,
``^1.2``, ``~1.3.x``, ``1.25 - 1.30``, parts joined by a comma or a space, ranges by ``||``. As Helm 4
does, what a vendor adds to a cluster's version (``1.30.1-gke.5``) is left out of the comparison. Of
charts, a pre-release is taken only when the part that it is within names one, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from gennaker.records import dataclass

__all__ = ["Version", "choose_version", "is_compatible", "parse_version", "sort_versions"]

_IDENTIFIERS = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_VERSION = re.compile(
    rf"v?(\d{{1,9}})(?:\.(\d{{1,9}}))?(?:\.(\d{{1,9}}))?(?:-({_IDENTIFIERS}))?(?:\+{_IDENTIFIERS})?"
)
_WILD = r"[xX*]"
_PART = rf"(\d{{1,9}}|{_WILD})"
_PARTIAL = rf"v?{_PART}(?:\.{_PART})?(?:\.{_PART})?(?:-({_IDENTIFIERS}))?(?:\+{_IDENTIFIERS})?"
_OPERATOR = r"=>|>=|=<|<=|~>|!=|[=<>~^]|"
_TERM = re.compile(rf"\s*({_OPERATOR})\s*{_PARTIAL}(?:\s*,\s*(?=\S)|\s+|$)")
_HYPHEN = re.compile(rf"\s*({_PARTIAL})\s+-\s+({_PARTIAL})\s*")
_SAME = {"=>": ">=", "=<": "<=", "~>": "~", "=": ""}


@dataclass(frozen=True, slots=True)
class Version:
    """A version; missing parts are 0. ``known`` says how many of the three parts were written."""

    parts: tuple[int, int, int]
    prerelease: str = ""
    known: int = 3

    @property
    def key(self) -> tuple[object, ...]:
        """What versions are ordered by (semver.org, section 11)."""
        words = self.prerelease.split(".") if self.prerelease else []
        ranks = [(0, int(each), "") if each.isdigit() else (1, 0, each) for each in words]
        return (self.parts, not self.prerelease, ranks)


def parse_version(text: str) -> Version:
    """Return a version as Helm reads one: ``v`` may stand before it, parts may be missing.

    Raises:
        ValueError: it is none.
    """
    match = _VERSION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a version")
    return _make_version(match.groups())


def is_compatible(constraint: str, version: Version) -> bool:
    """Return whether ``version`` is within the constraint.

    Raises:
        ValueError: the constraint cannot be read.
    """
    ranges = [list(_read_terms(each, constraint)) for each in constraint.split("||")]
    plain = replace(version, prerelease="")
    return any(all(_holds(*term, plain) for term in terms) for terms in ranges)


def choose_version(constraint: str, offered: Iterable[str]) -> str | None:
    """Return the newest of the offered versions that is within the constraint, None without one.

    What is offered under exactly this name is taken first, and what is no version never, as Helm does
    (helm/helm, pkg/repo/v1/index.go).

    Args:
        constraint: empty for the newest that is no pre-release.
        offered: as they are written.

    Raises:
        ValueError: the constraint cannot be read.
    """
    known = list(offered)
    if constraint and constraint in known:
        return constraint
    ranges = [list(_read_terms(each, constraint)) for each in (constraint or "*").split("||")]
    best: tuple[tuple[object, ...], str] | None = None
    for each in known:
        match = _VERSION.fullmatch(each)
        if match is None:
            continue
        version = _make_version(match.groups())
        fits = any(_is_within(terms, version) for terms in ranges)
        if fits and (best is None or version.key > best[0]):
            best = (version.key, each)
    return best[1] if best else None


def sort_versions(offered: Iterable[str]) -> list[str]:
    """Return what of the offered is a version, the newest first."""
    known = [(_VERSION.fullmatch(each), each) for each in offered]
    found = [(_make_version(match.groups()).key, each) for match, each in known if match]
    return [each for _, each in sorted(found, reverse=True)]


def _is_within(terms: list[tuple[str, Version]], version: Version) -> bool:
    if version.prerelease and not any(wanted.prerelease for _, wanted in terms):
        return False
    return all(_holds(*term, version) for term in terms)


def _read_terms(text: str, whole: str) -> Iterator[tuple[str, Version]]:
    between = _HYPHEN.fullmatch(text)
    if between is not None:
        yield ">=", _make_version(between.group(2, 3, 4, 5))
        yield "<=", _make_version(between.group(7, 8, 9, 10))
        return
    at = 0
    while at < len(text.rstrip()):
        match = _TERM.match(text, at)
        if match is None:
            raise ValueError(f"{whole!r} is not a version constraint")
        yield _SAME.get(match[1], match[1]), _make_version(match.group(2, 3, 4, 5))
        at = match.end()
    if at == 0:
        raise ValueError(f"{whole!r} is not a version constraint")


def _make_version(found: tuple[str | None, ...]) -> Version:
    numbers: list[int] = []
    for each in found[:3]:
        if each is None or not each.isdigit():
            break
        numbers.append(int(each))
    known = len(numbers)
    major, minor, patch = (*numbers, 0, 0, 0)[:3]
    return Version((major, minor, patch), found[3] or "", known)


def _holds(operator: str, wanted: Version, version: Version) -> bool:
    known = wanted.known
    head, wanted_head = version.parts[:known], wanted.parts[:known]
    below = version.key < wanted.key
    if operator == ">":
        return version.key > wanted.key if known == 3 else head > wanted_head
    if operator == "<":
        return below
    if operator == ">=":
        return not below
    if operator == "<=":
        return version.key <= wanted.key if known == 3 else head <= wanted_head
    if operator == "!=":
        return version.key != wanted.key if known == 3 else head != wanted_head
    if operator == "" and known == 3:
        return version.key == wanted.key
    if operator in ("", "~"):
        same = min(known, 2)
        return not below and version.parts[:same] == wanted.parts[:same]
    return not below and _is_same_line(wanted, version)


def _is_same_line(wanted: Version, version: Version) -> bool:
    """What ``^`` keeps: the first part that is not 0, and all before it."""
    for index in range(wanted.known):
        if version.parts[index] != wanted.parts[index]:
            return False
        if wanted.parts[index]:
            return True
    return True
