"""The bounds of an expression, and the purse that one evaluation spends from.

Every part of the evaluator that works longer than a constant time pays here first, so that no
input takes more than a fraction of a second or a few megabytes.
"""

from __future__ import annotations

from gennaker.errors import ExpressionError
from gennaker.records import dataclass

__all__ = ["DEFAULT_LIMITS", "Budget", "LimitError", "Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What an expression may use.

    Attributes:
        source: bytes of its text in UTF-8.
        depth: levels of its syntax tree.
        steps: nodes evaluated and elements visited, in one evaluation of a whole template.
        bytes: size of everything built on the way, and again of the result.
    """

    source: int = 4096
    depth: int = 40
    steps: int = 10_000
    bytes: int = 1 << 20


DEFAULT_LIMITS = Limits()


class LimitError(ExpressionError):
    """An expression went over one of its limits; no operator absorbs it."""

    code = "expression-limit"


class Budget:
    """What is left to one evaluation."""

    __slots__ = ("_bytes", "_steps", "limits")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._steps = limits.steps
        self._bytes = limits.bytes

    def spend(self, steps: int = 1) -> None:
        """Pay for visiting ``steps`` nodes or elements."""
        self._steps -= steps
        if self._steps < 0:
            raise LimitError(
                f"the expression needs more than {self.limits.steps} steps",
                hint="work on a shorter list, or do this in a stage",
            )

    def scan(self, size: int) -> None:
        """Pay for reading ``size`` characters or bytes: a step for each KiB."""
        self.spend(size >> 10)

    def take(self, size: int) -> None:
        """Pay for building ``size`` bytes, before they are built."""
        self._bytes -= size
        if self._bytes < 0:
            raise LimitError(
                f"the expression builds more than {self.limits.bytes} bytes",
                hint="build large text in a stage and pass it as an artifact",
            )
