"""What can be wrong with a state, in words: codes that start with ``state-``."""

from __future__ import annotations

from gennaker.errors import GennakerError

__all__ = ["StateError"]


class StateError(GennakerError):
    """The state cannot be read or written; what was acknowledged before stays true."""

    code = "state-error"
