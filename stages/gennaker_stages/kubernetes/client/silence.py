"""Clusters that did not answer one stage of a plan, so that the others need not wait for them, too."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from gennaker.records import dataclass

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.client.connection import Connection
    from gennaker_stages.kubernetes.client.kubeconfig import Access

__all__ = ["Silences"]

_PROOF = 0.5
"""What share of a stage's time another must have waited for its wait to count."""


@dataclass(frozen=True, slots=True)
class _Silence:
    """That a server did not answer: who asked, for how many seconds at most, what is said of it."""

    who: str
    seconds: float
    told: str


@dataclass(frozen=True, slots=True)
class Silences:
    """What the stages of one plan know of the clusters that do not answer."""

    _known: dict[Access, _Silence] = field(default_factory=dict)

    def watch(self, connection: Connection, who: str, seconds: float) -> None:
        """Keep that a server does not answer, for who asks the same one later.

        Args:
            connection: to the server.
            who: the stage that asks.
            seconds: so long it asks at most.

        Raises:
            TemporaryError: code ``cluster-unreachable``: it was asked for long enough before.
        """
        from gennaker_stages.kubernetes.client.connection import make_unreachable

        known = self._known.get(connection.access)
        if known is not None and known.seconds >= seconds * _PROOF:
            raise make_unreachable(f"{known.told}, which was tried for {known.who!r} already")

        def note(told: str) -> None:
            self._known[connection.access] = _Silence(who, seconds, told)

        connection.note_break = note
