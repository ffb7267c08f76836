"""What was looked at, and how it is: what plugins answer ``gennaker doctor`` with."""

from __future__ import annotations

from typing import Literal

from gennaker.records import dataclass

__all__ = ["Check", "CheckState"]

CheckState = Literal["ok", "missing", "wrong"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what it is, a word or two.
        state: ``ok``; ``missing``: only some stages need it; ``wrong``: nothing, or something that
            the project asks for, will work.
        found: what there is; never a secret.
        advice: what to do, empty when there is nothing to do.
    """

    name: str
    state: CheckState
    found: str
    advice: str = ""
