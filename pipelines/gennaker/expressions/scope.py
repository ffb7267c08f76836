"""What an expression is evaluated over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Protocol

from gennaker.expressions.limits import DEFAULT_LIMITS, Limits
from gennaker.records import dataclass

__all__ = ["Scope", "Status"]


class Status(Protocol):
    """The four questions an ``if`` may ask about the stages before it."""

    def success(self) -> bool:
        """Whether every direct need went well."""

    def failure(self) -> bool:
        """Whether some ancestor failed or errored and is not ignored."""

    def always(self) -> bool:
        """Yes."""

    def aborted(self) -> bool:
        """Whether some ancestor was aborted."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The variables and services of one evaluation.

    Attributes:
        values: the roots (``params``, ``stages``, ``run`` …); plain JSON data or mappings that
            make it when asked. ``secrets`` is not among them: no value of a secret comes here.
        status: answers ``success()`` and its like; None where they have no meaning.
        files: digests for ``hash_files``, by glob.
        limits: what the evaluation may use.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    status: Status | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = DEFAULT_LIMITS
