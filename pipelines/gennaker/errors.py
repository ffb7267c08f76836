"""Every error Gennaker raises on purpose, and the one form in which problems are told.

The tree (each leaf knows its exit code, see ``gennaker help exit-codes``)::

    GennakerError                 7   we could not do it
    ├── InvalidInput              2   a file, parameter or option is wrong; carries Problems
    │   └── ExpressionError       2   an expression cannot be compiled or evaluated
    │       ├── MissingOutput     -   an output of a stage that ended without outputs
    │       └── UnknownValue      -   a value that only a later stage will give (in a plan)
    ├── NotAllowed                4   the identity may not do this, or a policy refuses it
    └── StageError                7   raised by stages
        ├── TemporaryError        7   try again, after ``delay``
        └── PermanentError        7   never try again

Whether to retry is a type, never text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

from gennaker.records import dataclass

__all__ = [
    "ExpressionError",
    "GennakerError",
    "InvalidInput",
    "Location",
    "MissingOutput",
    "NotAllowed",
    "PermanentError",
    "Problem",
    "StageError",
    "TemporaryError",
    "UnknownValue",
    "sort_problems",
]


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """A place in a file: ``file`` as the user would type it, ``line`` and ``column`` from 1."""

    file: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        parts = [self.file]
        if self.line is not None:
            parts.append(str(self.line))
            if self.column is not None:
                parts.append(str(self.column))
        return ":".join(parts)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: what (``message``), which kind (``code``), where, what to do.

    ``code`` is a documented lower-case word with hyphens (``unknown-field``).
    ``hint`` is the next step, told after the message.
    """

    code: str
    message: str
    location: Location | None = None
    hint: str | None = None
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        where = f"{self.location}: " if self.location else ""
        kind = "warning: " if self.severity == "warning" else ""
        hint = f"; {self.hint}" if self.hint else ""
        return f"{where}{kind}{self.code}: {self.message}{hint}"

    def at(self, location: Location | None) -> Problem:
        """Return this problem placed at ``location`` (unchanged when that is None)."""
        return self if location is None else replace(self, location=location)


def sort_problems(problems: Iterable[Problem]) -> list[Problem]:
    """Return problems in order of file and place, each once; those without a place come first."""

    def place(problem: Problem) -> tuple[str, int, int]:
        where = problem.location
        return (where.file, where.line or 0, where.column or 0) if where else ("", 0, 0)

    return sorted(dict.fromkeys(problems), key=place)


class GennakerError(Exception):
    """Something Gennaker could not do; ``code`` is documented, ``hint`` says what to do next.

    Args:
        message: what is wrong, naming the thing with ``{name!r}``.
        code: the documented code word; defaults to the class's own.
        hint: the next step for the person who reads it.
        location: where in which file, when that is known.
    """

    code: str = "error"
    exit_code: int = 7

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        location: Location | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.hint = hint
        self.location = location

    def __str__(self) -> str:
        return str(self.problem)

    @property
    def problem(self) -> Problem:
        """The same as a :class:`Problem`, the form in which it is shown."""
        return Problem(self.code, self.message, self.location, self.hint)


class InvalidInput(GennakerError):
    """A file, parameter or option that is wrong; ``problems`` has all of them, at least one."""

    code = "invalid"
    exit_code = 2

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        location: Location | None = None,
        problems: Sequence[Problem] = (),
    ) -> None:
        super().__init__(message, code=code, hint=hint, location=location)
        self.problems: tuple[Problem, ...] = tuple(problems) or (self.problem,)

    @classmethod
    def of(cls, problems: Iterable[Problem]) -> InvalidInput:
        """Make one error of many problems; the first error gives the message."""
        found = tuple(problems)
        first = next((each for each in found if each.severity == "error"), found[0])
        return cls(
            first.message, code=first.code, hint=first.hint, location=first.location, problems=found
        )


class ExpressionError(InvalidInput):
    """An expression that cannot be compiled, or whose evaluation fails; never a silent skip.

    ``offset`` is where in its source (0-based), when that is known.
    """

    code = "expression"
    offset: int | None = None


class MissingOutput(ExpressionError):
    """An expression used an output of a stage that ended without outputs."""

    code = "missing-output"

    def __init__(self, stage: str, output: str) -> None:
        super().__init__(f"stage {stage!r} ended without the output {output!r}")
        self.stage = stage
        self.output = output


class UnknownValue(ExpressionError):
    """A plan asked for more of a value than a token can give; ``token`` names it."""

    code = "unknown-value"

    def __init__(self, token: str) -> None:
        super().__init__(f"depends on {token!r}, which is not known yet")
        self.token = token


class NotAllowed(GennakerError):
    """The identity may not do this, or a policy refuses it; nothing was changed."""

    code = "not-allowed"
    exit_code = 4


class StageError(GennakerError):
    """What a stage raises when it could not do its work (outcome errored)."""

    code = "stage-error"


class TemporaryError(StageError):
    """It may work later: the next attempt the stage's ``retry`` allows waits ``delay`` seconds.

    It adds no attempt by itself.
    """

    code = "temporary"

    def __init__(
        self,
        message: str,
        *,
        delay: float | None = None,
        code: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.delay = delay


class PermanentError(StageError):
    """It will never work this way: no further attempt is made, whatever ``retry`` says."""

    code = "permanent"
