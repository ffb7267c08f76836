"""Semantic versions (semver.org 2.0), compared by precedence."""

from __future__ import annotations

import re
from functools import total_ordering

from gennaker.errors import ExpressionError
from gennaker.expressions.values import KINDS, shown

__all__ = ["SemVer"]

_NUMBER = r"(0|[1-9][0-9]{0,17})"
_IDENTIFIERS = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_SEMVER = re.compile(
    rf"v?{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-({_IDENTIFIERS}))?(?:\+{_IDENTIFIERS})?"
)
_LONGEST = 256


@total_ordering
class SemVer:
    """A version that compares by precedence; a leading ``v`` and build metadata do not count.

    Args:
        text: like ``1.4.0-rc.1``.

    Raises:
        ExpressionError: it is not a semantic version.
    """

    __slots__ = ("_key", "major", "minor", "patch", "prerelease", "text")

    FIELDS = ("major", "minor", "patch", "prerelease")

    def __init__(self, text: str) -> None:
        match = _SEMVER.fullmatch(text) if len(text) <= _LONGEST else None
        prerelease = (match and match[4]) or ""
        if match is None or any(
            part.isdigit() and part[0] == "0" and part != "0" for part in prerelease.split(".")
        ):
            raise ExpressionError(
                f"{shown(text)} is not a semantic version",
                hint="write all three numbers, like '1.4.0'",
            )
        self.text = text.removeprefix("v")
        self.major, self.minor, self.patch = int(match[1]), int(match[2]), int(match[3])
        self.prerelease = prerelease
        # Numbers sort before words; a version without a pre-release after all with one.
        self._key = (
            self.major,
            self.minor,
            self.patch,
            not prerelease,
            [
                (0, int(part), "") if part.isdigit() else (1, 0, part)
                for part in (prerelease.split(".") if prerelease else ())
            ],
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SemVer) and self._key == other._key

    def __lt__(self, other: SemVer) -> bool:
        return self._key < other._key

    def __hash__(self) -> int:
        return hash(self._key[:4])

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"SemVer({self.text!r})"


KINDS[SemVer] = "semver"
