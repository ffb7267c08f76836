"""Handing letters to runs: what is refused is answered, what breaks the core concerns one stage."""

from __future__ import annotations

from collections.abc import Sequence

from gennaker.errors import GennakerError
from gennaker_engine.core.messages import ReportErrored
from gennaker_engine.core.transitions import IllegalTransition
from gennaker_engine.journal.errors import StateError
from gennaker_engine.journal.port import VersionConflict
from gennaker_engine.runtime.inbox import Letter
from gennaker_engine.runtime.moment import Moment

__all__ = ["Indigestible", "Result", "hand_over", "settle"]

Result = tuple[Letter, str | None, GennakerError | None]
"""A letter, why it changed nothing, and what it was refused with."""


def settle(
    letter: Letter, *, refused: str | None = None, error: BaseException | None = None
) -> None:
    """Answer a letter, if anybody waits for it."""
    if letter.answer is not None:
        letter.answer.settle(refused=refused, error=error)


def hand_over(moment: Moment, letter: Letter) -> Result:
    """Let a letter's run handle its message.

    Raises:
        Indigestible: the core broke down over it; the moment has to be taken back.
    """
    try:
        return letter, moment.handle(letter.run, letter.message).refused, None
    except (StateError, VersionConflict):
        raise
    except IllegalTransition as error:
        raise Indigestible(letter) from error
    except GennakerError as error:
        return letter, None, error  # the core refused it: nothing changed
    except Exception as error:
        raise Indigestible(letter) from error


class Indigestible(Exception):
    """A letter that the core cannot handle: what a plugin gave got past every check."""

    def __init__(self, letter: Letter) -> None:
        super().__init__(f"{type(letter.message).__name__} of run {letter.run!r}")
        self.letter = letter

    def replace_in(self, letters: Sequence[Letter]) -> list[Letter]:
        """Return the letters with this one as an error of its delivery, or without it."""
        message = self.letter.message
        said = f"{type(self.__cause__).__name__}: {self.__cause__}"
        if isinstance(message, ReportErrored):
            raise self  # told once already
        error = GennakerError(f"it could not be handled: {said}", code="internal")
        settle(self.letter, error=error)
        identity = getattr(message, "instance", None)
        if identity is None:
            return [each for each in letters if each is not self.letter]
        report = ReportErrored(
            message.instance,  # type: ignore[attr-defined]  # every report has them
            message.attempt,  # type: ignore[attr-defined]
            message.delivery,  # type: ignore[attr-defined]
            reason=f"what the stage gave cannot be handled: {said}",
            code="internal",
            permanent=True,
        )
        replaced = Letter(self.letter.run, report)
        return [replaced if each is self.letter else each for each in letters]
